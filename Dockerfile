# syntax=docker/dockerfile:1

FROM rust:1-bookworm AS build
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
COPY config config
COPY openapi openapi
COPY src src
# Not built, but named by Cargo.toml.
COPY tests tests
# The caches keep the dependencies from one build of the image to the next.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked && cp target/release/orchestrator /orchestrator

FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /orchestrator /usr/local/bin/orchestrator
# A number, so that Kubernetes can see that it is not root.
USER 10001:10001
WORKDIR /app
EXPOSE 8000
ENTRYPOINT ["orchestrator"]
CMD ["gateway"]
