// A server with a rule that is evaluated every second, and a receiver of its notifications.

import { createServer } from 'node:http';
import { Server, record, until } from './harness.mjs';

/** The name of a space that would be markup if it were not rendered as text. */
export const SPACE = 'acme <b>';

const MINUTE = 60_000;

/** The shortest times that the configuration allows; the rule inherits name and summary from the built-in one. */
const configOf = (port, hook) => `
[alerting]
interval = "1s"
eval_delay = "0s"
startup_grace = "0s"
external_url = "http://127.0.0.1:${port}/"

[alerting.channels.ops]
type = "webhook"
url = "http://127.0.0.1:${hook}/hook"

[[alerting.rule]]
id = "error-rate"
window = "5m"
by = ["space"]
confidence = 0
consecutive = 2
clear_consecutive = 2
channels = ["ops"]

[[alerting.rule]]
id = "daily-cost"
name = "Cost of the day"
metric = "cost"
period = "day"
limit = 5
threshold = 1.2
`;

/** Receives the messages of a channel; `messages` are their bodies. */
async function receiver() {
    const messages = [];
    const server = createServer(async (request, response) => {
        let text = '';
        for await (const part of request) text += part;
        messages.push(JSON.parse(text));
        response.end();
    });
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
    return { messages, port: server.address().port, close: () => server.close() };
}

/** A server with these rules; `messages` are the bodies that its channel received. */
export async function alertingServer() {
    const hook = await receiver();
    const server = await Server.start({ config: (port) => configOf(port, hook.port) });
    server.messages = hook.messages;
    const { stop } = server;
    server.stop = async () => {
        await stop.call(server);
        hook.close();
    };
    return server;
}

/** `count` requests of one space just before `at`; the first `errors` of them fail. */
export const traffic = (count, errors, { space = SPACE, at = Date.now() } = {}) =>
    Array.from({ length: count }, (_, i) =>
        record(at - i * 10, { space, error_type: i < errors ? 'server' : undefined }),
    );

/** Makes the rule fire for a space and returns the incident. */
export async function fire(server, space = SPACE) {
    await server.ingest(traffic(20, 8, { space }));
    return until(`an alert of ${space}`, () => openOf(server, space));
}

/** Makes the alert of a space recover. */
export async function recover(server, space = SPACE) {
    await server.ingest(traffic(400, 0, { space }));
    await until(`the end of the alert of ${space}`, async () => !(await openOf(server, space)));
}

/** The open incident of a space. */
export async function openOf(server, space = SPACE) {
    const { alerts } = await server.json('api/metrics/alerts?state=open');
    return alerts.find(({ group }) => group.space === space);
}

/** Two hours with errors, loaded as history: they never fire, but a backtest finds them. */
export async function past(server) {
    await server.load([3, 20].flatMap((hours) => traffic(40, 20, { at: Date.now() - hours * 60 * MINUTE })));
}
