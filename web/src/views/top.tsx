// Tables of leading groups: users, spaces, models, providers, errors.

import * as show from '../format';
import type { Dashboard, Top, TopRow } from '../types';
import { Delta, Figure, Name, PhaseBar, Segments, Spark } from '../ui';
import { type DimensionName, type State, apiQuery, follow, go, link, withFilter } from '../url';

interface Column {
    name: string;
    sort?: string;
    stat?: string;
    minor?: boolean;
    cell: (row: TopRow, top: Top) => preact.ComponentChild;
    /** Not shown for error types, which only have counts. */
    detail?: boolean;
    percentile?: boolean;
    /** Shown only if every row has a trend. */
    trend?: boolean;
}

/** Graphical columns, aligned left. */
const LEFT = ['Trend', 'Share', 'Context / LLM'];

const COLUMNS: Column[] = [
    { name: 'Requests', sort: 'request_rate', cell: (row) => <Figure value={row.requests} text={show.count(row.requests)} /> },
    {
        name: 'Trend',
        minor: true,
        trend: true,
        cell: (row) => (
            <td class="cell-spark minor">
                <Spark values={row.trend ?? []} />
            </td>
        ),
    },
    {
        name: 'Share',
        minor: true,
        cell: (row, top) => (
            <td class="cell-bar minor">
                <span class="meter" title={show.percent(top.sort === 'cost' ? row.cost_share_percent : row.requests_share_percent)}>
                    <span
                        style={{
                            width: `${Math.min(100, (top.sort === 'cost' ? row.cost_share_percent : row.requests_share_percent) ?? 0)}%`,
                        }}
                    />
                </span>
            </td>
        ),
    },
    {
        name: 'Errors',
        sort: 'error_rate',
        minor: true,
        detail: true,
        cell: (row) => <Figure class="minor" value={row.error_rate_percent} text={show.percent(row.error_rate_percent)} />,
    },
    {
        name: 'Average',
        sort: 'total_latency',
        stat: 'average',
        minor: true,
        detail: true,
        cell: (row) => <Figure class="minor" value={row.average_ms} text={show.duration(row.average_ms)} />,
    },
    {
        name: 'p50',
        sort: 'total_latency',
        stat: 'median',
        minor: true,
        detail: true,
        percentile: true,
        cell: (row) => <Figure class="minor" value={row.median_ms} text={show.duration(row.median_ms)} />,
    },
    {
        name: 'p95',
        sort: 'total_latency',
        stat: 'p95',
        detail: true,
        percentile: true,
        cell: (row) => <Figure value={row.p95_ms} text={show.duration(row.p95_ms)} />,
    },
    {
        name: 'Context / LLM',
        minor: true,
        detail: true,
        cell: (row) => (
            <td class="cell-bar minor">
                <PhaseBar phases={row} />
            </td>
        ),
    },
    {
        name: 'Tokens',
        sort: 'total_tokens',
        minor: true,
        detail: true,
        cell: (row) => <Figure class="minor" value={row.tokens} text={show.compact(row.tokens)} />,
    },
    {
        name: 'Cost',
        sort: 'cost',
        detail: true,
        cell: (row) => <Figure value={row.cost_usd} text={show.money(row.cost_usd)} />,
    },
    {
        name: 'Cache hits',
        sort: 'cache_hit_rate',
        minor: true,
        detail: true,
        cell: (row) => (
            <Figure class="minor" value={row.cache_hit_rate_percent} text={show.percent(row.cache_hit_rate_percent)} />
        ),
    },
];

/** The order of a table, from the address: a metric and, for latencies, a statistic. */
export function sortOf(state: State): { sort: string; stat: string | undefined } {
    const [sort = 'request_rate', stat] = (state.view.sort ?? 'request_rate').split('.');
    return { sort, stat };
}

export function TopTable({ top, state, compared }: { top: Top; state: State; compared: boolean }) {
    const dimension = top.by as DimensionName;
    const isError = top.by === 'error_type';
    const columns = COLUMNS.filter(
        (column) =>
            !(isError && column.detail) &&
            !(column.percentile && !top.percentiles) &&
            !(column.trend && !top.rows.every((row) => row.trend)),
    );
    const cells = (row: TopRow) =>
        columns.map((column) => <>{column.cell(row, top)}</>);
    return (
        <div class="scroll" tabIndex={0} role="region" aria-label={`Table by ${show.words(top.by)}`}>
            <table class="data cards">
                <caption class="visually-hidden">
                    {show.count(top.groups)} values of {show.words(top.by)}, largest first
                </caption>
                <thead>
                    <tr>
                        <th scope="col">{isError ? 'Error type' : show.words(top.by).replace(/^./, (c) => c.toUpperCase())}</th>
                        {columns.map((column) => {
                            const sorted =
                                column.sort === top.sort && (column.stat === undefined || column.stat === top.stat);
                            const classes = `${LEFT.includes(column.name) ? '' : 'num'} ${column.minor ? 'minor' : ''}`;
                            if (!column.sort || isError) {
                                return (
                                    <th key={column.name} scope="col" class={classes}>
                                        {isError && column.name === 'Requests' ? 'Errors' : column.name}
                                    </th>
                                );
                            }
                            const value = column.stat && column.stat !== 'average' ? `${column.sort}.${column.stat}` : column.sort;
                            return (
                                <th
                                    key={column.name}
                                    scope="col"
                                    class={classes}
                                    {...(sorted ? { 'aria-sort': 'descending' as const } : {})}
                                >
                                    <button type="button" onClick={() => go({ view: { sort: value } }, 'replace')}>
                                        {column.name}
                                        {sorted ? ' ↓' : ''}
                                    </button>
                                </th>
                            );
                        })}
                        {compared && (
                            <th scope="col" class="num minor">
                                Change
                            </th>
                        )}
                    </tr>
                </thead>
                <tbody>
                    {top.rows.map((row) => {
                        const change = { filters: withFilter(state.filters, dimension, row.name), tab: 'overview' as const };
                        return (
                            <tr key={row.name}>
                                <th scope="row">
                                    <a href={link(change)} onClick={(event) => follow(event, change)}>
                                        <Name text={row.name} />
                                    </a>
                                </th>
                                {cells(row)}
                                {compared && (
                                    <td class="num minor">
                                        <Delta value={row.requests} previous={row.previous_requests} base={row.previous_requests} />
                                    </td>
                                )}
                            </tr>
                        );
                    })}
                </tbody>
                {top.groups > top.rows.length && (
                    <tfoot>
                        <tr>
                            <th scope="row">{show.count(top.groups - top.rows.length)} others</th>
                            {cells(top.other)}
                            {compared && <td class="minor" />}
                        </tr>
                    </tfoot>
                )}
            </table>
        </div>
    );
}

const DIMENSION_OPTIONS = [
    ['model', 'Models'],
    ['user', 'Users'],
    ['space', 'Spaces'],
    ['error_type', 'Errors'],
] as const;

const PLURALS: Record<string, string> = { model: 'models', user: 'users', space: 'spaces', error_type: 'error types', provider: 'providers' };
const TABS: Record<string, State['tab']> = { model: 'models', user: 'users', space: 'spaces' };

export const topOf = (state: State): string =>
    DIMENSION_OPTIONS.find(([name]) => name === state.view.top)?.[0] ?? 'model';

export function TopPanel({ data, state, zone }: { data: Dashboard; state: State; zone: string }) {
    const { top } = data;
    if (!top) return null;
    const { sort, stat } = sortOf(state);
    const csv = `api/metrics/dashboard?${apiQuery(state, zone, {
        part: 'top',
        top: top.by,
        sort,
        stat,
        limit: '1000',
        compare: state.compare,
        format: 'csv',
    })}`;
    const tab = TABS[top.by];
    return (
        <section class="panel wide" id="panel-top" aria-label="Top">
            <div class="panel-head">
                <h2>Top</h2>
                <Segments
                    label="Top by"
                    value={topOf(state)}
                    options={DIMENSION_OPTIONS}
                    onChange={(value) => go({ view: { top: value === 'model' ? undefined : value } }, 'replace')}
                />
                <span class="grow" />
                <span class="panel-tools">
                    {tab && (
                        <a class="button plain" href={link({ tab })} onClick={(event) => follow(event, { tab })}>
                            All {PLURALS[top.by]}
                        </a>
                    )}
                    <a class="button plain" href={csv} download aria-label="Top: CSV">
                        CSV
                    </a>
                </span>
            </div>
            {top.rows.length === 0 ? (
                <div class="blank">Nothing here in this range.</div>
            ) : (
                <TopTable top={top} state={state} compared={state.compare !== ''} />
            )}
        </section>
    );
}
