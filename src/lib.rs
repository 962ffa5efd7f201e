//! MorningAI Orchestrator: a self-hosted task orchestrator and event bus for fleets of AI agents.
//!
//! # The map
//!
//! From top to bottom. A module imports only from below, which `tests/it/architecture.rs` verifies.
//!
//! | module | is | may import |
//! |---|---|---|
//! | `main`, [`app`] | arguments, settings, roles, the ordered stop | everything |
//! | [`settings`] | joins and checks all layers' settings | each `Settings`, domain, runtime |
//! | [`fuzz`] | entry points for fuzzers: every parser of what clients send | http and below |
//! | [`mod@bench`], [`demo`] | the benchmark; a story over the API | cli and below |
//! | [`cli`] | the commands; those of users call the HTTP API | engine, domain, runtime |
//! | [`http`] | decode → one engine call → encode; alone has poem | engine, domain, runtime |
//! | [`workers`] | the background duties, in bounded steps | engine, transport, domain, runtime |
//! | [`engine`] | the use cases; no word of HTTP or Redis | store, domain, runtime |
//! | [`store`] | Redis: keys, one Lua script a verb, notifications, the doctor | domain, runtime |
//! | [`transport`] | NATS: events out, requests in; alone has async-nats | domain, runtime |
//! | [`domain`] | the pure rules: states ([`domain::lifecycle`]), policy, routing | nothing |
//! | [`runtime`] | logs, signals, back-off, a private Redis; knows nothing of tasks | nothing |
//!
//! # What always holds
//!
//! * A task is in exactly one state, and every state is a sorted set. One table says which state
//!   may follow which, [`domain::lifecycle::RULES`]; the scripts get its rows.
//! * Rules about people compare identities and content, never credentials and calls: see
//!   [`domain::decision`].
//! * A change is one script: it writes state, timeline and event together or not at all.
//! * All times come from the clock of Redis.
//! * Every report on a task carries its attempt and its lease; one with another of either is
//!   refused.
//! * A verb has the same name in the table, the script and the timeline.
//!
//! # Glossary
//!
//! One word for each thing, in code, comments, messages, documents and names of tests.
//! `tests/it/architecture.rs` reads the last column: these words are not used.
//!
//! | word | means | not |
//! |---|---|---|
//! | task | a piece of work with a type, a payload and one state | |
//! | submit, cancel, retry | what a caller does with a task; the verb of a retry is `requeue` | |
//! | final | the state is completed, failed or cancelled; only a retry leaves it | |
//! | verb | what can happen to a task; the same word in table, script and timeline | |
//! | agent, worker | a name that does tasks of some types; one process of it. The role | |
//! | | `orchestrator worker` runs duties and is called a worker process | |
//! | bulk | one action on every task that matches a filter, in steps of worker processes | |
//! | session | a worker's presence: it ends when no call of it came for a while | |
//! | router | a stateless duty that moves pending tasks to the subject of their agent | |
//! | tenant | a group of callers that sees and touches only its own tasks | |
//! | subject | the queue of one agent for one tenant or none, by priority: `dev_agent@acme` | |
//! | duty | a loop in the background of `orchestrator worker`, in bounded steps | |
//! | lease | the right to work on one attempt of a task, for a time | |
//! | lost lease | a lease that ended without a report | |
//! | reaper | the duty that finds lost leases: the task returns, or fails at the cap | |
//! | bridge | the duty that carries the event log to NATS | |
//! | gateway | the role that serves HTTP | |
//! | approval | a request to approvers, and its outcome; an agent's question is one too | |
//! | approver | a human who may approve or reject | |
//! | gate | the terms of an approval, as the store keeps them: who decides, quorum, times | |
//! | expire | an approval was not decided in time | lapse, lapses, lapsed |
//! | person, identity | a human; the name by which rules know one, with any credential | |
//! | SLA | target, deadlines, warning, violation; its clocks are `start` and `finish` | |
//! | event | a fact in the event log; a stream yields `FeedItem`s | heard |
//! | cursor | a place in a list or in the event log | |
//! | notifier | wakes callers that wait; a notification may come for nothing | bell, doorbell |
//! | doctor | checks the store's integrity, by command or in the background | examine, examiner |
//! | finding | an inconsistency that the doctor found | |
//! | repair | what the doctor does about a finding | mend, mended, remedy |
//! | partition | a group of keys on one hash slot of Redis | |
//! | credential, principal | a key or token; who it proves its bearer to be | |
//! | managed key | an API key that the store has; others are in the settings | |
//! | browser session, cookie | stands for a credential in a browser; no relation to an agent's | |
//! | page, view | what `/ui` shows to people; a part of it with an address | |
//! | the actor | the caller, the agent, the approver, the worker … | somebody, nobody, anybody |
//! | | | everybody, whoever, whatever, whomever, and pronouns of a man |
//! | say | return, log, list, name, show | said, told |
//!
//! # The path of a task
//!
//! Scripts (`*.lua`) are in `store/lua/`; each is called from a file of `store/`.
//!
//! | step | where |
//! |---|---|
//! | `POST /tasks` is read; every wrong field is named | `http/tasks.rs` |
//! | its agent and its approval are chosen | `domain/rules/mod.rs` (`decide`), `engine/submit.rs` |
//! | it is stored, together with concurrent submissions | `store/lua/submit.lua` |
//! | an approver decides | `engine/approvals.rs`, `domain/content.rs`, `approve.lua` |
//! | which approvers may | `domain/people.rs`, `domain/decision.rs`, `engine/deciders.rs` |
//! | a router moves it to its agent's subject | `workers/`, `engine/duties.rs`, `route.lua` |
//! | the agent's long-poll wakes and leases it | `engine/{desk,dispatch}.rs`, `claim.lua` |
//! | heartbeats, then the outcome | `engine/progress.rs`, `extend.lua`, `outcome.lua` |
//! | or it requests an approval | `ask.lua` |
//! | or its lease is lost, and the reaper takes it back | `workers/duties.rs`, `reap.lua` |
//! | its deadlines are announced, and SLA rules act | `deadlines.lua`, `announce.lua` |
//! | a bulk retries, cancels or raises many tasks | `engine/bulk/`, `bulk_turn.lua` |
//! | it is deleted after its retention | `prune.lua` |
//! | each step's event is delivered | `store/log.rs`, `engine/feed.rs`, `workers/bridge.rs` |
//!
//! # Where to add
//!
//! | what | where |
//! |---|---|
//! | a task type | `tasks.types`, `routing.rules`, `approvals.rules` in the settings; no code |
//! | an event type of a client | nowhere: any name of the right form may be published |
//! | an event type of ours | of a new verb [`domain::lifecycle::RULES`], else `emit` in a script; |
//! | | `KNOWN_TYPES` in `domain/event.rs`, the table in `docs/events.md` |
//! | a setting | `config/default.toml`, `settings.rs` of its layer, range in `settings/check.rs`; |
//! | | a secret, or a table with keys that operators choose, in `settings/tree.rs`; |
//! | | what bounds a client, in the table of `docs/operations.md` |
//! | a member of a request | the request in `http/request/`, with its row of `NUMBERS` or `TEXTS` |
//! | a submitted member of a task | `domain/submission.rs`, `http/request/submission.rs`, |
//! | | `http/view/task.rs`, `store/codec/fields.rs`, `store/codec/row.rs`, `store/codec/mod.rs` |
//! | a member that changes | `domain/task.rs`, `store/codec/fields.rs`, `store/codec/mod.rs`, |
//! | | its script, `requeue.lua` (if a retry resets it), `http/view/task.rs` |
//! | a call | its scope and its class together, in `needs!` of `http/auth.rs` |
//! | a verb | [`domain::lifecycle`], a script and its row in `store/script/mod.rs`, `engine/` |
//! | a duty of one call | a row in `workers/duties.rs` |
//! | a view of the page | a module in `http/ui/`, named in `http/ui/files.rs` and in `main.js` |
//! | a check of the doctor | `check` in `doctor_tasks.lua`, `doctor_approvals.lua` or the like; |
//! | | `store/doctor/finding.rs`, the list in `docs/operations.md` |
//!
//! A member of a task changes its record: add a field to the list in `store/codec/fields.rs`, from
//! which the scripts have it too, write texts with `codec::word`, raise `LAYOUT_VERSION` in
//! `store/keys.rs`, and convert older records in `store/upgrade/`. What changes what runs belongs
//! to the digest in `domain/content.rs`. A repair that moves a task has its verb in
//! `store/script/mod.rs`. A check has a row of `damages!` in `tests/it/store/repair.rs`, or a test
//! in `tests/it/store/doctor.rs`.
//!
//! After a change of requests, answers or event types write the document anew:
//! `cargo run -- openapi --yaml > openapi/openapi.yaml`.

pub mod app;
pub mod bench;
pub mod cli;
pub mod demo;
pub mod domain;
pub mod engine;
pub mod fuzz;
pub mod http;
pub mod runtime;
pub mod settings;
pub mod store;
pub mod transport;
pub mod workers;
