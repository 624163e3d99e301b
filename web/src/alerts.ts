// The state of alerts: for the strip above every view and for the spans on the charts.

import { useEffect, useMemo, useState } from 'preact/hooks';
import type { Span } from './chart/frame';
import * as show from './format';
import { usePolled } from './poll';
import { useTopic } from './stream';
import type { Num, Schemas } from './types';
import { type State, apiQuery } from './url';

export type Incident = Schemas['IncidentBody'];
export type Group = Incident['group'];
export type Rule = Schemas['RuleBody'];
export type Channel = Schemas['ChannelBody'];
export type RulesResponse = Schemas['RulesBody'];

export interface AlertsView {
    /** The newest open incidents, silenced ones too. */
    open: Incident[];
    /** Number of open incidents that are not silenced. */
    loud: number;
    /** Incremented whenever an incident begins, changes or ends. */
    changes: number;
    spans: Span[];
    /** US dollars a day, from the rule on the cost of a day. */
    costBudget: number | null;
    refresh: () => void;
}

/** A value of a rule in its unit. */
export function inUnit(value: Num | undefined, unit: string): string {
    if (value === null || value === undefined) return show.NONE;
    switch (unit) {
        case 'ratio':
            return show.percent(value * 100);
        case 'ms':
            return show.duration(value);
        case 'usd':
            return show.money(value);
        case 'per_minute':
            return `${show.rate(value)} / min`;
        default:
            return Number.isInteger(value) ? show.compact(value) : show.mark(value);
    }
}

/** A value in its unit, shown beside `other`: with all digits if the two would read the same although they differ. */
export function inUnitBeside(value: Num | undefined, other: Num | undefined, unit: string): string {
    const text = inUnit(value, unit);
    if (typeof value !== 'number' || value === other || text !== inUnit(other, unit)) return text;
    switch (unit) {
        case 'ratio':
            return `${show.precise(value * 100)} %`;
        case 'ms':
            return `${show.precise(value)} ms`;
        case 'usd':
            return `$${show.precise(value)}`;
        case 'per_minute':
            return `${show.precise(value)} / min`;
        default:
            return show.precise(value);
    }
}

const LATENCIES: Record<string, string> = {
    latency: 'latency',
    context_latency: 'context latency',
    llm_latency: 'LLM latency',
    ttft: 'time to first token',
};

/** A rule's metric in words. */
export function metricName(metric: string): string {
    const [, latency = '', stat = ''] = metric.match(/^(\w+)_(avg|p\d+)$/) ?? [];
    const name = LATENCIES[latency];
    if (!name) return show.words(metric);
    return stat === 'avg' ? `average ${name}` : `${stat} of ${name}`;
}

export const groupText = (group: Group): string =>
    Object.entries(group)
        .map(([dimension, value]) => `${show.words(dimension)} ${value}`)
        .join(', ');

/** An incident's message without its group, which is shown beside it. */
export function messageOf(incident: Incident): string {
    const group = Object.entries(incident.group).map(([dimension, value]) => `${dimension}=${value}`);
    const prefix = `${group.join(' ')}: `;
    return incident.message.startsWith(prefix) ? incident.message.slice(prefix.length) : incident.message;
}

export function spanOf(incident: Incident): Span {
    return {
        from: Date.parse(incident.triggered_at),
        to: incident.ended_at === null ? Infinity : Date.parse(incident.ended_at),
        label: incident.rule_name,
    };
}

const SPANS_MAX = 200;

/** The open incidents at one instant. */
interface Open {
    as_of: string;
    alerts: Incident[];
    /** Number of open incidents that are not silenced; `alerts` lists at most 100. */
    open: number;
}

/** The open incidents after one of them began, changed or ended. */
function withChange(before: Open, change: { as_of: string; alert: Incident; open: number }): Open {
    const others = before.alerts.filter(({ alert_id }) => alert_id !== change.alert.alert_id);
    const alerts = change.alert.ended_at === null ? [change.alert, ...others] : others;
    alerts.sort((a, b) => Date.parse(b.triggered_at) - Date.parse(a.triggered_at));
    return { as_of: change.as_of, alerts, open: change.open };
}

/** Open incidents: from the stream, polled while it is not open. */
function useOpen(
    seconds: number,
    onChange: () => void,
): { alerts: Incident[]; loud: number; streaming: boolean; refresh: () => void } {
    const [open, setOpen] = useState<Open>({ as_of: '', alerts: [], open: 0 });
    const [streaming, setStreaming] = useState(false);
    const polled = usePolled<Open>(streaming ? '' : 'api/metrics/alerts?state=open&limit=100', seconds);
    // A polled response can be older than what the stream has sent meanwhile.
    const update = (next: Open) => setOpen((before) => (Date.parse(next.as_of) < Date.parse(before.as_of) ? before : next));
    useEffect(() => {
        if (polled.data) update(polled.data);
    }, [polled.data]);
    useTopic(
        'alerts',
        seconds > 0 ? '' : null,
        {
            alerts: (data) => {
                update(data as Open);
                onChange();
            },
            alert: (data) => {
                setOpen((before) => withChange(before, data as { as_of: string; alert: Incident; open: number }));
                onChange();
            },
        },
        (state) => setStreaming(state === 'open'),
    );
    return { alerts: open.alerts, loud: open.open, streaming, refresh: polled.refresh };
}

export function useAlerts(state: State, zone: string, seconds: number): AlertsView {
    const [changes, setChanges] = useState(0);
    const open = useOpen(seconds, () => setChanges((n) => n + 1));
    const range = new URLSearchParams(apiQuery({ ...state, filters: {} }, zone));
    range.set('limit', String(SPANS_MAX));
    const past = usePolled<{ incidents: Incident[] }>(
        state.tab === 'overview' ? `api/alerts/incidents?${range}` : '',
        // An open stream reports each change, so polling can be slow.
        seconds && (open.streaming ? 60 : seconds),
        !open.streaming,
    );
    const rules = usePolled<RulesResponse>(state.tab === 'overview' ? 'api/alerts/rules' : '', seconds && 60, false);
    useEffect(() => {
        if (changes > 0) past.refresh();
    }, [changes]);
    const budget = rules.data?.rules.find(
        (rule) => rule.metric === 'cost' && rule.period === 'day' && rule.by.length === 0,
    );
    // The same list as long as nothing changed, so that charts are not redrawn at every refresh.
    const fresh = (past.data?.incidents ?? []).map(spanOf);
    const spans = useMemo(() => fresh, [JSON.stringify(fresh)]);
    return {
        open: open.alerts,
        loud: open.loud,
        changes,
        spans,
        costBudget: budget?.limit ?? budget?.threshold ?? null,
        refresh: open.refresh,
    };
}
