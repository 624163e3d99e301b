// First tasks of a new user in the demo, with nothing but the page.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { Server, browser, loaded, open, parseCsv } from './harness.mjs';

let chrome;
let server;

before(async () => {
    chrome = await browser();
    server = await Server.start({ command: 'demo', args: ['--per-second', '0'] });
});

after(async () => {
    await chrome?.close();
    await server?.stop();
});

async function exported(page, name) {
    const download = page.waitForEvent('download');
    await page.getByRole('link', { name }).click();
    return parseCsv(readFileSync(await (await download).path(), 'utf8'));
}

for (const width of [1280, 390]) {
    test(`the heaviest user of yesterday, exported, at ${width} px`, async () => {
        const page = await open(chrome, server, { viewport: { width, height: 800 } });
        await loaded(page);
        await page.getByRole('link', { name: 'Users', exact: true }).click();
        await page.getByRole('button', { name: 'Last 24 hours' }).click();
        await page.getByRole('button', { name: 'Yesterday' }).click();
        const first = page.locator('table tbody tr').first().getByRole('link');
        const { rows } = await server.json('api/metrics/breakdown?by=user&start=now-1d/d&end=now/d&limit=1');
        await page.getByRole('link', { name: rows[0].name }).waitFor();
        assert.equal(await first.innerText(), rows[0].name);
        const [head, line] = await exported(page, 'Users: CSV');
        assert.deepEqual([head[0], line[0], Number(line[1])], ['user', rows[0].name, rows[0].requests]);
        page.assertClean();
        await page.context().close();
    });

    test(`the slowest model by p95, at ${width} px`, async () => {
        const page = await open(chrome, server, { viewport: { width, height: 800 } });
        await loaded(page);
        await page.getByRole('link', { name: 'Models', exact: true }).click();
        await page.getByRole('columnheader', { name: 'p95' }).getByRole('button').click();
        await page.getByRole('columnheader', { name: 'p95 ↓' }).waitFor();
        const path = 'api/metrics/dashboard?part=top&sort=total_latency&stat=p95&limit=1';
        const { top } = await server.json(path);
        await page.locator('table tbody tr').first().getByText(top.rows[0].name).waitFor();
        page.assertClean();
        await page.context().close();
    });

    test(`why an alert fired, at ${width} px`, async () => {
        const page = await open(chrome, server, { viewport: { width, height: 800 } });
        await loaded(page);
        await page.getByRole('link', { name: /^Alerts/ }).click();
        // An incident of this range, or the last one of all.
        await page.getByRole('link', { name: /^High (error rate|average latency)$/ }).first().click();
        const dialog = page.getByRole('dialog', { name: /^High / });
        await dialog.getByText(/It fired because (error rate|average latency) was .*, > .*, over \d+ requests/).waitFor();
        await dialog.getByText(/pending → firing/).waitFor();
        await dialog.getByRole('link', { name: 'Show this time on the charts' }).click();
        await loaded(page);
        const errors = await exported(page, 'Errors by type: CSV');
        assert.ok(errors.length > 10);
        page.assertClean();
        await page.context().close();
    });
}
