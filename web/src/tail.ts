// The live tail: requests as they are stored, from the stream.

import { useEffect, useRef, useState } from 'preact/hooks';
import { type StreamState, useTopic } from './stream';
import type { StoredRequest } from './types';

const KEPT = 100;
const FLUSH_MS = 250;

export interface TailState {
    requests: StoredRequest[];
    state: StreamState;
    /** When requests were last skipped, in milliseconds. */
    gap: number | null;
}

const NOTHING: TailState = { requests: [], state: 'connecting', gap: null };

export function useTail(query: string, paused: boolean): TailState {
    const [tail, setTail] = useState<TailState>(NOTHING);
    const arriving = useRef<{ requests: StoredRequest[]; timer: number }>({ requests: [], timer: 0 });
    useEffect(() => setTail(NOTHING), [query]);
    useEffect(() => () => window.clearTimeout(arriving.current.timer), []);
    const flush = () => {
        const arrived = arriving.current.requests.reverse();
        arriving.current = { requests: [], timer: 0 };
        setTail((before) => ({ ...before, requests: [...arrived, ...before.requests].slice(0, KEPT) }));
    };
    useTopic(
        'requests',
        query && !paused ? query : null,
        {
            request: (data) => {
                const { requests } = arriving.current;
                requests.push(data as StoredRequest);
                if (requests.length > KEPT) requests.shift();
                arriving.current.timer ||= window.setTimeout(flush, FLUSH_MS);
            },
            gap: () => setTail((before) => ({ ...before, gap: Date.now() })),
        },
        (state) => setTail((before) => ({ ...before, state })),
    );
    return tail;
}
