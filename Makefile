# `make demo` shows everything at work; `make test` runs every test; `make check` is what a change must pass.
# They need Rust and a C toolchain; a missing Redis is installed, and for the tests a missing NATS server.

.PHONY: demo dev test check

# A debug build: the optimised one takes three times as long to build, and the demo waits for nothing but people.
demo: redis
	cargo run --locked -- demo

dev: redis
	cargo run --locked -- dev

test: servers
	if cargo nextest --version >/dev/null 2>&1; then \
		cargo nextest run --locked && cargo test --locked --doc; \
	else \
		cargo test --locked; \
	fi

check:
	.ci/run

.PHONY: redis servers
redis:
	.ci/provide-servers redis

servers:
	.ci/provide-servers redis nats openssl
