//! MorningAI Orchestrator: a self-hosted task orchestrator and event bus for fleets of AI agents.
//!
//! # The map
//!
//! From top to bottom; a module imports only from below, and `tests/it/architecture.rs` holds it to that.
//!
//! | module | is | may import |
//! |---|---|---|
//! | `main`, [`app`] | arguments, settings, roles, the ordered stop | everything |
//! | [`settings`] | joins each layer's own `Settings`; checks them together | the `Settings` of http, engine, transport, store; domain, runtime |
//! | [`cli`] | the commands; what users do goes over HTTP like anybody's | engine, domain, runtime |
//! | [`http`] | decode → one engine call → encode; the only one that knows poem and status codes | engine, domain, runtime |
//! | [`workers`] | the duties, each one bounded step, under one supervisor | engine, transport, domain, runtime |
//! | [`engine`] | the use cases; no word of HTTP or Redis | store, domain, runtime |
//! | [`store`] | Redis: keys, one Lua script a verb, doorbells, the doctor | domain, runtime |
//! | [`transport`] | NATS: events out, requests in; the only one that names async-nats | domain, runtime |
//! | [`domain`] | the rules, pure: the state machine ([`domain::lifecycle`]), policy, routing | nothing |
//! | [`runtime`] | logs, signals, back-off, a private Redis; knows nothing of tasks | nothing |
//!
//! # What always holds
//!
//! * A task is in exactly one state, and every state is a sorted set. What may follow what is one table,
//!   [`domain::lifecycle::RULES`]; the scripts are given its rows.
//! * Rules about people are over identities and content, never over credentials and calls: see [`domain::decision`].
//! * A change is one script: state, timeline and event are written together or not at all.
//! * The clock is Redis's.
//! * Every report on a task carries its attempt, and a stale one is refused.
//! * A verb has the same name in the table, the script, the timeline and the event.
//!
//! # The path of a task
//!
//! | step | where |
//! |---|---|
//! | `POST /tasks` is read; every wrong field is named | `http/tasks.rs` |
//! | who will do it? must a human approve? | `engine/submit.rs`, pure rules of `domain/{routing,policy}.rs` |
//! | stored, together with others that come at the same moment | `store/lua/submit.lua` |
//! | a human decides on exactly what will run | `engine/approvals.rs`, `domain/content.rs`, `approve.lua`, `reject.lua`, `seal.lua` |
//! | which human may | `domain/people.rs`, `domain/decision.rs`; if none is left: `engine/deciders.rs`, `retarget.lua` |
//! | a router is woken and puts it into its agent's subject | `workers/`, `engine/duties.rs`, `route.lua` |
//! | the agent's long-poll is woken and leases it | `engine/dispatch.rs`, `claim.lua` |
//! | heartbeats, then an outcome | `engine/progress.rs`, `extend.lua`, `complete.lua`, `fail.lua`, `release.lua` |
//! | or a question to a human | `ask.lua` |
//! | or silence: it is taken back | `reap.lua` |
//! | its deadlines are announced, and act | `deadlines.lua`, `clocks.lua` |
//! | forgotten after its retention | `prune.lua` |
//! | every step's event reaches its readers | `store/log.rs`, `engine/feed.rs` (SSE, pages), `workers/bridge.rs` (NATS) |

pub mod app;
pub mod cli;
pub mod domain;
pub mod engine;
pub mod http;
pub mod runtime;
pub mod settings;
pub mod store;
pub mod transport;
pub mod workers;
