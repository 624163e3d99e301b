// Users, Spaces, Models: one table, sorted by the chosen column.

import { useState } from 'preact/hooks';
import * as show from '../format';
import { usePolled } from '../poll';
import type { Dashboard } from '../types';
import { ProblemNote } from '../ui';
import { type State, apiQuery } from '../url';
import { TopTable, sortOf } from './top';

const FEW = 50;
const MANY = 1_000;

export function Groups(props: {
    state: State;
    zone: string;
    by: 'user' | 'space' | 'model';
    title: string;
    seconds: number;
    onResult: (result: { at: number; data: Dashboard | null; failed: boolean }) => void;
}) {
    const { state, zone, by } = props;
    const [limit, setLimit] = useState(FEW);
    const { sort, stat } = sortOf(state);
    const params = { part: 'top', top: by, sort, stat, limit: String(limit), compare: state.compare };
    const polled = usePolled<Dashboard>(`api/metrics/dashboard?${apiQuery(state, zone, params)}`, props.seconds);
    const top = polled.data?.top?.by === by ? polled.data.top : null;
    props.onResult({ at: polled.at, data: polled.data, failed: polled.error !== null });
    const csv = `api/metrics/dashboard?${apiQuery(state, zone, { ...params, limit: String(MANY), format: 'csv' })}`;
    return (
        <div class="stack">
            {polled.error && <ProblemNote problem={polled.error} onRetry={polled.refresh} />}
            <section class={polled.old ? 'panel old' : 'panel'} aria-busy={polled.loading && !top}>
                <div class="panel-head">
                    <h1 class="grow">{props.title}</h1>
                    <span class="panel-tools">
                        <a class="button plain" href={csv} download aria-label={`${props.title}: CSV`}>
                            CSV
                        </a>
                    </span>
                </div>
                <p class="sentence">
                    {top
                        ? `${show.count(top.groups)} with ${show.count(top.total.requests)} requests, ${show.compact(top.total.tokens)} tokens and ${show.money(top.total.cost_usd)}.`
                        : ' '}
                    {by === 'user' && ' Users are shown by pseudonym; filter by the plain id to find one.'}
                </p>
                {top === null ? (
                    <div class="skeleton chart" />
                ) : top.rows.length === 0 ? (
                    <div class="blank">No requests in this range.</div>
                ) : (
                    <TopTable top={top} state={state} compared={state.compare !== ''} />
                )}
                {top && top.groups > top.rows.length && limit < MANY && (
                    <button type="button" onClick={() => setLimit(MANY)}>
                        Show {top.groups > MANY ? `the first ${show.count(MANY)}` : `all ${show.count(top.groups)}`}
                    </button>
                )}
            </section>
        </div>
    );
}
