// Overview: all its figures come from one response, read in one snapshot.

import type { Span } from '../chart/frame';
import { PanelSkeleton } from '../panel';
import type { Dashboard } from '../types';
import { type State, apiQuery } from '../url';
import { CostPanel } from './cost';
import { ErrorsPanel, HeatmapPanel, LatencyPanel, RequestsPanel, TokensPanel } from './panels';
import { latencyOf, metricOf, timesOf } from './series';
import { SharePanel } from './share';
import { Tiles } from './tiles';
import { TopPanel } from './top';

const TITLES = [
    'Requests per minute',
    'Latency',
    'Context vs LLM: where the time goes',
    'Errors by type',
    'Latency heatmap',
    'Tokens',
    'Cost per day',
];

export function Overview(props: {
    state: State;
    zone: string;
    data: Dashboard | null;
    spans: Span[];
    /** US dollars a day. */
    budget: number | null;
    old: boolean;
}) {
    const { state, zone, data } = props;
    if (!data) {
        return (
            <>
                <div class="tiles" aria-busy="true">
                    {Array.from({ length: 6 }, (_, i) => (
                        <div class="tile" key={i}>
                            <div class="skeleton spark" />
                        </div>
                    ))}
                </div>
                <div class="grid">
                    {TITLES.map((title, i) => (
                        <PanelSkeleton key={title} title={title} wide={i === 2} />
                    ))}
                </div>
            </>
        );
    }
    const times = timesOf(data, props.spans);
    const csv = (part: string) =>
        `api/metrics/dashboard?${apiQuery(state, zone, {
            part,
            format: 'csv',
            compare: state.compare,
            latency: part === 'heatmap' ? metricOf(latencyOf(state)) : undefined,
        })}`;
    const shared = { data, times, csv };
    return (
        <div class={props.old ? 'stack old' : 'stack'}>
            <Tiles data={data} />
            <div class="grid">
                <RequestsPanel {...shared} />
                <LatencyPanel {...shared} state={state} />
                <SharePanel {...shared} state={state} />
                <ErrorsPanel {...shared} />
                <HeatmapPanel {...shared} state={state} />
                <TokensPanel {...shared} />
                <CostPanel data={data} csv={csv} budget={props.budget} />
                <TopPanel data={data} state={state} zone={zone} />
            </div>
        </div>
    );
}
