// Updates of an open page: refresh, stream, live tail, session.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Server, browser, lately, loaded, open, record, tile, until } from './harness.mjs';

let chrome;
let server;

before(async () => {
    chrome = await browser();
    server = await Server.start();
    await server.ingest(lately(100, 2));
});

after(async () => {
    await chrome?.close();
    await server?.stop();
});

test('figures change within 10 s of new records', async () => {
    const page = await open(chrome, server);
    await loaded(page);
    const before = await tile(page, 'Requests');
    await server.ingest([record(Date.now()), record(Date.now())]);
    const started = Date.now();
    await until('the new figure', async () => (await tile(page, 'Requests')) === before + 2);
    assert.ok(Date.now() - started <= 11_000, `${Date.now() - started} ms`);
    page.assertClean();
    await page.context().close();
});

test('unchanged data is not sent again', async () => {
    const page = await open(chrome, server, { path: '?from=2026-01-01T00:00:00Z&to=2026-01-02T00:00:00Z' });
    await page.getByText(/The newest request/).waitFor();
    const responded = page.waitForResponse((response) => response.url().includes('/dashboard?'));
    await page.getByRole('button', { name: 'Refresh now (r)' }).click();
    assert.equal((await responded).status(), 304);
    page.assertClean();
    await page.context().close();
});

test('a hidden page sends no requests, and refreshes at once when it is visible again', async () => {
    const page = await open(chrome, server);
    await loaded(page);
    await page.clock.install();
    const hide = (hidden) =>
        page.evaluate((value) => {
            Object.defineProperty(document, 'hidden', { configurable: true, value });
            document.dispatchEvent(new Event('visibilitychange'));
        }, hidden);
    await page.reload();
    await loaded(page);
    await hide(true);
    let requests = 0;
    page.on('request', (request) => {
        if (request.url().includes('/api/')) requests += 1;
    });
    await page.clock.runFor(120_000);
    assert.equal(requests, 0);
    await hide(false);
    await until('a request', () => requests > 0);
    page.assertClean();
    await page.context().close();
});

test('figures stay while the server is down and are updated when it is back', async () => {
    const other = await Server.start();
    try {
        await other.ingest(lately(50, 2));
        const page = await open(chrome, other, { allow: [/ERR_CONNECTION_REFUSED|ERR_EMPTY_RESPONSE|ERR_CONNECTION_RESET|ERR_INCOMPLETE_CHUNKED/] });
        await loaded(page);
        await page.getByLabel('How often to refresh').selectOption('5');
        await other.kill();
        await page.getByText('The server cannot be reached').waitFor({ timeout: 15_000 });
        await page.locator('.freshness.stale').waitFor();
        assert.equal(await tile(page, 'Requests'), 50);
        await other.run();
        await other.ingest([record(Date.now())]);
        await until('the new figure', async () => (await tile(page, 'Requests')) === 51, 30_000);
        await page.getByText('The server cannot be reached').waitFor({ state: 'detached' });
        page.assertClean();
        await page.context().close();
    } finally {
        await other.stop();
    }
});

test('after a session has ended, logging in continues on the same view', async () => {
    const other = await Server.start();
    try {
        await other.ingest(lately(30, 2));
        const page = await open(chrome, other, { path: '?model=gpt-5', allow: [/401/, /ERR_/] });
        await loaded(page);
        await other.kill('SIGTERM');
        await other.run('another-token');
        await page.getByText('The session has ended').waitFor({ timeout: 30_000 });
        await page.getByLabel('Admin token').fill('wrong');
        await page.getByRole('button', { name: 'Log in' }).click();
        await page.getByText('This is not the admin token').waitFor();
        await page.getByLabel('Admin token').fill('another-token');
        await page.getByRole('button', { name: 'Log in' }).click();
        await loaded(page);
        assert.match(page.url(), /model=gpt-5/);
        page.assertClean();
        await page.context().close();
    } finally {
        await other.stop();
    }
});

test('logging in and out; scripts cannot read the cookie, and other sites cannot make changes', async () => {
    const page = await open(chrome, server, { login: false, allow: [/401/] });
    await page.getByLabel('Admin token').fill(server.token);
    await page.getByRole('button', { name: 'Log in' }).click();
    await loaded(page);
    const [cookie] = await page.context().cookies();
    assert.ok(cookie.httpOnly && cookie.sameSite === 'Lax', JSON.stringify(cookie));
    assert.equal(await page.evaluate(() => document.cookie), '');
    const headers = { cookie: `${cookie.name}=${cookie.value}`, 'content-type': 'application/json' };
    const write = (more) =>
        fetch(`${server.url}/api/sql`, { method: 'POST', headers: { ...headers, ...more }, body: '{"sql":"select 1"}' });
    assert.equal((await write({ origin: 'http://evil.example' })).status, 403);
    assert.equal((await write({ 'sec-fetch-site': 'cross-site', origin: server.url })).status, 403);
    assert.equal((await write({ origin: server.url })).status, 200);
    await page.getByRole('button', { name: 'Log out' }).click();
    await page.getByLabel('Admin token').waitFor();
    assert.equal((await fetch(`${server.url}/api/status`, { headers })).status, 401, 'the old cookie is worth nothing');
    await page.reload();
    await page.getByLabel('Admin token').waitFor();
    page.assertClean();
    await page.context().close();
});

test('the live tail shows arriving requests and reports skipped ones', async () => {
    const page = await open(chrome, server, { path: 'requests?tail=on&model=tail-model' });
    const tail = page.locator('#panel-tail');
    await tail.getByText('live', { exact: true }).waitFor();
    await server.ingest([record(Date.now(), { model: 'tail-model', space: 'tail-space' }), record(Date.now())]);
    await tail.getByText('tail-space').waitFor();
    assert.equal(await tail.locator('tbody tr').count(), 1, 'the filter holds');
    await server.ingest(Array.from({ length: 2_000 }, () => record(Date.now(), { model: 'tail-model' })));
    await tail.locator('[data-gap]').waitFor();
    assert.ok((await tail.locator('tbody tr').count()) <= 100);
    await tail.getByRole('button', { name: 'Pause' }).click();
    await tail.getByText('paused').waitFor();
    await tail.getByLabel('slower than 5 s').check();
    await tail.getByText('Requests appear here').waitFor();
    page.assertClean();
    await page.context().close();
});

test('no more than 32 streams are open, and stopping does not wait for them', async () => {
    const other = await Server.start();
    const streams = [];
    try {
        for (let i = 0; i < 32; i += 1) {
            streams.push(await fetch(`${other.url}/api/stream`, { headers: other.headers() }));
        }
        assert.ok(streams.every((stream) => stream.status === 200));
        const refused = await fetch(`${other.url}/api/stream`, { headers: other.headers() });
        assert.equal(refused.status, 503);
        assert.ok(refused.headers.get('retry-after'));
        const started = Date.now();
        await other.kill('SIGTERM');
        assert.ok(Date.now() - started < 2_500, `${Date.now() - started} ms`);
    } finally {
        await Promise.allSettled(streams.map((stream) => stream.body.cancel()));
        await other.stop();
    }
});

test('a stream resumes after the last event received', async () => {
    const stream = await fetch(`${server.url}/api/stream`, { headers: server.headers() });
    const lines = stream.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = '';
    const read = async (pattern) => {
        while (!pattern.test(text)) text += (await lines.read()).value;
        return text.match(pattern);
    };
    await read(/retry: ?5000/);
    await server.ingest([record(Date.now(), { request_id: 'before-break' })]);
    const [, id] = await read(/id: ?(\d+)\n(?:data: ?.*before-break|event)/).catch(() => []) ?? [];
    await read(/before-break/);
    await lines.cancel();
    const seen = id ?? text.match(/id: ?(\d+)/)[1];
    await server.ingest([record(Date.now(), { request_id: 'while-away' })]);
    const again = await fetch(`${server.url}/api/stream`, { headers: server.headers({ 'last-event-id': seen }) });
    const more = again.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = '';
    while (!rest.includes('while-away')) rest += (await more.read()).value;
    assert.ok(!rest.includes('before-break'));
    await more.cancel();
});
