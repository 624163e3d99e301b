// One chart on a canvas, drawn by uPlot and read by pointer or keyboard. Its element is a slider over the buckets, so
// that a screen reader reads each value; the panel's table has all of them.

import { useEffect, useLayoutEffect, useRef } from 'preact/hooks';
import uPlot from 'uplot';

export interface Reading {
    /** Name of the bucket. */
    title: string;
    /** Colour, dash, name and value of each series. */
    lines: { colour: string; dash?: number[]; name: string; value: string }[];
}

export interface PlotProps {
    /** Accessible name of the slider. */
    label: string;
    data: uPlot.AlignedData;
    /** Called for a new plot whenever `shape` changes; new data alone only redraws. */
    options: (size: { width: number; height: number }) => uPlot.Options;
    shape: string;
    read: (index: number, row: number | null) => Reading;
    /** For a chart of cells: the number of rows, and the rows of a bucket that contain something, the fullest first. */
    rows?: { count: number; of: (index: number) => number[] } | undefined;
    /** Called when the reader selects a stretch of time, in milliseconds. */
    onZoom?: ((from: number, to: number) => void) | undefined;
    /** Called when the reader selects a bucket, and its row in a chart of cells. */
    onPick?: ((index: number, row: number | null) => void) | undefined;
    tall?: boolean;
}

const DRAG_PX = 6;

/** Index of the bucket that contains a position on the axis: the last one that begins at or before it. */
function bucketAt(times: ArrayLike<number>, at: number): number {
    let [low, high] = [0, times.length];
    while (low < high) {
        const middle = (low + high) >> 1;
        if ((times[middle] ?? 0) <= at) low = middle + 1;
        else high = middle;
    }
    return Math.max(0, low - 1);
}

function fill(tip: HTMLElement, reading: Reading): void {
    const title = document.createElement('b');
    title.textContent = reading.title;
    const table = document.createElement('table');
    for (const line of reading.lines) {
        const row = table.insertRow();
        row.insertCell().append(swatch(line.colour, line.dash));
        row.insertCell().textContent = line.name;
        const value = row.insertCell();
        value.className = 'num';
        value.textContent = line.value;
    }
    tip.replaceChildren(title, table);
}

function swatch(colour: string, dash?: number[]): SVGElement {
    const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
    svg.setAttribute('viewBox', '0 0 18 10');
    const line = document.createElementNS('http://www.w3.org/2000/svg', 'line');
    for (const [name, value] of Object.entries({ x1: 0, x2: 18, y1: 5, y2: 5, stroke: colour, 'stroke-width': dash ? 2 : 4 })) {
        line.setAttribute(name, String(value));
    }
    if (dash) line.setAttribute('stroke-dasharray', dash.map((part) => part / 1.5).join(' '));
    svg.append(line);
    return svg;
}

export function Plot(props: PlotProps) {
    const box = useRef<HTMLDivElement>(null);
    const tip = useRef<HTMLDivElement>(null);
    const plot = useRef<uPlot | null>(null);
    const latest = useRef(props);
    const at = useRef(-1);
    const row = useRef<number | null>(null);
    const cell = useRef<HTMLDivElement>(null);
    /** Whether the keyboard moves the cursor, not the pointer. */
    const steered = useRef(false);
    /** Whether the chart is in view or close to it; otherwise new data is drawn when it scrolls into view. */
    const seen = useRef(true);
    latest.current = props;

    const say = (index: number) => {
        const element = box.current;
        if (!element) return;
        const reading = latest.current.read(index, row.current);
        element.setAttribute('aria-valuenow', String(index));
        const lines = reading.lines.map((line) => `${line.name} ${line.value}`).join(', ');
        element.setAttribute('aria-valuetext', `${reading.title}: ${lines}`);
    };

    /** The bucket under the cursor; null beside the chart. */
    const under = (made: uPlot): number | null => {
        const { left = -1 } = made.cursor;
        return left < 0 || made.data[0].length === 0 ? null : bucketAt(made.data[0], made.posToVal(left, 'x'));
    };

    /** The row at a share of the height from the bottom. */
    const rowAt = (share: number): number | null => {
        const count = latest.current.rows?.count;
        return count ? Math.min(Math.max(Math.floor(share * count), 0), count - 1) : null;
    };

    /** Draws a frame around the cell of the cursor. */
    const frame = (made: uPlot, index: number) => {
        const element = cell.current;
        const count = latest.current.rows?.count;
        if (!element || !count || row.current === null) return;
        const times = made.data[0];
        const left = made.valToPos(times[index] ?? 0, 'x');
        const right = index + 1 < times.length ? made.valToPos(times[index + 1] ?? 0, 'x') : made.over.clientWidth;
        const height = made.over.clientHeight / count;
        const [x, y] = [left + made.over.offsetLeft, made.over.offsetTop + (count - 1 - row.current) * height];
        element.hidden = false;
        element.style.transform = `translate(${Math.round(x)}px, ${Math.round(y)}px)`;
        element.style.width = `${Math.max(Math.round(right - left), 3)}px`;
        element.style.height = `${Math.max(Math.round(height), 3)}px`;
    };

    const updateTip = (made: uPlot) => {
        const element = tip.current;
        if (!element) return;
        const index = under(made);
        if (index === null) {
            element.hidden = true;
            if (cell.current) cell.current.hidden = true;
            return;
        }
        if (!steered.current) row.current = rowAt(1 - (made.cursor.top ?? 0) / made.over.clientHeight);
        fill(element, latest.current.read(index, row.current));
        element.hidden = false;
        frame(made, index);
        const left = (made.cursor.left ?? 0) + made.over.offsetLeft;
        const width = box.current?.clientWidth ?? 0;
        const beyond = left + 16 + element.offsetWidth > width;
        const x = beyond ? Math.max(0, left - 16 - element.offsetWidth) : left + 16;
        element.style.transform = `translate(${Math.round(x)}px, 8px)`;
    };

    useLayoutEffect(() => {
        const element = box.current;
        if (!element) return;
        const options = latest.current.options({ width: element.clientWidth, height: element.clientHeight });
        let pressedX = 0;
        const made = new uPlot(
            {
                ...options,
                legend: { show: false },
                cursor: {
                    y: false,
                    points: { size: 7 },
                    drag: { x: Boolean(latest.current.onZoom), y: false, setScale: false },
                    dataIdx: (u, _, __, at) => bucketAt(u.data[0], at),
                    ...options.cursor,
                },
                hooks: {
                    ...options.hooks,
                    setCursor: [updateTip],
                    setSelect: [
                        (u) => {
                            if (u.select.width < DRAG_PX) return;
                            const [from, to] = [u.select.left, u.select.left + u.select.width];
                            latest.current.onZoom?.(u.posToVal(from, 'x') * 1_000, u.posToVal(to, 'x') * 1_000);
                            u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
                        },
                    ],
                },
            },
            latest.current.data,
            element,
        );
        plot.current = made;
        made.root.setAttribute('aria-hidden', 'true');
        const onDown = (event: MouseEvent) => {
            pressedX = event.clientX;
        };
        const onClick = (event: MouseEvent) => {
            const index = under(made);
            if (Math.abs(event.clientX - pressedX) >= DRAG_PX || index === null) return;
            const { bottom, height } = made.over.getBoundingClientRect();
            latest.current.onPick?.(index, rowAt((bottom - event.clientY) / height));
        };
        made.over.addEventListener('mousedown', onDown);
        made.over.addEventListener('click', onClick);
        const resized = new ResizeObserver(() => {
            made.setSize({ width: element.clientWidth, height: element.clientHeight });
        });
        resized.observe(element);
        const catchUp = () => {
            if (made.data !== latest.current.data) made.setData(latest.current.data);
        };
        const scrolled = new IntersectionObserver(
            ([entry]) => {
                seen.current = entry?.isIntersecting ?? true;
                if (seen.current) catchUp();
            },
            { rootMargin: '200px' },
        );
        scrolled.observe(element);
        window.addEventListener('beforeprint', catchUp);
        return () => {
            window.removeEventListener('beforeprint', catchUp);
            scrolled.disconnect();
            resized.disconnect();
            made.destroy();
            plot.current = null;
        };
    }, [props.shape]);

    useEffect(() => {
        const made = plot.current;
        if (!made || made.data === props.data) return;
        if (seen.current) made.setData(props.data);
        if (at.current >= 0) say(Math.min(at.current, (props.data[0]?.length ?? 1) - 1));
    }, [props.data]);

    const move = (index: number) => {
        const made = plot.current;
        const times = props.data[0];
        if (!made || times.length === 0) return;
        if (made.data !== props.data) made.setData(props.data);
        at.current = Math.min(Math.max(index, 0), times.length - 1);
        const filled = props.rows?.of(at.current) ?? [];
        if (row.current === null || !filled.includes(row.current)) row.current = filled[0] ?? null;
        const left = made.valToPos(times[at.current] ?? 0, 'x');
        steered.current = true;
        made.setCursor({ left: Math.max(left, 0) + 0.5, top: 10 });
        steered.current = false;
        say(at.current);
    };

    /** Moves to the next row of the bucket that contains something. */
    const climb = (up: boolean) => {
        if (at.current < 0) return move(props.data[0].length - 1);
        const from = row.current ?? -1;
        const beyond = (props.rows?.of(at.current) ?? []).filter((one) => (up ? one > from : one < from));
        if (beyond.length > 0) row.current = up ? Math.min(...beyond) : Math.max(...beyond);
        move(at.current);
    };

    const onKeyDown = (event: KeyboardEvent) => {
        const last = props.data[0].length - 1;
        const step = event.shiftKey ? 10 : 1;
        const from = at.current < 0 ? last + 1 : at.current;
        const moves: Record<string, number> = {
            ArrowLeft: from - step,
            ArrowDown: from - step,
            ArrowRight: from + step,
            ArrowUp: from + step,
            Home: 0,
            End: last,
        };
        const target = moves[event.key];
        if (props.rows && (event.key === 'ArrowUp' || event.key === 'ArrowDown')) {
            event.preventDefault();
            climb(event.key === 'ArrowUp');
        } else if (target !== undefined) {
            event.preventDefault();
            move(target);
        } else if (event.key === 'Enter' && at.current >= 0) {
            event.preventDefault();
            props.onPick?.(at.current, row.current);
        } else if (event.key === 'Escape' && plot.current) {
            plot.current.setCursor({ left: -10, top: -10 });
        }
    };

    const count = props.data[0].length;
    return (
        <div
            ref={box}
            class={props.tall ? 'chart tall' : 'chart'}
            tabIndex={0}
            role="slider"
            aria-label={`${props.label}: arrow keys move through time${props.rows ? ' and latencies' : ''}${props.onPick ? ', Enter opens' : ''}`}
            aria-valuemin={0}
            aria-valuemax={Math.max(count - 1, 0)}
            aria-valuenow={Math.max(at.current, 0)}
            aria-valuetext={count > 0 ? 'Press an arrow key' : 'No data'}
            onKeyDown={onKeyDown}
            onBlur={() => plot.current?.setCursor({ left: -10, top: -10 })}
        >
            {props.rows && <div ref={cell} class="cell-mark" hidden />}
            <div ref={tip} class="tip" hidden aria-hidden="true" />
        </div>
    );
}
