// Accessibility: no violation of WCAG 2.2 AA that axe-core can find, on any view, in both colours and both widths.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { after, before, test } from 'node:test';
import { Server, browser, lately, open, record } from './harness.mjs';
import { alertingServer, fire, past } from './alerts.mjs';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const TAGS = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'];
let chrome;
let server;

before(async () => {
    chrome = await browser();
    server = await alertingServer();
    await server.ingest(lately(400, 20));
    await past(server);
    await server.ingest([record(Date.now() - 60_000, { error_type: 'server', model: '<b>odd</b>', space: 'שלום' })]);
    await fire(server);
});

after(async () => {
    await chrome?.close();
    await server?.stop();
});

async function violations(page) {
    // After a click has scrolled the page, the sticky bar covers something, which a reader scrolls into view.
    await page.evaluate(() => window.scrollTo(0, 0));
    // Evaluated instead of added as a script, so that the content policy stays in force.
    await page.evaluate(AXE);
    const { violations } = await page.evaluate((tags) => window.axe.run({ runOnly: tags }), TAGS);
    return violations.flatMap(({ id, nodes }) => nodes.map((node) => `${id}: ${node.target} ${node.failureSummary}`));
}

const VIEWS = {
    overview: async (page) => page.locator('#panel-requests canvas').waitFor(),
    'overview, tables': async (page) => {
        await page.locator('#panel-requests canvas').waitFor();
        const button = page.getByRole('button', { name: /: table$/ }).first();
        while (await button.isVisible()) await button.click();
    },
    'overview, compared': async (page) => page.locator('#panel-top tbody tr').first().waitFor(),
    requests: async (page) => page.locator('table tbody tr').first().waitFor(),
    'requests, one': async (page) => {
        await page.locator('table button.link').first().click();
        await page.getByRole('dialog').getByText('Total latency').waitFor();
    },
    'requests, latency': async (page) => {
        await page.goto(`${page.url()}?min_ms=100`);
        await page.locator('.chip').waitFor();
        await page.getByRole('button', { name: '+ Latency' }).click();
        await page.getByRole('dialog').waitFor();
    },
    users: async (page) => page.locator('table tbody tr').first().waitFor(),
    spaces: async (page) => page.locator('table tbody tr').first().waitFor(),
    models: async (page) => page.locator('table tbody tr').first().waitFor(),
    alerts: async (page) => page.getByText('High error rate').first().waitFor(),
    'alerts, incident': async (page) => {
        await page.getByRole('link', { name: 'High error rate' }).first().click();
        await page.getByText('What happened').waitFor();
    },
    'alerts, backtest': async (page) => {
        await page.goto(`${new URL(page.url()).origin}/alerts?rule=error-rate`);
        await page.getByText('It would have fired').waitFor();
    },
    status: async (page) => page.getByText('All is well').waitFor(),
    sql: async (page) => {
        await page.getByLabel('Statement', { exact: true }).fill('select * from usage_daily limit 3');
        await page.getByRole('button', { name: 'Run' }).click();
        await page.getByText(/rows in/).waitFor();
    },
    'help dialog': async (page) => {
        await page.getByRole('button', { name: 'Settings and help (?)' }).click();
        await page.getByRole('dialog').waitFor();
    },
    'range dialog': async (page) => {
        await page.getByRole('button', { name: 'Last 24 hours' }).click();
        await page.getByRole('dialog').waitFor();
    },
    'filter dialog': async (page) => {
        await page.getByRole('button', { name: '+ Filter' }).click();
        await page.getByRole('dialog').getByRole('button', { name: /^space-/ }).first().waitFor();
    },
};

const pathOf = (view) => {
    const [tab, more] = view.split(', ');
    if (view.includes('dialog') || tab === 'overview') return more === 'compared' ? '?compare=previous' : '';
    return tab;
};

for (const colorScheme of ['light', 'dark']) {
    for (const width of [1280, 360]) {
        test(`no violation, ${colorScheme}, ${width} px`, async () => {
            const found = [];
            for (const [view, ready] of Object.entries(VIEWS)) {
                if (view === 'alerts, backtest' && width === 360) continue;
                const page = await open(chrome, server, {
                    path: pathOf(view),
                    colorScheme,
                    viewport: { width, height: 800 },
                });
                await ready(page);
                found.push(...(await violations(page)).map((text) => `${view}: ${text}`));
                page.assertClean();
                await page.context().close();
            }
            assert.deepEqual(found, []);
        });
    }
}

test('no violation on the way in and on an empty server', async () => {
    const empty = await Server.start();
    try {
        for (const login of [false, true]) {
            const page = await open(chrome, empty, { login, allow: [/401/] });
            await page.getByRole('heading', { name: login ? 'Waiting for the first request' : 'chatgauge' }).waitFor();
            assert.deepEqual(await violations(page), []);
            page.assertClean();
            await page.context().close();
        }
    } finally {
        await empty.stop();
    }
});
