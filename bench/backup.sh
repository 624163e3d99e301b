#!/usr/bin/env bash
# Latency of single records during a backup beside the server; duration of the backup and size of the WAL.
#
#   bench/backup.sh DB [MB_PER_S...]     for instance the file of `bench/run 10000000 30 --db ten.db`
#
# For each rate in MB/s (default 256; 0: no limit): a server on DB, 1,000 single records a second for 8 s alone, then for
# 30 s during which the backup runs. The records are stored in DB. Prints a JSON line per figure. Linux only; needs python3.
set -euo pipefail
db=$(realpath "${1:?usage: bench/backup.sh DB [MB_PER_S...]}")
shift
[[ $# -gt 0 ]] || set -- 256
cd "$(dirname "${BASH_SOURCE[0]}")/.."
cargo build --release --locked --bin chatgauge --example load >&2
release="${CARGO_TARGET_DIR:-target}/release"

directory=$(mktemp -d -p "$(dirname "$db")")
server=
finish() {
    if [[ -n $server ]]; then
        kill "$server" 2>/dev/null || true
        wait "$server" 2>/dev/null || true
        server=
    fi
}
trap 'finish; rm -rf "$directory"' EXIT
export CHATGAUGE_ADMIN_TOKEN="bench-admin-token-0123456789abcdef"
export CHATGAUGE_OTLP_HTTP_LISTEN=off CHATGAUGE_OTLP_GRPC_LISTEN=off

load() {
    "$release/examples/load" "$url" "$CHATGAUGE_ADMIN_TOKEN" "$1" 1 1000 --now
}
for rate in "$@"; do
    rm -f "$directory/out"
    "$release/chatgauge" serve --db "$db" --listen 127.0.0.1:0 >"$directory/out" 2>"$directory/err" &
    server=$!
    url=
    for _ in $(seq 100); do
        url=$(sed -n 's/.*listening on \(http:\/\/[^ ]*\).*/\1/p' "$directory/out" | head -n 1)
        [[ -n $url ]] && break
        kill -0 "$server" 2>/dev/null || { cat "$directory/err" >&2; exit 1; }
        sleep 0.1
    done
    [[ -n $url ]] || { echo "the server did not print its address" >&2; exit 1; }
    load 3000 >/dev/null
    load 8000 >"$directory/alone"
    load 30000 >"$directory/during" &
    loading=$!
    sleep 1
    "$release/chatgauge" backup "$directory/backup.db" --db "$db" --max-mb-per-s "$rate" --json >"$directory/backup"
    wait "$loading"
    python3 - "$directory" "$rate" "$(awk '$1 == "VmHWM:" { print $2 }' "/proc/$server/status")" <<'PYTHON'
import json, sys
directory, rate, memory_kb = sys.argv[1:]
read = lambda name: json.load(open(f"{directory}/{name}"))
alone, during, backup = read("alone"), read("during"), read("backup")
for name, value, unit in [
    ("backup_bytes", backup["bytes"], "bytes"),
    ("backup_copy", backup["copy_s"], "s"),
    ("backup_verify", backup["verify_s"], "s"),
    ("backup_wal", backup["wal_bytes"] / 1e6, "MB"),
    ("single_post_alone_p99", alone["latency_p99_ms"], "ms"),
    ("single_post_backup_median", during["latency_median_ms"], "ms"),
    ("single_post_backup_p99", during["latency_p99_ms"], "ms"),
    ("memory_high_water", int(memory_kb) * 1024 / 1e6, "MB"),
]:
    print(json.dumps({"bench": name, "max_mb_per_s": int(rate), "value": round(value, 3), "unit": unit}))
PYTHON
    finish
    rm -f "$directory/backup.db"
done
