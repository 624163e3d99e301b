// Alerts: rules with their state, incidents, silences, and what a rule would have done.

import { useEffect, useState } from 'preact/hooks';
import {
    type AlertsView,
    type Group,
    type Incident,
    type Rule,
    type RulesAnswer,
    groupText,
    inUnit,
} from '../alerts';
import { Problem, get, post } from '../api';
import * as show from '../format';
import { usePolled } from '../poll';
import type { Num } from '../types';
import { Dialog, ProblemNote } from '../ui';
import { type State, follow, go, link, question } from '../url';
import { SilenceDialog, isSilenced } from './strip';

interface Silence {
    id: string;
    rule: string;
    group: Group;
    state: string;
    starts_at: string;
    ends_at: string;
    created_by: string;
    comment: string;
}

interface Backtest {
    start: string;
    end: string;
    exact: boolean;
    evaluations: number;
    elapsed_ms: number;
    incidents: { group: Group; triggered_at: string; ended_at: string | null; peak_value: Num; samples: Num; events: Num }[];
    summary: { incidents: number; longer_than_5_min: number; fewer_than_25_samples: number };
}

interface IncidentAnswer {
    incident: Incident;
    history: {
        at: string;
        from: string;
        to: string;
        reason: string | null;
        value: Num;
        threshold: Num;
        samples: Num;
        events: Num;
        actor: string | null;
        note: string | null;
    }[];
    deliveries: {
        id: string;
        channel: string;
        kind: string;
        state: string;
        attempts: number;
        status: Num;
        error: string | null;
        created_at: string;
    }[];
}

const STATE_CLASS: Record<string, string> = {
    ok: 'success',
    resolved: 'success',
    sent: 'success',
    firing: 'error',
    flapping: 'error',
    error: 'error',
    dead: 'error',
    pending: 'pending',
    recovering: 'pending',
    failing: 'pending',
    queued: 'pending',
};

export const StateMark = ({ state }: { state: string }) => (
    <span class={`outcome ${STATE_CLASS[state] ?? 'cancelled'}`}>{show.words(state)}</span>
);

const condition = (rule: Rule): string => {
    const over = rule.period ? `in a ${rule.period}` : rule.window_s ? `over ${show.span(rule.window_s * 1_000)}` : '';
    const by = rule.by.length > 0 ? ` by ${rule.by.map(show.words).join(' and ')}` : '';
    return `${show.words(rule.metric)} ${rule.operator} ${inUnit(rule.threshold, rule.unit)} ${over}${by}`;
};

function Rules(props: { answer: RulesAnswer; state: State }) {
    return (
        <section class="panel" aria-label="Rules">
            <div class="panel-head">
                <h2 class="grow">Rules</h2>
                <span class="muted">checked every {props.answer.interval_s} s</span>
            </div>
            <div class="scroll" tabIndex={0} role="region" aria-label="Table of rules">
                <table class="data cards">
                    <thead>
                        <tr>
                            <th scope="col">Rule</th>
                            <th scope="col">State</th>
                            <th scope="col" class="minor">
                                Fires when
                            </th>
                            <th scope="col" class="num">
                                Now
                            </th>
                            <th scope="col" class="num minor">
                                Requests
                            </th>
                            <th scope="col" class="minor">
                                Channels
                            </th>
                            <th scope="col" class="minor">
                                <span class="visually-hidden">Actions</span>
                            </th>
                        </tr>
                    </thead>
                    <tbody>
                        {props.answer.rules.map((rule) => (
                            <tr key={rule.id}>
                                <th scope="row">{rule.name}</th>
                                <td>
                                    <StateMark state={rule.state} />
                                    {rule.state_detail && <span class="muted"> {rule.state_detail}</span>}
                                    {rule.dry_run && <span class="muted"> dry run</span>}
                                </td>
                                <td class="minor">{condition(rule)}</td>
                                <td class="num">{inUnit(rule.last_value, rule.unit)}</td>
                                <td class="num minor">{show.count(rule.last_samples)}</td>
                                <td class="minor">{rule.channels.join(', ') || show.NONE}</td>
                                <td class="minor num">
                                    <button
                                        type="button"
                                        aria-label={`Backtest ${rule.name}`}
                                        onClick={() => go({ view: { rule: rule.id } })}
                                    >
                                        Backtest
                                    </button>
                                </td>
                            </tr>
                        ))}
                    </tbody>
                </table>
            </div>
        </section>
    );
}

/** The spans in which a rule fired, or would have, on a line of time. */
export function SpanLane(props: { from: number; to: number; spans: { from: number; to: number }[]; label: string }) {
    const width = props.to - props.from;
    const x = (at: number) => Math.min(1_000, Math.max(0, ((at - props.from) * 1_000) / width));
    return (
        <svg class="span-lane lane" viewBox="0 0 1000 20" preserveAspectRatio="none" role="img" aria-label={props.label}>
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

function BacktestDialog(props: { rules: Rule[]; state: State; zone: string }) {
    const { state, zone } = props;
    const rule = props.rules.find((one) => one.id === state.view.rule);
    const [days, setDays] = useState('7');
    const [result, setResult] = useState<Backtest | null>(null);
    const [problem, setProblem] = useState<Problem | null>(null);
    const [running, setRunning] = useState(false);
    useEffect(() => {
        setResult(null);
        setProblem(null);
        if (!rule) return;
        let ended = false;
        setRunning(true);
        post<Backtest>('api/alerts/backtest', { rule: rule.id, start: `now-${days}d`, end: 'now' })
            .then(
                (answer) => !ended && setResult(answer),
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
            onClose={() => go({ view: { rule: undefined } })}
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
                        <SpanLane
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

function Incidents(props: { incidents: Incident[]; zone: string; onSilence: (incident: Incident) => void }) {
    return (
        <div class="scroll" tabIndex={0} role="region" aria-label="Table of incidents">
            <table class="data cards">
                <thead>
                    <tr>
                        <th scope="col">Rule</th>
                        <th scope="col">State</th>
                        <th scope="col" class="minor">Group</th>
                        <th scope="col" class="minor">Since</th>
                        <th scope="col" class="num">Lasted</th>
                        <th scope="col" class="num minor">Peak</th>
                        <th scope="col" class="num minor">Limit</th>
                        <th scope="col" class="minor"><span class="visually-hidden">Actions</span></th>
                    </tr>
                </thead>
                <tbody>
                    {props.incidents.map((incident) => {
                        const change = { view: { incident: incident.alert_id } };
                        const from = Date.parse(incident.triggered_at);
                        const to = incident.ended_at ? Date.parse(incident.ended_at) : Date.now();
                        return (
                            <tr key={incident.alert_id}>
                                <th scope="row">
                                    <a href={link(change)} onClick={(event) => follow(event, change)}>
                                        {incident.rule_name}
                                    </a>
                                </th>
                                <td>
                                    <StateMark state={incident.state} />
                                    <span class="muted">
                                        {incident.acknowledged_at && ' acknowledged'}
                                        {isSilenced(incident) && ' silenced'}
                                    </span>
                                </td>
                                <td class="minor"><bdi>{groupText(incident.group) || show.NONE}</bdi></td>
                                <td class="minor">{show.instant(from, props.zone)}</td>
                                <td class="num">{show.span(to - from)}</td>
                                <td class="num minor">{inUnit(incident.peak_value, incident.unit)}</td>
                                <td class="num minor">{inUnit(incident.threshold, incident.unit)}</td>
                                <td class="num minor">
                                    {incident.state !== 'resolved' && (
                                        <button type="button" onClick={() => props.onSilence(incident)} aria-haspopup="dialog">
                                            Silence
                                        </button>
                                    )}
                                </td>
                            </tr>
                        );
                    })}
                </tbody>
            </table>
        </div>
    );
}

function IncidentDialog({ state, zone }: { state: State; zone: string }) {
    const id = state.view.incident;
    const [answer, setAnswer] = useState<IncidentAnswer | null>(null);
    const [problem, setProblem] = useState<Problem | null>(null);
    useEffect(() => {
        setAnswer(null);
        setProblem(null);
        if (!id) return;
        const stop = new AbortController();
        get<IncidentAnswer>(`api/alerts/incidents/${encodeURIComponent(id)}`, stop.signal).then(setAnswer, (error) => {
            if (error instanceof Problem) setProblem(error);
        });
        return () => stop.abort();
    }, [id]);
    const incident = answer?.incident;
    const around = incident && {
        tab: 'overview' as const,
        from: new Date(Date.parse(incident.triggered_at) - 3_600_000).toISOString(),
        to: new Date((incident.ended_at ? Date.parse(incident.ended_at) : Date.now()) + 1_800_000).toISOString(),
    };
    return (
        <Dialog
            title={incident?.rule_name ?? 'Incident'}
            wide
            open={Boolean(id)}
            onClose={() => go({ view: { incident: undefined } })}
        >
            {problem && <ProblemNote problem={problem} />}
            {incident && (
                <div class="stack">
                    <p>
                        <StateMark state={incident.state} /> <bdi>{groupText(incident.group)}</bdi>
                    </p>
                    <p>
                        <strong><bdi>{incident.message}</bdi></strong>
                    </p>
                    <p class="muted">
                        It fired because {show.words(incident.metric)} was {inUnit(incident.actual_value, incident.unit)},{' '}
                        {incident.operator} {inUnit(incident.threshold, incident.unit)}
                        {incident.samples !== null && `, over ${show.count(incident.samples)} requests`}; the peak was{' '}
                        {inUnit(incident.peak_value, incident.unit)}.
                    </p>
                    <div class="row">
                        {around && (
                            <a class="button" href={link(around)} onClick={(event) => follow(event, around)}>
                                Show this time on the charts
                            </a>
                        )}
                        {incident.runbook?.startsWith('https://') && (
                            <a class="button" href={incident.runbook} rel="noreferrer noopener" target="_blank">
                                Runbook
                            </a>
                        )}
                    </div>
                    <h3>What happened</h3>
                    <div class="scroll twin" tabIndex={0} role="region" aria-label="History of the incident">
                        <table class="data">
                            <thead>
                                <tr>
                                    <th scope="col">When</th>
                                    <th scope="col">Change</th>
                                    <th scope="col" class="num">Value</th>
                                    <th scope="col" class="num">Requests</th>
                                    <th scope="col">By</th>
                                </tr>
                            </thead>
                            <tbody>
                                {answer.history.map((one, i) => (
                                    <tr key={i}>
                                        <th scope="row">{show.exactInstant(Date.parse(one.at), zone).slice(0, -4)}</th>
                                        <td>
                                            {show.words(one.from)} → {show.words(one.to)}
                                            {one.reason && `, ${show.words(one.reason)}`}
                                            {one.note && <> (<bdi>{one.note}</bdi>)</>}
                                        </td>
                                        <td class="num">{inUnit(one.value, incident.unit)}</td>
                                        <td class="num">{show.count(one.samples)}</td>
                                        <td>{one.actor ?? show.NONE}</td>
                                    </tr>
                                ))}
                            </tbody>
                        </table>
                    </div>
                    {answer.deliveries.length > 0 && (
                        <>
                            <h3>Messages</h3>
                            <dl class="facts">
                                {answer.deliveries.map((one) => (
                                    <div key={one.id}>
                                        <dt>
                                            {one.channel}, {show.words(one.kind)}
                                        </dt>
                                        <dd>
                                            <StateMark state={one.state} /> {one.error && <bdi>{one.error}</bdi>}
                                        </dd>
                                    </div>
                                ))}
                            </dl>
                        </>
                    )}
                </div>
            )}
        </Dialog>
    );
}

export function Alerts(props: {
    state: State;
    zone: string;
    seconds: number;
    alerts: AlertsView;
    onAnswer: (answer: { at: number; failed: boolean }) => void;
}) {
    const { state, zone, alerts } = props;
    const on = (path: string) => (alerts.available ? path : '');
    const rules = usePolled<RulesAnswer>(on('api/alerts/rules'), props.seconds);
    const range = new URLSearchParams(question({ ...state, filters: {} }, zone));
    range.delete('tz');
    range.set('limit', '200');
    const incidents = usePolled<{ incidents: Incident[] }>(on(`api/alerts/incidents?${range}`), props.seconds);
    const silences = usePolled<{ silences: Silence[] }>(on('api/alerts/silences'), props.seconds);
    const [silencing, setSilencing] = useState<Incident | null>(null);
    const [problem, setProblem] = useState<Problem | null>(null);
    props.onAnswer({ at: rules.at, failed: rules.error !== null && rules.error.status !== 404 });
    const missing = !alerts.available || rules.error?.status === 404;
    if (missing) {
        return (
            <section class="panel">
                <h1>Alerts</h1>
                <div class="blank">
                    <p>Alerts are not available on this server.</p>
                    <p>They come with a later version of chatgauge.</p>
                </div>
            </section>
        );
    }
    const end = async (silence: Silence) => {
        try {
            await post(`api/alerts/silences/${encodeURIComponent(silence.id)}`, undefined, 'DELETE');
            silences.refresh();
            alerts.refresh();
        } catch (error) {
            if (error instanceof Problem) setProblem(error);
        }
    };
    const channels = rules.data?.channels ?? [];
    return (
        <div class="stack">
            <h1>Alerts</h1>
            {rules.error && <ProblemNote problem={rules.error} onRetry={rules.refresh} />}
            {problem && <ProblemNote problem={problem} />}
            {rules.data ? <Rules answer={rules.data} state={state} /> : <div class="panel"><div class="skeleton chart" /></div>}
            <section class="panel" aria-label="Incidents">
                <div class="panel-head">
                    <h2 class="grow">Incidents in this range</h2>
                </div>
                {incidents.data?.incidents.length ? (
                    <Incidents incidents={incidents.data.incidents} zone={zone} onSilence={setSilencing} />
                ) : (
                    <div class="blank">{incidents.data ? 'Nothing fired in this range.' : ' '}</div>
                )}
            </section>
            <div class="grid">
                <section class="panel" aria-label="Silences">
                    <div class="panel-head">
                        <h2 class="grow">Silences</h2>
                    </div>
                    {silences.data?.silences.length ? (
                        <ul class="bare">
                            {silences.data.silences.map((silence) => (
                                <li key={silence.id} class="row">
                                    <span class="grow">
                                        <strong><bdi>{silence.rule}</bdi></strong> <bdi>{groupText(silence.group)}</bdi> until{' '}
                                        {show.instant(Date.parse(silence.ends_at), zone)}:{' '}
                                        <bdi>{silence.comment}</bdi> <span class="muted">({silence.created_by})</span>
                                    </span>
                                    <button type="button" onClick={() => void end(silence)}>
                                        End
                                    </button>
                                </li>
                            ))}
                        </ul>
                    ) : (
                        <div class="blank">Nothing is silenced.</div>
                    )}
                </section>
                <section class="panel" aria-label="Channels">
                    <div class="panel-head">
                        <h2 class="grow">Channels</h2>
                    </div>
                    {channels.length === 0 ? (
                        <div class="blank">No channel is configured; alerts go to the log.</div>
                    ) : (
                        <dl class="facts">
                            {channels.map((channel) => (
                                <div key={channel.name}>
                                    <dt>
                                        {channel.name} ({channel.type})
                                    </dt>
                                    <dd>
                                        <StateMark state={channel.state} /> {show.count(channel.sent_total)} sent
                                        {channel.pending > 0 && `, ${show.count(channel.pending)} waiting`}
                                        {channel.dead_total > 0 && `, ${show.count(channel.dead_total)} given up`}
                                    </dd>
                                </div>
                            ))}
                        </dl>
                    )}
                </section>
            </div>
            <BacktestDialog rules={rules.data?.rules ?? []} state={state} zone={zone} />
            <IncidentDialog state={state} zone={zone} />
            <SilenceDialog
                incident={silencing}
                onClose={() => setSilencing(null)}
                onDone={() => {
                    silences.refresh();
                    alerts.refresh();
                }}
            />
        </div>
    );
}
