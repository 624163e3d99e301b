// Polling: paused while the page is hidden, slower while the server fails; the last data stays on the page.

import { useCallback, useEffect, useRef, useState } from 'preact/hooks';
import { Problem, send } from './api';

/** Seconds until the retry after the first, second, third and every later failure. */
const BACK_OFF = [10, 20, 40, 60];

export interface Polled<T> {
    data: T | null;
    /** The path that `data` was loaded from. */
    of: string;
    /** `data` is from an earlier path, or the latest request failed. */
    old: boolean;
    error: Problem | null;
    /** When `data` was last confirmed, in milliseconds. */
    at: number;
    loading: boolean;
    refresh: () => void;
}

const refreshers = new Set<() => void>();

/** Refreshes everything on the page. */
export function refreshAll(): void {
    for (const refresh of [...refreshers]) refresh();
}

/**
 * Polls `path` every `seconds`; 0: loads it once. An empty path loads nothing. Without `joins`, `refreshAll` skips it:
 * for data that the stream keeps current.
 */
export function usePolled<T>(path: string, seconds: number, joins = true): Polled<T> {
    const [result, setResult] = useState<Omit<Polled<T>, 'refresh' | 'old'>>({
        data: null,
        of: '',
        error: null,
        at: 0,
        loading: path !== '',
    });
    const runLatest = useRef<() => void>(() => {});
    useEffect(() => {
        if (!path) return;
        let [timer, failures, tag, ended] = [0, 0, '', false];
        let request: AbortController | null = null;
        const schedule = (delay: number) => {
            window.clearTimeout(timer);
            if (!ended && delay > 0 && !document.hidden) timer = window.setTimeout(run, delay * 1_000);
        };
        const run = async () => {
            request?.abort();
            const mine = new AbortController();
            request = mine;
            // Data on the page stays; a refresh alone renders nothing.
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
                schedule(seconds);
            } catch (error) {
                if (ended || mine.signal.aborted) return;
                const problem =
                    error instanceof Problem ? error : new Problem(0, 'Unreadable response', String(error));
                setResult((before) => ({ ...before, error: problem, loading: false }));
                const delay = BACK_OFF[Math.min(failures, BACK_OFF.length - 1)] ?? 60;
                failures += 1;
                schedule(Math.max(delay, problem.retryAfter ?? 0));
            }
        };
        const onVisibility = () => {
            window.clearTimeout(timer);
            if (!document.hidden && seconds > 0) void run();
        };
        const now = () => void run();
        runLatest.current = now;
        if (joins) refreshers.add(now);
        document.addEventListener('visibilitychange', onVisibility);
        void run();
        return () => {
            ended = true;
            refreshers.delete(now);
            runLatest.current = () => {};
            window.clearTimeout(timer);
            request?.abort();
            document.removeEventListener('visibilitychange', onVisibility);
        };
    }, [path, seconds, joins]);
    const refresh = useCallback(() => runLatest.current(), []);
    const old = result.error !== null || (result.data !== null && result.of !== path);
    return { ...result, old, refresh };
}

/** Renders the component every second and returns the time. */
export function useClock(): number {
    const [now, set] = useState(Date.now());
    useEffect(() => {
        const timer = window.setInterval(() => set(Date.now()), 1_000);
        return () => window.clearInterval(timer);
    }, []);
    return now;
}
