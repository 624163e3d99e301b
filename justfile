# One command means done: `just check`.

# Everything that must pass before a change goes in.
check: fmt lint test doc deny

# Formatting.
fmt:
    cargo fmt --check

# Lints, as errors.
lint:
    cargo clippy --all-targets --locked -- -D warnings

# Every test.
test:
    cargo test --locked

# Documentation, with broken links as errors.
doc:
    RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --locked

# Licences, sources, duplicates and advisories of the dependencies.
deny:
    cargo deny check

# Benchmarks; each makes its own data.
bench:
    cargo bench --locked

# Real clients against the real server; installs them into target/interop the first time.
interop:
    cargo build --locked
    python3 tests/interop/run.py target/debug/chatgauge target/interop
