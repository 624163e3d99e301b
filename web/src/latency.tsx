// The latency filter, minimum and maximum, which only the list of requests has.

import { useEffect, useState } from 'preact/hooks';
import * as show from './format';
import { Dialog, Icon, Select } from './ui';
import { type State, go } from './url';
import { LATENCIES, latencyOf } from './views/series';

const NAMES = { total: 'total latency', context: 'context latency', llm: 'LLM latency', time_to_first_token: 'TTFT' } as const;

const NOTHING = { latency: undefined, min_ms: undefined, max_ms: undefined };

export function LatencyChip({ state }: { state: State }) {
    const { min_ms: min, max_ms: max } = state.view;
    if (!min && !max) return null;
    const range =
        min && max
            ? `${show.duration(Number(min))} to ${show.duration(Number(max))}`
            : min
              ? `from ${show.duration(Number(min))}`
              : `under ${show.duration(Number(max))}`;
    const name = NAMES[latencyOf(state)];
    return (
        <span class="chip">
            <span>
                {name}: {range}
            </span>
            <button type="button" aria-label={`Remove the filter ${name}: ${range}`} onClick={() => go({ view: NOTHING })}>
                <Icon name="close" />
            </button>
        </span>
    );
}

export function LatencyDialog(props: { state: State; open: boolean; onClose: () => void }) {
    const [latency, setLatency] = useState<string>('total');
    const [min, setMin] = useState('');
    const [max, setMax] = useState('');
    const [wrong, setWrong] = useState('');
    useEffect(() => {
        if (!props.open) return;
        setLatency(latencyOf(props.state));
        setMin(props.state.view.min_ms ?? '');
        setMax(props.state.view.max_ms ?? '');
        setWrong('');
    }, [props.open]);
    const submit = (event: Event) => {
        event.preventDefault();
        if (min && max && Number(max) <= Number(min)) {
            setWrong('The second must be more than the first.');
            return;
        }
        props.onClose();
        go({ view: { latency: latency === 'total' || (!min && !max) ? undefined : latency, min_ms: min, max_ms: max } });
    };
    const field = (label: string, value: string, set: (value: string) => void) => (
        <label class="field">
            <span>{label}</span>
            <input type="number" min="0" step="any" value={value} onInput={(event) => set(event.currentTarget.value)} />
        </label>
    );
    return (
        <Dialog title="Filter by latency" open={props.open} onClose={props.onClose}>
            <form class="stack" onSubmit={submit}>
                <label class="field">
                    <span>Latency</span>
                    <Select label="Latency" value={latency} options={LATENCIES} onChange={setLatency} />
                </label>
                <div class="row">
                    {field('At least, in ms', min, setMin)}
                    {field('Less than, in ms', max, setMax)}
                </div>
                <p class="bad" role="alert">
                    {wrong}
                </p>
                <button class="primary" type="submit">
                    Show
                </button>
            </form>
        </Dialog>
    );
}
