// Requests to the server. Every failure is a `Problem`, an error with a title and a detail.

export class Problem extends Error {
    constructor(
        readonly status: number,
        readonly title: string,
        readonly detail: string,
        readonly retryAfter: number | null = null,
    ) {
        super(`${title}: ${detail}`);
    }
}

/** Called when the server rejects the session. */
let onLoggedOut: () => void = () => {};

export function whenLoggedOut(listener: () => void): void {
    onLoggedOut = listener;
}

async function problemOf(response: Response): Promise<Problem> {
    let [title, detail] = [`The server returned ${response.status}`, response.statusText];
    try {
        const body = (await response.json()) as { title?: string; detail?: string };
        title = body.title ?? title;
        detail = body.detail ?? detail;
    } catch {
        // Not a problem document: a proxy may have sent this response.
    }
    const after = Number(response.headers.get('retry-after'));
    return new Problem(response.status, title, detail, Number.isFinite(after) && after > 0 ? after : null);
}

export async function send(path: string, init: RequestInit = {}): Promise<Response> {
    let response: Response;
    try {
        response = await fetch(path, { credentials: 'same-origin', ...init });
    } catch (error) {
        if (init.signal?.aborted) throw error;
        throw new Problem(0, 'The server cannot be reached', 'It is stopped, or the network is.');
    }
    if (response.status === 401 && path !== 'api/session') onLoggedOut();
    if (!response.ok && response.status !== 304) throw await problemOf(response);
    return response;
}

export async function get<T>(path: string, signal?: AbortSignal): Promise<T> {
    const response = await send(path, signal ? { signal } : {});
    return (await response.json()) as T;
}

/** Parses JSON; integers that the browser would round become strings. */
function parseExactly(text: string): unknown {
    const keep = (_: string, value: unknown, context?: { source?: string }) =>
        typeof value === 'number' && Number.isInteger(value) && !Number.isSafeInteger(value) && context?.source
            ? context.source
            : value;
    return JSON.parse(text, keep);
}

export async function post<T>(path: string, body: unknown, method = 'POST'): Promise<T | null> {
    const response = await send(path, {
        method,
        headers: { 'content-type': 'application/json' },
        body: body === undefined ? null : JSON.stringify(body),
    });
    const text = await response.text();
    return text ? (parseExactly(text) as T) : null;
}
