// Stacked bars over time.

import { useRef } from 'preact/hooks';
import uPlot from 'uplot';
import * as show from '../format';
import { useColours } from '../prefs';
import type { Num } from '../types';
import { colours, drawIncomplete, drawSpanEdges, drawSpans, timeAxis, valueAxis, zoned } from './frame';
import { type Times, openStart, span } from './Lines';
import { Plot, type Reading } from './Plot';

export interface Layer {
    name: string;
    colour: string;
    values: Num[];
}

/** Minimum width of a bar, in pixels, for a line between bars. */
const LINED_BAR_PX = 6;

export function Stack(props: {
    label: string;
    times: Times;
    /** From the bottom up. */
    layers: Layer[];
    format: (value: Num | undefined) => string;
    axis: (value: number) => string;
    /** A horizontal line, such as a budget. */
    line?: { name: string; value: number } | undefined;
    /** Whether the tip ends with the sum. */
    total?: boolean;
    /** Without gaps between the bars. */
    dense?: boolean;
    /** Each bar is a day; the axis marks only days. */
    days?: boolean;
    onZoom?: (from: number, to: number) => void;
    onPick?: (index: number) => void;
    max?: number;
}) {
    const { times, layers } = props;
    const theme = useColours();
    const now = useRef(props);
    now.current = props;
    const tops: number[][] = [];
    layers.forEach((layer, level) => {
        const below = tops[level - 1];
        tops.push(layer.values.map((value, i) => (value ?? 0) + (below?.[i] ?? 0)));
    });
    // The tallest is drawn first and the others over it.
    const order = [...tops].reverse();
    const data = [times.starts.map((at) => at / 1_000), ...order] as uPlot.AlignedData;
    const read = (index: number): Reading => {
        const colour = colours();
        const lines = layers
            .map((layer) => ({
                colour: colour(layer.colour),
                name: layer.name,
                value: props.format(layer.values[index]),
                known: (layer.values[index] ?? 0) > 0 || layers.length <= 4,
            }))
            .filter((line) => line.known)
            .reverse();
        if (props.total && layers.length > 1) {
            lines.push({ colour: 'none', name: 'Total', value: props.format(tops.at(-1)?.[index]), known: true });
        }
        return { title: times.name(index) + (index === times.open ? ' (so far)' : ''), lines };
    };
    const options = (size: { width: number; height: number }): uPlot.Options => {
        const colour = colours();
        const bars = uPlot.paths.bars?.({
            size: props.dense ? [1, Infinity] : props.days ? [0.8, 120] : [0.86, 64],
            align: 1,
            gap: 0,
        });
        // The outline would cover thin bars entirely (uPlot even fills them with its colour).
        const paths: uPlot.Series.PathBuilder = (u, series, from, to) => {
            const made = bars?.(u, series, from, to) ?? null;
            const isThin = u.bbox.width / Math.max(u.data[0].length, 1) < LINED_BAR_PX * devicePixelRatio;
            if (!made || !isThin) return made;
            const { fill = null, clip = null, flags = 0 } = made;
            return { stroke: null, fill, clip, flags };
        };
        return {
            ...size,
            tzDate: zoned(times.zone),
            padding: [8, 18, 0, 0],
            cursor: { points: { show: false } },
            scales: {
                x: { time: true, range: () => span(now.current.times) },
                y: {
                    range: (_, __, max) => {
                        const highest = Math.max(max ?? 0, now.current.line?.value ?? 0);
                        return [0, now.current.max ?? (highest > 0 ? highest * 1.08 : 1)];
                    },
                },
            },
            axes: [
                props.days ? { ...timeAxis(times.zone, colour), ...dayMarks(() => now.current.times) } : timeAxis(times.zone, colour),
                valueAxis(colour, props.axis),
            ],
            series: [
                {},
                ...[...layers].reverse().map(
                    (layer): uPlot.Series => ({
                        fill: colour(layer.colour),
                        stroke: colour('panel'),
                        width: layers.length > 1 && !props.dense ? 1 / devicePixelRatio : 0,
                        points: { show: false },
                        paths,
                    }),
                ),
            ],
            hooks: {
                drawClear: [(u) => drawSpans(u, now.current.times.spans, colour)],
                draw: [
                    (u) => drawIncomplete(u, openStart(now.current.times), now.current.times.end, colour),
                    (u) => drawSpanEdges(u, now.current.times.spans, colour),
                    (u) => drawLine(u, now.current.line?.value, colour('bad')),
                ],
            },
        };
    };
    const shape = [
        theme,
        times.zone,
        props.days ?? false,
        props.max ?? 'auto',
        layers.map((layer) => [layer.name, layer.colour]).join(),
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

/** Marks at the starts of days, as many as fit. */
function dayMarks(times: () => Times): Pick<uPlot.Axis, 'splits' | 'values'> {
    return {
        splits: (plot) => {
            const room = Math.max(1, Math.floor(plot.width / 72));
            const step = Math.max(1, Math.ceil(times().starts.length / room));
            return times().starts.filter((_, i) => i % step === 0).map((at) => at / 1_000);
        },
        values: (_, splits) => splits.map((split) => show.day(split * 1_000, times().zone)),
    };
}

function drawLine(plot: uPlot, value: number | undefined, colour: string): void {
    if (value === undefined) return;
    const { left, width } = plot.bbox;
    const y = plot.valToPos(value, 'y', true);
    const { ctx } = plot;
    ctx.save();
    ctx.strokeStyle = colour;
    ctx.lineWidth = 1.5 * devicePixelRatio;
    ctx.setLineDash([6 * devicePixelRatio, 4 * devicePixelRatio]);
    ctx.beginPath();
    ctx.moveTo(left, y);
    ctx.lineTo(left + width, y);
    ctx.stroke();
    ctx.restore();
}
