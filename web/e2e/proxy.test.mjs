// The page behind a proxy that serves it below a path.

import assert from 'node:assert/strict';
import { createServer, request as ask } from 'node:http';
import { after, before, test } from 'node:test';
import { Server, browser, lately, loaded, open, record, tile, until } from './harness.mjs';

let chrome;
let server;

before(async () => {
    chrome = await browser();
    server = await Server.start();
    await server.ingest(lately(60, 2));
});

after(async () => {
    await chrome?.close();
    await server?.stop();
});

/** A proxy of /gauge/; `headersOf` returns the headers for the server. */
async function proxied(headersOf) {
    const outside = [];
    const proxy = createServer((incoming, response) => {
        if (!incoming.url.startsWith('/gauge/')) {
            outside.push(incoming.url);
            response.writeHead(404).end();
            return;
        }
        const outgoing = ask(
            server.url + incoming.url.slice('/gauge'.length),
            { method: incoming.method, headers: headersOf(incoming.headers) },
            (reply) => {
                response.writeHead(reply.statusCode, reply.headers);
                reply.pipe(response);
                reply.on('error', () => response.destroy());
            },
        );
        outgoing.on('error', () => response.destroy());
        response.on('close', () => outgoing.destroy());
        incoming.pipe(outgoing);
    });
    await new Promise((resolve) => proxy.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${proxy.address().port}/gauge`;
    return { url, outside, token: server.token, stop: () => (proxy.closeAllConnections(), proxy.close()) };
}

const host = new Map([
    ['keeps the host and sends its path', (headers) => ({ ...headers, 'x-forwarded-prefix': '/gauge' })],
    // As without TLS: the browser sends no `Sec-Fetch-Site`, and nginx sends a `Host` of its own.
    [
        'asks for another host',
        ({ 'sec-fetch-site': _, host: name, ...headers }) => ({
            ...headers,
            host: new URL(server.url).host,
            'x-forwarded-host': name,
        }),
    ],
]);

for (const [name, headersOf] of host) {
    test(`the page works below a path of a proxy that ${name}`, async () => {
        const proxy = await proxied(headersOf);
        try {
            const page = await open(chrome, proxy, { login: false, allow: [/401/] });
            await page.getByLabel('Admin token').fill(server.token);
            await page.getByRole('button', { name: 'Log in' }).click();
            await loaded(page);
            const [cookie] = await page.context().cookies();
            assert.equal(cookie.path, name.includes('path') ? '/gauge' : '/');
            await page.getByRole('link', { name: 'Requests', exact: true }).click();
            assert.equal(new URL(page.url()).pathname, '/gauge/requests');
            await page.getByRole('button', { name: 'Open', exact: true }).click();
            await page.getByText('live', { exact: true }).waitFor();
            await server.ingest([record(Date.now(), { space: `behind-${name.length}` })]);
            await page.locator('#panel-tail').getByText(`behind-${name.length}`).waitFor();
            await page.reload();
            await page.locator('table tbody tr').first().waitFor();
            await page.getByRole('link', { name: 'chatgauge' }).click();
            await loaded(page);
            assert.equal(new URL(page.url()).pathname, '/gauge/');
            const before = await tile(page, 'Requests');
            await server.ingest([record(Date.now())]);
            await until('the new figure', async () => (await tile(page, 'Requests')) > before);
            const csv = page.waitForEvent('download');
            await page.getByRole('link', { name: 'Top: CSV' }).click();
            assert.equal((await csv).suggestedFilename(), 'chatgauge-top.csv');
            await page.getByRole('button', { name: 'Log out' }).click();
            await page.getByLabel('Admin token').waitFor();
            assert.deepEqual(proxy.outside, []);
            page.assertClean();
            await page.context().close();
        } finally {
            proxy.stop();
        }
    });
}

test('the next page of requests is below the path as well', async () => {
    const proxy = await proxied((headers) => headers);
    try {
        const first = await fetch(`${proxy.url}/api/requests?limit=10`, { headers: server.headers() });
        const [, next] = first.headers.get('link').match(/^<(.*)>; rel="next"$/);
        const second = await fetch(new URL(next, first.url), { headers: server.headers() });
        assert.equal((await second.json()).requests.length, 10);
        assert.deepEqual(proxy.outside, []);
    } finally {
        proxy.stop();
    }
});
