// Asking again and again: paused while nobody looks, slower while the server fails, and what was known
// stays on the page.

import { useCallback, useEffect, useRef, useState } from 'preact/hooks';
import { Problem, send } from './api';

/** Seconds to wait after one, two, three and more failures. */
const BACK_OFF = [10, 20, 40, 60];

export interface Polled<T> {
    data: T | null;
    /** The question that `data` answers. */
    of: string;
    /** `data` answers an earlier question, or is older than it should be. */
    old: boolean;
    error: Problem | null;
    /** When `data` was last known to be right. */
    at: number;
    loading: boolean;
    refresh: () => void;
}

const askers = new Set<() => void>();

/** Asks everything that is shown again, now. */
export function refreshAll(): void {
    for (const ask of [...askers]) ask();
}

/**
 * Asks `path` every `seconds`; 0: once. An empty path asks nothing. What the stream tells of need not join when all
 * is asked again.
 */
export function usePolled<T>(path: string, seconds: number, joins = true): Polled<T> {
    const [result, setResult] = useState<Omit<Polled<T>, 'refresh' | 'old'>>({
        data: null,
        of: '',
        error: null,
        at: 0,
        loading: path !== '',
    });
    const ask = useRef<() => void>(() => {});
    useEffect(() => {
        if (!path) return;
        let [timer, failures, tag, ended] = [0, 0, '', false];
        let request: AbortController | null = null;
        const later = (wait: number) => {
            window.clearTimeout(timer);
            if (!ended && wait > 0 && !document.hidden) timer = window.setTimeout(run, wait * 1_000);
        };
        const run = async () => {
            request?.abort();
            const mine = new AbortController();
            request = mine;
            // What is known stays, and nothing is drawn for a question alone.
            setResult((before) => (before.data || before.loading ? before : { ...before, loading: true }));
            try {
                const response = await send(path, {
                    signal: mine.signal,
                    ...(tag ? { headers: { 'if-none-match': tag } } : {}),
                });
                const same = response.status === 304;
                const data = same ? null : ((await response.json()) as T);
                if (ended || mine.signal.aborted) return;
                tag = response.headers.get('etag') ?? '';
                failures = 0;
                setResult((before) => ({
                    data: same ? before.data : data,
                    of: path,
                    error: null,
                    at: Date.now(),
                    loading: false,
                }));
                later(seconds);
            } catch (error) {
                if (ended || mine.signal.aborted) return;
                const problem =
                    error instanceof Problem ? error : new Problem(0, 'The answer cannot be read', String(error));
                setResult((before) => ({ ...before, error: problem, loading: false }));
                const wait = BACK_OFF[Math.min(failures, BACK_OFF.length - 1)] ?? 60;
                failures += 1;
                later(Math.max(wait, problem.retryAfter ?? 0));
            }
        };
        const onVisibility = () => {
            window.clearTimeout(timer);
            if (!document.hidden && seconds > 0) void run();
        };
        const now = () => void run();
        ask.current = now;
        if (joins) askers.add(now);
        document.addEventListener('visibilitychange', onVisibility);
        void run();
        return () => {
            ended = true;
            askers.delete(now);
            ask.current = () => {};
            window.clearTimeout(timer);
            request?.abort();
            document.removeEventListener('visibilitychange', onVisibility);
        };
    }, [path, seconds, joins]);
    const refresh = useCallback(() => ask.current(), []);
    const old = result.error !== null || (result.data !== null && result.of !== path);
    return { ...result, old, refresh };
}

/** Renders again every second. */
export function useClock(): number {
    const [now, set] = useState(Date.now());
    useEffect(() => {
        const timer = window.setInterval(() => set(Date.now()), 1_000);
        return () => window.clearInterval(timer);
    }, []);
    return now;
}
