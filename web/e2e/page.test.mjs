// The contents of the page, and navigation.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Server, browser, lately, loaded, open, parseCsv, record, tile, twin, until } from './harness.mjs';

let chrome;
let server;

before(async () => {
    chrome = await browser();
    server = await Server.start();
    await server.ingest(lately(600, 20));
});

after(async () => {
    await chrome?.close();
    await server?.stop();
});

/** Parses numbers, so that 1.0 and 1 are equal. */
const figures = (row) => row.map((cell) => (cell === '' || Number.isNaN(Number(cell)) ? cell : Number(cell)));

const opened = (path, options) => open(chrome, server, { path, ...options });

async function closed(page) {
    page.assertClean();
    await page.context().close();
}

test('the overview shows what the API says', async () => {
    const page = await opened('');
    await loaded(page);
    const { tiles } = await server.json('api/metrics/dashboard?part=tiles');
    assert.equal(await tile(page, 'Requests'), 600);
    assert.equal(tiles.requests.value, 600);
    assert.equal(await tile(page, 'Error rate'), tiles.error_rate_percent.value);
    assert.equal(await tile(page, 'Tokens'), tiles.tokens.value);
    for (const id of ['requests', 'latency', 'share', 'errors', 'heatmap', 'tokens', 'cost', 'top']) {
        assert.ok(await page.locator(`#panel-${id}`).isVisible(), id);
    }
    assert.match(await page.locator('#panel-share .sentence').innerText(), /22\.2 % of its time on context|on context/);
    await closed(page);
});

test('the table of each chart, its CSV and the API have the same figures', async () => {
    const range = 'start=2026-01-10T00:00:00Z&end=2026-01-11T00:00:00Z&tz=UTC';
    const at = Date.parse('2026-01-10T00:00:00Z');
    await server.ingest(Array.from({ length: 200 }, (_, i) => record(at + i * 400_000)));
    const page = await opened('?from=2026-01-10T00:00:00Z&to=2026-01-11T00:00:00Z');
    await loaded(page);
    const api = await server.json(`api/metrics/dashboard?${range}`);
    for (const part of ['requests', 'latency', 'share', 'errors', 'heatmap', 'tokens', 'cost']) {
        const [head, ...rows] = await twin(page, `panel-${part}`);
        const csv = parseCsv(await (await server.get(`api/metrics/dashboard?${range}&part=${part}&format=csv`)).text());
        assert.deepEqual(csv[0].slice(1), head.slice(1), part);
        assert.deepEqual(rows.map(figures), csv.slice(1).map(figures), part);
        assert.equal(rows.length, part === 'cost' ? 1 : api.timestamps.length, part);
        const href = await page.locator(`#panel-${part} a[download]`).getAttribute('href');
        assert.ok(href.includes(`part=${part}`) && href.includes('format=csv'), href);
    }
    const [, ...requests] = await twin(page, 'panel-requests');
    assert.deepEqual(requests.map((row) => Number(row[1])), api.requests.count);
    assert.equal(requests.reduce((sum, row) => sum + Number(row[1]), 0), 200);
    await closed(page);
});

test('a filter is a click on a name, a chip that goes away, and part of the address', async () => {
    const page = await opened('');
    await loaded(page);
    await page.locator('#panel-top').getByRole('link', { name: 'gpt-5', exact: true }).click();
    await until('the filtered figure', async () => (await tile(page, 'Requests')) === 300);
    assert.match(page.url(), /model=gpt-5$/);
    await page.getByRole('button', { name: 'Remove the filter model: gpt-5' }).click();
    await until('all figures', async () => (await tile(page, 'Requests')) === 600);
    await page.goBack();
    await until('the filter again', async () => (await tile(page, 'Requests')) === 300);
    const deep = await opened(new URL(page.url()).search);
    await loaded(deep);
    assert.equal(await tile(deep, 'Requests'), 300);
    await closed(deep);
    await closed(page);
});

test('every kind of filter narrows, and the plain user id finds its pseudonym', async () => {
    const expected = { space: 'space-1', user: 'user-3', model: 'gpt-5', provider: 'openai', error_type: 'timeout', outcome: 'error', source: 'rest' };
    for (const [dimension, value] of Object.entries(expected)) {
        const page = await opened(`?${dimension}=${value}`);
        await loaded(page);
        const { tiles } = await server.json(`api/metrics/dashboard?part=tiles&${dimension}=${value}`);
        const shown = await tile(page, 'Requests');
        assert.equal(shown, tiles.requests.value, dimension);
        assert.ok(shown > 0 && shown <= 600, dimension);
        await closed(page);
    }
});

test('the filter dialog completes names', async () => {
    const page = await opened('');
    await loaded(page);
    await page.keyboard.press('/');
    await page.getByRole('dialog').getByLabel('Begins with').fill('space-2');
    await page.getByRole('dialog').getByRole('button', { name: /^space-2/ }).click();
    await until('the filtered figure', async () => (await tile(page, 'Requests')) === 200);
    await closed(page);
});

test('a range is chosen from a list or typed, and back undoes it', async () => {
    const page = await opened('');
    await loaded(page);
    await page.keyboard.press('t');
    await page.getByRole('button', { name: 'Last 6 hours' }).click();
    await until('the address', () => page.url().includes('from=now-6h'));
    await until('fewer requests', async () => (await tile(page, 'Requests')) < 300);
    await page.getByRole('button', { name: 'Last 6 hours' }).click();
    await page.getByLabel('From').fill('2026-01-10T00:00');
    await page.getByLabel('To', { exact: true }).fill('2026-01-11T00:00');
    await page.getByRole('dialog').getByRole('button', { name: 'Show' }).click();
    await until('the day typed', async () => (await tile(page, 'Requests')) === 200);
    await page.goBack();
    await until('the range before', () => page.url().includes('from=now-6h'));
    await closed(page);
});

test('dragging over a chart zooms, a click on a bucket opens it', async () => {
    const page = await opened('?from=now-6h&to=now');
    await loaded(page);
    const box = await page.locator('#panel-requests .u-over').boundingBox();
    await page.mouse.move(box.x + box.width * 0.3, box.y + 50);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width * 0.6, box.y + 60, { steps: 5 });
    await page.mouse.up();
    await until('the zoomed range', () => /from=20/.test(page.url()));
    const { searchParams } = new URL(page.url());
    const width = Date.parse(searchParams.get('to')) - Date.parse(searchParams.get('from'));
    assert.ok(Math.abs(width - 0.3 * 6 * 3_600_000) < 10 * 60_000, `${width}`);
    await page.goBack();
    await until('the range before', () => page.url().includes('from=now-6h'));
    await closed(page);
});

test('an error segment opens the failed requests of its time', async () => {
    const page = await opened('?from=2026-01-10T00:00:00Z&to=2026-01-11T00:00:00Z');
    await loaded(page);
    await page.locator('#panel-errors .chart').focus();
    await page.keyboard.press('Home');
    await page.keyboard.press('Enter');
    await until('the list', () => page.url().includes('/requests?'));
    assert.match(page.url(), /outcome=error/);
    await page.getByRole('heading', { name: 'Requests' }).waitFor();
    await closed(page);
});

test('a request shows its numbers and leads to others like it', async () => {
    const page = await opened('requests');
    await page.locator('table button.link').first().click();
    const dialog = page.getByRole('dialog');
    await dialog.getByText('Total latency').waitFor();
    assert.match(page.url(), /request=e2e-/);
    // Neither the address nor "back" reopens a closed dialog.
    await page.keyboard.press('Escape');
    await until('the list', () => page.url().endsWith('/requests'));
    await page.getByRole('link', { name: 'Users', exact: true }).click();
    await page.goBack();
    await page.getByRole('heading', { name: 'Requests' }).waitFor();
    assert.equal(await dialog.count(), 0);
    await page.locator('table button.link').first().click();
    await dialog.getByText('Total latency').waitFor();
    await dialog.getByRole('button', { name: /^space-/ }).click();
    await until('the filter', () => /space=space-/.test(page.url()));
    await dialog.waitFor({ state: 'detached' });
    await page.getByRole('button', { name: 'Older requests' }).click();
    await until('more rows', async () => (await page.locator('table tbody tr').count()) > 50);
    await closed(page);
});

test('the keyboard reaches everything and is trapped nowhere', async () => {
    const page = await opened('');
    await loaded(page);
    await page.keyboard.press('Tab');
    assert.equal(await page.evaluate(() => document.activeElement.className), 'skip');
    await page.keyboard.press('Enter');
    assert.equal(await page.evaluate(() => document.activeElement.id), 'main');
    const visited = new Set();
    for (let i = 0; i < 120; i += 1) {
        await page.keyboard.press('Tab');
        const name = await page.evaluate(() => {
            const element = document.activeElement;
            return element === document.body ? 'end' : element.getAttribute('aria-label') ?? element.textContent;
        });
        if (name === 'end') break;
        visited.add(name);
    }
    assert.ok(visited.has('Requests per minute: table') && visited.has('Licences'), [...visited].join(' | '));
    const chart = page.locator('#panel-latency .chart');
    await chart.focus();
    await page.keyboard.press('End');
    await page.keyboard.press('ArrowLeft');
    assert.match(await chart.getAttribute('aria-valuetext'), /: p50 .+, p95 .+, p99 /);
    await page.keyboard.press('?');
    await page.getByRole('dialog', { name: 'Settings and help' }).waitFor();
    await page.keyboard.press('Escape');
    await page.getByRole('dialog').waitFor({ state: 'detached' });
    await closed(page);
});

test('hostile names are only text', async () => {
    const names = [
        '<script>document.title="hacked"</script>',
        '<img src=x onerror="document.title=\'hacked\'">',
        'שלום עולם',
        '🦊🚀',
        'x'.repeat(128),
        '=cmd|calc',
        '"; drop table requests; --',
    ];
    const at = Date.parse('2026-02-01T12:00:00Z');
    await server.ingest(names.map((name, i) => record(at + i, { model: name, space: name })));
    const range = 'from=2026-02-01T00:00:00Z&to=2026-02-02T00:00:00Z';
    for (const path of [`?${range}`, `models?${range}`, `spaces?${range}`, `requests?${range}`]) {
        const page = await opened(path);
        await page.locator('table bdi').first().waitFor();
        const shown = await page.locator('table bdi').allTextContents();
        for (const name of names) assert.ok(shown.includes(name), `${path}: ${name}`);
        assert.ok(!(await page.title()).includes('hacked'));
        assert.equal(await page.locator('main script, main img').count(), 0);
        await closed(page);
    }
    const page = await opened(`models?${range}`);
    await page.getByRole('link', { name: names[0] }).click();
    await until('the filter', () => page.url().includes('model=%3Cscript%3E'));
    await until('its figure', async () => (await tile(page, 'Requests').catch(() => 0)) === 1);
    await closed(page);
    const csv = await (await server.get('api/metrics/dashboard?start=2026-02-01&end=2026-02-02&part=top&format=csv')).text();
    assert.ok(csv.includes("'=cmd|calc"), csv);
});

test('nothing scrolls sideways at 360 px or at twice the size', async () => {
    for (const tab of ['', 'requests', 'users', 'models', 'alerts', 'status', 'sql']) {
        for (const [width, height] of [[360, 740], [640, 450]]) {
            const page = await opened(tab, { viewport: { width, height } });
            await page.locator('main').waitFor();
            await page.waitForLoadState('networkidle');
            const beyond = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
            assert.ok(beyond <= 0, `${tab || 'overview'} at ${width} px: ${beyond} px too wide`);
            await closed(page);
        }
    }
});

test('colours and refresh are kept; the comparison is in the address', async () => {
    const page = await opened('');
    await loaded(page);
    await page.getByRole('button', { name: /^Colours: system/ }).click();
    await page.getByRole('button', { name: /^Colours: light/ }).click();
    assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), 'dark');
    await page.getByLabel('How often to refresh').selectOption('30');
    await page.getByLabel('Compare with').selectOption('previous');
    await until('the comparison', () => page.url().includes('compare=previous'));
    await page.getByText('n/a').first().waitFor();
    await page.reload();
    await loaded(page);
    assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), 'dark');
    assert.equal(await page.getByLabel('How often to refresh').inputValue(), '30');
    await closed(page);
});

test('SQL shows results, refuses to write and keeps a history', async () => {
    const page = await opened('sql', { allow: [/400.*api\/sql/] });
    await page.getByLabel('Statement', { exact: true }).fill('select count(*) as n from request_log');
    await page.getByRole('button', { name: 'Run' }).click();
    await page.getByRole('columnheader', { name: 'n' }).waitFor();
    await page.getByLabel('Statement', { exact: true }).fill('select 9007199254740993 as n, -1 as m');
    await page.getByRole('button', { name: 'Run' }).click();
    await page.getByRole('cell', { name: '9007199254740993', exact: true }).waitFor();
    await page.getByLabel('Statement', { exact: true }).fill('delete from requests');
    await page.keyboard.press('Control+Enter');
    await page.getByRole('alert').getByText(/not authorized/).waitFor();
    await page.reload();
    assert.match(await page.getByLabel('Statement', { exact: true }).inputValue(), /9007199254740993/);
    await closed(page);
});

test('an empty server shows the first step, and the first request by itself', async () => {
    const empty = await Server.start();
    try {
        const page = await open(chrome, empty, { permissions: ['clipboard-read', 'clipboard-write'] });
        await page.getByRole('heading', { name: 'Waiting for the first request' }).waitFor();
        await page.getByRole('button', { name: 'Copy', exact: true }).click();
        const copied = await page.evaluate(() => navigator.clipboard.readText());
        assert.ok(copied.startsWith(`curl -s ${empty.url}/api/requests`), copied);
        assert.ok(!copied.includes(empty.token), 'the token is not shown');
        await empty.ingest([record(Date.now())]);
        await until('the first request', async () => (await tile(page, 'Requests').catch(() => 0)) === 1);
        await closed(page);
    } finally {
        await empty.stop();
    }
});

test('a range without requests says when the last one came', async () => {
    const page = await opened('?from=2020-01-01T00:00:00Z&to=2020-01-02T00:00:00Z');
    await page.getByText(/The newest request of all came/).waitFor();
    await page.getByRole('button', { name: 'Show it' }).click();
    await until('requests', async () => (await tile(page, 'Requests').catch(() => 0)) > 0);
    await closed(page);
});

test('a cell of the heatmap opens its requests, and the bounds are a filter of their own', async () => {
    const at = Date.now() - 90 * 60_000;
    const space = 'heatmap-space';
    const of = (count, total) => Array.from({ length: count }, () => record(at, { space, total_latency_ms: total, context_latency_ms: 50, llm_latency_ms: 60, time_to_first_token_ms: 40 }));
    await server.ingest([...of(3, 180), ...of(2, 4_100), ...of(4, 9_300)]);
    const page = await open(chrome, server, { path: `?space=${space}` });
    await loaded(page);
    const { heatmap, timestamps } = await server.json(`api/metrics/dashboard?part=heatmap&space=${space}`);
    const column = heatmap.counts.findIndex((counts) => counts.some((count) => count > 0));
    const row = heatmap.counts[column].indexOf(2);
    const over = page.locator('#panel-heatmap .u-over');
    await over.scrollIntoViewIfNeeded();
    const { width, height } = await over.boundingBox();
    await over.click({
        position: {
            x: ((column + 0.5) * width) / timestamps.length,
            y: height - ((row + 0.5) * height) / heatmap.bounds_ms.length,
        },
    });
    const chip = page.locator('.chip').filter({ hasText: 'total latency' });
    await chip.waitFor();
    const rows = page.getByRole('region', { name: 'Requests, newest first' }).locator('tbody tr');
    await until('the two requests', async () => (await rows.count()) === 2);
    assert.match(await rows.first().innerText(), /4\.10 s/);
    await page.reload();
    await until('the two requests again', async () => (await rows.count()) === 2);
    await chip.getByRole('button').click();
    await until('all requests', async () => (await rows.count()) === 9);
    await page.getByRole('button', { name: '+ Latency' }).click();
    const dialog = page.getByRole('dialog', { name: 'Filter by latency' });
    await dialog.getByLabel('At least, in ms').fill('5000');
    await dialog.getByRole('button', { name: 'Show' }).click();
    await page.locator('.chip').filter({ hasText: 'total latency: from 5.00 s' }).waitFor();
    await until('the slow ones', async () => (await rows.count()) === 4);
    page.assertClean();
    await page.context().close();
});
