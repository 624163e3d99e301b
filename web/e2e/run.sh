#!/usr/bin/env bash
# Tests the page in a real browser against the real program. Installs what it needs: Debian's Chromium and the
# packages of web/package-lock.json. Arguments are test files; without them all run.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if ! [ -x "${CHROMIUM:-/usr/bin/chromium}" ]; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core fonts-noto-color-emoji
fi
npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
npm run --silent check
(cd .. && cargo build --locked --quiet)

if [ $# -eq 0 ]; then
    set -- e2e/*.test.mjs
fi
# One after the other: they share two cores and some measure time.
exec node --test --test-concurrency=1 --test-timeout=300000 "$@"
