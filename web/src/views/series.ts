// Shared by the panels of a range: its times, its tables, zooming into it.

import type { Span } from '../chart/frame';
import type { Times } from '../chart/Lines';
import * as show from '../format';
import type { Twin } from '../panel';
import type { Dashboard, LatencyName, Num } from '../types';
import { type State, go } from '../url';

export const LATENCIES = [
    ['total', 'Total'],
    ['context', 'Context'],
    ['llm', 'LLM'],
    ['time_to_first_token', 'TTFT'],
] as const;

export const latencyOf = (state: State): LatencyName => {
    const name = state.view.latency;
    return name === 'context' || name === 'llm' || name === 'time_to_first_token' ? name : 'total';
};

/** The API's name of a latency. */
export const metricOf = (name: LatencyName): string => (name === 'time_to_first_token' ? name : `${name}_latency`);

/** The latency filter of the list of requests as API parameters. */
export function boundsOf(state: State): Record<string, string | undefined> {
    const { min_ms, max_ms } = state.view;
    return min_ms || max_ms ? { latency: metricOf(latencyOf(state)), min_ms, max_ms } : {};
}

/**
 * The time range of a bucket, cut at the edges of the whole range, so that the requests in it are those that the chart
 * counts.
 */
export function bucketRange(times: Times, data: Dashboard, index: number): { from: string; to: string } {
    const from = Math.max(times.starts[index] ?? 0, Date.parse(data.start));
    const to = Math.min(times.starts[index + 1] ?? times.end, Date.parse(data.end));
    return { from: new Date(from).toISOString(), to: new Date(to).toISOString() };
}

export function timesOf(data: Dashboard, spans: Span[]): Times {
    const starts = (data.timestamps ?? []).map((at) => Date.parse(at));
    const name = (index: number) => show.bucketName(starts[index] ?? 0, data.aggregation, data.tz);
    const open = data.incomplete_from ? starts.indexOf(Date.parse(data.incomplete_from)) : -1;
    // The last bucket is drawn whole, although the range may end inside it.
    const width = starts.length > 1 ? (starts.at(-1) ?? 0) - (starts.at(-2) ?? 0) : 0;
    const end = Math.max(Date.parse(data.end), (starts.at(-1) ?? 0) + width);
    return { starts, end, open, zone: data.tz, name, spans };
}

export const zoom = (from: number, to: number) =>
    go({ from: new Date(Math.floor(from)).toISOString(), to: new Date(Math.ceil(to)).toISOString() }, 'push');

export function zoomTo(times: Times, data: Dashboard): ((index: number) => void) | undefined {
    if (data.aggregation === 'minute') return undefined;
    return (index) => go(bucketRange(times, data, index));
}

/** The values of buckets that have ended. */
const ended = (values: Num[], times: Times): { value: number; index: number }[] =>
    values.flatMap((value, index) => (value === null || index === times.open ? [] : [{ value, index }]));

export function peakOf(values: Num[], times: Times): { value: number; index: number } | null {
    return ended(values, times).reduce<{ value: number; index: number } | null>(
        (peak, one) => (peak && peak.value >= one.value ? peak : one),
        null,
    );
}

export function twinOf(times: Times, columns: Twin['columns'], data: Dashboard): Twin {
    const rows = (data.timestamps ?? []).map((key, i) => ({ key, label: times.name(i) }));
    return { head: `Start of the ${show.bucketWidth(data.aggregation)}`, rows, columns };
}

export const sum = (values: Num[]): number => values.reduce<number>((total, value) => total + (value ?? 0), 0);

export interface Props {
    data: Dashboard;
    times: Times;
    csv: (part: string) => string;
}
export const pick = (onPick: ((index: number) => void) | undefined) => (onPick ? { onPick } : {});
