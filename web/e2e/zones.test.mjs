// Local days: the sum of the days shown is the total of the range, in every zone and on days of 23 and 25 hours.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Server, browser, loaded, open, record, tile, twin } from './harness.mjs';

const HOUR = 3_600_000;
let chrome;
let server;

before(async () => {
    chrome = await browser();
    server = await Server.start();
    const of = (start, hours) =>
        Array.from({ length: hours * 2 }, (_, i) => record(Date.parse(start) + i * (HOUR / 2) + 1, { cost_usd: 0.001 * (1 + (i % 7)) }));
    await server.ingest([...of('2026-03-24T00:00:00Z', 240), ...of('2026-10-20T00:00:00Z', 240), ...of('2026-11-01T00:00:00Z', 72)]);
});

after(async () => {
    await chrome?.close();
    await server?.stop();
});

const CASES = [
    ['UTC', '2026-03-25T00:00:00Z', '2026-04-01T00:00:00Z', 7, 336],
    ['Asia/Kathmandu', '2026-03-24T18:15:00Z', '2026-03-31T18:15:00Z', 7, 336],
    ['Europe/Warsaw', '2026-03-25T23:00:00Z', '2026-03-31T22:00:00Z', 6, 286],
    ['Europe/Warsaw', '2026-10-22T22:00:00Z', '2026-10-27T23:00:00Z', 5, 242],
    ['America/New_York', '2026-10-24T04:00:00Z', '2026-10-29T04:00:00Z', 5, 240],
    ['America/New_York', '2026-11-01T04:00:00Z', '2026-11-02T05:00:00Z', 1, 50],
];

for (const [zone, from, to, days, requests] of CASES) {
    test(`${days} days of ${zone} from ${from.slice(0, 10)} add up`, async () => {
        const page = await open(chrome, server, { path: `?from=${from}&to=${to}&tz=${encodeURIComponent(zone)}` });
        await loaded(page);
        assert.equal(await tile(page, 'Requests'), requests);
        const [head, ...rows] = await twin(page, 'panel-cost');
        const column = (name) => rows.map((row) => Number(row[head.indexOf(name)]));
        const sum = (values) => values.reduce((total, value) => total + value, 0);
        assert.equal(rows.length, days);
        assert.equal(sum(column('requests')), requests);
        assert.equal(sum(column('tokens')), await tile(page, 'Tokens'));
        assert.ok(Math.abs(sum(column('cost_usd')) - (await tile(page, 'Cost'))) < 1e-9);
        const [, ...buckets] = await twin(page, 'panel-requests');
        assert.equal(sum(buckets.map((row) => Number(row[1]))), requests);
        page.assertClean();
        await page.context().close();
    });
}

test('the zone is chosen, shown and part of the address', async () => {
    const page = await open(chrome, server, { path: '?from=2026-03-25T00:00:00Z&to=2026-03-26T00:00:00Z', timezoneId: 'Asia/Tokyo' });
    await loaded(page);
    const zone = page.getByLabel('Time zone').first();
    assert.equal(await zone.inputValue(), 'UTC');
    await zone.selectOption('Asia/Tokyo');
    assert.match(page.url(), /tz=Asia%2FTokyo/);
    await page.getByText('Times in Asia/Tokyo').waitFor();
    const [, first] = await twin(page, 'panel-cost');
    assert.equal(first[0], '2026-03-25');
    page.assertClean();
    await page.context().close();
});
