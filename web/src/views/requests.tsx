// Requests: the list, the details of one request, and the live tail.

import { useEffect, useState } from 'preact/hooks';
import { Problem, get } from '../api';
import * as show from '../format';
import { usePolled } from '../poll';
import { useTail } from '../tail';
import type { RequestsPage, StoredRequest } from '../types';
import { CopyButton, Dialog, Figure, Name, PhaseBar, ProblemNote } from '../ui';
import { type DimensionName, type State, apiQuery, closeDialog, go, withFilter } from '../url';
import { boundsOf } from './series';

const PAGE = 50;

function Outcome({ request }: { request: StoredRequest }) {
    const text =
        request.outcome === 'error' ? show.words(request.error_type ?? 'error') : request.cache_hit ? 'cache hit' : request.outcome;
    return <span class={`outcome ${request.outcome}`}>{text}</span>;
}

const phasesOf = (request: StoredRequest) => ({
    context_ms: request.context_latency_ms,
    llm_ms: request.llm_latency_ms,
    other_ms:
        request.total_latency_ms === null
            ? null
            : Math.max(0, request.total_latency_ms - (request.context_latency_ms ?? 0) - (request.llm_latency_ms ?? 0)),
});

export function RequestRows(props: { requests: StoredRequest[]; zone: string; caption: string }) {
    return (
        <div class="scroll" tabIndex={0} role="region" aria-label={props.caption}>
            <table class="data cards">
                <caption class="visually-hidden">{props.caption}</caption>
                <thead>
                    <tr>
                        <th scope="col">Started</th>
                        <th scope="col">Outcome</th>
                        <th scope="col" class="minor">
                            Space
                        </th>
                        <th scope="col" class="minor">
                            User
                        </th>
                        <th scope="col" class="minor">
                            Model
                        </th>
                        <th scope="col" class="num">
                            Latency
                        </th>
                        <th scope="col" class="minor">
                            Context / LLM
                        </th>
                        <th scope="col" class="num minor">
                            TTFT
                        </th>
                        <th scope="col" class="num minor">
                            Tokens
                        </th>
                        <th scope="col" class="num minor">
                            Cost
                        </th>
                    </tr>
                </thead>
                <tbody>
                    {props.requests.map((request) => (
                        <tr key={`${request.started_at} ${request.request_id}`}>
                            <th scope="row" class="nowrap">
                                <button
                                    type="button"
                                    class="link"
                                    title={request.request_id}
                                    onClick={() => go({ view: { request: request.request_id, at: request.started_at } })}
                                >
                                    {show.day(Date.parse(request.started_at), props.zone)}{' '}
                                    {show.clockSeconds(Date.parse(request.started_at), props.zone)}
                                </button>
                            </th>
                            <td>
                                <Outcome request={request} />
                            </td>
                            <td class="minor">{request.space === null ? <Missing /> : <Name text={request.space} />}</td>
                            <td class="minor">{request.user === null ? <Missing /> : <Name text={request.user} />}</td>
                            <td class="minor">{request.model === null ? <Missing /> : <Name text={request.model} />}</td>
                            <Figure value={request.total_latency_ms} text={show.duration(request.total_latency_ms)} />
                            <td class="cell-bar minor">
                                <PhaseBar phases={phasesOf(request)} />
                            </td>
                            <Figure
                                class="minor"
                                value={request.time_to_first_token_ms}
                                text={show.duration(request.time_to_first_token_ms)}
                            />
                            <Figure class="minor" value={tokensOf(request)} text={show.count(tokensOf(request))} />
                            <Figure class="minor" value={request.cost_usd} text={show.money(request.cost_usd)} />
                        </tr>
                    ))}
                </tbody>
            </table>
        </div>
    );
}

const Missing = () => <span class="muted">{show.NONE}</span>;

const tokensOf = (request: StoredRequest): number | null =>
    request.prompt_tokens === null && request.completion_tokens === null
        ? null
        : (request.prompt_tokens ?? 0) + (request.completion_tokens ?? 0);

/** Fields shown as links that filter by their value. */
const LINKED: [DimensionName, keyof StoredRequest][] = [
    ['space', 'space'],
    ['user', 'user'],
    ['model', 'model'],
    ['provider', 'provider'],
    ['error_type', 'error_type'],
    ['source', 'source'],
];

function RequestDialog({ state, zone }: { state: State; zone: string }) {
    const { request: id, at } = state.view;
    const [found, setFound] = useState<StoredRequest | null>(null);
    const [problem, setProblem] = useState<Problem | null>(null);
    useEffect(() => {
        setFound(null);
        setProblem(null);
        if (!id) return;
        const stop = new AbortController();
        const path = `api/requests/${encodeURIComponent(id)}${at ? `?started_at=${encodeURIComponent(at)}` : ''}`;
        get<StoredRequest>(path, stop.signal).then(setFound, (error) => {
            if (error instanceof Problem) setProblem(error);
        });
        return () => stop.abort();
    }, [id, at]);
    const close = () => closeDialog({ view: { request: undefined, at: undefined } });
    const fact = (name: string, value: string | null | undefined, dimension?: DimensionName) => (
        <div key={name}>
            <dt>{name}</dt>
            <dd>
                {value === null || value === undefined ? (
                    <Missing />
                ) : dimension ? (
                    <button
                        type="button"
                        class="link"
                        title={`Only ${show.words(dimension)} ${value}`}
                        onClick={() =>
                            go({
                                filters: withFilter(state.filters, dimension, value),
                                view: { request: undefined, at: undefined },
                            })
                        }
                    >
                        <bdi>{value}</bdi>
                    </button>
                ) : (
                    <bdi>{value}</bdi>
                )}
            </dd>
        </div>
    );
    const tokens = (value: number | null) => (value === null ? null : show.count(value));
    const time = (value: number | null) => (value === null ? null : show.duration(value));
    return (
        <Dialog title="Request" wide open={Boolean(id)} onClose={close}>
            {problem && <ProblemNote problem={problem} />}
            {!found && !problem && <div class="skeleton chart" />}
            {found && (
                <div class="stack">
                    <div class="row">
                        <Outcome request={found} />
                        <code class="grow">
                            <bdi>{found.request_id}</bdi>
                        </code>
                        <CopyButton text={() => found.request_id} label="Copy id" />
                    </div>
                    <p class="muted">
                        {show.exactInstant(Date.parse(found.started_at), zone)} ({zone})
                    </p>
                    <PhaseBar phases={phasesOf(found)} large />
                    <dl class="facts">
                        {fact('Total latency', time(found.total_latency_ms))}
                        {fact('Context latency', time(found.context_latency_ms))}
                        {fact('LLM latency', time(found.llm_latency_ms))}
                        {fact('Time to first token', time(found.time_to_first_token_ms))}
                        {fact('Prompt tokens', tokens(found.prompt_tokens))}
                        {fact('Completion tokens', tokens(found.completion_tokens))}
                        {fact('Cached prompt tokens', tokens(found.cached_prompt_tokens))}
                        {fact('Cache write tokens', tokens(found.cache_write_prompt_tokens))}
                        {fact('Cached for an hour', tokens(found.cache_write_1h_prompt_tokens))}
                        {fact('Reasoning tokens', tokens(found.reasoning_tokens))}
                        {fact('Cost', found.cost_usd === null ? null : show.money(found.cost_usd))}
                        {fact('Cost known from', found.cost_source)}
                        {LINKED.map(([dimension, key]) =>
                            fact(
                                show.words(dimension).replace(/^./, (c) => c.toUpperCase()),
                                found[key] as string | null,
                                dimension,
                            ),
                        )}
                        {fact('Session', found.session)}
                        {fact('Service tier', found.service_tier)}
                        {fact('API key', found.api_key)}
                        {fact('Operation', found.operation)}
                        {fact('Error code', found.error_code)}
                        {fact('HTTP status', found.http_status === null ? null : String(found.http_status))}
                        {fact('Finish reason', found.finish_reason)}
                        {fact('Attempt', String(found.attempt))}
                        {fact('Streamed', found.streamed === null ? null : found.streamed ? 'yes' : 'no')}
                        {fact('Response cache', found.cache_hit ? 'hit' : 'miss')}
                        {fact('Provider response id', found.provider_response_id)}
                        {fact('Tags', found.tags === null ? null : JSON.stringify(found.tags))}
                    </dl>
                    <p class="muted">What people wrote is never stored, so there is nothing more to see.</p>
                </div>
            )}
        </Dialog>
    );
}

function TailPanel({ state, zone }: { state: State; zone: string }) {
    const wanted = state.view.tail === 'on';
    const [paused, setPaused] = useState(false);
    const [slow, setSlow] = useState(false);
    const [errors, setErrors] = useState(false);
    const tail = useTail(wanted ? apiQuery({ ...state, from: '', to: 'now' }, zone, boundsOf(state)).replace(/^start=&/, '') : '', paused);
    const shown = tail.requests.filter(
        (request) =>
            (!errors || request.outcome === 'error') && (!slow || (request.total_latency_ms ?? 0) > 5_000),
    );
    return (
        <section class="panel" id="panel-tail" aria-label="Live tail">
            <div class="panel-head">
                <h2>Live tail</h2>
                <button
                    type="button"
                    aria-pressed={wanted}
                    onClick={() => go({ view: { tail: wanted ? undefined : 'on' } }, 'replace')}
                >
                    {wanted ? 'Close' : 'Open'}
                </button>
                {wanted && (
                    <>
                        <button type="button" aria-pressed={paused} onClick={() => setPaused(!paused)}>
                            {paused ? 'Go on' : 'Pause'}
                        </button>
                        <label class="row">
                            <input
                                type="checkbox"
                                checked={errors}
                                onChange={(event) => setErrors(event.currentTarget.checked)}
                            />
                            errors only
                        </label>
                        <label class="row">
                            <input
                                type="checkbox"
                                checked={slow}
                                onChange={(event) => setSlow(event.currentTarget.checked)}
                            />
                            slower than 5 s
                        </label>
                    </>
                )}
                <span class="grow" />
                {wanted && (
                    <span class={`freshness ${paused ? 'off' : tail.state === 'open' ? '' : 'stale'}`} role="status">
                        {paused ? 'paused' : tail.state === 'open' ? 'live' : tail.state}
                    </span>
                )}
            </div>
            {wanted && tail.gap && (
                <p class="note warn" data-gap>
                    More requests arrived than can be shown; some before {show.clockSeconds(tail.gap, zone)} were skipped.
                </p>
            )}
            {wanted &&
                (shown.length === 0 ? (
                    <div class="blank">Requests appear here as they are stored.</div>
                ) : (
                    <RequestRows requests={shown} zone={zone} caption="Live tail" />
                ))}
        </section>
    );
}

export function Requests(props: {
    state: State;
    zone: string;
    seconds: number;
    onResult: (result: { at: number; failed: boolean }) => void;
}) {
    const { state, zone } = props;
    const path = `api/requests?${apiQuery(state, zone, { limit: String(PAGE), ...boundsOf(state) })}`;
    const polled = usePolled<RequestsPage>(path, props.seconds);
    const [frozen, setFrozen] = useState<{ of: string; pages: RequestsPage[] }>({ of: '', pages: [] });
    const [problem, setProblem] = useState<Problem | null>(null);
    props.onResult({ at: polled.at, failed: polled.error !== null });
    // After "Older requests" the list is frozen: a refreshed first page would leave a gap before the older ones.
    const isFrozen = frozen.of === path && frozen.pages.length > 0;
    const pages = isFrozen ? frozen.pages : polled.data ? [polled.data] : [];
    const requests = pages.flatMap((page) => page.requests);
    const cursor = isFrozen || polled.of === path ? pages.at(-1)?.next_cursor : null;
    const more = () => {
        get<RequestsPage>(`${path}&cursor=${cursor}`).then(
            (page) => {
                setFrozen({ of: path, pages: [...pages, page] });
                setProblem(null);
            },
            (error) => {
                if (error instanceof Problem) setProblem(error);
            },
        );
    };
    const csv = `api/requests?${apiQuery(state, zone, { limit: '1000', format: 'csv', ...boundsOf(state) })}`;
    return (
        <div class="stack">
            {polled.error && <ProblemNote problem={polled.error} onRetry={polled.refresh} />}
            {problem && <ProblemNote problem={problem} />}
            <TailPanel state={state} zone={zone} />
            <section class={polled.old ? 'panel old' : 'panel'} aria-busy={polled.loading && !polled.data}>
                <div class="panel-head">
                    <h1 class="grow">Requests</h1>
                    {isFrozen && (
                        <button type="button" onClick={() => setFrozen({ of: '', pages: [] })}>
                            Back to the newest
                        </button>
                    )}
                    <span class="panel-tools">
                        <a
                            class="button plain"
                            href={csv}
                            download
                            aria-label="Requests: CSV of the newest 1,000"
                            title="CSV of the newest 1,000"
                        >
                            CSV
                        </a>
                    </span>
                </div>
                {!polled.data ? (
                    <div class="skeleton chart" />
                ) : requests.length === 0 ? (
                    <div class="blank">
                        {cursor ? 'None among the newest requests; older ones have not been searched yet.' : 'No requests here in this range.'}
                    </div>
                ) : (
                    <RequestRows requests={requests} zone={zone} caption="Requests, newest first" />
                )}
                {cursor && (
                    <button type="button" onClick={more}>
                        Older requests
                    </button>
                )}
            </section>
            <RequestDialog state={state} zone={zone} />
        </div>
    );
}
