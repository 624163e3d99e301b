// Context vs LLM: where the time of a request goes.

import { Stack } from '../chart/Stack';
import * as show from '../format';
import { Panel } from '../panel';
import type { Dashboard } from '../types';
import { PHASES, PhaseBar, Segments, phaseShares } from '../ui';
import { type State, go } from '../url';
import { type Props, pick, twinOf, zoom, zoomTo } from './series';

export function SharePanel({ data, times, csv, state }: Props & { state: State }) {
    const share = data.share;
    if (!share) return null;
    const inPercent = state.view.share !== 'time';
    const shares = phaseShares(share.range);
    const each = times.starts.map((_, i) => ({
        context_ms: share.context_ms[i] ?? null,
        llm_ms: share.llm_ms[i] ?? null,
        other_ms: share.other_ms[i] ?? null,
    }));
    const percents = each.map(phaseShares);
    const colour = { context_ms: 'context', llm_ms: 'llm', other_ms: 'rest' };
    const layers = [...PHASES].map(([key, label], i) => ({
        name: label,
        colour: colour[key],
        values: inPercent ? percents.map((one) => one[i] ?? null) : share[key],
    }));
    const columns = PHASES.map(([key]) => ({ name: key, values: share[key], format: show.duration }));
    const largest = shares.indexOf(Math.max(...shares));
    const known = shares.length > 0;
    return (
        <Panel
            title="Context vs LLM: where the time goes"
            id="panel-share"
            wide
            csv={csv('share')}
            twin={() => twinOf(times, columns, data)}
            tools={
                <Segments
                    label="Unit"
                    value={inPercent ? 'percent' : 'time'}
                    options={[['percent', 'Share'], ['time', 'Time']] as const}
                    onChange={(value) => go({ view: { share: value === 'time' ? 'time' : undefined } }, 'replace')}
                />
            }
            sentence={
                known
                    ? `An average request spends ${show.percent(shares[0])} of its time on context and ${show.percent(shares[1])} in the LLM call${largest === 0 ? ': the context is what to speed up' : ''}.`
                    : 'No request here says how long its context or its LLM call took.'
            }
        >
            {known && (
                <div class="halves">
                    <div>
                        <dl class="shares">
                            {PHASES.map(([key, label, kind], i) => (
                                <div key={key} class={kind.replace('phase', 'of')}>
                                    <dt>{label}</dt>
                                    <dd>
                                        {show.percent(shares[i])}
                                        <small>{show.duration(share.range[key])}</small>
                                    </dd>
                                </div>
                            ))}
                        </dl>
                        <PhaseBar phases={share.range} large />
                        {data.latency && <LatencyFacts latency={data.latency} />}
                    </div>
                    <Stack
                        label="Share of latency"
                        times={times}
                        layers={layers}
                        dense
                        {...(inPercent ? { max: 100 } : {})}
                        total={!inPercent}
                        format={inPercent ? show.percent : show.duration}
                        axis={inPercent ? (value) => `${value} %` : show.durationMark}
                        onZoom={zoom}
                        {...pick(zoomTo(times, data))}
                    />
                </div>
            )}
        </Panel>
    );
}

const PHASE_ROWS = [
    ['context', 'Context'],
    ['llm', 'LLM call'],
    ['time_to_first_token', 'To first token'],
    ['total', 'Whole request'],
] as const;

/** The statistics of the four latencies over the range, side by side. */
function LatencyFacts({ latency }: { latency: NonNullable<Dashboard['latency']> }) {
    return (
        <table class="data small">
            <caption class="visually-hidden">Latency of each phase</caption>
            <thead>
                <tr>
                    <th scope="col">Phase</th>
                    <th scope="col" class="num">Average</th>
                    <th scope="col" class="num">p50</th>
                    <th scope="col" class="num">p95</th>
                    <th scope="col" class="num">p99</th>
                </tr>
            </thead>
            <tbody>
                {PHASE_ROWS.map(([key, label]) => {
                    const { range } = latency[key];
                    return (
                        <tr key={key}>
                            <th scope="row">{label}</th>
                            {([range.average_ms, range.median_ms, range.p95_ms, range.p99_ms] as const).map((value, i) => (
                                <td key={i} class="num">
                                    {show.duration(value)}
                                </td>
                            ))}
                        </tr>
                    );
                })}
            </tbody>
        </table>
    );
}
