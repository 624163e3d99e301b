// The six figures of the range, and their change against the earlier range.

import * as show from '../format';
import type { Dashboard, Num, Tile as TileData } from '../types';
import { Delta, Spark } from '../ui';

function Tile(props: {
    label: string;
    tile: TileData;
    base: Num | undefined;
    /** The last bucket has not ended. */
    open: boolean;
    text: (value: Num | undefined) => string;
    hint: string;
    points?: boolean;
    upIsBad?: boolean;
    upIsGood?: boolean;
}) {
    const { tile } = props;
    return (
        <div class="tile" role="group" aria-label={props.label}>
            <span class="label">{props.label}</span>
            <Delta
                value={tile.value}
                previous={tile.previous}
                base={props.base}
                points={props.points ?? false}
                upIsBad={props.upIsBad ?? false}
                upIsGood={props.upIsGood ?? false}
            />
            <span class="value">
                {tile.value === null ? show.NONE : <data value={String(tile.value)}>{props.text(tile.value)}</data>}
            </span>
            <span class="hint">{props.hint}</span>
            <Spark values={props.open ? tile.buckets.slice(0, -1) : tile.buckets} />
        </div>
    );
}

export function Tiles({ data }: { data: Dashboard }) {
    const { tiles, now } = data;
    if (!tiles) return null;
    const base = tiles.requests.previous;
    const shared = { base, open: data.incomplete_from !== null };
    return (
        <div class="tiles">
            <Tile
                {...shared}
                label="Requests"
                tile={tiles.requests}
                text={(value) => ((value ?? 0) < 1e6 ? show.count(value) : show.compact(value))}
                hint={`${show.count(now.requests_per_minute)} in the last minute`}
            />
            <Tile
                {...shared}
                label="Error rate"
                tile={tiles.error_rate_percent}
                text={show.percent}
                hint={`${show.percent(now.error_rate_percent)} in the last hour`}
                points
                upIsBad
            />
            <Tile
                {...shared}
                label="p95 latency"
                tile={tiles.p95_ms}
                text={show.duration}
                hint={`average ${show.duration(tiles.average_ms.value)}`}
                upIsBad
            />
            <Tile
                {...shared}
                label="Tokens"
                tile={tiles.tokens}
                text={show.compact}
                hint={`${show.compact(now.today_tokens)} today`}
            />
            <Tile
                {...shared}
                label="Cost"
                tile={tiles.cost_usd}
                text={show.money}
                hint={`${show.money(now.today_cost_usd)} today`}
                upIsBad
            />
            <Tile
                {...shared}
                label="Cache hits"
                tile={tiles.cache_hit_rate_percent}
                text={show.percent}
                hint="of all requests"
                points
                upIsGood
            />
        </div>
    );
}
