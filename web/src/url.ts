// The address holds the whole state of the page, so a link shows the same view.

import { useEffect, useState } from 'preact/hooks';
import { DEFAULT_FROM, DEFAULT_TO, isZone } from './time';

export const TABS = ['overview', 'requests', 'users', 'spaces', 'models', 'alerts', 'status', 'sql'] as const;
export type Tab = (typeof TABS)[number];

/** Dimensions that requests can be filtered by, in every view. */
export const DIMENSIONS = ['space', 'user', 'model', 'provider', 'error_type', 'outcome', 'source', 'streamed'] as const;
export type DimensionName = (typeof DIMENSIONS)[number];

export type Filters = Partial<Record<DimensionName, string[]>>;

export interface State {
    tab: Tab;
    from: string;
    to: string;
    /** Empty: the configured zone. */
    tz: string;
    compare: '' | 'previous' | 'week';
    filters: Filters;
    /** Other settings of the view, by `VIEW_KEYS`. */
    view: Record<string, string>;
}

/** Names of the settings that a view may keep in the address. */
const VIEW_KEYS = ['latency', 'scale', 'top', 'sort', 'share', 'min_ms', 'max_ms', 'request', 'at', 'tail', 'rule', 'incident', 'q'];

export function parse(location: { pathname: string; search: string }): State {
    const name = location.pathname.split('/').pop() ?? '';
    const params = new URLSearchParams(location.search);
    const filters: Filters = {};
    for (const dimension of DIMENSIONS) {
        const values = [...new Set(params.getAll(dimension).filter((value) => value !== ''))];
        if (values.length > 0) filters[dimension] = values;
    }
    const view: Record<string, string> = {};
    for (const key of VIEW_KEYS) {
        const value = params.get(key);
        if (value) view[key] = value;
    }
    const compare = params.get('compare');
    return {
        tab: TABS.find((tab) => tab === name) ?? 'overview',
        from: params.get('from') || DEFAULT_FROM,
        to: params.get('to') || DEFAULT_TO,
        tz: isZone(params.get('tz') ?? '') ? (params.get('tz') ?? '') : '',
        compare: compare === 'previous' || compare === 'week' ? compare : '',
        filters,
        view,
    };
}

export function format(state: State): string {
    const params = new URLSearchParams();
    if (state.from !== DEFAULT_FROM || state.to !== DEFAULT_TO) {
        params.set('from', state.from);
        params.set('to', state.to);
    }
    if (state.tz) params.set('tz', state.tz);
    if (state.compare) params.set('compare', state.compare);
    for (const dimension of DIMENSIONS) {
        for (const value of state.filters[dimension] ?? []) params.append(dimension, value);
    }
    for (const key of VIEW_KEYS) {
        const value = state.view[key];
        if (value) params.set(key, value);
    }
    const query = params.toString();
    return `${state.tab === 'overview' ? './' : state.tab}${query && `?${query}`}`;
}

let current = parse(window.location);
const listeners = new Set<(state: State) => void>();

function publish(state: State): void {
    current = state;
    for (const listener of listeners) listener(state);
}

window.addEventListener('popstate', () => publish(parse(window.location)));

export type Change = Partial<Omit<State, 'view'>> & { view?: Record<string, string | undefined> };

function changed(change: Change): State {
    const { view, ...rest } = change;
    const next: State = { ...current, ...rest, view: { ...current.view } };
    if (rest.tab && rest.tab !== current.tab) next.view = {};
    for (const [key, value] of Object.entries(view ?? {})) {
        if (value) next.view[key] = value;
        else delete next.view[key];
    }
    return next;
}

/** Changes the state: `push` adds a step to the browser's history, `replace` does not. */
export function go(change: Change, how: 'push' | 'replace' = 'push'): void {
    const next = changed(change);
    const address = format(next);
    const isDialog = Object.keys(change).join() === 'view';
    if (how === 'push') history.pushState({ isDialog }, '', address);
    else history.replaceState(null, '', address);
    publish(next);
}

/** Removes an open dialog from the address; goes back if the dialog was opened on this page, so that "back" does not reopen it. */
export function closeDialog(change: Change): void {
    if ((history.state as { isDialog?: boolean } | null)?.isDialog) history.back();
    else go(change, 'replace');
}

/** The address of another state, for links. */
export const link = (change: Change): string => format(changed(change));

/** Follows a link inside the page, unless it is to open in another tab or window. */
export function follow(event: MouseEvent, change: Change): void {
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey || event.button !== 0) return;
    event.preventDefault();
    go(change);
}

export const state = (): State => current;

export function useUrl(): State {
    const [value, set] = useState(current);
    useEffect(() => {
        listeners.add(set);
        set(current);
        return () => void listeners.delete(set);
    }, []);
    return value;
}

/** The filters with one more value. */
export function withFilter(filters: Filters, dimension: DimensionName, value: string): Filters {
    const values = filters[dimension] ?? [];
    return values.includes(value) ? filters : { ...filters, [dimension]: [...values, value] };
}

export function withoutFilter(filters: Filters, dimension: DimensionName, value: string): Filters {
    const rest = (filters[dimension] ?? []).filter((other) => other !== value);
    const next = { ...filters };
    if (rest.length > 0) next[dimension] = rest;
    else delete next[dimension];
    return next;
}

/** The query string of an API request: range, zone, `more` and filters. */
export function apiQuery(state: State, zone: string, more: Record<string, string | string[] | undefined> = {}): string {
    const params = new URLSearchParams();
    params.set('start', state.from);
    if (state.to !== 'now') params.set('end', state.to);
    params.set('tz', zone);
    for (const [key, value] of Object.entries(more)) {
        for (const one of Array.isArray(value) ? value : [value]) if (one) params.append(key, one);
    }
    for (const dimension of DIMENSIONS) {
        for (const value of state.filters[dimension] ?? []) params.append(dimension, value);
    }
    return params.toString();
}
