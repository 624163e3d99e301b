// Alerts on the page, raised by the real monitor: the strip and its buttons, spans, backtests.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { SPACE, alertingServer, fire, past, recover } from './alerts.mjs';
import { Server, browser, events, lately, loaded, open, record, until } from './harness.mjs';

let chrome;
let server;

before(async () => {
    chrome = await browser();
    server = await alertingServer();
    await server.ingest(lately(200, 10, { error_type: undefined }));
    await past(server);
});

after(async () => {
    await chrome?.close();
    await server?.stop();
});

const redInChart = (page) =>
    page.locator('#panel-requests canvas').evaluate((canvas) => {
        const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
        let red = 0;
        for (let i = 0; i < data.length; i += 4) if (data[i + 3] > 0 && data[i] > data[i + 2] + 60) red += 1;
        return red;
    });

const stripOf = (page, space = SPACE) => page.getByRole('alert').filter({ hasText: `space ${space}` });

test('an open alert is shown above every view, acknowledged and silenced', async () => {
    const page = await open(chrome, server);
    await loaded(page);
    const strip = stripOf(page);
    await fire(server);
    await strip.getByText('40 % errors (8 of 20) in 5m, limit 10 %').waitFor();
    assert.match(await strip.innerText(), /High error rate · space acme <b>/, 'a name is only text');
    assert.match(await page.title(), /^\(1\) /);
    await strip.getByRole('button', { name: 'Acknowledge' }).click();
    await strip.getByText('acknowledged by admin').waitFor();
    await strip.getByRole('button', { name: 'Silence' }).click();
    const dialog = page.getByRole('dialog', { name: 'Silence' });
    await dialog.getByLabel('Why (required)').fill('deploy');
    await dialog.getByRole('button', { name: 'Silence' }).click();
    await strip.waitFor({ state: 'detached' });
    // It is not counted in badge and title, but still listed.
    await page.locator('.tabs .badge').waitFor({ state: 'detached' });
    assert.doesNotMatch(await page.title(), /^\(/);
    const { open: loud, silenced } = await server.json('api/metrics/alerts?state=open');
    assert.deepEqual([loud, silenced], [0, 1]);
    const { silences } = await server.json('api/alerts/silences');
    assert.deepEqual(silences.map(({ rule, group, comment }) => ({ rule, group, comment })), [
        { rule: 'error-rate', group: { space: SPACE }, comment: 'deploy' },
    ]);
    await page.getByRole('link', { name: /^Alerts/ }).click();
    await page.getByText('deploy').waitFor();
    const row = page.getByRole('region', { name: 'Table of incidents' }).getByRole('row').filter({ hasText: SPACE });
    await row.getByText('silenced').waitFor();
    await page.getByRole('button', { name: 'End' }).click();
    await page.getByText('Nothing is silenced').waitFor();
    await strip.waitFor();
    await page.locator('.tabs .badge').waitFor();
    await recover(server);
    await strip.waitFor({ state: 'detached' });
    page.assertClean();
    await page.context().close();
});

test('alerts reach every view by the stream, without polling', async () => {
    const page = await open(chrome, server, { path: 'status' });
    await page.getByLabel('How often to refresh').selectOption('60');
    await page.getByText('All is well').waitFor();
    const badge = page.getByRole('link', { name: 'Alerts 1 open' });
    await fire(server, 'badge');
    let polls = 0;
    page.on('request', (request) => {
        if (request.url().includes('api/metrics/alerts')) polls += 1;
    });
    await badge.waitFor({ timeout: 3_000 });
    await stripOf(page, 'badge').waitFor();
    await recover(server, 'badge');
    await badge.waitFor({ state: 'detached', timeout: 3_000 });
    await stripOf(page, 'badge').waitFor({ state: 'detached' });
    assert.equal(polls, 0);
    page.assertClean();
    await page.context().close();
});

test('a stream sends the open incidents, then changes', async () => {
    const { alert_id: id } = await fire(server, 'streamed');
    const stream = events(server, 'topic=alerts');
    const first = await stream.next('alerts');
    assert.deepEqual(first.alerts.map((one) => [one.alert_id, one.state]), [[id, 'firing']]);
    await server.post(`api/alerts/incidents/${id}/ack`, {});
    const acknowledged = await stream.next('alert');
    assert.equal(acknowledged.alert.acknowledged_by, 'admin');
    const silence = await server.post('api/alerts/silences', { rule: 'error-rate', group: { space: 'streamed' }, duration_s: 600, comment: 'x' });
    assert.equal((await stream.next('alert')).alert.silenced_until, silence.ends_at);
    await recover(server, 'streamed');
    let last;
    do last = await stream.next('alert');
    while (last.alert.state === 'recovering');
    assert.deepEqual([last.alert.alert_id, last.alert.state, last.open], [id, 'resolved', 0]);
    await stream.stop();
});

test('incidents are spans on the charts', async () => {
    const page = await open(chrome, server, { path: '?from=now-15m&to=now' });
    await page.getByLabel('How often to refresh').selectOption('60');
    await loaded(page);
    const before = await redInChart(page);
    await fire(server, 'spans');
    // Immediately, not with the next refresh or bucket. A span that begins late in the last bucket is a narrow mark at the
    // top: two pixels by three.
    await until('more red in the chart', async () => (await redInChart(page)) > before + 4, 30_000);
    const quiet = await Server.start();
    await quiet.ingest(lately(50, 0.2));
    const plain = await open(chrome, quiet, { path: '?from=now-15m&to=now' });
    await loaded(plain);
    assert.equal(await redInChart(plain), 0);
    for (const one of [page, plain]) {
        one.assertClean();
        await one.context().close();
    }
    await quiet.stop();
    await recover(server, 'spans');
});

test('an open alert makes nothing wider on a phone', async () => {
    await fire(server, 'narrow');
    for (const path of ['?compare=week', 'users?compare=week', 'alerts', 'status']) {
        const page = await open(chrome, server, { path, viewport: { width: 360, height: 740 } });
        await page.locator('.tabs .badge').waitFor();
        await page.waitForLoadState('load');
        const beyond = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
        assert.ok(beyond <= 0, `${path}: ${beyond} px too wide`);
        page.assertClean();
        await page.context().close();
    }
    await recover(server, 'narrow');
});

test('a small amount reads as more than its limit', async () => {
    const cents = await Server.start({
        config: () => `
[alerting]
interval = "1s"
eval_delay = "0s"
startup_grace = "0s"
default_rules = false

[[alerting.rule]]
id = "cents"
name = "Small change"
metric = "cost"
window = "5m"
threshold = 0.0002
consecutive = 1
`,
    });
    await cents.ingest([record(Date.now(), { cost_usd: 0.00042 })]);
    const page = await open(chrome, cents);
    await page.getByRole('alert').filter({ hasText: '$0.00042 > $0.0002' }).waitFor();
    await page.getByRole('alert').getByRole('link', { name: 'Show' }).click();
    await page.getByRole('dialog', { name: 'Small change' }).getByText('was $0.00042, > $0.0002').waitFor();
    page.assertClean();
    await page.context().close();
    await cents.stop();
});

test('a budget of the day is a line in the cost chart', async () => {
    const page = await open(chrome, server);
    await loaded(page);
    await page.locator('#panel-cost .sentence').getByText('budget $5.00 a day').waitFor();
    page.assertClean();
    await page.context().close();
});

test('the link of a notification shows why the rule fired and leads to its time', async () => {
    const { alert_id: id } = await fire(server, 'linked');
    const notified = await until('the message', () =>
        server.messages.flatMap(({ incidents }) => incidents).find(({ incident_id }) => incident_id === id),
    );
    assert.equal(notified.url, `${server.url}/alerts?incident=${id}`);
    const page = await open(chrome, server, { path: new URL(notified.url).pathname.slice(1) + new URL(notified.url).search });
    const dialog = page.getByRole('dialog', { name: 'High error rate' });
    await dialog.getByText(/error rate was \d+\.\d %, > 10\.0 %, over \d+ requests/).waitFor();
    await dialog.getByText(/pending → firing/).waitFor();
    await dialog.getByText('ops, firing').waitFor();
    await dialog.getByRole('link', { name: 'Show this time on the charts' }).click();
    await loaded(page);
    assert.match(page.url(), /\/\?from=20/);
    await recover(server, 'linked');
    page.assertClean();
    await page.context().close();
});

test('a rule is backtested on the history', async () => {
    const page = await open(chrome, server, { path: 'alerts' });
    await page.getByRole('button', { name: 'Backtest High error rate' }).click();
    const dialog = page.getByRole('dialog', { name: /^Backtest/ });
    const responded = page.waitForResponse(
        (response) => response.url().endsWith('/backtest') && response.request().postDataJSON().start === 'now-1d',
    );
    await dialog.getByLabel('Days').selectOption('1');
    const { incidents } = await (await responded).json();
    assert.ok(incidents.filter(({ group }) => group.space === SPACE).length >= 2, JSON.stringify(incidents));
    await dialog.getByText(`It would have fired ${incidents.length} times`).waitFor();
    assert.equal(await dialog.locator('.timeline .fired').count(), incidents.length);
    const rows = await dialog.locator('tbody tr').allInnerTexts();
    assert.equal(rows.length, incidents.length);
    assert.ok(rows.some((row) => row.includes(`space ${SPACE}`)), rows.join('\n'));
    page.assertClean();
    await page.context().close();
});
