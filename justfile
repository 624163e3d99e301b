# One command means done: `just check`.

# Everything that must pass before a change goes in.
check: fmt lint test doc deny

# What a release needs besides: time zones that came out within the last year.
release: check
    .ci/time-zones "$(date +%F)" --release

# Formatting.
fmt:
    cargo fmt --check

# Lints, as errors.
lint:
    cargo clippy --all-targets --locked -- -D warnings

# Every test.
test:
    cargo test --locked

# Unit tests and the quick integration tests: under a minute after a build.
test-fast:
    cargo test --locked --lib
    cargo test --locked --test it -- project::tidy project::docs project::sql_recipes http:: collector:: correctness::identity correctness::zones otlp::spans

# Documentation, with broken links as errors.
doc:
    RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --locked

# Licences, sources, duplicates and advisories of the dependencies.
deny:
    cargo deny check

# The page: types, what is committed, and all of it in a browser. Needs Node.
web:
    web/e2e/run.sh

# Benchmarks; each makes its own data.
bench:
    cargo bench --locked

# Kills, power cuts and failing disks, for hours; the short form is one of the tests.
torture *options:
    bench/torture {{options}}

# Real clients against the real server; installs them into target/interop the first time.
interop:
    cargo build --locked
    python3 tests/interop/run.py target/debug/chatgauge target/interop
