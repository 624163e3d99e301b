// Overview: everything of one moment, from one answer.

import type { AlertsView } from '../alerts';
import { Legend, Lines, type Times } from '../chart/Lines';
import { Heatmap } from '../chart/Heatmap';
import { Stack } from '../chart/Stack';
import * as show from '../format';
import { Panel, PanelSkeleton, type Twin } from '../panel';
import type { Dashboard, LatencyName, Num } from '../types';
import { PHASES, PhaseBar, Segments, phaseShares } from '../ui';
import { type State, go, question } from '../url';
import { Tiles } from './tiles';
import { TopPanel } from './top';

const LATENCIES = [
    ['total', 'Total'],
    ['context', 'Context'],
    ['llm', 'LLM'],
    ['time_to_first_token', 'TTFT'],
] as const;

export const latencyOf = (state: State): LatencyName => {
    const name = state.view.latency;
    return name === 'context' || name === 'llm' || name === 'time_to_first_token' ? name : 'total';
};

/** How the API calls a latency. */
export const metricOf = (name: LatencyName): string => (name === 'time_to_first_token' ? name : `${name}_latency`);

const ERROR_COLOURS = ['c8', 'c2', 'c4', 'c5', 'c6', 'c1', 'c3', 'c7'];

export function timesOf(data: Dashboard, alerts: AlertsView | null): Times {
    const starts = (data.timestamps ?? []).map((at) => Date.parse(at));
    const name = (index: number) => show.bucketName(starts[index] ?? 0, data.aggregation, data.tz);
    const open = data.incomplete_from ? starts.indexOf(Date.parse(data.incomplete_from)) : -1;
    // The last bucket is drawn whole, although the range may end inside it.
    const width = starts.length > 1 ? (starts.at(-1) ?? 0) - (starts.at(-2) ?? 0) : 0;
    const end = Math.max(Date.parse(data.end), (starts.at(-1) ?? 0) + width);
    return { starts, end, open, zone: data.tz, name, spans: alerts?.spans ?? [] };
}

const zoom = (from: number, to: number) =>
    go({ from: new Date(Math.floor(from)).toISOString(), to: new Date(Math.ceil(to)).toISOString() }, 'push');

function zoomTo(times: Times, data: Dashboard): ((index: number) => void) | undefined {
    if (data.aggregation === 'minute') return undefined;
    return (index) => zoom(times.starts[index] ?? 0, times.starts[index + 1] ?? times.end);
}

/** The values of buckets that have ended. */
const ended = (values: Num[], times: Times): { value: number; index: number }[] =>
    values.flatMap((value, index) => (value === null || index === times.open ? [] : [{ value, index }]));

function peakOf(values: Num[], times: Times): { value: number; index: number } | null {
    return ended(values, times).reduce<{ value: number; index: number } | null>(
        (most, one) => (most && most.value >= one.value ? most : one),
        null,
    );
}

function twinOf(times: Times, columns: Twin['columns'], data: Dashboard): Twin {
    const rows = (data.timestamps ?? []).map((key, i) => ({ key, label: times.name(i) }));
    return { head: `Start of the ${show.bucketWidth(data.aggregation)}`, rows, columns };
}

const sum = (values: Num[]): number => values.reduce<number>((total, value) => total + (value ?? 0), 0);

interface Props {
    data: Dashboard;
    times: Times;
    csv: (part: string) => string;
}

function RequestsPanel({ data, times, csv }: Props) {
    const requests = data.requests;
    if (!requests) return null;
    const peak = peakOf(requests.per_minute, times);
    const lines = [{ name: 'Requests per minute', colour: 'c1', values: requests.per_minute, area: true }];
    if (requests.previous_per_minute) {
        lines.push({
            name: 'Compared with',
            colour: 'c7',
            values: requests.previous_per_minute,
            area: false,
            ...{ dash: [2, 3] },
        });
    }
    const columns = [
        { name: 'requests', values: requests.count, format: show.count },
        { name: 'per_minute', values: requests.per_minute, format: show.rate },
        ...(requests.previous
            ? [{ name: 'previous_requests', values: requests.previous, format: show.count }]
            : []),
    ];
    return (
        <Panel
            title="Requests per minute"
            id="panel-requests"
            csv={csv('requests')}
            twin={() => twinOf(times, columns, data)}
            sentence={`${show.count(sum(requests.count))} requests${peak ? `; peak ${show.rate(peak.value)} a minute at ${times.name(peak.index)}` : ''}.`}
        >
            <Legend lines={lines} />
            <Lines
                label="Requests per minute"
                times={times}
                lines={lines}
                format={show.rate}
                axis={show.mark}
                onZoom={zoom}
                {...pick(zoomTo(times, data))}
            />
        </Panel>
    );
}

const pick = (onPick: ((index: number) => void) | undefined) => (onPick ? { onPick } : {});

function LatencyPanel({ data, times, csv, state }: Props & { state: State }) {
    const name = latencyOf(state);
    const series = data.latency?.[name];
    if (!series) return null;
    const log = state.view.scale === 'log';
    const peak = peakOf(series.p95_ms, times);
    const range = series.range;
    const lines = [
        { name: 'p50', colour: 'c1', values: series.median_ms },
        { name: 'p95', colour: 'c2', values: series.p95_ms, dash: [6, 3], bandTo: 0 },
        { name: 'p99', colour: 'c4', values: series.p99_ms, dash: [2, 3] },
    ];
    const columns = LATENCIES.flatMap(([key]) => {
        const one = data.latency?.[key];
        if (!one) return [];
        return (['average_ms', 'median_ms', 'p95_ms', 'p99_ms'] as const).map((stat) => ({
            name: `${key}_${stat}`,
            values: one[stat],
            format: show.duration,
        }));
    });
    const label = LATENCIES.find(([key]) => key === name)?.[1] ?? '';
    return (
        <Panel
            title="Latency"
            id="panel-latency"
            csv={csv('latency')}
            twin={() => twinOf(times, columns, data)}
            tools={
                <>
                    <Segments
                        label="Latency"
                        value={name}
                        options={LATENCIES}
                        onChange={(value) => go({ view: { latency: value === 'total' ? undefined : value } }, 'replace')}
                    />
                    <Segments
                        label="Scale"
                        value={log ? 'log' : 'linear'}
                        options={[['linear', 'Linear'], ['log', 'Log']] as const}
                        onChange={(value) => go({ view: { scale: value === 'log' ? 'log' : undefined } }, 'replace')}
                    />
                </>
            }
            sentence={
                range.count === 0
                    ? `${label} latency is not known for any request here.`
                    : `${label}: p50 ${show.duration(range.median_ms)}, p95 ${show.duration(range.p95_ms)}, p99 ${show.duration(range.p99_ms)}${data.exact ? '' : ' (within 1 %)'}${peak ? `; p95 peaked at ${show.duration(peak.value)}, ${times.name(peak.index)}` : ''}.`
            }
        >
            <Legend lines={lines} />
            <Lines
                label={`${label} latency`}
                times={times}
                lines={lines}
                log={log}
                format={show.duration}
                axis={show.durationMark}
                onZoom={zoom}
                {...pick(zoomTo(times, data))}
            />
        </Panel>
    );
}

function SharePanel({ data, times, csv, state }: Props & { state: State }) {
    const share = data.share;
    if (!share) return null;
    const inPercent = state.view.share !== 'time';
    const shares = phaseShares(share.range);
    const each = times.starts.map((_, i) => ({
        context_ms: share.context_ms[i] ?? null,
        llm_ms: share.llm_ms[i] ?? null,
        other_ms: share.other_ms[i] ?? null,
    }));
    const percents = each.map(phaseShares);
    const colour = { context_ms: 'context', llm_ms: 'llm', other_ms: 'rest' };
    const layers = [...PHASES].map(([key, label], place) => ({
        name: label,
        colour: colour[key],
        values: inPercent ? percents.map((one) => one[place] ?? null) : share[key],
    }));
    const columns = PHASES.map(([key]) => ({ name: key, values: share[key], format: show.duration }));
    const largest = shares.indexOf(Math.max(...shares));
    const known = shares.length > 0;
    return (
        <Panel
            title="Context vs LLM: where the time goes"
            id="panel-share"
            wide
            csv={csv('share')}
            twin={() => twinOf(times, columns, data)}
            tools={
                <Segments
                    label="Unit"
                    value={inPercent ? 'percent' : 'time'}
                    options={[['percent', 'Share'], ['time', 'Time']] as const}
                    onChange={(value) => go({ view: { share: value === 'time' ? 'time' : undefined } }, 'replace')}
                />
            }
            sentence={
                known
                    ? `An average request spends ${show.percent(shares[0])} of its time on context and ${show.percent(shares[1])} in the LLM call${largest === 0 ? ': the context is what to speed up' : ''}.`
                    : 'No request here says how long its context or its LLM call took.'
            }
        >
            {known && (
                <div class="halves">
                    <div>
                        <dl class="shares">
                            {PHASES.map(([key, label, kind], i) => (
                                <div key={key} class={kind.replace('phase', 'of')}>
                                    <dt>{label}</dt>
                                    <dd>
                                        {show.percent(shares[i])}
                                        <small>{show.duration(share.range[key])}</small>
                                    </dd>
                                </div>
                            ))}
                        </dl>
                        <PhaseBar phases={share.range} large />
                        {data.latency && <LatencyFacts latency={data.latency} />}
                    </div>
                    <Stack
                        label="Share of latency"
                        times={times}
                        layers={layers}
                        dense
                        {...(inPercent ? { max: 100 } : {})}
                        total={!inPercent}
                        format={inPercent ? show.percent : show.duration}
                        axis={inPercent ? (value) => `${value} %` : show.durationMark}
                        onZoom={zoom}
                        {...pick(zoomTo(times, data))}
                    />
                </div>
            )}
        </Panel>
    );
}

const PHASE_ROWS = [
    ['context', 'Context'],
    ['llm', 'LLM call'],
    ['time_to_first_token', 'To first token'],
    ['total', 'Whole request'],
] as const;

/** The statistics of the four latencies over the range, side by side. */
function LatencyFacts({ latency }: { latency: NonNullable<Dashboard['latency']> }) {
    return (
        <table class="data small">
            <caption class="visually-hidden">Latency of each phase</caption>
            <thead>
                <tr>
                    <th scope="col">Phase</th>
                    <th scope="col" class="num">Average</th>
                    <th scope="col" class="num">p50</th>
                    <th scope="col" class="num">p95</th>
                    <th scope="col" class="num">p99</th>
                </tr>
            </thead>
            <tbody>
                {PHASE_ROWS.map(([key, label]) => {
                    const { range } = latency[key];
                    return (
                        <tr key={key}>
                            <th scope="row">{label}</th>
                            {([range.average_ms, range.median_ms, range.p95_ms, range.p99_ms] as const).map((value, i) => (
                                <td key={i} class="num">
                                    {show.duration(value)}
                                </td>
                            ))}
                        </tr>
                    );
                })}
            </tbody>
        </table>
    );
}

function ErrorsPanel({ data, times, csv }: Props) {
    const errors = data.errors;
    if (!errors) return null;
    const totals = errors.map((one) => ({ name: show.words(one.error_type), sum: sum(one.count) }));
    const all = totals.reduce((total, one) => total + one.sum, 0);
    const layers = errors.map((one, i) => ({
        name: show.words(one.error_type),
        colour: ERROR_COLOURS[i] ?? 'c7',
        values: one.count,
    }));
    const columns = errors.map((one) => ({ name: one.error_type, values: one.count, format: show.count }));
    const open = (index: number) =>
        go({
            tab: 'requests',
            from: new Date(times.starts[index] ?? 0).toISOString(),
            to: new Date(times.starts[index + 1] ?? times.end).toISOString(),
            filters: { ...data_filters(), outcome: ['error'] },
        });
    return (
        <Panel
            title="Errors by type"
            id="panel-errors"
            csv={csv('errors')}
            twin={() => twinOf(times, columns, data)}
            sentence={
                all === 0
                    ? 'No errors.'
                    : `${show.count(all)} errors; most are ${totals[0]?.name} (${show.percent(((totals[0]?.sum ?? 0) * 100) / all)}).`
            }
        >
            <Legend lines={layers.map((layer) => ({ ...layer, block: true }))} />
            {all === 0 ? (
                <div class="blank">No request failed in this range.</div>
            ) : (
                <Stack
                    label="Errors by type"
                    times={times}
                    layers={layers}
                    total
                    format={show.count}
                    axis={(value) => (Number.isInteger(value) ? show.compact(value) : '')}
                    onZoom={zoom}
                    onPick={open}
                />
            )}
        </Panel>
    );
}

let currentFilters: State['filters'] = {};
const data_filters = () => currentFilters;

function HeatmapPanel({ data, times, csv, state }: Props & { state: State }) {
    const heatmap = data.heatmap;
    if (!heatmap) return null;
    const columns = heatmap.bounds_ms.map((bound, row) => ({
        name: `up_to_${bound.toFixed(0)}_ms`,
        values: heatmap.counts.map((counts) => counts[row] ?? null),
        format: show.count,
    }));
    const rows = heatmap.bounds_ms.map((bound, row) => ({
        bound,
        sum: heatmap.counts.reduce((total, counts) => total + (counts[row] ?? 0), 0),
    }));
    const most = rows.reduce<{ bound: number; sum: number } | null>((a, b) => (a && a.sum >= b.sum ? a : b), null);
    const open = (index: number) =>
        go({
            tab: 'requests',
            from: new Date(times.starts[index] ?? 0).toISOString(),
            to: new Date(times.starts[index + 1] ?? times.end).toISOString(),
        });
    return (
        <Panel
            title="Latency heatmap"
            id="panel-heatmap"
            csv={csv('heatmap')}
            twin={() => twinOf(times, columns, data)}
            sentence={
                most && most.sum > 0
                    ? `${LATENCIES.find(([key]) => key === latencyOf(state))?.[1]} latency; most requests take about ${show.duration(most.bound)}.`
                    : 'No latency is known here.'
            }
        >
            <div class="legend" aria-hidden="true">
                <span>Darker: more of the requests of that time</span>
            </div>
            {heatmap.bounds_ms.length === 0 ? (
                <div class="blank">No latency is known here.</div>
            ) : (
                <Heatmap
                    label="Latency heatmap"
                    times={times}
                    bounds={heatmap.bounds_ms}
                    counts={heatmap.counts}
                    onZoom={zoom}
                    onPick={open}
                />
            )}
        </Panel>
    );
}

function TokensPanel({ data, times, csv }: Props) {
    const tokens = data.tokens;
    if (!tokens) return null;
    // Cached tokens are a part of the input: drawn apart, they must not be counted twice.
    const fresh = tokens.prompt.map((prompt, i) => Math.max(0, prompt - (tokens.cached_prompt[i] ?? 0)));
    const layers = [
        { name: 'Input', colour: 'c1', values: fresh },
        { name: 'Input from the prompt cache', colour: 'c3', values: tokens.cached_prompt },
        { name: 'Output', colour: 'c2', values: tokens.completion },
    ];
    const columns = (['prompt', 'completion', 'cached_prompt', 'reasoning'] as const).map((name) => ({
        name,
        values: tokens[name],
        format: show.count,
    }));
    const [input, output, cached] = [sum(tokens.prompt), sum(tokens.completion), sum(tokens.cached_prompt)];
    return (
        <Panel
            title="Tokens"
            id="panel-tokens"
            csv={csv('tokens')}
            twin={() => twinOf(times, columns, data)}
            sentence={`${show.compact(input)} in${input > 0 ? ` (${show.percent((cached * 100) / input)} from the prompt cache)` : ''}, ${show.compact(output)} out.`}
        >
            <Legend lines={layers.map((layer) => ({ ...layer, block: true }))} />
            <Stack
                label="Tokens"
                times={times}
                layers={layers}
                total
                format={show.count}
                axis={show.mark}
                onZoom={zoom}
                {...pick(zoomTo(times, data))}
            />
        </Panel>
    );
}

function CostPanel({ data, csv, budget }: { data: Dashboard; csv: Props['csv']; budget: number | null }) {
    const days = data.cost;
    if (!days) return null;
    const starts = days.map((day) => Date.parse(day.timestamp));
    const end = (starts.at(-1) ?? 0) + 24 * 3_600_000;
    const times: Times = {
        starts,
        end,
        open: days.findIndex((day) => day.incomplete),
        zone: data.tz,
        name: (index) => show.weekday(starts[index] ?? 0, data.tz),
        spans: [],
    };
    const cost = days.map((day) => day.cost_usd);
    const today = days[times.open];
    const passed = today ? (Date.parse(data.as_of) - (starts[times.open] ?? 0)) / (24 * 3_600_000) : 0;
    const projected =
        today && today.cost_usd && passed > 0.1 && Date.parse(data.start) <= (starts[times.open] ?? 0)
            ? today.cost_usd / passed
            : null;
    const twin: Twin = {
        head: 'Day',
        rows: days.map((day, i) => ({ key: day.date, label: times.name(i) })),
        columns: [
            { name: 'cost_usd', values: cost, format: show.money },
            { name: 'requests', values: days.map((day) => day.requests), format: show.count },
            { name: 'tokens', values: days.map((day) => day.tokens), format: show.count },
        ],
    };
    const known = cost.some((value) => value !== null && value > 0);
    const parts = Date.parse(data.start) > (starts[0] ?? 0) && days.length > 1 ? ', the first in part' : '';
    return (
        <Panel
            title="Cost per day"
            id="panel-cost"
            csv={csv('cost')}
            twin={() => twin}
            sentence={
                known
                    ? `${show.money(sum(cost))} in ${days.length} ${days.length === 1 ? 'day' : 'days'} of ${data.tz}${parts}${projected ? `; today is heading for ${show.money(projected)}` : ''}${budget ? `; budget ${show.money(budget)} a day` : ''}.`
                    : 'No cost is known here.'
            }
        >
            <Legend
                lines={[
                    { name: 'Cost', colour: 'c3', block: true },
                    ...(budget ? [{ name: 'Budget', colour: 'bad', dash: [6, 4] }] : []),
                ]}
            />
            <Stack
                label="Cost per day"
                times={times}
                layers={[{ name: 'Cost', colour: 'c3', values: cost }]}
                days
                line={budget ? { name: 'Budget', value: budget } : undefined}
                format={show.money}
                axis={show.moneyMark}
                onZoom={zoom}
                onPick={(index) => zoom(starts[index] ?? 0, starts[index + 1] ?? end)}
            />
        </Panel>
    );
}

const TITLES = [
    'Requests per minute',
    'Latency',
    'Context vs LLM: where the time goes',
    'Errors by type',
    'Latency heatmap',
    'Tokens',
    'Cost per day',
];

export function Overview(props: {
    state: State;
    zone: string;
    data: Dashboard | null;
    alerts: AlertsView | null;
    old: boolean;
}) {
    const { state, zone, data, alerts } = props;
    currentFilters = state.filters;
    if (!data) {
        return (
            <>
                <div class="tiles" aria-busy="true">
                    {Array.from({ length: 6 }, (_, i) => (
                        <div class="tile" key={i}>
                            <div class="skeleton spark" />
                        </div>
                    ))}
                </div>
                <div class="grid">
                    {TITLES.map((title, i) => (
                        <PanelSkeleton key={title} title={title} wide={i === 2} />
                    ))}
                </div>
            </>
        );
    }
    const times = timesOf(data, alerts);
    const csv = (part: string) =>
        `api/metrics/dashboard?${question(state, zone, {
            part,
            format: 'csv',
            compare: state.compare,
            latency: part === 'heatmap' ? metricOf(latencyOf(state)) : undefined,
        })}`;
    const shared = { data, times, csv };
    return (
        <div class={props.old ? 'stack old' : 'stack'}>
            <Tiles data={data} />
            <div class="grid">
                <RequestsPanel {...shared} />
                <LatencyPanel {...shared} state={state} />
                <SharePanel {...shared} state={state} />
                <ErrorsPanel {...shared} />
                <HeatmapPanel {...shared} state={state} />
                <TokensPanel {...shared} />
                <CostPanel data={data} csv={csv} budget={alerts?.costBudget ?? null} />
                <TopPanel data={data} state={state} zone={zone} />
            </div>
        </div>
    );
}
