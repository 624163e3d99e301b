// Backtests: when a rule would have fired over the stored history.

import { useEffect, useRef, useState } from 'preact/hooks';
import { type Rule, groupText, inUnit, metricName } from '../alerts';
import { Problem, post } from '../api';
import * as show from '../format';
import type { Schemas } from '../types';
import { Dialog, ProblemNote } from '../ui';
import { type State, closeDialog } from '../url';

type Backtest = Schemas['BacktestedBody'];

/** Metrics without a window: they count consecutive requests or evaluations. */
const WITHOUT_WINDOW = ['consecutive_failures', 'failed_evaluations'];

/** The `state_detail` of a rule whose budget or capacity is not configured. */
export const NOT_CONFIGURED = 'not configured';

/** When a rule fires, in words. */
export const condition = (rule: Rule): string => {
    const window = rule.window_s && !WITHOUT_WINDOW.includes(rule.metric);
    const over = rule.period ? ` in a ${rule.period}` : window ? ` over ${show.span(Number(rule.window_s) * 1_000)}` : '';
    const by = rule.by.length > 0 ? ` by ${rule.by.map(show.words).join(' and ')}` : '';
    // For a budget or a capacity the threshold is a share of it.
    const share = rule.limit !== null || rule.period !== null || rule.state_detail === NOT_CONFIGURED;
    const whole = rule.limit === null ? `the ${rule.period ? 'budget' : 'capacity'}` : inUnit(rule.limit, rule.unit);
    const limit = share ? `${show.precise(rule.threshold * 100)} % of ${whole}` : inUnit(rule.threshold, rule.unit);
    return `${metricName(rule.metric)} ${rule.operator} ${limit}${over}${by}`;
};

/** The spans in which a rule would have fired, on a time line. */
export function SpanTimeline(props: { from: number; to: number; spans: { from: number; to: number }[]; label: string }) {
    const width = props.to - props.from;
    const x = (at: number) => Math.min(1_000, Math.max(0, ((at - props.from) * 1_000) / width));
    return (
        <svg class="span-timeline timeline" viewBox="0 0 1000 20" preserveAspectRatio="none" role="img" aria-label={props.label}>
            <rect x="0" y="8" width="1000" height="4" rx="2" />
            {props.spans.map((span, i) => (
                <rect
                    key={i}
                    class="fired"
                    x={x(span.from)}
                    y="0"
                    width={Math.max(2, x(span.to) - x(span.from))}
                    height="20"
                />
            ))}
        </svg>
    );
}

export function BacktestDialog(props: { rules: Rule[]; state: State; zone: string }) {
    const { state, zone } = props;
    const rule = props.rules.find((one) => one.id === state.view.rule);
    const [days, setDays] = useState('7');
    const [result, setResult] = useState<Backtest | null>(null);
    const [problem, setProblem] = useState<Problem | null>(null);
    const [running, setRunning] = useState(false);
    const before = useRef<Promise<unknown>>(Promise.resolve());
    useEffect(() => {
        setResult(null);
        setProblem(null);
        if (!rule) return;
        let ended = false;
        setRunning(true);
        const body = { rule: rule.id, start: `now-${days}d`, end: 'now' };
        // The server runs one backtest at a time, so a new choice starts after the one before it.
        before.current = before.current
            .then(() => (ended ? null : post<Backtest>('api/alerts/backtest', body)))
            .then(
                (backtest) => !ended && setResult(backtest),
                (error) => !ended && error instanceof Problem && setProblem(error),
            )
            .finally(() => !ended && setRunning(false));
        return () => {
            ended = true;
        };
    }, [rule?.id, days]);
    const [from, to] = result ? [Date.parse(result.start), Date.parse(result.end)] : [0, 1];
    return (
        <Dialog
            title={`Backtest: ${rule?.name ?? ''}`}
            wide
            open={Boolean(rule)}
            onClose={() => closeDialog({ view: { rule: undefined } })}
        >
            <div class="stack">
                <div class="row">
                    <p class="grow">{rule && condition(rule)}</p>
                    <select aria-label="Days" value={days} onChange={(event) => setDays(event.currentTarget.value)}>
                        {['1', '7', '14', '30'].map((value) => (
                            <option key={value} value={value}>
                                last {value} {value === '1' ? 'day' : 'days'}
                            </option>
                        ))}
                    </select>
                </div>
                {running && <p class="muted" role="status">Going through the history…</p>}
                {problem && <ProblemNote problem={problem} />}
                {result && (
                    <>
                        <p role="status">
                            It would have fired <strong>{show.count(result.summary.incidents)}</strong>{' '}
                            {result.summary.incidents === 1 ? 'time' : 'times'}
                            {result.summary.incidents > 0 &&
                                `: ${show.count(result.summary.longer_than_5_min)} longer than 5 min, ${show.count(result.summary.fewer_than_25_samples)} with fewer than 25 requests`}
                            . <span class="muted">{show.count(result.evaluations)} evaluations in {show.duration(result.elapsed_ms)}{result.exact ? '' : ', from rollups'}.</span>
                        </p>
                        <SpanTimeline
                            from={from}
                            to={to}
                            label="When it would have fired"
                            spans={result.incidents.map((one) => ({
                                from: Date.parse(one.triggered_at),
                                to: one.ended_at ? Date.parse(one.ended_at) : to,
                            }))}
                        />
                        <div class="row muted">
                            <span class="grow">{show.instant(from, zone)}</span>
                            <span>{show.instant(to, zone)}</span>
                        </div>
                        {result.incidents.length > 0 && (
                            <div class="scroll twin" tabIndex={0} role="region" aria-label="Incidents of the backtest">
                                <table class="data">
                                    <thead>
                                        <tr>
                                            <th scope="col">From</th>
                                            <th scope="col">Until</th>
                                            <th scope="col">Group</th>
                                            <th scope="col" class="num">Peak</th>
                                            <th scope="col" class="num">Requests</th>
                                        </tr>
                                    </thead>
                                    <tbody>
                                        {result.incidents.map((one, i) => (
                                            <tr key={i}>
                                                <th scope="row">{show.instant(Date.parse(one.triggered_at), zone)}</th>
                                                <td>{one.ended_at ? show.instant(Date.parse(one.ended_at), zone) : 'open'}</td>
                                                <td><bdi>{groupText(one.group) || show.NONE}</bdi></td>
                                                <td class="num">{inUnit(one.peak_value, rule?.unit ?? '')}</td>
                                                <td class="num">{show.count(one.samples)}</td>
                                            </tr>
                                        ))}
                                    </tbody>
                                </table>
                            </div>
                        )}
                    </>
                )}
            </div>
        </Dialog>
    );
}
