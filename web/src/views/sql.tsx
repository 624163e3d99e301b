// SQL: one read-only statement over the documented views.

import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { Problem, post, send } from '../api';
import * as show from '../format';
import { keep, kept } from '../prefs';
import type { SqlResult } from '../types';
import { ProblemNote } from '../ui';
import { type State, go } from '../url';

const EXAMPLES: [string, string][] = [
    ['Cost and tokens by day', 'select * from usage_daily order by day desc limit 30'],
    ['Latency by day', 'select * from latency_daily order by day desc limit 30'],
    [
        'Heaviest users of the last 7 days',
        "select user, count(*) as requests, sum(prompt_tokens + completion_tokens) as tokens\nfrom request_log\nwhere started_at >= datetime('now', '-7 days')\ngroup by user order by tokens desc limit 20",
    ],
    [
        'Errors by model and code',
        "select model, error_type, error_code, count(*) as errors\nfrom request_log\nwhere error_type is not null\ngroup by 1, 2, 3 order by errors desc limit 50",
    ],
];

const VIEWS = "select name from sqlite_schema where type = 'view' order by name";
const HISTORY = 20;
/** Maximum number of table cells; rendering more blocks the page for seconds. */
const CELLS_MAX = 10_000;

function history(): string[] {
    try {
        const list: unknown = JSON.parse(kept('sql') ?? '[]');
        return Array.isArray(list) ? list.filter((one): one is string => typeof one === 'string') : [];
    } catch {
        return [];
    }
}

/** A problem with the statement, without the parameter's name in front. */
const ofStatement = (problem: Problem): Problem =>
    problem.status === 400
        ? new Problem(400, 'The statement cannot be run', problem.detail.replace(/^sql: /, ''))
        : problem;

export function Sql({ state }: { state: State }) {
    const [text, setText] = useState(state.view.q ?? history()[0] ?? EXAMPLES[0]?.[1] ?? '');
    const [past, setPast] = useState(history());
    const [views, setViews] = useState<string[]>([]);
    const [result, setResult] = useState<SqlResult | null>(null);
    const [problem, setProblem] = useState<Problem | null>(null);
    const [running, setRunning] = useState(false);
    const area = useRef<HTMLTextAreaElement>(null);
    useEffect(() => {
        post<SqlResult>('api/sql', { sql: VIEWS }).then(
            (found) => setViews(found?.rows.map((row) => String(row[0])) ?? []),
            () => {},
        );
    }, []);
    const run = async () => {
        if (!text.trim() || running) return;
        setRunning(true);
        setProblem(null);
        try {
            setResult(await post<SqlResult>('api/sql', { sql: text }));
            const next = [text, ...past.filter((one) => one !== text)].slice(0, HISTORY);
            keep('sql', JSON.stringify(next));
            setPast(next);
            go({ view: { q: text } }, 'replace');
        } catch (error) {
            if (error instanceof Problem) setProblem(ofStatement(error));
        }
        setRunning(false);
    };
    const download = async () => {
        try {
            const response = await send('api/sql?format=csv', {
                method: 'POST',
                headers: { 'content-type': 'application/json' },
                body: JSON.stringify({ sql: text }),
            });
            const link = document.createElement('a');
            link.href = URL.createObjectURL(await response.blob());
            const truncated = response.headers.get('x-chatgauge-truncated') === 'true';
            link.download = truncated ? 'chatgauge-sql-truncated.csv' : 'chatgauge-sql.csv';
            link.click();
            URL.revokeObjectURL(link.href);
        } catch (error) {
            if (error instanceof Problem) setProblem(error);
        }
    };
    const numeric = useMemo(() => (result ? numbersIn(result) : []), [result]);
    const shown = Math.min(1_000, Math.max(100, Math.floor(CELLS_MAX / Math.max(numeric.length, 1))));
    const insert = (statement: string) => {
        setText(statement);
        area.current?.focus();
    };
    return (
        <div class="stack">
            <section class="panel">
                <div class="panel-head">
                    <h1 class="grow">SQL</h1>
                    <select
                        aria-label="Examples"
                        value=""
                        onChange={(event) => insert(event.currentTarget.value)}
                    >
                        <option value="">Examples</option>
                        {EXAMPLES.map(([name, statement]) => (
                            <option key={name} value={statement}>
                                {name}
                            </option>
                        ))}
                    </select>
                    <select aria-label="Views" value="" onChange={(event) => insert(event.currentTarget.value)}>
                        <option value="">Views</option>
                        {views.map((name) => (
                            <option key={name} value={`select * from ${name} limit 20`}>
                                {name}
                            </option>
                        ))}
                    </select>
                    <select aria-label="History" value="" onChange={(event) => insert(event.currentTarget.value)}>
                        <option value="">History</option>
                        {past.map((statement) => (
                            <option key={statement} value={statement}>
                                {statement.replace(/\s+/g, ' ').slice(0, 80)}
                            </option>
                        ))}
                    </select>
                </div>
                <form
                    class="stack"
                    onSubmit={(event) => {
                        event.preventDefault();
                        void run();
                    }}
                >
                    <textarea
                        ref={area}
                        aria-label="Statement"
                        spellcheck={false}
                        value={text}
                        onInput={(event) => setText(event.currentTarget.value)}
                        onKeyDown={(event) => {
                            if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) {
                                event.preventDefault();
                                void run();
                            }
                        }}
                    />
                    <div class="row">
                        <button class="primary" type="submit" disabled={running}>
                            {running ? 'Running…' : 'Run'}
                        </button>
                        <span class="muted">
                            <kbd>Ctrl</kbd> <kbd>Enter</kbd> runs it. Reading only; every statement is noted in the audit
                            trail.
                        </span>
                    </div>
                </form>
            </section>
            {problem && <ProblemNote problem={problem} />}
            {result && !problem && (
                <section class="panel" aria-label="Rows">
                    <div class="panel-head">
                        <p class="grow muted" role="status">
                            {show.count(result.rows.length)} rows in {show.duration(result.elapsed_ms)}
                            {result.truncated && '; there are more'}
                        </p>
                        <button type="button" class="plain" onClick={() => void download()}>
                            CSV
                        </button>
                    </div>
                    <div class="scroll rows" tabIndex={0} role="region" aria-label="Rows of the statement">
                        <table class="data">
                            <thead>
                                <tr>
                                    {result.columns.map((column, i) => (
                                        <th key={i} scope="col" class={numeric[i] ? 'num' : ''}>
                                            {column}
                                        </th>
                                    ))}
                                </tr>
                            </thead>
                            <tbody>
                                {result.rows.slice(0, shown).map((row, index) => (
                                    <tr key={index}>
                                        {row.map((value, i) => (
                                            <td
                                                key={i}
                                                class={numeric[i] ? 'num' : ''}
                                                title={typeof value === 'string' && value.length > 40 ? value : undefined}
                                            >
                                                {value === null ? (
                                                    <span class="muted">null</span>
                                                ) : numeric[i] ? (
                                                    String(value)
                                                ) : (
                                                    <bdi>{String(value)}</bdi>
                                                )}
                                            </td>
                                        ))}
                                    </tr>
                                ))}
                            </tbody>
                        </table>
                    </div>
                    {result.rows.length > shown && (
                        <p class="muted">The first {show.count(shown)} are shown; CSV has more.</p>
                    )}
                </section>
            )}
        </div>
    );
}

/** Whether each column is numeric; integers that a browser would round are strings of digits. */
const numbersIn = (result: SqlResult): boolean[] =>
    result.columns.map((_, i) => {
        const known = result.rows.map((row) => row[i]).filter((value) => value !== null);
        return known.some((value) => typeof value === 'number') && known.every((value) => /^-?\d+$/.test(String(value)) || typeof value === 'number');
    });
