// Shared by all charts: colours from the style sheet, the time axis in the chosen zone, the hatching of the incomplete
// bucket, and the spans of alerts.

import uPlot from 'uplot';
import * as show from '../format';

export type Colours = (name: string) => string;

/** Looks up the style sheet's colours by name. */
export function colours(): Colours {
    const style = getComputedStyle(document.documentElement);
    return (name) => style.getPropertyValue(`--${name}`).trim();
}

export interface Span {
    from: number;
    to: number;
    label: string;
}

/** The time axis: marks show as much of the date as their distance needs. */
export function timeAxis(zone: string, colour: Colours): uPlot.Axis {
    return {
        stroke: colour('muted'),
        font: '11px system-ui, sans-serif',
        grid: { show: false },
        ticks: { stroke: colour('line'), width: 1, size: 4 },
        gap: 4,
        size: 28,
        space: 72,
        values: (_, splits, __, ___, increment) => {
            let lastDay = '';
            return splits.map((split) => {
                const at = split * 1_000;
                const day = show.day(at, zone);
                const first = day !== lastDay;
                lastDay = day;
                if (increment >= 28 * 86_400) return show.month(at, zone);
                if (increment >= 86_400) return day;
                const clock = show.clock(at, zone);
                return clock === '00:00' && first ? day : clock;
            });
        },
    };
}

/** Distances of marks on an axis of durations, in milliseconds: whole seconds and minutes. */
const TIME_STEPS = [
    ...[1, 2, 5, 10, 20, 50, 100, 200, 500],
    ...[1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1_200, 1_800, 3_600, 7_200, 14_400, 43_200, 86_400].map((s) => s * 1_000),
];

export function valueAxis(colour: Colours, format: (value: number) => string): uPlot.Axis {
    return {
        ...(format === show.durationMark ? { incrs: TIME_STEPS } : {}),
        stroke: colour('muted'),
        font: '11px system-ui, sans-serif',
        grid: { stroke: colour('grid'), width: 1 },
        ticks: { show: false },
        gap: 4,
        size: 56,
        space: 36,
        values: (_, splits) => splits.map((split) => (split === null ? '' : format(split))),
    };
}

/** Puts the marks of the time axis on whole hours and days of the zone, not of the browser. */
export const zoned = (zone: string): ((seconds: number) => Date) => (seconds) =>
    uPlot.tzDate(new Date(seconds * 1_000), zone);

function xRange(plot: uPlot, from: number, to: number): [number, number] | null {
    const { left, width } = plot.bbox;
    const start = Math.max(plot.valToPos(from, 'x', true), left);
    const end = Math.min(plot.valToPos(to, 'x', true), left + width);
    return end > start ? [start, end - start] : null;
}

function eachSpan(plot: uPlot, spans: Span[], colour: Colours, draw: (x: number, width: number) => void): void {
    plot.ctx.save();
    plot.ctx.fillStyle = colour('bad');
    for (const span of spans) {
        const x = xRange(plot, span.from / 1_000, span.to / 1_000);
        if (x) draw(x[0], Math.max(x[1], 2));
    }
    plot.ctx.restore();
}

/** Shades the time in which alerts fired, under the series. */
export function drawSpans(plot: uPlot, spans: Span[], colour: Colours): void {
    eachSpan(plot, spans, colour, (x, width) => {
        plot.ctx.globalAlpha = 0.14;
        plot.ctx.fillRect(x, plot.bbox.top, width, plot.bbox.height);
    });
}

/** Marks the same time at the top, over bars and hatching. */
export function drawSpanEdges(plot: uPlot, spans: Span[], colour: Colours): void {
    eachSpan(plot, spans, colour, (x, width) => {
        plot.ctx.globalAlpha = 0.9;
        plot.ctx.fillRect(x, plot.bbox.top, width, 3 * devicePixelRatio);
    });
}

/** Hatches the bucket that has not ended, over the series. */
export function drawIncomplete(plot: uPlot, from: number | null, to: number, colour: Colours): void {
    const x = from === null ? null : xRange(plot, from / 1_000, to / 1_000);
    if (!x) return;
    const { top, height } = plot.bbox;
    const { ctx } = plot;
    const step = 7 * devicePixelRatio;
    ctx.save();
    ctx.beginPath();
    ctx.rect(x[0], top, x[1], height);
    ctx.clip();
    ctx.globalAlpha = 0.45;
    ctx.fillStyle = colour('panel');
    ctx.fillRect(x[0], top, x[1], height);
    ctx.globalAlpha = 0.5;
    ctx.strokeStyle = colour('line-strong');
    ctx.lineWidth = devicePixelRatio;
    ctx.beginPath();
    for (let at = x[0] - height; at < x[0] + x[1]; at += step) {
        ctx.moveTo(at, top + height);
        ctx.lineTo(at + height, top);
    }
    ctx.stroke();
    ctx.restore();
}
