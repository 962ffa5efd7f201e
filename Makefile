# `make demo` shows everything at work; `make test` runs every test; `make check` is what a change must pass.
# They need Rust and a C toolchain; a missing Redis is installed.

.PHONY: demo dev test check

# A debug build: the optimised one takes three times as long to build, and the demo waits for nothing but people.
demo: redis
	cargo run --locked -- demo

dev: redis
	cargo run --locked -- dev

test: redis
	if cargo nextest --version >/dev/null 2>&1; then \
		cargo nextest run --locked && cargo test --locked --doc; \
	else \
		cargo test --locked; \
	fi

check:
	.ci/run

.PHONY: redis
redis:
	.ci/provide-redis
