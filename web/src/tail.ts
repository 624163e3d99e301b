// Requests as they are stored, over server-sent events. One stream at most, only while it is looked at.

import { useEffect, useState } from 'preact/hooks';
import type { StoredRequest } from './types';

const KEPT = 100;

export interface TailState {
    requests: StoredRequest[];
    state: 'connecting' | 'open' | 'waiting for a place';
    /** When requests were left out, in milliseconds. */
    gap: number | null;
}

const NOTHING: TailState = { requests: [], state: 'connecting', gap: null };

export function useTail(query: string, paused: boolean): TailState {
    const [tail, setTail] = useState<TailState>(NOTHING);
    const [hidden, setHidden] = useState(document.hidden);
    useEffect(() => {
        const listener = () => setHidden(document.hidden);
        document.addEventListener('visibilitychange', listener);
        return () => document.removeEventListener('visibilitychange', listener);
    }, []);
    useEffect(() => setTail(NOTHING), [query]);
    useEffect(() => {
        if (!query || paused || hidden) return;
        let [source, timer]: [EventSource | null, number] = [null, 0];
        let waiting: StoredRequest[] = [];
        const flush = () => {
            timer = 0;
            const arrived = waiting.reverse();
            waiting = [];
            setTail((before) => ({ ...before, requests: [...arrived, ...before.requests].slice(0, KEPT) }));
        };
        let again = 0;
        const open = () => {
            source = new EventSource(`api/stream?${query}`);
            source.onopen = () => setTail((before) => ({ ...before, state: 'open' }));
            source.onerror = () => {
                const closed = source?.readyState === EventSource.CLOSED;
                setTail((before) => ({ ...before, state: closed ? 'waiting for a place' : 'connecting' }));
                // A refusal ends the browser's own attempts.
                if (closed) again = window.setTimeout(open, 10_000);
            };
            source.addEventListener('request', (event) => {
                waiting.push(JSON.parse((event as MessageEvent<string>).data) as StoredRequest);
                if (waiting.length > KEPT) waiting.shift();
                timer ||= window.setTimeout(flush, 250);
            });
            source.addEventListener('gap', () => setTail((before) => ({ ...before, gap: Date.now() })));
        };
        open();
        return () => {
            source?.close();
            window.clearTimeout(timer);
            window.clearTimeout(again);
        };
    }, [query, paused, hidden]);
    return tail;
}
