// Cost by local day, with the budget and a projection for today.

import { Legend, type Times } from '../chart/Lines';
import { Stack } from '../chart/Stack';
import * as show from '../format';
import { Panel, type Twin } from '../panel';
import { endOfDay } from '../time';
import type { Dashboard } from '../types';
import { go } from '../url';
import { type Props, bucketRange, sum, zoom } from './series';

export function CostPanel({ data, csv, budget }: { data: Dashboard; csv: Props['csv']; budget: number | null }) {
    const days = data.cost;
    if (!days) return null;
    const starts = days.map((day) => Date.parse(day.timestamp));
    const end = endOfDay(starts.at(-1) ?? 0, data.tz);
    const times: Times = {
        starts,
        end,
        open: days.findIndex((day) => day.incomplete),
        zone: data.tz,
        name: (index) => show.weekday(starts[index] ?? 0, data.tz),
        spans: [],
    };
    const cost = days.map((day) => day.cost_usd);
    const today = days[times.open];
    const begun = starts[times.open] ?? 0;
    const passed = today ? (Date.parse(data.as_of) - begun) / ((starts[times.open + 1] ?? end) - begun) : 0;
    const projected =
        today && today.cost_usd && passed > 0.1 && Date.parse(data.start) <= begun
            ? today.cost_usd / passed
            : null;
    const twin: Twin = {
        head: 'Day',
        rows: days.map((day, i) => ({ key: day.date, label: times.name(i) })),
        columns: [
            { name: 'cost_usd', values: cost, format: show.money },
            { name: 'requests', values: days.map((day) => day.requests), format: show.count },
            { name: 'tokens', values: days.map((day) => day.tokens), format: show.count },
        ],
    };
    const known = cost.some((value) => value !== null && value > 0);
    const parts = Date.parse(data.start) > (starts[0] ?? 0) && days.length > 1 ? ', the first in part' : '';
    return (
        <Panel
            title="Cost per day"
            id="panel-cost"
            csv={csv('cost')}
            twin={() => twin}
            sentence={
                known
                    ? `${show.money(sum(cost))} in ${days.length} ${days.length === 1 ? 'day' : 'days'} of ${data.tz}${parts}${projected ? `; today is heading for ${show.money(projected)}` : ''}${budget ? `; budget ${show.money(budget)} a day` : ''}.`
                    : 'No cost is known here.'
            }
        >
            <Legend
                lines={[
                    { name: 'Cost', colour: 'c3', block: true },
                    ...(budget ? [{ name: 'Budget', colour: 'bad', dash: [6, 4] }] : []),
                ]}
            />
            <Stack
                label="Cost per day"
                times={times}
                layers={[{ name: 'Cost', colour: 'c3', values: cost }]}
                days
                line={budget ? { name: 'Budget', value: budget } : undefined}
                format={show.money}
                axis={show.moneyMark}
                onZoom={zoom}
                onPick={(index) => go(bucketRange(times, data, index))}
            />
        </Panel>
    );
}
