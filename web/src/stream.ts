// Server-sent events: one stream for the whole page, because browsers open few connections to a host. It is closed
// while the page is hidden, and reopened when its topics or their queries change.

import { useEffect, useRef } from 'preact/hooks';

export type StreamState = 'connecting' | 'open' | 'refused, retrying';

type Handlers = Record<string, (data: unknown) => void>;

interface Topic {
    /** Further parameters of the stream's address. */
    query: string;
    on: () => Handlers;
    onState: (state: StreamState) => void;
}

/** Milliseconds until the next attempt after a refusal, which ends the browser's own retries. */
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

function notify(state: StreamState): void {
    for (const topic of topics.values()) topic.onState(state);
}

function open(): void {
    window.clearTimeout(again);
    source?.close();
    source = null;
    opened = wanted();
    if (!opened) return;
    notify('connecting');
    const made = new EventSource(opened);
    source = made;
    made.onopen = () => notify('open');
    made.onerror = () => {
        const refused = made.readyState === EventSource.CLOSED;
        notify(refused ? 'refused, retrying' : 'connecting');
        if (refused) again = window.setTimeout(open, REFUSED_WAIT_MS);
    };
    for (const [name, topic] of topics) {
        for (const event of EVENTS[name]) {
            made.addEventListener(event, (message) => topic.on()[event]?.(JSON.parse((message as MessageEvent<string>).data)));
        }
    }
}

/** Reopens the stream if needed, once for all topics that are added and removed in the same task. */
function sync(): void {
    if (due) return;
    due = true;
    queueMicrotask(() => {
        due = false;
        if (wanted() !== opened) open();
    });
}

document.addEventListener('visibilitychange', sync);

/** Subscribes to a topic while `query` is not null. */
export function useTopic(name: Name, query: string | null, on: Handlers, onState: (state: StreamState) => void): void {
    const latest = useRef({ on, onState });
    latest.current = { on, onState };
    useEffect(() => {
        if (query === null) return;
        topics.set(name, { query, on: () => latest.current.on, onState: (state) => latest.current.onState(state) });
        // Reopen even for the same address: the new handlers need listeners.
        opened = '';
        sync();
        return () => {
            topics.delete(name);
            latest.current.onState('connecting');
            sync();
        };
    }, [name, query]);
}
