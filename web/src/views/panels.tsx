// The panels of Overview with one chart over time.

import { Heatmap } from '../chart/Heatmap';
import { Legend, Lines } from '../chart/Lines';
import { Stack } from '../chart/Stack';
import * as show from '../format';
import { Panel } from '../panel';
import { Segments } from '../ui';
import { type State, go, state as current } from '../url';
import { LATENCIES, type Props, bucketRange, latencyOf, peakOf, pick, sum, twinOf, zoom, zoomTo } from './series';

const ERROR_COLOURS = ['c8', 'c2', 'c4', 'c5', 'c6', 'c1', 'c3', 'c7'];

export function RequestsPanel({ data, times, csv }: Props) {
    const requests = data.requests;
    if (!requests) return null;
    const peak = peakOf(requests.per_minute, times);
    const lines = [{ name: 'Requests per minute', colour: 'c1', values: requests.per_minute, area: true }];
    if (requests.previous_per_minute) {
        lines.push({
            name: current().compare === 'week' ? 'A week earlier' : 'Previous period',
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
            sentence={`${show.count(sum(requests.count))} requests${peak && peak.value ? `; peak ${show.rate(peak.value)} a minute at ${times.name(peak.index)}` : ''}.`}
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

export function LatencyPanel({ data, times, csv, state }: Props & { state: State }) {
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

export function ErrorsPanel({ data, times, csv }: Props) {
    const errors = data.errors;
    if (!errors) return null;
    const totals = errors.map((one) => ({ name: show.words(one.error_type), sum: sum(one.count) }));
    const all = totals.reduce((total, one) => total + one.sum, 0);
    const occurred = errors.filter((one) => sum(one.count) > 0);
    const layers = occurred.map((one, i) => ({
        name: show.words(one.error_type),
        colour: ERROR_COLOURS[i] ?? 'c7',
        values: one.count,
    }));
    const columns = errors.map((one) => ({ name: one.error_type, values: one.count, format: show.count }));
    const open = (index: number) =>
        go({
            tab: 'requests',
            ...bucketRange(times, data, index),
            filters: { ...current().filters, outcome: ['error'] },
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

/** The latency filter of one row of the heatmap. */
function cellOf(bounds: number[], row: number, latency: string): Record<string, string | undefined> {
    const text = (bound: number | undefined) => (bound === undefined ? undefined : String(Math.round(bound * 1_000) / 1_000));
    return { latency: latency === 'total' ? undefined : latency, min_ms: text(bounds[row - 1]), max_ms: text(bounds[row]) };
}

export function HeatmapPanel({ data, times, csv, state }: Props & { state: State }) {
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
    const fullest = rows.reduce<{ bound: number; sum: number } | null>((a, b) => (a && a.sum >= b.sum ? a : b), null);
    const open = (index: number, row: number | null) =>
        go({
            tab: 'requests',
            ...bucketRange(times, data, index),
            view: row === null ? {} : cellOf(heatmap.bounds_ms, row, latencyOf(state)),
        });
    return (
        <Panel
            title="Latency heatmap"
            id="panel-heatmap"
            csv={csv('heatmap')}
            twin={() => twinOf(times, columns, data)}
            sentence={
                fullest && fullest.sum > 0
                    ? `${LATENCIES.find(([key]) => key === latencyOf(state))?.[1]} latency; most requests take about ${show.duration(fullest.bound)}.`
                    : 'No latency is known here.'
            }
        >
            <div class="legend" aria-hidden="true">
                <span>Stronger colour: more of the requests of that time</span>
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

export function TokensPanel({ data, times, csv }: Props) {
    const tokens = data.tokens;
    if (!tokens) return null;
    // Cached tokens are part of the input and drawn separately, so they are subtracted here.
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
