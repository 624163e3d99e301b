// The strip of open alerts above every view: rule, group, message, since when, and buttons to act.

import { useState } from 'preact/hooks';
import { type AlertsView, type Incident, groupText, messageOf } from '../alerts';
import { Problem, post } from '../api';
import * as show from '../format';
import { Dialog, ProblemNote } from '../ui';
import { follow, link } from '../url';

const LENGTHS = [
    ['3600', '1 hour'],
    ['14400', '4 hours'],
    ['86400', '1 day'],
    ['604800', '7 days'],
] as const;

const SHOWN = 3;

export function SilenceDialog(props: { incident: Incident | null; onClose: () => void; onDone: () => void }) {
    const { incident } = props;
    const [length, setLength] = useState<string>('3600');
    const [comment, setComment] = useState('');
    const [problem, setProblem] = useState<Problem | null>(null);
    const submit = async (event: Event) => {
        event.preventDefault();
        if (!incident) return;
        try {
            const { rule, group } = incident;
            await post('api/alerts/silences', { rule, group, duration_s: Number(length), comment: comment.trim() });
            setComment('');
            setProblem(null);
            props.onDone();
            props.onClose();
        } catch (error) {
            if (error instanceof Problem) setProblem(error);
        }
    };
    return (
        <Dialog title="Silence" open={incident !== null} onClose={props.onClose}>
            <form class="stack" onSubmit={submit}>
                <p>
                    No messages for <strong>{incident?.rule_name}</strong> <bdi>{incident && groupText(incident.group)}</bdi>.
                    If it still fires at the end, one message is sent.
                </p>
                <label class="field">
                    <span>For</span>
                    <select value={length} onChange={(event) => setLength(event.currentTarget.value)}>
                        {LENGTHS.map(([value, label]) => (
                            <option key={value} value={value}>
                                {label}
                            </option>
                        ))}
                    </select>
                </label>
                <label class="field">
                    <span>Why (required)</span>
                    <input
                        type="text"
                        required
                        maxLength={200}
                        value={comment}
                        onInput={(event) => setComment(event.currentTarget.value)}
                    />
                </label>
                {problem && <ProblemNote problem={problem} />}
                <button class="primary" type="submit">
                    Silence
                </button>
            </form>
        </Dialog>
    );
}

export function AlertStrip({ alerts, zone }: { alerts: AlertsView; zone: string }) {
    const [silencing, setSilencing] = useState<Incident | null>(null);
    const [problem, setProblem] = useState<Problem | null>(null);
    const loud = alerts.open.filter((incident) => !isSilenced(incident));
    const acknowledge = async (incident: Incident) => {
        try {
            await post(`api/alerts/incidents/${encodeURIComponent(incident.alert_id)}/ack`, {});
            alerts.refresh();
        } catch (error) {
            if (error instanceof Problem) setProblem(error);
        }
    };
    return (
        <>
            {loud.slice(0, SHOWN).map((incident) => {
                const change = { tab: 'alerts' as const, view: { incident: incident.alert_id } };
                return (
                    <div class="note bad" key={incident.alert_id} role="alert">
                        <span class="grow">
                            <strong>{incident.rule_name}</strong>
                            {Object.keys(incident.group).length > 0 && (
                                <>
                                    {' · '}
                                    <bdi>{groupText(incident.group)}</bdi>
                                </>
                            )}
                            {' · '}
                            <bdi>{messageOf(incident)}</bdi> since {show.since(Date.parse(incident.triggered_at), zone)}
                            {incident.state !== 'firing' && ` (${incident.state})`}
                        </span>
                        {incident.acknowledged_at ? (
                            <span class="muted">acknowledged{incident.acknowledged_by && ` by ${incident.acknowledged_by}`}</span>
                        ) : (
                            <button type="button" onClick={() => void acknowledge(incident)}>
                                Acknowledge
                            </button>
                        )}
                        <button type="button" onClick={() => setSilencing(incident)} aria-haspopup="dialog">
                            Silence
                        </button>
                        <a class="button" href={link(change)} onClick={(event) => follow(event, change)}>
                            Show
                        </a>
                    </div>
                );
            })}
            {loud.length > SHOWN && (
                <p class="note bad">
                    <a href={link({ tab: 'alerts' })} onClick={(event) => follow(event, { tab: 'alerts' })}>
                        {loud.length - SHOWN === 1 ? '1 more alert fires' : `${show.count(loud.length - SHOWN)} more alerts fire`}
                    </a>
                </p>
            )}
            {problem && <ProblemNote problem={problem} />}
            <SilenceDialog incident={silencing} onClose={() => setSilencing(null)} onDone={alerts.refresh} />
        </>
    );
}

export const isSilenced = (incident: Incident): boolean =>
    incident.silenced_until !== null && Date.parse(incident.silenced_until) > Date.now();
