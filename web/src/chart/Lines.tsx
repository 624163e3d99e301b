// Lines over time. The bucket that has not ended is dashed and hatched.

import { useRef } from 'preact/hooks';
import uPlot from 'uplot';
import { useColours } from '../prefs';
import type { Num } from '../types';
import { type Span, colours, drawIncomplete, drawSpanEdges, drawSpans, timeAxis, valueAxis, zoned } from './frame';
import { Plot, type Reading } from './Plot';

export interface Line {
    name: string;
    colour: string;
    values: Num[];
    dash?: number[];
    width?: number;
    /** Filled down to the axis. */
    area?: boolean;
    /** Index of the line down to which the area is filled. */
    bandTo?: number;
}

export interface Times {
    /** Starts of the buckets, in milliseconds. */
    starts: number[];
    end: number;
    /** Index of the bucket that has not ended, or -1. */
    open: number;
    zone: string;
    name: (index: number) => string;
    spans: Span[];
}

export function Lines(props: {
    label: string;
    times: Times;
    lines: Line[];
    format: (value: Num | undefined) => string;
    axis: (value: number) => string;
    log?: boolean;
    onZoom?: (from: number, to: number) => void;
    onPick?: (index: number) => void;
}) {
    const { times, lines } = props;
    const theme = useColours();
    // Each line is drawn twice: solid through complete buckets, dashed to the incomplete one.
    const complete = lines.map((line) => line.values.map((value, i) => (i === times.open ? null : value)));
    const open = lines.map((line) =>
        line.values.map((value, i) => (times.open >= 0 && (i === times.open || i === times.open - 1) ? value : null)),
    );
    const now = useRef({ times, complete });
    const isKnown = complete.flat().some((value) => value !== null);
    now.current = { times, complete: isKnown ? complete : lines.map((line) => line.values) };
    const positive = (values: Num[]) => (props.log ? values.map((value) => (value && value > 0 ? value : null)) : values);
    const data = [
        times.starts.map((at) => at / 1_000),
        ...complete.map(positive),
        ...open.map(positive),
    ] as uPlot.AlignedData;
    const read = (index: number): Reading => ({
        title: times.name(index) + (index === times.open ? ' (so far)' : ''),
        lines: lines.map((line) => ({
            colour: colours()(line.colour),
            dash: line.dash ?? [],
            name: line.name,
            value: props.format(line.values[index]),
        })),
    });
    const options = (size: { width: number; height: number }): uPlot.Options => {
        const colour = colours();
        const serie = (line: Line, dashed: boolean): uPlot.Series => ({
            stroke: colour(line.colour),
            width: line.width ?? 1.75,
            spanGaps: false,
            points: { show: true, filter: (u, index) => alone(u.data[index] ?? []), size: 5, fill: colour(line.colour), stroke: colour(line.colour) },
            ...(dashed ? { dash: [3, 3] } : line.dash ? { dash: line.dash } : {}),
            ...(line.area && !dashed ? { fill: `${colour(line.colour)}22` } : {}),
        });
        const bands = lines.flatMap((line, i) =>
            line.bandTo === undefined
                ? []
                : [{ series: [i + 1, line.bandTo + 1] as [number, number], fill: `${colour(line.colour)}26` }],
        );
        // The incomplete bucket does not count and may leave the chart: the rate of its first seconds is extreme.
        const max = () => {
            const shown = now.current.complete.flat().filter((value): value is number => value !== null);
            return Math.max(...shown, 0) || 1;
        };
        return {
            ...size,
            tzDate: zoned(times.zone),
            padding: [8, 18, 0, 0],
            scales: {
                x: { time: true, range: () => span(now.current.times) },
                y: props.log
                    ? { distr: 3, log: 10 }
                    : { range: () => [0, max() * 1.08] },
            },
            axes: [timeAxis(times.zone, colour), valueAxis(colour, props.axis)],
            series: [{}, ...lines.map((line) => serie(line, false)), ...lines.map((line) => serie(line, true))],
            bands,
            hooks: {
                drawClear: [(u) => drawSpans(u, now.current.times.spans, colour)],
                draw: [
                    (u) => drawIncomplete(u, openStart(now.current.times), now.current.times.end, colour),
                    (u) => drawSpanEdges(u, now.current.times.spans, colour),
                ],
            },
        };
    };
    // Everything else is read at drawing time and needs no new plot.
    const shape = [
        theme,
        times.zone,
        props.log ?? false,
        lines.map((line) => [line.name, line.colour]).join(),
    ].join('|');
    return (
        <Plot
            label={props.label}
            data={data}
            options={options}
            shape={shape}
            read={read}
            onZoom={props.onZoom}
            onPick={props.onPick}
        />
    );
}

/** Indexes of values without a neighbour, which no line connects. */
function alone(values: ArrayLike<number | null | undefined>): number[] {
    const known = (i: number) => values[i] !== null && values[i] !== undefined;
    return Array.from({ length: values.length }, (_, i) => i).filter((i) => known(i) && !known(i - 1) && !known(i + 1));
}

/** The range of the time axis, in seconds. */
export const span = (times: Times): [number, number] => [(times.starts[0] ?? 0) / 1_000, times.end / 1_000];

/** Start of the bucket that has not ended. */
export const openStart = (times: Times): number | null =>
    times.open < 0 ? null : (times.starts[times.open] ?? null);

/** Colours and names of the lines. */
export function Legend({ lines }: { lines: { name: string; colour: string; dash?: number[]; block?: boolean }[] }) {
    return (
        <div class="legend" aria-hidden="true">
            {lines.map((line) => (
                <span key={line.name}>
                    <svg viewBox="0 0 18 10">
                        <line
                            x1="0"
                            x2="18"
                            y1="5"
                            y2="5"
                            stroke={`var(--${line.colour})`}
                            stroke-width={line.block ? 9 : 2.5}
                            stroke-dasharray={line.dash?.map((part) => part / 1.5).join(' ')}
                        />
                    </svg>
                    <bdi>{line.name}</bdi>
                </span>
            ))}
        </div>
    );
}
