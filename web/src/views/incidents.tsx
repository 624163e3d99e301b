// Incidents: the list, and the cause and history of one of them.

import { useEffect, useState } from 'preact/hooks';
import { type Incident, groupText, inUnit, inUnitBeside, messageOf, metricName } from '../alerts';
import { Problem, get } from '../api';
import * as show from '../format';
import type { Schemas } from '../types';
import { Dialog, ProblemNote } from '../ui';
import { type State, closeDialog, follow, link } from '../url';
import { isSilenced } from './strip';

type IncidentResponse = Schemas['IncidentDetailBody'];

const STATE_CLASS: Record<string, string> = {
    ok: 'success',
    resolved: 'success',
    sent: 'success',
    firing: 'error',
    flapping: 'error',
    error: 'error',
    dead: 'error',
    undeliverable: 'error',
    pending: 'pending',
    recovering: 'pending',
    failing: 'pending',
    queued: 'pending',
};

export const StateMark = ({ state }: { state: string }) => (
    <span class={`outcome ${STATE_CLASS[state] ?? 'cancelled'}`}>{show.words(state)}</span>
);

export function Incidents(props: { incidents: Incident[]; zone: string; onSilence: (incident: Incident) => void }) {
    return (
        <div class="scroll" tabIndex={0} role="region" aria-label="Table of incidents">
            <table class="data cards">
                <thead>
                    <tr>
                        <th scope="col">Rule</th>
                        <th scope="col">State</th>
                        <th scope="col" class="minor">Group</th>
                        <th scope="col">Since</th>
                        <th scope="col" class="num minor">Lasted</th>
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
                                <td>{show.dated(from, props.zone)}</td>
                                <td class="num minor">{show.span(to - from)}</td>
                                <td class="num minor">
                                    {inUnitBeside(incident.peak_value, incident.threshold, incident.unit)}
                                </td>
                                <td class="num minor">
                                    {inUnitBeside(incident.threshold, incident.peak_value, incident.unit)}
                                </td>
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

export function IncidentDialog({ state, zone }: { state: State; zone: string }) {
    const id = state.view.incident;
    const [details, setDetails] = useState<IncidentResponse | null>(null);
    const [problem, setProblem] = useState<Problem | null>(null);
    useEffect(() => {
        setDetails(null);
        setProblem(null);
        if (!id) return;
        const stop = new AbortController();
        get<IncidentResponse>(`api/alerts/incidents/${encodeURIComponent(id)}`, stop.signal).then(setDetails, (error) => {
            if (error instanceof Problem) setProblem(error);
        });
        return () => stop.abort();
    }, [id]);
    const incident = details?.incident;
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
            onClose={() => closeDialog({ view: { incident: undefined } })}
        >
            {problem && <ProblemNote problem={problem} />}
            {incident && (
                <div class="stack">
                    <p>
                        <StateMark state={incident.state} /> <bdi>{groupText(incident.group)}</bdi>
                    </p>
                    <p>
                        <strong><bdi>{messageOf(incident)}</bdi></strong>
                    </p>
                    <p class="muted">
                        It fired because {metricName(incident.metric)} was{' '}
                        {inUnitBeside(incident.actual_value, incident.threshold, incident.unit)}, {incident.operator}{' '}
                        {inUnitBeside(incident.threshold, incident.actual_value, incident.unit)}
                        {incident.samples !== null && `, over ${show.count(incident.samples)} requests`}; the peak was{' '}
                        {inUnitBeside(incident.peak_value, incident.threshold, incident.unit)}.
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
                                {details.history.map((one, i) => (
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
                    {details.deliveries.length > 0 && (
                        <>
                            <h3>Messages</h3>
                            <dl class="facts">
                                {details.deliveries.map((one) => (
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
