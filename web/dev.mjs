// Serves dist/ and passes everything else on to a running server, so that a change of the page can be looked at
// without building the program: node dev.mjs [http://127.0.0.1:8089] [8090]

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

createServer((incoming, answer) => {
    const { pathname } = new URL(incoming.url, target);
    const name = PAGES.test(pathname) ? 'index.html' : pathname.replace('/assets/', '');
    const file = join(dist, name);
    if (incoming.method === 'GET' && file.startsWith(dist) && existsSync(file) && statSync(file).isFile()) {
        const type = TYPES[name.split('.').pop()] ?? 'application/octet-stream';
        answer.writeHead(200, { 'content-type': `${type}; charset=utf-8`, 'content-security-policy': POLICY });
        answer.end(readFileSync(file));
        return;
    }
    const passed = request(target + incoming.url, { method: incoming.method, headers: incoming.headers }, (reply) => {
        answer.writeHead(reply.statusCode, reply.headers);
        reply.pipe(answer);
    });
    passed.on('error', () => (answer.headersSent ? answer.end() : answer.writeHead(502).end()));
    // A stream ends with the tab that read it, or the server would count it as open.
    answer.on('close', () => passed.destroy());
    incoming.pipe(passed);
}).listen(Number(port), '127.0.0.1', () => console.log(`http://127.0.0.1:${port} shows dist/ over ${target}`));
