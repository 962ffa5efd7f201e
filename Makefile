# `make demo` shows everything at work; `make test` runs every test; `make check` is what a change must pass;
# `make durability` measures what Redis loses when it is killed.
# They need Rust and a C toolchain; a missing Redis is installed, and for the tests a missing NATS server and Python.

.PHONY: demo dev test check durability bench

# A debug build: the optimised one takes three times as long to build, and the demo waits for nothing but people.
demo: redis
	cargo run --locked -- demo

dev: redis
	cargo run --locked -- dev

# With what every Rust has. A test that hangs is named and ends the run: see tests/it/harness/limit.rs.
test: servers
	cargo test --locked

# What is lost of acknowledged submissions when Redis is killed under load, for each way to keep its data.
durability: redis
	ORCHESTRATOR_LOAD_MS=3000 cargo test --locked --test it stories::durability -- --nocapture --test-threads=1

# Every figure of `orchestrator bench`, on this machine; most of docs/benchmarks.md.
bench: redis
	cargo run --release --locked -- bench

check:
	.ci/run

# Clients in seven languages, in generated-clients/ of the target directory: see openapi/README.md.
.PHONY: clients
clients:
	openapi/generate $(or $(CARGO_TARGET_DIR),target)/generated-clients

.PHONY: redis servers
redis:
	.ci/provide-servers redis

servers:
	.ci/provide-servers redis nats openssl python curl
	.ci/provide-browser

# Tells the story of tests/it/stories/chaos for MINUTES, with the faults of SEED (one of its own if there is none).
.PHONY: chaos soak
chaos: servers
	ORCHESTRATOR_CHAOS_MINUTES=$(or $(MINUTES),3) $(if $(SEED),ORCHESTRATOR_CHAOS_SEED=$(SEED)) \
		cargo test --locked --test it -- --exact --nocapture \
		stories::chaos::no_promise_is_broken_under_repeated_random_failures

# Has one agent key and a stranger do their worst beside a client that behaves, for SECONDS each; ATTACK: only those whose
# name has this word. See tests/it/stories/abuse.
.PHONY: abuse
abuse: servers
	ORCHESTRATOR_ABUSE_SECONDS=$(or $(SECONDS),60) $(if $(ATTACK),ORCHESTRATOR_ABUSE_ATTACK="$(ATTACK)") \
		cargo test --locked --release --test it -- --exact --nocapture \
		stories::abuse::clients_are_served_despite_an_abusive_key_or_stranger

# Feeds every parser of what clients send with inputs changed from those of fuzz/corpus, for SECONDS each; with those of SEED.
# `cargo +nightly fuzz run TARGET` does so by coverage.
.PHONY: fuzz
fuzz:
	ORCHESTRATOR_FUZZ_SECONDS=$(or $(SECONDS),60) $(if $(SEED),ORCHESTRATOR_FUZZ_SEED=$(SEED)) \
		cargo test --locked --test it -- --exact --nocapture fuzzing::no_parser_breaks_on_changed_inputs

# A software bill of materials, CycloneDX in JSON: orchestrator.cdx.json in the target directory. Its tool is built at first,
# which takes minutes.
.PHONY: sbom
sbom:
	.ci/sbom

# The same fleet under steady load without faults, for MINUTES.
soak: servers
	ORCHESTRATOR_SOAK_MINUTES=$(or $(MINUTES),10) cargo test --locked --test it -- --exact --nocapture \
		stories::chaos::soak::under_steady_load_memory_is_flat_and_nothing_is_left_afterwards
