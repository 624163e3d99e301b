// The second bar: range, comparison, filters, and the link to the view. The same for every view.

import { useEffect, useRef, useState } from 'preact/hooks';
import { Problem, get } from './api';
import * as show from './format';
import { LatencyChip, LatencyDialog } from './latency';
import { PRESETS, fromField, isRelative, roughWidth, toField } from './time';
import type { DimensionValues } from './types';
import { CopyButton, Dialog, Icon, Name, ProblemNote, Segments, Select } from './ui';
import { DIMENSIONS, type DimensionName, type State, format, go, withFilter, withoutFilter } from './url';

const COMPARISONS = [
    ['', 'No comparison'],
    ['previous', 'Previous period'],
    ['week', 'A week earlier'],
] as const;

const FIXED: Partial<Record<DimensionName, string[]>> = {
    outcome: ['success', 'error', 'cancelled'],
    source: ['collector', 'rest', 'gateway', 'otlp', 'litellm', 'import'],
    streamed: ['true', 'false'],
};

export function rangeName(state: State, zone: string): string {
    const preset = PRESETS.find(({ from, to }) => from === state.from && to === state.to);
    if (preset) return preset.label;
    const name = (text: string) =>
        isRelative(text) || Number.isNaN(Date.parse(text)) ? text : show.dated(Date.parse(text), zone);
    return `${name(state.from)} to ${name(state.to)}`;
}

function RangeDialog(props: { state: State; zone: string; open: boolean; onClose: () => void }) {
    const { state, zone } = props;
    const [from, setFrom] = useState('');
    const [to, setTo] = useState('');
    const [wrong, setWrong] = useState('');
    useEffect(() => {
        if (!props.open) return;
        const now = Date.now();
        const end = (isRelative(state.to) ? now : Date.parse(state.to)) || now;
        const start = isRelative(state.from) ? end - roughWidth(state.from, state.to) : Date.parse(state.from);
        setFrom(toField(start || end, zone));
        setTo(toField(end, zone));
        setWrong('');
    }, [props.open]);
    const choose = (from: string, to: string) => {
        props.onClose();
        go({ from, to });
    };
    const submit = (event: Event) => {
        event.preventDefault();
        const [start, end] = [fromField(from, zone), fromField(to, zone)];
        if (!(start < end)) setWrong('The start must be before the end.');
        else choose(new Date(start).toISOString(), new Date(end).toISOString());
    };
    return (
        <Dialog title="Range" open={props.open} onClose={props.onClose}>
            <div class="stack">
                <div class="presets">
                    {PRESETS.map((preset) => (
                        <button
                            key={preset.label}
                            type="button"
                            autofocus={preset.from === state.from && preset.to === state.to}
                            aria-pressed={preset.from === state.from && preset.to === state.to}
                            onClick={() => choose(preset.from, preset.to)}
                        >
                            {preset.label}
                        </button>
                    ))}
                </div>
                <form class="row" onSubmit={submit}>
                    <label class="field">
                        <span>From</span>
                        <input
                            type="datetime-local"
                            required
                            value={from}
                            onInput={(event) => setFrom(event.currentTarget.value)}
                        />
                    </label>
                    <label class="field">
                        <span>To</span>
                        <input
                            type="datetime-local"
                            required
                            value={to}
                            onInput={(event) => setTo(event.currentTarget.value)}
                        />
                    </label>
                    <span class="field">
                        <span>Clock of {zone}</span>
                        <button class="primary" type="submit">
                            Show
                        </button>
                    </span>
                </form>
                <p class="bad" role="alert">
                    {wrong}
                </p>
            </div>
        </Dialog>
    );
}

function FilterDialog(props: { state: State; open: boolean; onClose: () => void }) {
    const [dimension, setDimension] = useState<DimensionName>('space');
    const [text, setText] = useState('');
    const [values, setValues] = useState<{ name: string; requests?: number | null }[]>([]);
    const [problem, setProblem] = useState<Problem | null>(null);
    useEffect(() => {
        if (!props.open) return;
        const fixed = FIXED[dimension];
        if (fixed) {
            setValues(fixed.filter((name) => name.startsWith(text)).map((name) => ({ name })));
            return;
        }
        const stop = new AbortController();
        const timer = window.setTimeout(() => {
            const path = `api/dimensions/${dimension}/values?limit=50&prefix=${encodeURIComponent(text)}`;
            get<DimensionValues>(path, stop.signal).then(
                (found) => {
                    setValues(found.values);
                    setProblem(null);
                },
                (error) => {
                    if (error instanceof Problem) setProblem(error);
                },
            );
        }, 120);
        return () => {
            window.clearTimeout(timer);
            stop.abort();
        };
    }, [props.open, dimension, text]);
    const choose = (value: string) => {
        props.onClose();
        setText('');
        go({ filters: withFilter(props.state.filters, dimension, value) });
    };
    return (
        <Dialog title="Add a filter" open={props.open} onClose={props.onClose}>
            <form
                class="stack"
                onSubmit={(event) => {
                    event.preventDefault();
                    const typed = text.trim();
                    const only = values.length === 1 ? values[0]?.name : undefined;
                    if (FIXED[dimension] || dimension === 'error_type') {
                        if (only) choose(only);
                    } else if (typed) choose(typed);
                }}
            >
                <Segments
                    label="Dimension"
                    value={dimension}
                    options={DIMENSIONS.map((name) => [name, show.words(name)] as const)}
                    onChange={(name) => {
                        setDimension(name);
                        setText('');
                    }}
                />
                <label class="field">
                    <span>{dimension === 'user' ? 'User id or pseudonym' : 'Begins with'}</span>
                    <input
                        type="text"
                        autocomplete="off"
                        spellcheck={false}
                        autofocus
                        value={text}
                        onInput={(event) => setText(event.currentTarget.value)}
                    />
                </label>
                {problem && <ProblemNote problem={problem} />}
                <div class="values">
                    {values.map((value) => (
                        <button key={value.name} type="button" onClick={() => choose(value.name)}>
                            <Name text={value.name} />
                            <span class="muted">
                                {value.requests == null ? '' : `${show.compact(value.requests)} in 30 days`}
                            </span>
                        </button>
                    ))}
                    {values.length === 0 && <p class="muted">Nothing begins with this.</p>}
                </div>
            </form>
        </Dialog>
    );
}

/** The link to this view, with the range as it is written or fixed to instants. */
function linkTo(state: State, fixed: { start: string; end: string } | null): string {
    const there = fixed
        ? { ...state, from: new Date(fixed.start).toISOString(), to: new Date(fixed.end).toISOString() }
        : state;
    return new URL(format(there), document.baseURI).href;
}

export function FilterBar(props: {
    state: State;
    zone: string;
    /** The range of the last response. */
    resolved: { start: string; end: string } | null;
    comparable: boolean;
    /** Whether the view applies the filters. */
    filterable: boolean;
}) {
    const { state } = props;
    const [open, setOpen] = useState<'range' | 'filter' | 'latency' | 'link' | ''>('');
    const filterable = useRef(props.filterable);
    filterable.current = props.filterable;
    useEffect(() => {
        const onKey = (event: Event) => {
            const key = (event as CustomEvent<string>).detail;
            if (key === 't') setOpen('range');
            if (key === '/' && filterable.current) setOpen('filter');
        };
        window.addEventListener('shortcut', onKey);
        return () => window.removeEventListener('shortcut', onKey);
    }, []);
    const close = () => setOpen('');
    const isRequests = state.tab === 'requests';
    const chips = DIMENSIONS.flatMap((dimension) =>
        props.filterable ? (state.filters[dimension] ?? []).map((value) => ({ dimension, value })) : [],
    );
    return (
        <div class="bar" role="group" aria-label="Range and filters">
            <button type="button" class="menu" onClick={() => setOpen('range')} title="Range (t)" aria-haspopup="dialog">
                {rangeName(state, props.zone)}
            </button>
            {props.comparable && (
                <Select
                    label="Compare with"
                    value={state.compare}
                    options={COMPARISONS}
                    onChange={(value) => go({ compare: value as State['compare'] })}
                />
            )}
            {chips.map(({ dimension, value }) => (
                <span class="chip" key={`${dimension}:${value}`}>
                    <span title={value}>
                        {show.words(dimension)}: <bdi>{value}</bdi>
                    </span>
                    <button
                        type="button"
                        aria-label={`Remove the filter ${show.words(dimension)}: ${value}`}
                        onClick={() => go({ filters: withoutFilter(state.filters, dimension, value) })}
                    >
                        <Icon name="close" />
                    </button>
                </span>
            ))}
            {isRequests && <LatencyChip state={state} />}
            {props.filterable && (
                <button type="button" class="plain" onClick={() => setOpen('filter')} title="Filter (/)" aria-haspopup="dialog">
                    + Filter
                </button>
            )}
            {isRequests && (
                <button type="button" class="plain" onClick={() => setOpen('latency')} aria-haspopup="dialog">
                    + Latency
                </button>
            )}
            {chips.length > 1 && (
                <button type="button" class="plain" onClick={() => go({ filters: {} })}>
                    Clear
                </button>
            )}
            <span class="grow" />
            <button type="button" class="plain wide-only" onClick={() => setOpen('link')} aria-haspopup="dialog">
                Copy link
            </button>
            <RangeDialog state={state} zone={props.zone} open={open === 'range'} onClose={close} />
            <FilterDialog state={state} open={open === 'filter'} onClose={close} />
            {isRequests && <LatencyDialog state={state} open={open === 'latency'} onClose={close} />}
            <Dialog title="Copy a link to this view" open={open === 'link'} onClose={close}>
                <div class="stack">
                    <p class="muted">The link has the range, the zone and the filters, and nothing secret.</p>
                    <div class="row">
                        <CopyButton class="primary" text={() => linkTo(state, null)} label="As it is now" />
                        <CopyButton text={() => linkTo(state, props.resolved)} label="With fixed times" />
                    </div>
                    <p class="muted">
                        A range such as “{rangeName(state, props.zone)}” moves on; fixed times always show the same
                        requests.
                    </p>
                </div>
            </Dialog>
        </div>
    );
}
