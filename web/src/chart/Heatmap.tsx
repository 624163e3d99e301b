// Requests by latency over time: the stronger a cell's colour, the larger its share of the bucket's requests.

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
    /** A bucket and one of its rows; null without rows. */
    onPick?: (index: number, row: number | null) => void;
}) {
    const { times, bounds, counts } = props;
    const theme = useColours();
    const now = useRef(props);
    now.current = props;
    const rows = bounds.length;
    const data = [times.starts.map((at) => at / 1_000), times.starts.map(() => null)] as uPlot.AlignedData;
    const below = (row: number) => (row === 0 ? 'up to' : `${show.duration(bounds[row - 1])} to`);
    /** The rows of a bucket that contain requests, the fullest first. */
    const filled = (index: number): number[] => {
        const column = counts[index] ?? [];
        const of = (row: number) => column[row] ?? 0;
        return column.flatMap((value, row) => (value > 0 ? [row] : [])).sort((a, b) => of(b) - of(a));
    };
    const read = (index: number, at: number | null): Reading => {
        const column = counts[index] ?? [];
        const sum = column.reduce((total, value) => total + value, 0);
        // The cell under the cursor comes first, then the fullest of its bucket.
        const fullest = filled(index)
            .filter((row) => row !== at)
            .slice(0, 4)
            .sort((a, b) => b - a);
        const lines = (at === null ? fullest : [at, ...fullest]).map((row) => ({
            colour: row === at ? colours()('text') : colours()('c1'),
            name: `${below(row)} ${show.duration(bounds[row])}`,
            value: sum === 0 ? '0' : `${show.count(column[row] ?? 0)} (${show.percent(((column[row] ?? 0) * 100) / sum)})`,
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
                    splits: () => marks(bounds).map((mark) => mark.at),
                    values: () => marks(bounds).map((mark) => show.durationMark(mark.ms)),
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
            rows={{ count: rows, of: filled }}
            onPick={props.onPick}
        />
    );
}

/** Preferred marks of the latency axis. */
const ROUND_MS = [1, 10, 100, 1_000, 10_000, 60_000, 600_000, 3_600_000, 36_000_000];
const FINER_MS = ROUND_MS.flatMap((ms) => (ms < 10_000 ? [ms, 2 * ms, 5 * ms] : [ms, 2 * ms, 3 * ms, 5 * ms]));

/** Round latencies and their positions between the rows, whose own bounds are not round. */
function marks(bounds: number[]): { ms: number; at: number }[] {
    const lowest = (bounds[0] ?? 1) / ((bounds[1] ?? 2) / (bounds[0] ?? 1));
    const positionOf = (ms: number): { ms: number; at: number }[] => {
        const row = bounds.findIndex((bound) => ms <= bound);
        const [from, to] = [bounds[row - 1] ?? lowest, bounds[row] ?? 0];
        return row < 0 || ms < lowest ? [] : [{ ms, at: row + Math.log(ms / from) / Math.log(to / from) }];
    };
    const few = ROUND_MS.flatMap(positionOf);
    return few.length > 2 ? few : FINER_MS.flatMap(positionOf);
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
            // The square root keeps rare slow requests visible beside many fast ones.
            ctx.globalAlpha = 0.16 + 0.84 * Math.sqrt(value / sum);
            const [bottom, top] = [y[row] ?? 0, y[row + 1] ?? 0];
            ctx.fillRect(from, top, Math.max(to - from - 1, 1), Math.max(bottom - top - 1, 1));
        });
    });
    ctx.restore();
}
