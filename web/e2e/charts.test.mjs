// Pointing at charts: a bucket opens the requests that it counts.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Server, browser, closed, loaded, open, record, tile, until } from './harness.mjs';

const HOUR = 3_600_000;
const DAY = Date.parse('2026-03-10T00:00:00Z');
let chrome;
let server;

before(async () => {
    chrome = await browser();
    server = await Server.start();
    const of = (start, hours, more) =>
        Array.from({ length: hours * 2 }, (_, i) => record(start + i * (HOUR / 2) + 1, more));
    await server.ingest([
        ...of(Date.parse('2026-10-23T22:00:00Z'), 24 + 25),
        ...of(DAY, 24, { error_type: 'server', total_latency_ms: 1_900 }),
        ...of(DAY, 24, { total_latency_ms: 6_100, error_type: undefined }),
        ...of(DAY + HOUR, 1, { total_latency_ms: 6_100, error_type: undefined }),
    ]);
});

after(async () => {
    await chrome?.close();
    await server?.stop();
});

const rangeOf = (page) => {
    const { searchParams } = new URL(page.url());
    return ['from', 'to'].map((name) => new Date(searchParams.get(name)).toISOString());
};

/** A position in a chart, in shares of its width and of its height from the top. */
async function at(page, panel, x, y) {
    const over = page.locator(`#${panel} .u-over`);
    await over.scrollIntoViewIfNeeded();
    const box = await over.boundingBox();
    return { over, position: { x: box.width * x, y: box.height * y } };
}

test('the whole bar opens its bucket, and the last day of summer time opens with its 25 hours', async () => {
    const [from, to] = ['2026-10-23T22:00:00Z', '2026-10-25T23:00:00Z'];
    const page = await open(chrome, server, { path: `?from=${from}&to=${to}&tz=Europe/Warsaw` });
    await loaded(page);
    for (const [x, day] of [[0.05, /^Sat,? 24 Oct/], [0.45, /^Sat,? 24 Oct/], [0.55, /^Sun,? 25 Oct/], [0.95, /^Sun,? 25 Oct/]]) {
        const { over, position } = await at(page, 'panel-cost', x, 0.5);
        await over.hover({ position });
        assert.match(await page.locator('#panel-cost .tip b').innerText(), day, `at ${x}`);
    }
    const { over, position } = await at(page, 'panel-cost', 0.9, 0.8);
    await over.click({ position });
    await until('the day', async () => (await tile(page, 'Requests')) === 50);
    assert.deepEqual(rangeOf(page), ['2026-10-24T22:00:00.000Z', '2026-10-25T23:00:00.000Z']);
    await closed(page);
});

test('the buckets at the edges of a range open what they count', async () => {
    const path = `?from=${new Date(DAY + 0.75 * HOUR).toISOString()}&to=${new Date(DAY + 20.75 * HOUR).toISOString()}`;
    const page = await open(chrome, server, { path: `${path}&tz=UTC` });
    await loaded(page);
    const chart = page.locator('#panel-errors .chart');
    const range = 'start=2026-03-10T00:45:00Z&end=2026-03-10T20:45:00Z';
    const { errors, timestamps } = await server.json(`api/metrics/dashboard?${range}`);
    const server_errors = errors.find((one) => one.error_type === 'server').count;
    for (const [key, index] of [['Home', 0], ['End', timestamps.length - 1]]) {
        await chart.focus();
        await page.keyboard.press(key);
        await page.keyboard.press('Enter');
        const rows = page.getByRole('region', { name: 'Requests, newest first' }).locator('tbody tr');
        await until(key, async () => page.url().includes('/requests?') && !(await page.locator('section [class*=skeleton]').count()));
        await until(`${server_errors[index]} requests`, async () => (await rows.count()) === server_errors[index]);
        await page.goBack();
        await loaded(page);
    }
    await closed(page);
});

test('the keyboard opens a cell of the heatmap, and says which it is on', async () => {
    const path = '?from=2026-03-10T00:00:00Z&to=2026-03-11T00:00:00Z&tz=UTC';
    const page = await open(chrome, server, { path });
    await loaded(page);
    const { timestamps } = await server.json('api/metrics/dashboard?start=2026-03-10T00:00:00Z&end=2026-03-11T00:00:00Z&part=heatmap');
    const chart = page.locator('#panel-heatmap .chart');
    const first = timestamps.findIndex((start) => Date.parse(start) >= DAY + HOUR);
    await chart.focus();
    await page.keyboard.press('Home');
    for (let i = 0; i < first; i += 1) await page.keyboard.press('ArrowRight');
    const said = () => chart.getAttribute('aria-valuetext');
    // The fuller of the two rows comes first, the other one is below.
    await until('the fuller row', async () => /requests: [^,]+ 2 \(66\.7 %\)/.test(await said()));
    const mark = page.locator('#panel-heatmap .cell-mark');
    const upper = (await mark.boundingBox()).y;
    await page.keyboard.press('ArrowDown');
    assert.match(await said(), /requests: [^,]+ 1 \(33\.3 %\)/);
    assert.ok((await mark.boundingBox()).y > upper);
    await page.keyboard.press('ArrowUp');
    await page.keyboard.press('Enter');
    const rows = page.getByRole('region', { name: 'Requests, newest first' }).locator('tbody tr');
    await until('the requests of the cell', async () => (await rows.count()) === 2);
    for (const text of await rows.allInnerTexts()) assert.match(text, /6\.10 s/);
    await page.locator('.chip').filter({ hasText: 'total latency' }).waitFor();
    await closed(page);
});

test('thin bars are visible', async () => {
    for (const width of [360, 1024, 1440]) {
        const path = '?from=2026-03-06T00:00:00Z&to=2026-03-13T00:00:00Z&tz=UTC';
        const page = await open(chrome, server, { path, viewport: { width, height: 900 }, colorScheme: 'light' });
        await loaded(page);
        const reds = await page.locator('#panel-errors canvas').evaluate((canvas) => {
            const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
            let count = 0;
            for (let i = 0; i < data.length; i += 4) if (data[i + 3] > 0 && data[i] > data[i + 2] + 60) count += 1;
            return count;
        });
        // 24 of 168 hours have two errors each; their bars are as high as the chart.
        assert.ok(reds > 1_500, `${reds} pixels at ${width} px`);
        await closed(page);
    }
});
