#!/usr/bin/env bash
# Unmodified SDKs through a real gateway to a fake provider; what is stored is checked.
#
#   tests/interop/gateway/run.sh CHATGAUGE_BINARY [CACHE_DIRECTORY]
#
# Needs python3 with venv, node with npm, curl, and their registries on the first run; 75 when the clients
# cannot be installed.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
binary=$(realpath "$1")
cache=${2:-${CARGO_TARGET_DIR:-$here/../../../target}/interop/gateway}
mkdir -p "$cache"
cache=$(realpath "$cache")

if [[ ! -x $cache/venv/bin/python ]]; then
    python3 -m venv "$cache/venv"
    "$cache/venv/bin/pip" install --quiet --disable-pip-version-check \
        openai==3.54.0 anthropic==2.12.0 || { rm -rf "$cache/venv"; exit 75; }
fi
if [[ ! -d $cache/js/node_modules/openai ]]; then
    mkdir -p "$cache/js"
    (cd "$cache/js" && npm install --silent --no-audit --no-fund --ignore-scripts openai@7.57.0) || exit 75
fi
cp "$here/calls_openai.mjs" "$cache/js/"
python=$cache/venv/bin/python

work=$(mktemp -d)
pids=()
finish() {
    for pid in "${pids[@]}"; do
        kill "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
    rm -rf "$work"
}
trap finish EXIT

free_port() {
    "$python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}
fake=$(free_port)
dead=$(free_port)
"$python" "$here/../fake_provider.py" "$fake" &
pids+=($!)

cat >"$work/chatgauge.toml" <<CONFIG
[otlp]
http_listen = ""
grpc_listen = ""
[gateway]
listen = "127.0.0.1:0"
[gateway.upstreams.fake]
url = "http://127.0.0.1:$fake"
[gateway.upstreams.asking]
url = "http://127.0.0.1:$fake"
inject_usage = "always"
[gateway.upstreams.dead]
url = "http://127.0.0.1:$dead"
CONFIG
export CHATGAUGE_ADMIN_TOKEN=interop-admin-token-0123456789
"$binary" serve --config "$work/chatgauge.toml" --db "$work/data.db" --listen 127.0.0.1:0 \
    >"$work/out" 2>"$work/err" &
pids+=($!)
address() { sed -n "s/^$1 is listening on \(http:\/\/[^ ]*\).*/\1/p" "$work/out" | head -n 1; }
for _ in $(seq 200); do
    server=$(address chatgauge) gateway=$(address "the gateway")
    [[ -n $server && -n $gateway ]] && break
    sleep 0.05
done
[[ -n $gateway ]] || { cat "$work/err" >&2; exit 1; }

check() { "$python" "$here/check.py" "$server" "$CHATGAUGE_ADMIN_TOKEN" "$@"; }
nine='{"calls": 9, "errors": {"rate_limit": 1, "server": 1, "network": 1},
       "prompt_tokens": 600, "completion_tokens": 225, "users": 1, "first_tokens": 3,
       "models": ["err-429", "err-500", "gpt-4o-mini"]}'

"$python" "$here/calls_openai.py" "$gateway" openai-python
check openai-python "$nine"
(cd "$cache/js" && node calls_openai.mjs "$gateway" openai-js)
check openai-js "$nine"
"$python" "$here/calls_anthropic.py" "$gateway" anthropic-python
check anthropic-python '{"calls": 3, "errors": {"rate_limit": 1}, "prompt_tokens": 260,
    "completion_tokens": 90, "users": 1, "first_tokens": 1, "models": ["claude-fake-1", "err-429"]}'

# Plain curl, byte for byte as without the gateway; usage is asked for on its behalf.
ask() {
    curl -sS --max-time 20 "$1/chat/completions" -H 'Authorization: Bearer sk-SECRETKEY' \
        -H 'Content-Type: application/json' -H 'x-chatgauge-user: user-42' \
        -d '{"model": "gpt-4o-mini", "stream": true, "messages": [{"role": "user", "content": "SECRETPROMPT"}]}' |
        sed 's/"created": [0-9]*/"created": 0/'
}
ask "http://127.0.0.1:$fake/v1" >"$work/direct"
ask "$gateway/s/curl/asking/v1" >"$work/through"
cmp "$work/direct" "$work/through"
check curl '{"calls": 1, "errors": {}, "prompt_tokens": 120, "completion_tokens": 45, "users": 1,
    "first_tokens": 1, "models": ["gpt-4o-mini"]}'

# Nothing that was written, and no key, is in database, write-ahead log or logs.
if grep -a -l -e SECRET -e user-42 "$work"/data.db* "$work/out" "$work/err"; then
    echo "what must not be kept was found in the files above" >&2
    exit 1
fi
echo "the gateway passed"
