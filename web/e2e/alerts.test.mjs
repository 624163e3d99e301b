// Alerts on the page: the strip, what can be done, spans, the trial of a rule.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { mockAlerts } from './alerts.mjs';
import { Server, browser, lately, loaded, open, until } from './harness.mjs';

let chrome;
let server;

before(async () => {
    chrome = await browser();
    server = await Server.start();
    await server.ingest(lately(200, 10));
});

after(async () => {
    await chrome?.close();
    await server?.stop();
});

async function withAlerts(path) {
    let world;
    const page = await open(chrome, server, {
        path,
        prepare: async (page) => {
            world = await mockAlerts(page);
        },
    });
    return { page, world };
}

const redInChart = (page) =>
    page.locator('#panel-requests canvas').evaluate((canvas) => {
        const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
        let red = 0;
        for (let i = 0; i < data.length; i += 4) if (data[i + 3] > 0 && data[i] > data[i + 2] + 60) red += 1;
        return red;
    });

test('what fires stands above everything, is acknowledged and silenced', async () => {
    const { page } = await withAlerts('');
    await loaded(page);
    const strip = page.getByRole('alert').filter({ hasText: 'High error rate' });
    await strip.getByText('23.1 % errors').waitFor();
    assert.match(await strip.innerText(), /space acme <b>/, 'a name is only text');
    assert.match(await page.title(), /^\(1\) /);
    await strip.getByRole('button', { name: 'Acknowledge' }).click();
    await strip.getByText('acknowledged by admin').waitFor();
    await strip.getByRole('button', { name: 'Silence' }).click();
    const dialog = page.getByRole('dialog', { name: 'Silence' });
    await dialog.getByLabel('Why (required)').fill('deploy');
    await dialog.getByRole('button', { name: 'Silence' }).click();
    await strip.waitFor({ state: 'detached' });
    await page.getByRole('link', { name: /^Alerts/ }).click();
    await page.getByText('deploy').waitFor();
    await page.getByRole('button', { name: 'End' }).click();
    await page.getByText('Nothing is silenced').waitFor();
    page.assertClean();
    await page.context().close();
});

test('incidents are spans on the charts', async () => {
    const { page } = await withAlerts('');
    await loaded(page);
    await until('red in the chart', async () => (await redInChart(page)) > 50);
    const plain = await open(chrome, server);
    await loaded(plain);
    assert.equal(await redInChart(plain), 0);
    for (const one of [page, plain]) {
        one.assertClean();
        await one.context().close();
    }
});

test('a budget of the day is a line in the cost chart', async () => {
    const { page } = await withAlerts('');
    await loaded(page);
    await page.locator('#panel-cost .sentence').getByText('budget $5.00 a day').waitFor();
    page.assertClean();
    await page.context().close();
});

test('an incident says why it fired and leads to its time', async () => {
    const { page } = await withAlerts('alerts');
    await page.getByRole('link', { name: 'High error rate' }).first().click();
    const dialog = page.getByRole('dialog');
    await dialog.getByText(/error rate was 23\.1 %, > 10\.0 %, over 78 requests/).waitFor();
    await dialog.getByText(/pending → firing/).waitFor();
    await dialog.getByRole('link', { name: 'Show this time on the charts' }).click();
    await loaded(page);
    assert.match(page.url(), /\/\?from=20/);
    page.assertClean();
    await page.context().close();
});

test('a rule is tried on the history', async () => {
    const { page, world } = await withAlerts('alerts');
    await page.getByRole('button', { name: 'Backtest High error rate' }).click();
    await page.getByText(/It would have fired 2 times: 2 longer than 5 min/).waitFor();
    assert.equal(await page.locator('dialog .lane .fired').count(), 2);
    await page.getByRole('dialog').getByLabel('Days').selectOption('30');
    await until('another trial', () => world.backtests === 2);
    page.assertClean();
    await page.context().close();
});
