// Alerts as the API describes them, answered in the browser: an incident in every state at any moment.

const ago = (minutes) => new Date(Date.now() - minutes * 60_000).toISOString();

const incident = (id, more = {}) => ({
    alert_id: id,
    rule: 'error-rate',
    rule_name: 'High error rate',
    group: { space: 'acme <b>' },
    state: 'firing',
    severity: 'critical',
    metric: 'error_rate',
    operator: '>',
    unit: 'ratio',
    threshold: 0.1,
    actual_value: 0.231,
    peak_value: 0.26,
    samples: 78,
    events: 18,
    message: '23.1 % errors (18 of 78) in 5m, limit 10 %',
    runbook: null,
    labels: {},
    triggered_at: ago(30),
    ended_at: null,
    reason: null,
    acknowledged_at: null,
    acknowledged_by: null,
    silenced_until: null,
    ...more,
});

const rule = (id, name, more = {}) => ({
    id,
    name,
    metric: 'error_rate',
    operator: '>',
    unit: 'ratio',
    threshold: 0.1,
    clear_threshold: 0.08,
    limit: null,
    window_s: 300,
    period: null,
    consecutive: 3,
    clear_consecutive: 10,
    min_samples: 10,
    min_events: 3,
    confidence: 0,
    by: ['space'],
    severity: 'critical',
    channels: ['ops'],
    runbook: null,
    labels: {},
    enabled: true,
    dry_run: false,
    is_default: true,
    state: 'firing',
    state_detail: null,
    states: { firing: 1, pending: 0, recovering: 0 },
    last_value: 0.231,
    last_samples: 78,
    ...more,
});

/** Answers the routes of alerts; the world changes as the page asks for it. */
export async function mockAlerts(page) {
    const world = {
        incidents: [
            incident('i-1'),
            incident('i-2', { state: 'resolved', triggered_at: ago(300), ended_at: ago(240), reason: 'recovered' }),
        ],
        silences: [],
        backtests: 0,
    };
    const rules = [
        rule('error-rate', 'High error rate'),
        rule('daily-cost', 'Cost of the day', {
            metric: 'cost',
            unit: 'usd',
            period: 'day',
            window_s: null,
            threshold: 5,
            by: [],
            state: 'ok',
            last_value: 1.2,
        }),
        rule('request-rate', 'Request rate', { state: 'inactive', state_detail: 'not configured', last_value: null }),
    ];
    const json = (route, body, status = 200) =>
        route.fulfill({ status, contentType: 'application/json', body: body === null ? '' : JSON.stringify(body) });
    await page.route('**/api/metrics/alerts?**', (route) => {
        const open = world.incidents.filter(({ state }) => state !== 'resolved');
        return json(route, { as_of: ago(0), alerts: open, open: open.length });
    });
    await page.route('**/api/alerts/**', (route) => {
        const request = route.request();
        const path = new URL(request.url()).pathname.split('/api/alerts/')[1];
        const found = world.incidents.find(({ alert_id: id }) => path.includes(id));
        if (path === 'rules') {
            const channels = [{ name: 'ops', type: 'webhook', target: 'https://hooks.example', state: 'ok', pending: 0, sent_total: 12, dead_total: 0, last_sent_at: ago(1), last_error: null }];
            return json(route, { as_of: ago(0), interval_s: 30, last_evaluated_at: ago(0), missed_evaluations: 0, rules, channels });
        }
        if (path === 'incidents') return json(route, { incidents: world.incidents, next_cursor: null });
        if (path.endsWith('/ack')) {
            Object.assign(found, { acknowledged_at: ago(0), acknowledged_by: 'admin' });
            return json(route, found);
        }
        if (found) {
            const history = [{ at: ago(30), from: 'pending', to: 'firing', reason: null, value: 0.231, threshold: 0.1, samples: 78, events: 18, actor: null, note: null }];
            const deliveries = [{ id: 'm-1', channel: 'ops', kind: 'firing', state: 'sent', attempts: 1, status: 200, error: null, created_at: ago(30) }];
            return json(route, { incident: found, history, deliveries });
        }
        if (path === 'silences' && request.method() === 'POST') {
            const asked = request.postDataJSON();
            const made = { id: 's-1', state: 'active', starts_at: ago(0), ends_at: ago(-asked.duration_s / 60), created_by: 'admin', ...asked };
            world.silences.push(made);
            for (const one of world.incidents) one.silenced_until = made.ends_at;
            return json(route, made, 201);
        }
        if (path === 'silences') return json(route, { silences: world.silences });
        if (path.startsWith('silences/')) {
            world.silences = [];
            for (const one of world.incidents) one.silenced_until = null;
            return json(route, null, 204);
        }
        if (path === 'backtest') {
            world.backtests += 1;
            const incidents = [
                { group: {}, triggered_at: ago(2_000), ended_at: ago(1_900), reason: 'recovered', peak_value: 0.46, samples: 120, events: 55 },
                { group: {}, triggered_at: ago(500), ended_at: ago(490), reason: 'recovered', peak_value: 0.2, samples: 20, events: 4 },
            ];
            return json(route, {
                rule: rules[0],
                start: ago(7 * 1_440),
                end: ago(0),
                exact: true,
                evaluations: 20_160,
                elapsed_ms: 412,
                incidents,
                summary: { incidents: 2, longer_than_5_min: 2, fewer_than_25_samples: 1 },
            });
        }
        return json(route, { title: 'There is nothing here', detail: path, status: 404 }, 404);
    });
    return world;
}
