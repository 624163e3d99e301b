// Runs the expressions of the Grafana dashboard for Prometheus in a Prometheus that scrapes the program. The dashboard
// for the API is tested with the API.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { ROOT, Server, freePort, record, until } from './harness.mjs';

const PROMETHEUS = process.env.PROMETHEUS ?? '/usr/bin/prometheus';
const skip = existsSync(PROMETHEUS) ? false : `there is no ${PROMETHEUS}`;
const dashboard = JSON.parse(readFileSync(join(ROOT, 'data/grafana/dashboards/chatgauge-prometheus.json'), 'utf8'));
let server;
let prometheus;
let folder;
let url;

before(async () => {
    if (skip) return;
    server = await Server.start();
    const { token } = await server.post('api/keys', { name: 'prometheus', scopes: ['metrics'] });
    folder = mkdtempSync(join(tmpdir(), 'chatgauge-prometheus-'));
    writeFileSync(join(folder, 'key'), token);
    const config = {
        global: { scrape_interval: '1s', scrape_timeout: '1s' },
        scrape_configs: [
            {
                job_name: 'chatgauge',
                authorization: { credentials_file: join(folder, 'key') },
                static_configs: [{ targets: [new URL(server.url).host] }],
            },
        ],
    };
    // JSON is YAML.
    writeFileSync(join(folder, 'prometheus.yml'), JSON.stringify(config));
    const port = await freePort();
    url = `http://127.0.0.1:${port}`;
    prometheus = spawn(
        PROMETHEUS,
        [
            `--config.file=${join(folder, 'prometheus.yml')}`,
            `--storage.tsdb.path=${join(folder, 'data')}`,
            `--web.listen-address=127.0.0.1:${port}`,
        ],
        { stdio: 'ignore' },
    );
    await until('Prometheus', async () => (await fetch(`${url}/-/ready`).catch(() => null))?.ok, 60_000);
});

after(async () => {
    if (prometheus) {
        const ended = new Promise((resolve) => prometheus.once('exit', resolve));
        prometheus.kill('SIGTERM');
        await ended;
        rmSync(folder, { recursive: true });
    }
    await server?.stop();
});

async function ask(path, params) {
    const response = await fetch(`${url}/api/v1/${path}?${new URLSearchParams(params)}`);
    const body = await response.json();
    assert.equal(body.status, 'success', `${JSON.stringify(params)}: ${body.error}`);
    return body.data;
}

const filled = (expression) => expression.replaceAll('$__rate_interval', '30s').replaceAll('$model', '.*');

/** Traffic that gives every panel of a dashboard a value. */
const traffic = () =>
    server.ingest(Array.from({ length: 20 }, (_, i) => record(Date.now() - i, { cache_hit: i % 5 === 0 })));

test('every panel has figures', { skip }, async (t) => {
    const expressions = dashboard.panels.flatMap(({ title, targets }) => targets.map(({ expr }) => ({ title, expr })));
    assert.ok(expressions.length > 15);
    for (const { title, expr } of expressions) {
        await t.test(`${title}: ${expr}`, async () => {
            await until(
                'figures',
                async () => {
                    await traffic();
                    const { result } = await ask('query', { query: filled(expr) });
                    return result.length > 0 && result.every(({ value }) => Number.isFinite(Number(value[1])));
                },
                30_000,
            );
        });
    }
});

test('its variables have choices', { skip }, async () => {
    await traffic();
    const queries = dashboard.templating.list.filter(({ type }) => type === 'query');
    assert.ok(queries.length > 0);
    for (const { query } of queries) {
        const [, metric, label] = query.query.match(/^label_values\((\w+), (\w+)\)$/);
        const values = await until('values', async () => {
            const values = await ask(`label/${label}/values`, { 'match[]': metric });
            return values.length > 0 && values;
        });
        assert.ok(values.includes('gpt-5'), values.join());
    }
});

for (const name of ['chatgauge-prometheus.json', 'chatgauge-infinity.json']) {
    test(`${name} has the shape that Grafana provisions`, () => {
        const { id, uid, title, panels, templating, time } = JSON.parse(
            readFileSync(join(ROOT, 'data/grafana/dashboards', name), 'utf8'),
        );
        assert.ok(uid.length <= 40 && title && time.from && time.to);
        assert.ok(id === undefined || id === null, 'Grafana assigns the id');
        assert.ok(templating.list.some(({ name, type }) => name === 'datasource' && type === 'datasource'));
        const taken = new Set();
        for (const { title, type, gridPos, datasource, targets } of panels) {
            assert.equal(datasource.uid, '${datasource}', title);
            assert.equal(new Set(targets.map(({ refId }) => refId)).size, targets.length, title);
            if (type === 'heatmap') assert.ok(targets.every(({ format }) => format === 'heatmap'), title);
            const { x, y, w, h } = gridPos;
            assert.ok(x >= 0 && x + w <= 24, `${title} is within the 24 columns`);
            for (let column = x; column < x + w; column += 1) {
                for (let row = y; row < y + h; row += 1) {
                    assert.ok(!taken.has(`${column} ${row}`), `${title} has a place of its own`);
                    taken.add(`${column} ${row}`);
                }
            }
        }
        assert.equal(new Set(panels.map(({ id }) => id)).size, panels.length);
    });
}
