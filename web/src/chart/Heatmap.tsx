// Requests by latency over time: the darker a cell, the more of its bucket's requests took that long.

import { useRef } from 'preact/hooks';
import uPlot from 'uplot';
import * as show from '../format';
import { useColours } from '../prefs';
import { type Colours, colours, drawIncomplete, timeAxis, zoned } from './frame';
import { type Times, openStart, span } from './Lines';
import { Plot, type Reading } from './Plot';

export function Heatmap(props: {
    label: string;
    times: Times;
    bounds: number[];
    /** One list for each bucket, one number for each bound. */
    counts: number[][];
    onZoom?: (from: number, to: number) => void;
    /** A bucket, and the row unless it was chosen with the keyboard. */
    onPick?: (index: number, row: number | null) => void;
}) {
    const { times, bounds, counts } = props;
    const theme = useColours();
    const now = useRef(props);
    now.current = props;
    const rows = bounds.length;
    const data = [times.starts.map((at) => at / 1_000), times.starts.map(() => null)] as uPlot.AlignedData;
    const below = (row: number) => (row === 0 ? 'up to' : `${show.duration(bounds[row - 1])} to`);
    const read = (index: number): Reading => {
        const column = counts[index] ?? [];
        const sum = column.reduce((total, value) => total + value, 0);
        const lines = column
            .map((value, row) => ({ value, row }))
            .filter(({ value }) => value > 0)
            .sort((a, b) => b.value - a.value)
            .slice(0, 5)
            .sort((a, b) => b.row - a.row)
            .map(({ value, row }) => ({
                colour: colours()('c1'),
                name: `${below(row)} ${show.duration(bounds[row])}`,
                value: `${show.count(value)} (${show.percent((value * 100) / sum)})`,
            }));
        return { title: `${times.name(index)}: ${show.count(sum)} requests`, lines };
    };
    const options = (size: { width: number; height: number }): uPlot.Options => {
        const colour = colours();
        return {
            ...size,
            tzDate: zoned(times.zone),
            padding: [8, 18, 0, 0],
            scales: {
                x: { time: true, range: () => span(now.current.times) },
                y: { range: () => [0, Math.max(rows, 1)] },
            },
            axes: [
                timeAxis(times.zone, colour),
                {
                    stroke: colour('muted'),
                    font: '11px system-ui, sans-serif',
                    grid: { show: false },
                    ticks: { show: false },
                    gap: 4,
                    size: 56,
                    splits: () => {
                        const step = Math.max(1, Math.ceil(rows / 6));
                        return bounds.map((_, row) => row + 1).filter((row) => row % step === 0);
                    },
                    values: (_, splits) => splits.map((row) => show.durationMark(bounds[row - 1] ?? 0)),
                },
            ],
            series: [{}, { points: { show: false } }],
            hooks: {
                drawClear: [(u) => drawCells(u, now.current.times, now.current.counts, rows, colour)],
                draw: [(u) => drawIncomplete(u, openStart(now.current.times), now.current.times.end, colour)],
            },
        };
    };
    const shape = [theme, times.zone, bounds.join()].join('|');
    return (
        <Plot
            label={props.label}
            data={data}
            options={options}
            shape={shape}
            read={read}
            onZoom={props.onZoom}
            onPick={(index, height) =>
                now.current.onPick?.(
                    index,
                    height === null ? null : Math.min(Math.max(Math.floor(height * rows), 0), rows - 1),
                )
            }
        />
    );
}

function drawCells(plot: uPlot, times: Times, counts: number[][], rows: number, colour: Colours): void {
    const { ctx } = plot;
    const y = Array.from({ length: rows + 1 }, (_, row) => Math.round(plot.valToPos(row, 'y', true)));
    ctx.save();
    ctx.fillStyle = colour('c1');
    counts.forEach((column, index) => {
        const sum = column.reduce((total, value) => total + value, 0);
        const from = Math.round(plot.valToPos((times.starts[index] ?? 0) / 1_000, 'x', true));
        const to = Math.round(plot.valToPos((times.starts[index + 1] ?? times.end) / 1_000, 'x', true));
        column.forEach((value, row) => {
            if (value === 0) return;
            // A square root, so that rare slow requests are seen beside many fast ones.
            ctx.globalAlpha = 0.16 + 0.84 * Math.sqrt(value / sum);
            const [bottom, top] = [y[row] ?? 0, y[row + 1] ?? 0];
            ctx.fillRect(from, top, Math.max(to - from - 1, 1), Math.max(bottom - top - 1, 1));
        });
    });
    ctx.restore();
}
