// A real server with a database of its own, and a browser that reports errors on the console, violations of the content
// policy and requests to other hosts.

import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

export const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
export const TOKEN = 'e2e-admin-token';
const BINARY = process.env.E2E_BINARY ?? join(process.env.CARGO_TARGET_DIR ?? join(ROOT, 'target'), 'debug', 'chatgauge');
const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';

export const freePort = () =>
    new Promise((resolve) => {
        const server = createServer().listen(0, '127.0.0.1', () => {
            const { port } = server.address();
            server.close(() => resolve(port));
        });
    });

/** Waits until `condition` returns something truthy, and returns it. */
export async function until(what, condition, limitMs = 15_000) {
    const end = Date.now() + limitMs;
    for (;;) {
        const result = await condition();
        if (result) return result;
        assert.ok(Date.now() < end, `waited ${limitMs} ms for ${what}`);
        await new Promise((resolve) => setTimeout(resolve, 50));
    }
}

export class Server {
    /**
     * A server on a free port; `args` are further flags of `serve` or of `command`, and `config` returns the text of its
     * configuration for the port.
     */
    static async start({ args = [], command = 'serve', token = TOKEN, config } = {}) {
        const server = new Server();
        server.folder = mkdtempSync(join(tmpdir(), 'chatgauge-e2e-'));
        server.port = await freePort();
        server.url = `http://127.0.0.1:${server.port}`;
        server.args = [command, '--db', join(server.folder, 'e2e.db'), '--listen', `127.0.0.1:${server.port}`, ...args];
        if (config) {
            const file = join(server.folder, 'e2e.toml');
            writeFileSync(file, config(server.port));
            server.args.push('--config', file);
        }
        await server.run(token);
        return server;
    }

    /** Starts the program; again after `kill`. */
    async run(token = TOKEN) {
        this.token = token;
        this.output = '';
        this.child = spawn(BINARY, this.args, { env: { ...process.env, CHATGAUGE_ADMIN_TOKEN: token } });
        for (const stream of [this.child.stdout, this.child.stderr]) {
            stream.on('data', (data) => {
                this.output = (this.output + data).slice(-4_000);
            });
        }
        await until(
            'the server',
            async () => {
                assert.equal(this.child.exitCode, null, this.output);
                return (await fetch(`${this.url}/readyz`).catch(() => null))?.ok;
            },
            600_000,
        );
    }

    async kill(signal = 'SIGKILL') {
        const ended = new Promise((resolve) => this.child.once('exit', resolve));
        this.child.kill(signal);
        await ended;
    }

    async stop() {
        if (this.child.exitCode === null && this.child.signalCode === null) await this.kill('SIGTERM');
        rmSync(this.folder, { recursive: true, force: true });
    }

    /** Loads records as history: the server is stopped meanwhile. */
    async load(records) {
        const file = join(this.folder, 'history.ndjson');
        writeFileSync(file, records.map((one) => `${JSON.stringify(one)}\n`).join(''));
        await this.kill('SIGTERM');
        execFileSync(BINARY, ['import', file, '--db', join(this.folder, 'e2e.db')], { stdio: 'pipe' });
        await this.run(this.token);
    }

    headers(more = {}) {
        return { authorization: `Bearer ${this.token}`, ...more };
    }

    async get(path) {
        const response = await fetch(`${this.url}/${path}`, { headers: this.headers() });
        assert.equal(response.status, 200, `${path}: ${await response.clone().text()}`);
        return response;
    }

    async json(path) {
        return (await this.get(path)).json();
    }

    /** Posts JSON and returns the response's body. */
    async post(path, body) {
        const response = await fetch(`${this.url}/${path}`, {
            method: 'POST',
            headers: this.headers({ 'content-type': 'application/json' }),
            body: JSON.stringify(body),
        });
        const text = await response.text();
        assert.ok(response.ok, `${path}: ${text}`);
        return JSON.parse(text);
    }

    /** Stores records. */
    async ingest(records) {
        for (let i = 0; i < records.length; i += 5_000) {
            const response = await fetch(`${this.url}/api/requests`, {
                method: 'POST',
                headers: this.headers({ 'content-type': 'application/json' }),
                body: JSON.stringify(records.slice(i, i + 5_000)),
            });
            const report = await response.json();
            assert.equal(response.status, 200, JSON.stringify(report));
            assert.deepEqual(report.rejected, []);
        }
    }
}

/** A stream: `next(name)` waits for the next event of that name and returns its data. */
export function events(server, query) {
    const stop = new AbortController();
    const texts = (async () => {
        const response = await fetch(`${server.url}/api/stream?${query}`, { headers: server.headers(), signal: stop.signal });
        assert.equal(response.status, 200);
        return response.body.pipeThrough(new TextDecoderStream()).getReader();
    })();
    let text = '';
    return {
        async next(name) {
            const reader = await texts;
            for (;;) {
                const end = text.indexOf('\n\n');
                if (end < 0) {
                    const { value, done } = await reader.read();
                    assert.ok(!done, `the stream ended before ${name}`);
                    text += value;
                    continue;
                }
                const lines = text.slice(0, end).split('\n');
                text = text.slice(end + 2);
                const of = (field) => lines.find((line) => line.startsWith(`${field}:`))?.slice(field.length + 1).trim();
                if (of('event') === name) return JSON.parse(of('data'));
            }
        },
        stop: async () => stop.abort(),
    };
}

let ids = 0;

/** A record like those of an app, with `more` overriding its fields. */
export function record(at, more = {}) {
    ids += 1;
    return {
        request_id: `e2e-${ids}`,
        started_at: new Date(at).toISOString(),
        user: `user-${ids % 7}`,
        space: `space-${ids % 3}`,
        provider: 'openai',
        model: ids % 2 ? 'gpt-5' : 'gpt-5-mini',
        total_latency_ms: 1_000 + (ids % 50) * 20,
        context_latency_ms: 200,
        llm_latency_ms: 700,
        time_to_first_token_ms: 150,
        prompt_tokens: 800,
        completion_tokens: 100,
        cached_prompt_tokens: 200,
        cost_usd: 0.002,
        ...(ids % 10 === 0 ? { error_type: 'timeout' } : {}),
        ...more,
    };
}

/** Records spread evenly over the last `hours`. */
export function lately(count, hours, more = {}) {
    const now = Date.now();
    return Array.from({ length: count }, (_, i) => record(now - ((i + 0.5) * hours * 3_600_000) / count, more));
}

export async function browser() {
    return chromium.launch({
        executablePath: CHROMIUM,
        // The sandbox needs a user of its own; in a container the tests run as root.
        args: process.getuid?.() === 0 ? ['--no-sandbox'] : [],
    });
}

/** A page that is logged in; `page.assertClean()` fails with the errors reported so far. */
export async function open(chrome, server, { path = '', allow = [], login = true, ...context } = {}) {
    const tab = await chrome.newContext({ viewport: { width: 1280, height: 900 }, reducedMotion: 'reduce', ...context });
    const page = await tab.newPage();
    const wrong = [];
    page.on('console', (message) => {
        if (message.type() !== 'error') return;
        const text = `${message.text()} ${message.location().url}`;
        if (!allow.some((pattern) => pattern.test(text))) wrong.push(`console: ${text}`);
    });
    page.on('pageerror', (error) => wrong.push(`error: ${error.stack}`));
    page.on('request', (request) => {
        const url = new URL(request.url());
        const ours = url.href.startsWith(`${server.url}/`) || url.protocol === 'data:' || url.protocol === 'blob:';
        if (!ours) wrong.push(`request to another host: ${request.url()}`);
    });
    await page.addInitScript(() => {
        document.addEventListener('securitypolicyviolation', (event) => {
            console.error(`content policy: ${event.violatedDirective} ${event.blockedURI} ${event.sample}`);
        });
    });
    page.assertClean = () => assert.deepEqual(wrong, []);
    if (login) {
        const response = await page.request.post(`${server.url}/api/session`, {
            data: { token: server.token },
            headers: { origin: new URL(server.url).origin },
        });
        assert.equal(response.status(), 204);
    }
    await page.goto(`${server.url}/${path}`);
    return page;
}

/** Closes a page after checking that it reported no errors. */
export async function closed(page) {
    page.assertClean();
    await page.context().close();
}

/** The API's value of a tile. */
export async function tile(page, name) {
    const data = page.getByRole('group', { name, exact: true }).locator('data');
    return Number(await data.getAttribute('value'));
}

export const loaded = (page) => page.locator('#panel-requests .chart canvas').waitFor();

/** A panel's table as rows of texts, with the API's values in place of formatted figures. */
export async function twin(page, panel) {
    const button = page.locator(`#${panel}`).getByRole('button', { name: /: (table|chart)$/ });
    if ((await button.getAttribute('aria-pressed')) === 'false') await button.click();
    const table = page.locator(`#${panel} table`).first();
    await table.waitFor();
    return table.evaluate((element) =>
        [...element.querySelectorAll('tr')].map((row) =>
            [...row.children].map((cell) => cell.querySelector('data')?.getAttribute('value') ?? (cell.querySelector('.muted') ? '' : cell.textContent)),
        ),
    );
}

/** CSV as rows of texts. */
export function parseCsv(text) {
    const rows = [[]];
    const cell = /(?:"((?:[^"]|"")*)"|([^,\n]*))(,|\n|$)/y;
    while (cell.lastIndex < text.length) {
        const [, quoted, plain, end] = cell.exec(text);
        rows.at(-1).push(quoted === undefined ? plain : quoted.replaceAll('""', '"'));
        if (end === '\n') rows.push([]);
    }
    return rows.filter((row) => row.length > 0);
}
