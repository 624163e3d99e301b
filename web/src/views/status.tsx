// Status: queue depth, lag, sizes and drops, for the operator.

import * as show from '../format';
import { usePolled } from '../poll';
import { ProblemNote } from '../ui';

type Values = Record<string, unknown>;

interface StatusResponse {
    version: string;
    status: string;
    problems: string[];
    started_at: string;
    uptime_s: number;
    schema_version: number;
    time_zones: { summary: string };
    [section: string]: unknown;
}

const TITLES: Record<string, string> = {
    ingest: 'Ingest',
    collector: 'Collector in the process',
    compactor: 'Compactor',
    alerts: 'Alerts',
    gateway: 'Gateway',
    storage: 'File and retention',
    cache: 'Cache',
    dimensions: 'Distinct values',
    clock: 'Clock',
    clock_skew: 'Clocks of senders',
    backup: 'Backups',
};

/** Section, key and label of the tiles at the top, in the order of diagnosis. */
const VITAL: [string, string, string][] = [
    ['ingest', 'queue_records', 'Queue'],
    ['ingest', 'commit_p99_ms', 'Commit p99'],
    ['compactor', 'lag_ms', 'Rollup lag'],
    ['storage', 'database_bytes', 'File'],
    ['collector', 'dropped_total', 'Dropped'],
    ['ingest', 'rejected_total', 'Rejected'],
];

function text(key: string, value: unknown, zone: string): string {
    if (value === null || value === undefined) return show.NONE;
    if (typeof value === 'number') {
        if (key.endsWith('_ms')) return show.duration(value);
        if (key.endsWith('_bytes') || key === 'bytes') return show.bytes(value);
        if (key.endsWith('_s')) return show.span(value * 1_000);
        return show.count(value);
    }
    if (typeof value === 'boolean') return value ? 'yes' : 'no';
    if (typeof value === 'string' && key.endsWith('_at') && !Number.isNaN(Date.parse(value))) {
        return show.exactInstant(Date.parse(value), zone).slice(0, -4);
    }
    return typeof value === 'object' ? JSON.stringify(value) : String(value);
}

const label = (key: string): string =>
    key
        .replace(/_(ms|bytes|s|total)$/, '')
        .replaceAll('_', ' ')
        .replace(/^./, (c) => c.toUpperCase());

export function Status(props: {
    zone: string;
    seconds: number;
    onResult: (result: { at: number; failed: boolean }) => void;
}) {
    const polled = usePolled<StatusResponse>('api/status', props.seconds);
    props.onResult({ at: polled.at, failed: polled.error !== null });
    const status = polled.data;
    const section = (name: string): Values => (status?.[name] as Values | null | undefined) ?? {};
    // A part that is not configured is null and has no section.
    const sections = Object.entries(TITLES).filter(([name]) => status?.[name] !== null);
    return (
        <div class="stack">
            {polled.error && <ProblemNote problem={polled.error} onRetry={polled.refresh} />}
            <div class="row">
                <h1 class="grow">Status</h1>
                {status && (
                    <span class="muted">
                        chatgauge {status.version}, up {show.span(status.uptime_s * 1_000)}, schema {status.schema_version}, time
                        zones: {status.time_zones.summary}
                    </span>
                )}
            </div>
            {status && status.problems.length > 0 && (
                <div class="note bad" role="alert">
                    <ul class="bare">
                        {status.problems.map((problem) => (
                            <li key={problem}>{problem}</li>
                        ))}
                    </ul>
                </div>
            )}
            {status && status.problems.length === 0 && (
                <p class="note good">
                    <strong>All is well.</strong> Records are stored and rolled up, and queries work.
                </p>
            )}
            <div class={polled.old ? 'tiles old' : 'tiles'} aria-busy={!status}>
                {VITAL.map(([part, key, name]) => (
                    <div class="tile short" key={name} role="group" aria-label={name}>
                        <span class="label">{name}</span>
                        <span class="value">{status ? text(key, section(part)[key], props.zone) : show.NONE}</span>
                        <span class="hint">{hint(part, key, section(part))}</span>
                    </div>
                ))}
            </div>
            <div class={polled.old ? 'grid old' : 'grid'}>
                {sections.map(([name, title]) => (
                    <section key={name} class="panel" aria-label={title}>
                        <div class="panel-head">
                            <h2>{title}</h2>
                        </div>
                        <dl class="facts">
                            {Object.entries(section(name)).flatMap(([key, value]) =>
                                value !== null && typeof value === 'object' && !Array.isArray(value)
                                    ? Object.entries(value as Values).map(([inner, one]) => (
                                          <div key={`${key}.${inner}`}>
                                              <dt>
                                                  {label(key)}: {inner}
                                              </dt>
                                              <dd>{text(key, one, props.zone)}</dd>
                                          </div>
                                      ))
                                    : [
                                          <div key={key}>
                                              <dt>{label(key)}</dt>
                                              <dd>{text(key, value, props.zone)}</dd>
                                          </div>,
                                      ],
                            )}
                        </dl>
                    </section>
                ))}
            </div>
        </div>
    );
}

function hint(part: string, key: string, values: Values): string {
    if (key === 'queue_records') {
        const refused = Number(values.overloaded_total ?? 0);
        const limit = show.compact(values.queue_max_records as number | undefined);
        return refused > 0 ? `of ${limit}; ${show.compact(refused)} refused` : `of ${limit} records`;
    }
    if (key === 'lag_ms') return 'until rolled up';
    if (key === 'database_bytes') return `and ${show.bytes(values.wal_bytes as number | undefined)} of WAL`;
    if (key === 'dropped_total') return 'by the collector';
    if (key === 'rejected_total') return 'since the start';
    return part === 'ingest' ? 'of the last minutes' : '';
}
