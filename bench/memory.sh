#!/usr/bin/env bash
# Memory of the release server and bytes on disk after ingest of 1,000,000 records over HTTP (seed 7, 30 days).
#
#   bench/memory.sh [RECORDS]
#
# Prints one JSON line per figure. Linux only: memory is read from /proc. Needs curl.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

records=${1:-1000000}
batch=1000
cargo build --release --locked --bin chatgauge --example load >&2
release="${CARGO_TARGET_DIR:-target}/release"

directory=$(mktemp -d)
server=
finish() {
    if [[ -n $server ]]; then
        kill "$server" 2>/dev/null || true
        wait "$server" 2>/dev/null || true
    fi
    rm -rf "$directory"
}
trap finish EXIT

export CHATGAUGE_ADMIN_TOKEN="bench-admin-token-0123456789abcdef"
"$release/chatgauge" serve --db "$directory/bench.db" --listen 127.0.0.1:0 \
    >"$directory/out" 2>"$directory/err" &
server=$!

url=
for _ in $(seq 100); do
    url=$(sed -n 's/.*listening on \(http:\/\/[^ ]*\).*/\1/p' "$directory/out" | head -n 1)
    [[ -n $url ]] && break
    kill -0 "$server" 2>/dev/null || { cat "$directory/err" >&2; exit 1; }
    sleep 0.1
done
[[ -n $url ]] || { echo "the server did not print its address" >&2; exit 1; }

get() {
    curl -sSf -o "${2:-/dev/null}" -H "Authorization: Bearer $CHATGAUGE_ADMIN_TOKEN" "$url$1"
}
memory_kb() {
    awk -v field="$1:" '$1 == field { print $2 }' "/proc/$server/status"
}
figure() { # name, value, unit, bar as JSON
    printf '{"bench":"%s","value":%s,"unit":"%s","bar":%s}\n' "$1" "$2" "$3" "${4:-null}"
}
megabytes() {
    awk -v kb="$1" 'BEGIN { printf "%.1f", kb * 1024 / 1e6 }'
}

printf '{"seed":7,"records":%d,"batch":%d,"days":30}\n' "$records" "$batch"
figure memory_idle_rss "$(megabytes "$(memory_kb VmRSS)")" MB
"$release/examples/load" "$url" "$CHATGAUGE_ADMIN_TOKEN" "$records" "$batch"

started=$SECONDS
while :; do
    get /api/status "$directory/status"
    lag=$(sed -n 's/.*"lag_records":\([0-9]*\).*/\1/p' "$directory/status")
    [[ $lag == 0 ]] && break
    ((SECONDS - started < 300)) || { echo "rollup lag is still $lag records after 300 s" >&2; exit 1; }
    sleep 0.2
done
figure memory_ingested_rss "$(megabytes "$(memory_kb VmRSS)")" MB '"< 80"'

month="start=now-30d&end=now"
for _ in $(seq 20); do
    get "/api/metrics/current"
    get "/api/metrics/historical?type=total_latency&stat=p95&start=now-7d&end=now&aggregation=hourly"
    get "/api/metrics/historical?type=total_tokens&$month&aggregation=daily&group_by=space"
    get "/api/metrics/breakdown?by=user&metric=total_tokens&$month&limit=20"
    get "/api/metrics/breakdown?by=space&metric=cache_hit_rate&$month&limit=20"
done
figure memory_queried_rss "$(megabytes "$(memory_kb VmRSS)")" MB '"< 80"'
figure memory_high_water "$(megabytes "$(memory_kb VmHWM)")" MB

bytes=$(stat -c %s "$directory/bench.db")
figure disk_per_request "$(awk -v b="$bytes" -v n="$records" 'BEGIN { printf "%.1f", b / n }')" bytes
