// Small components that every view uses. Text from records is rendered as text nodes, never as markup.

import type { ComponentChildren } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import type { Problem } from './api';
import * as show from './format';
import type { Num, Phases } from './types';

const ICONS = {
    close: 'M4 4l8 8M12 4l-8 8',
    copy: 'M6 6h7v7H6zM3 10V3h7',
    filter: 'M2 4h12M4.5 8h7M7 12h2',
    help: 'M6 6a2 2 0 1 1 2.6 1.9c-.4.2-.6.5-.6 1M8 11.5v.1M8 14.5a6.5 6.5 0 1 0 0-13 6.5 6.5 0 0 0 0 13z',
    moon: 'M13.5 9.5A6 6 0 0 1 6.5 2.5a6 6 0 1 0 7 7z',
    sun: 'M8 10.8a2.8 2.8 0 1 0 0-5.6 2.8 2.8 0 0 0 0 5.6zM8 1.5v1M8 13.5v1M1.5 8h1M13.5 8h1M3.4 3.4l.7.7M11.9 11.9l.7.7M3.4 12.6l.7-.7M11.9 4.1l.7-.7',
    system: 'M2 3h12v8H2zM6 14h4',
    refresh: 'M13.5 8a5.5 5.5 0 1 1-1.6-3.9M13.5 1.8v3h-3',
    plus: 'M8 3v10M3 8h10',
} as const;

export function Icon({ name }: { name: keyof typeof ICONS }) {
    return (
        <svg viewBox="0 0 16 16" aria-hidden="true">
            <path d={ICONS[name]} />
        </svg>
    );
}

export function Brand() {
    return (
        <svg viewBox="0 0 32 32" aria-hidden="true">
            <rect width="32" height="32" rx="8" fill="#1f5fbf" />
            <path d="M7 21a9 9 0 1 1 18 0" fill="none" stroke="#fff" stroke-width="3" stroke-linecap="round" />
            <path d="M16 21l5-7" fill="none" stroke="#ffd166" stroke-width="3" stroke-linecap="round" />
            <circle cx="16" cy="21" r="2.4" fill="#fff" />
        </svg>
    );
}

/** A row of buttons that selects one of a few options. */
export function Segments<T extends string>(props: {
    label: string;
    options: readonly (readonly [T, string])[];
    value: T;
    onChange: (value: T) => void;
}) {
    return (
        <div class="segments" role="group" aria-label={props.label}>
            {props.options.map(([value, label]) => (
                <button
                    key={value}
                    type="button"
                    aria-pressed={value === props.value}
                    onClick={() => props.onChange(value)}
                >
                    {label}
                </button>
            ))}
        </div>
    );
}

export function Select(props: {
    label: string;
    value: string;
    options: readonly (readonly [string, string])[];
    onChange: (value: string) => void;
}) {
    return (
        <select
            aria-label={props.label}
            title={props.label}
            value={props.value}
            onChange={(event) => props.onChange(event.currentTarget.value)}
        >
            {props.options.map(([value, label]) => (
                <option key={value} value={value}>
                    {label}
                </option>
            ))}
        </select>
    );
}

/** A modal dialog; the browser keeps the focus inside and closes it on Escape. */
export function Dialog(props: {
    title: string;
    open: boolean;
    wide?: boolean;
    onClose: () => void;
    children: ComponentChildren;
}) {
    const dialog = useRef<HTMLDialogElement>(null);
    useEffect(() => {
        const element = dialog.current;
        if (props.open && element && !element.open) element.showModal();
    }, [props.open]);
    if (!props.open) return null;
    return (
        <dialog
            ref={dialog}
            class={props.wide ? 'wide' : ''}
            aria-label={props.title}
            onClose={props.onClose}
            onClick={(event) => {
                if (event.target === event.currentTarget) event.currentTarget.close();
            }}
        >
            <div class="dialog-head">
                <h2>{props.title}</h2>
                <button
                    type="button"
                    class="icon plain"
                    aria-label="Close"
                    onClick={() => dialog.current?.close()}
                >
                    <Icon name="close" />
                </button>
            </div>
            {props.children}
        </dialog>
    );
}

async function copyText(text: string): Promise<void> {
    if (navigator.clipboard) {
        await navigator.clipboard.writeText(text);
        return;
    }
    // Without TLS the browser has no `navigator.clipboard`.
    const area = document.createElement('textarea');
    area.value = text;
    (document.querySelector('dialog[open]') ?? document.body).append(area);
    area.select();
    document.execCommand('copy');
    area.remove();
}

export function CopyButton(props: { text: () => string; label: string; class?: string }) {
    const [done, setDone] = useState(false);
    useEffect(() => {
        if (!done) return;
        const timer = window.setTimeout(() => setDone(false), 2_000);
        return () => window.clearTimeout(timer);
    }, [done]);
    return (
        <button
            type="button"
            class={props.class ?? ''}
            onClick={() => copyText(props.text()).then(() => setDone(true), () => setDone(false))}
        >
            <span aria-live="polite">{done ? 'Copied' : props.label}</span>
        </button>
    );
}

/** The change against the earlier range: an arrow and a figure, coloured if a rise is good or bad. */
export function Delta(props: {
    value: Num;
    previous: Num | undefined;
    /** Requests in the earlier range; with fewer than 10 no change is shown. */
    base: Num | undefined;
    points?: boolean;
    upIsBad?: boolean;
    upIsGood?: boolean;
}) {
    const { value, previous, base } = props;
    if (previous === undefined) return null;
    if (value === null || previous === null || (base ?? 0) < 10 || (!props.points && previous === 0)) {
        return (
            <span class="delta muted" title="Nothing to compare with, or fewer than 10 requests">
                n/a
            </span>
        );
    }
    const change = props.points ? value - previous : ((value - previous) * 100) / previous;
    const flat = Math.abs(change) < 0.05;
    const text = `${Math.abs(change) >= 100 ? show.count(Math.abs(change)) : Math.abs(change).toFixed(1)} ${props.points ? 'pp' : '%'}`;
    const side = flat ? '' : change > 0 ? (props.upIsBad ? 'bad' : props.upIsGood ? 'good' : '') : props.upIsBad ? 'good' : props.upIsGood ? 'bad' : '';
    return (
        <span class={`delta ${side || 'muted'}`}>
            <span aria-hidden="true">{flat ? '→' : change > 0 ? '↑' : '↓'} </span>
            <span class="visually-hidden">{flat ? 'unchanged' : change > 0 ? 'up' : 'down'} </span>
            {text}
        </span>
    );
}

const SPARK_POINTS = 60;

/** A small line without axes that shows the shape of a series; hidden from screen readers. */
export function Spark({ values }: { values: Num[] }) {
    const step = Math.max(1, Math.ceil(values.length / SPARK_POINTS));
    const points: Num[] = [];
    for (let i = 0; i < values.length; i += step) {
        const known = values.slice(i, i + step).filter((value): value is number => value !== null);
        points.push(known.length > 0 ? known.reduce((sum, value) => sum + value, 0) / known.length : null);
    }
    const max = Math.max(...points.map((value) => value ?? 0), 0);
    if (points.length < 2 || max === 0) return <svg class="spark" aria-hidden="true" />;
    const x = (i: number) => ((i * 100) / (points.length - 1)).toFixed(2);
    const y = (value: number) => (22 - (value * 20) / max).toFixed(2);
    let [path, pen] = ['', 'M'];
    points.forEach((value, i) => {
        if (value === null) pen = 'M';
        else {
            path += `${pen}${x(i)} ${y(value)}`;
            pen = 'L';
        }
    });
    const filled = points.map((value, i) => `L${x(i)} ${y(value ?? 0)}`).join('');
    return (
        <svg class="spark" viewBox="0 0 100 24" preserveAspectRatio="none" aria-hidden="true">
            <path class="area" d={`M0 24${filled}L100 24Z`} />
            <path d={path} />
        </svg>
    );
}

export const PHASES = [
    ['context_ms', 'Context', 'phase-context'],
    ['llm_ms', 'LLM', 'phase-llm'],
    ['other_ms', 'Rest', 'phase-other'],
] as const;

/** The phases in percent of their sum; empty when nothing is known. */
export function phaseShares(phases: Phases): number[] {
    const values = PHASES.map(([key]) => phases[key] ?? 0);
    const sum = values.reduce((total, value) => total + value, 0);
    const known = phases.context_ms !== null || phases.llm_ms !== null;
    return known && sum > 0 ? values.map((value) => (value * 100) / sum) : [];
}

/** How the time of a request divides into context, LLM and the rest. */
export function PhaseBar({ phases, large }: { phases: Phases; large?: boolean }) {
    const shares = phaseShares(phases);
    if (shares.length === 0) return <span class="muted">{show.NONE}</span>;
    const text = PHASES.map(([, label], i) => `${label} ${show.percent(shares[i])}`).join(', ');
    return (
        <span class={large ? 'phases large' : 'phases'} role="img" aria-label={text} title={text}>
            {PHASES.map(([key, , colour], i) => (
                <span key={key} class={colour} style={{ width: `${shares[i]}%` }} />
            ))}
        </span>
    );
}

export function ProblemNote(props: { problem: Problem; onRetry?: () => void; children?: ComponentChildren }) {
    return (
        <div class="note bad" role="alert">
            <span class="grow">
                <strong>{props.problem.title}.</strong> {props.problem.detail} {props.children}
            </span>
            {props.onRetry && (
                <button type="button" onClick={props.onRetry}>
                    Try again
                </button>
            )}
        </div>
    );
}

/** A name from the records, isolated so that its writing direction does not affect the text around it. */
export function Name({ text }: { text: string }) {
    return (
        <bdi class="name" title={text}>
            {text}
        </bdi>
    );
}

/** A table cell: shows the formatted figure and carries the API's value. */
export function Figure(props: { value: Num | undefined; text: string; class?: string }) {
    const known = props.value !== null && props.value !== undefined;
    return (
        <td class={`num ${props.class ?? ''}`}>
            {known ? <data value={String(props.value)}>{props.text}</data> : <span class="muted">{show.NONE}</span>}
        </td>
    );
}
