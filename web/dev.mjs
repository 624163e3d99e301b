// Serves dist/ and forwards everything else to a running server, to try a change of the page without building the
// program: node dev.mjs [http://127.0.0.1:8089] [8090]

import { createServer, request } from 'node:http';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const dist = join(dirname(fileURLToPath(import.meta.url)), 'dist');
const [target = 'http://127.0.0.1:8089', port = '8090'] = process.argv.slice(2);
const PAGES = /^\/(overview|requests|users|spaces|models|alerts|status|sql)?$/;
const TYPES = { css: 'text/css', html: 'text/html', js: 'text/javascript', svg: 'image/svg+xml', txt: 'text/plain' };
const POLICY =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
    "base-uri 'self'; form-action 'self'; frame-ancestors 'none'; require-trusted-types-for 'script'";

createServer((incoming, response) => {
    const { pathname } = new URL(incoming.url, target);
    const name = PAGES.test(pathname) ? 'index.html' : pathname.replace('/assets/', '');
    const file = join(dist, name);
    if (incoming.method === 'GET' && file.startsWith(dist) && existsSync(file) && statSync(file).isFile()) {
        const type = TYPES[name.split('.').pop()] ?? 'application/octet-stream';
        response.writeHead(200, { 'content-type': `${type}; charset=utf-8`, 'content-security-policy': POLICY });
        response.end(readFileSync(file));
        return;
    }
    const forwarded = request(target + incoming.url, { method: incoming.method, headers: incoming.headers }, (reply) => {
        response.writeHead(reply.statusCode, reply.headers);
        reply.pipe(response);
    });
    forwarded.on('error', () => (response.headersSent ? response.end() : response.writeHead(502).end()));
    // Ends a stream when its tab closes; otherwise the server would count it as open.
    response.on('close', () => forwarded.destroy());
    incoming.pipe(forwarded);
}).listen(Number(port), '127.0.0.1', () => console.log(`http://127.0.0.1:${port} shows dist/ over ${target}`));
