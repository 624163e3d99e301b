// Addresses that were typed, shortened or bookmarked long ago.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Server, browser, closed, lately, loaded, open, record, until } from './harness.mjs';

let chrome;
let server;

before(async () => {
    chrome = await browser();
    server = await Server.start();
    await server.ingest(lately(130, 2, { space: 'some-space' }));
});

after(async () => {
    await chrome?.close();
    await server?.stop();
});

test('an invalid range is reported, and another one can be chosen', async () => {
    for (const path of ['?from=yesterday&to=now', '?from=2026-13-45&to=now', 'requests?from=now-1h&to=soon', 'users?from=now&to=now-1h']) {
        const page = await open(chrome, server, { path, allow: [/400/] });
        await page.getByRole('alert').filter({ hasText: /start|end|instant|range/ }).first().waitFor();
        await page.keyboard.press('t');
        await page.getByRole('dialog', { name: 'Range' }).getByRole('button', { name: 'Last 6 hours' }).click();
        await page.getByRole('alert').first().waitFor({ state: 'detached' });
        await closed(page);
    }
});

test('an unknown zone is replaced by that of the server', async () => {
    const page = await open(chrome, server, { path: '?tz=Mars/Olympus' });
    await loaded(page);
    await page.getByText('Times in UTC').waitFor();
    await closed(page);
});

test('a list with older requests is frozen while more arrive, and returns to the newest', async () => {
    const page = await open(chrome, server, { path: 'requests?space=some-space' });
    const rows = page.getByRole('region', { name: 'Requests, newest first' }).locator('tbody tr');
    await until('the first page', async () => (await rows.count()) === 50);
    await page.getByRole('button', { name: 'Older requests' }).click();
    await until('the second page', async () => (await rows.count()) === 100);
    const before = await rows.allInnerTexts();
    // More than a page of new requests: refreshing only the first page would leave a gap in the list.
    await server.ingest(Array.from({ length: 70 }, () => record(Date.now(), { space: 'some-space' })));
    const responded = page.waitForResponse((response) => response.url().includes('api/requests?'));
    await responded;
    assert.deepEqual(await rows.allInnerTexts(), before);
    await page.getByRole('button', { name: 'Older requests' }).click();
    await until('all', async () => (await rows.count()) === 130);
    await page.getByRole('button', { name: 'Back to the newest' }).click();
    await until('the newest page', async () => (await rows.count()) === 50);
    assert.ok(!before.includes(await rows.first().innerText()));
    await closed(page);
});
