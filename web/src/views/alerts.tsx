// Alerts: rules with their state, incidents, silences, channels and backtests.

import { useEffect, useState } from 'preact/hooks';
import { type AlertsView, type Incident, type RulesResponse, groupText, inUnit } from '../alerts';
import { Problem, post } from '../api';
import * as show from '../format';
import { usePolled } from '../poll';
import type { Schemas } from '../types';
import { ProblemNote } from '../ui';
import { type State, apiQuery, follow, go, link } from '../url';
import { BacktestDialog, NOT_CONFIGURED, condition } from './backtest';
import { IncidentDialog, Incidents, StateMark } from './incidents';
import { SilenceDialog } from './strip';

type Silence = Schemas['SilenceBody'];

/** Configuration keys without which a built-in rule is inactive. */
const SETTINGS: Record<string, string> = {
    'daily-tokens': 'alerting.daily_token_budget',
    'request-rate': 'alerting.capacity_per_minute',
};

/** A link to the last incident, for a range without any. */
function LastIncident({ zone }: { zone: string }) {
    const last = usePolled<{ incidents: Incident[] }>('api/alerts/incidents?limit=1', 0).data?.incidents[0];
    if (!last) return <p>Nothing has fired so far. Backtest shows what a rule would have done.</p>;
    const change = { view: { incident: last.alert_id } };
    return (
        <p>
            The last one:{' '}
            <a href={link(change)} onClick={(event) => follow(event, change)}>
                {last.rule_name}
            </a>{' '}
            on {show.instant(Date.parse(last.triggered_at), zone)}
        </p>
    );
}

function Rules(props: { response: RulesResponse; state: State }) {
    return (
        <section class="panel" aria-label="Rules">
            <div class="panel-head">
                <h2 class="grow">Rules</h2>
                <span class="muted">checked every {props.response.interval_s} s</span>
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
                        {props.response.rules.map((rule) => (
                            <tr key={rule.id}>
                                <th scope="row">{rule.name}</th>
                                <td>
                                    <StateMark state={rule.state} />
                                    {rule.state_detail && <span class="muted"> {rule.state_detail}</span>}
                                    {rule.dry_run && <span class="muted"> dry run</span>}
                                </td>
                                <td class="minor">
                                    {condition(rule)}
                                    {rule.state_detail === NOT_CONFIGURED && SETTINGS[rule.id] && (
                                        <span class="muted">
                                            , once <code>{SETTINGS[rule.id]}</code> is set
                                        </span>
                                    )}
                                </td>
                                <td class="num">{inUnit(rule.last_value, rule.unit)}</td>
                                <td class="num minor">{show.count(rule.last_samples)}</td>
                                <td class="minor">{[...new Set([...rule.channels, 'log'])].join(', ')}</td>
                                <td class="minor num">
                                    <button
                                        type="button"
                                        disabled={rule.state === 'inactive'}
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

export function Alerts(props: {
    state: State;
    zone: string;
    seconds: number;
    alerts: AlertsView;
    onResult: (result: { at: number; failed: boolean }) => void;
}) {
    const { state, zone, alerts } = props;
    const rules = usePolled<RulesResponse>('api/alerts/rules', props.seconds);
    const range = new URLSearchParams(apiQuery({ ...state, filters: {} }, zone));
    range.set('limit', '200');
    const incidents = usePolled<{ incidents: Incident[] }>(`api/alerts/incidents?${range}`, props.seconds);
    const silences = usePolled<{ silences: Silence[] }>('api/alerts/silences', props.seconds);
    useEffect(() => {
        if (alerts.changes === 0) return;
        for (const one of [rules, incidents, silences]) one.refresh();
    }, [alerts.changes]);
    const [silencing, setSilencing] = useState<Incident | null>(null);
    const [problem, setProblem] = useState<Problem | null>(null);
    props.onResult({ at: rules.at, failed: rules.error !== null });
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
            {rules.data?.enabled === false && (
                <p class="note">Rules are not evaluated: the configuration says alerting.enabled = false.</p>
            )}
            {rules.data ? <Rules response={rules.data} state={state} /> : <div class="panel"><div class="skeleton chart" /></div>}
            <section class="panel" aria-label="Incidents">
                <div class="panel-head">
                    <h2 class="grow">Incidents in this range</h2>
                </div>
                {incidents.data?.incidents.length ? (
                    <Incidents incidents={incidents.data.incidents} zone={zone} onSilence={setSilencing} />
                ) : (
                    <div class="blank low">
                        {incidents.data && (
                            <>
                                <p>Nothing fired in this range.</p>
                                <LastIncident zone={zone} />
                            </>
                        )}
                    </div>
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
                        <div class="blank low">Nothing is silenced.</div>
                    )}
                </section>
                <section class="panel" aria-label="Channels">
                    <div class="panel-head">
                        <h2 class="grow">Channels</h2>
                    </div>
                    {channels.length === 0 ? (
                        <div class="blank low">No channel is configured; alerts go to the log.</div>
                    ) : (
                        <dl class="facts">
                            {channels.map((channel) => (
                                <div key={channel.name}>
                                    <dt>
                                        {channel.name} ({channel.type === 'none' ? 'not configured any more' : channel.type})
                                    </dt>
                                    <dd>
                                        <StateMark state={channel.state} />, {show.count(channel.sent_total)} sent
                                        {channel.pending > 0 && `, ${show.count(channel.pending)} waiting`}
                                        {channel.dead_total > 0 && `, ${show.count(channel.dead_total)} given up`}
                                        {channel.undeliverable > 0 && `, ${show.count(channel.undeliverable)} undeliverable`}
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
