#!/usr/bin/env bash
# Tests the page in a real browser against the real program. Installs Debian's Chromium and Prometheus and the packages
# of web/package-lock.json. Arguments are test files; without them all run.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

missing=()
[ -x "${CHROMIUM:-/usr/bin/chromium}" ] || missing+=(chromium fonts-dejavu-core fonts-noto-color-emoji)
[ -x "${PROMETHEUS:-/usr/bin/prometheus}" ] || missing+=(prometheus)
if [ ${#missing[@]} -gt 0 ]; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
fi
npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
npm ci --prefix schema --ignore-scripts --no-audit --no-fund --loglevel=error
npm run --silent check
(cd .. && cargo build --locked --quiet)

if [ $# -eq 0 ]; then
    set -- e2e/*.test.mjs
fi
# One at a time: some tests measure time.
exec node --test --test-concurrency=1 --test-timeout=300000 "$@"
