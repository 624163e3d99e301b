// Server-sent events: one stream for the whole page, only while it is looked at, because browsers open few
// connections to a host. It is opened anew when somebody wants something else of it.

import { useEffect, useRef } from 'preact/hooks';

export type StreamState = 'connecting' | 'open' | 'waiting for a place';

type Handlers = Record<string, (data: unknown) => void>;

interface Topic {
    /** What else is asked for. */
    query: string;
    on: () => Handlers;
    onState: (state: StreamState) => void;
}

/** A refusal ends the browser's own attempts; the next one comes after this. */
const REFUSED_WAIT_MS = 10_000;
const EVENTS = { requests: ['request', 'gap'], alerts: ['alerts', 'alert'] } as const;
type Name = keyof typeof EVENTS;

const topics = new Map<Name, Topic>();
let source: EventSource | null = null;
let opened = '';
let [again, due] = [0, false];

function wanted(): string {
    if (document.hidden || topics.size === 0) return '';
    const names = [...topics.keys()].map((name) => `topic=${name}`);
    const queries = [...topics.values()].map(({ query }) => query).filter(Boolean);
    return `api/stream?${[...names, ...queries].join('&')}`;
}

function tell(state: StreamState): void {
    for (const topic of topics.values()) topic.onState(state);
}

function open(): void {
    window.clearTimeout(again);
    source?.close();
    source = null;
    opened = wanted();
    if (!opened) return;
    tell('connecting');
    const made = new EventSource(opened);
    source = made;
    made.onopen = () => tell('open');
    made.onerror = () => {
        const refused = made.readyState === EventSource.CLOSED;
        tell(refused ? 'waiting for a place' : 'connecting');
        if (refused) again = window.setTimeout(open, REFUSED_WAIT_MS);
    };
    for (const [name, topic] of topics) {
        for (const event of EVENTS[name]) {
            made.addEventListener(event, (message) => topic.on()[event]?.(JSON.parse((message as MessageEvent<string>).data)));
        }
    }
}

/** Looks once all who come and go at the same time have done so. */
function sync(): void {
    if (due) return;
    due = true;
    queueMicrotask(() => {
        due = false;
        if (wanted() !== opened) open();
    });
}

document.addEventListener('visibilitychange', sync);

/** Hears of a topic; without a query (null) of nothing. */
export function useTopic(name: Name, query: string | null, on: Handlers, onState: (state: StreamState) => void): void {
    const latest = useRef({ on, onState });
    latest.current = { on, onState };
    useEffect(() => {
        if (query === null) return;
        topics.set(name, { query, on: () => latest.current.on, onState: (state) => latest.current.onState(state) });
        // The same address again still has new listeners to serve.
        opened = '';
        sync();
        return () => {
            topics.delete(name);
            latest.current.onState('connecting');
            sync();
        };
    }, [name, query]);
}
