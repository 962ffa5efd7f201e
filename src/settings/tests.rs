//! The settings as an operator meets them.

use super::*;
use crate::domain::people::Identity;
use crate::domain::principal::{Principal, Role, Subject};

fn variables(pairs: &[(&str, &str)]) -> Variables {
    pairs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
}

pub(super) fn join(file: &str, pairs: &[(&str, &str)]) -> Result<Settings, Error> {
    Settings::join(Some(("test.toml".to_owned(), file.to_owned())), &variables(pairs))
}

/// The whole message that refuses a configuration.
pub(super) fn refusal(file: &str, pairs: &[(&str, &str)]) -> String {
    join(file, pairs).unwrap_err().to_string()
}

#[test]
fn the_defaults_are_complete_and_valid() {
    let settings = Settings::read(None, &Variables::new()).unwrap();

    assert_eq!(settings.http.http.port, 8_000);
    assert_eq!(settings.engine.tasks.types.len(), 9);
    assert_eq!(settings.engine.sla.targets["P0"], 900_000);
    assert!(settings.http.auth.jwt_secret.is_none());
    assert!(!settings.names("store.url"));
}

#[test]
fn the_settings_in_force_have_each_section() {
    let settings = Settings::read(None, &Variables::new()).unwrap();

    let shown = settings.shown();
    for section in settings.tree.0.keys() {
        assert!(shown.contains(&format!("\n[{section}]\n")), "{section} is missing in {shown}");
    }
}

#[test]
fn the_environment_wins_over_the_file_over_the_defaults() {
    let file = "[agents]\nlease_ms = 5_000\nmax_lost = 5\n[sla.targets]\n\"deploy/P0\" = 60_000";

    let settings = join(file, &[("ORCHESTRATOR__AGENTS__LEASE_MS", "7_000")]).unwrap();

    let agents = &settings.engine.agents;
    assert_eq!((agents.lease_ms, agents.max_lost, agents.session_ms), (7_000, 5, 60_000));
    assert_eq!(settings.engine.sla.targets.len(), 5);
}

#[test]
fn an_empty_short_name_counts_as_not_set() {
    let settings = join(
        "",
        &[
            ("REDIS_URL", "rediss://ops:secret@db:6379"),
            ("ORCHESTRATOR_PORT", "9000"),
            ("ORCHESTRATOR_JWT_SECRET", ""),
            ("ORCHESTRATOR_API_KEY_CI_BOT", "k:e:y:agent"),
            ("ORCHESTRATOR_CORS_ORIGINS", "https://a.example, http://localhost:3000"),
            ("RUST_LOG", "warn,orchestrator=debug"),
            ("ORCHESTRATOR_URL", "http://elsewhere"),
            ("ORCHESTRATOR_API_KEY", "of a client"),
            ("ORCHESTRATOR_SERVICE_HOST", "10.0.0.1"),
        ],
    )
    .unwrap();

    assert!(settings.names("store.url"));
    assert_eq!(settings.http.http.port, 9_000);
    assert_eq!(settings.http.http.cors_origins, ["https://a.example", "http://localhost:3000"]);
    assert_eq!(settings.http.auth.api_keys["ci_bot"].expose(), "k:e:y:agent");
    assert!(settings.http.auth.jwt_secret.is_none());
    assert_eq!(settings.log.level, "warn,orchestrator=debug");
}

#[test]
fn lists_and_nested_keys_can_be_set_by_the_environment() {
    let settings = join(
        "",
        &[
            ("ORCHESTRATOR__TASKS__TYPES", "faq,deploy"),
            ("ORCHESTRATOR__ROUTING__RULES", r#"[{ agent = "solo", when = {} }]"#),
            ("ORCHESTRATOR__APPROVALS__RULES", "[]"),
            ("ORCHESTRATOR__QUEUE__HEAD_START_MS__P1", "900000"),
            ("ORCHESTRATOR__TASKS__BACKOFF__BASE_MS", "5"),
        ],
    )
    .unwrap();

    assert_eq!(settings.engine.tasks.types.len(), 2);
    assert_eq!(settings.engine.routing.rules[0].agent.as_str(), "solo");
    assert_eq!(settings.engine.queue.head_start_ms.p1, 900_000);
    assert_eq!(settings.engine.tasks.backoff.base_ms, 5);
}

#[test]
fn all_faults_are_reported_at_once_with_their_origin() {
    let file = "[agents]\nlease_sm = 1\n[tasks]\nmax_retries = \"three\"\n[stroe]\nurl = \"x\"\n\
                [queue]\nlease_ms = 1";

    let message = refusal(
        file,
        &[
            ("ORCHESTRATOR_PORT", "eighty"),
            ("ORCHESTRATOR__SLA__WARN_AT_PERCNT", "1"),
            ("ORCHESTRATOR_JWT_SECERT", "x"),
            ("ORCHESTRATOR__NO_SUCH", "1"),
        ],
    );

    for part in [
        "8 faults",
        "`agents.lease_sm` (test.toml): unknown key, did you mean `agents.lease_ms`?",
        "`tasks.max_retries` = \"three\" (test.toml): expected a whole number",
        "`stroe` (test.toml): unknown section, did you mean `store`?",
        "`queue.lease_ms` (test.toml): unknown key, did you mean `agents.lease_ms`?",
        "`ORCHESTRATOR_PORT` = \"eighty\": expected a whole number",
        "did you mean `ORCHESTRATOR__SLA__WARN_AT_PERCENT`?",
        "did you mean `ORCHESTRATOR_JWT_SECRET`?",
        "unknown setting `no_such`",
    ] {
        assert!(message.contains(part), "{part} is missing in: {message}");
    }
}

/// Reads each file, which must be refused with its part in the message and no secret.
fn assert_refused(files: &[(&str, &str)]) {
    for (file, part) in files {
        let message = refusal(file, &[]);
        assert!(message.contains(part), "{file}: {part} is missing in: {message}");
        assert!(
            !message.contains("short") && !message.contains("key:root"),
            "a secret is shown in: {message}"
        );
    }
}

#[test]
fn values_are_checked_alone_and_together() {
    assert_refused(&[
        ("[store]\npartitions = 0", "`store.partitions` = 0 (test.toml): expected 1 to 256"),
        ("[store]\nwait_replicas = 9", "`store.wait_replicas` = 9 (test.toml): expected 0 to 8"),
        (
            "[store]\nwait_timeout_ms = 0",
            "`store.wait_timeout_ms` = 0 (test.toml): expected 10 to 60000",
        ),
        ("[store]\npartitions = -1", "store.partitions"),
        ("[store]\nurl = \"http://db\"", "expected a URL that begins with"),
        ("[agents]\nsession_ms = 2_000", "no less than agents.lease_ms"),
        ("[retention]\nfinished_ms = 1_000", "no less than tasks.idempotency_ms"),
        ("[queue.head_start_ms]\nP2 = 700_000", "`queue.head_start_ms.P2`"),
        (
            "[tasks]\ntypes = [\"faq\", \"Bad Name\"]",
            "`tasks.types[1]` = \"Bad Name\" (test.toml): must match",
        ),
        ("[tasks]\ntypes = [\"faq\", \"new\"]", "no rule takes tasks of type `new`"),
        (
            "[approvals]\nrules = [{ name = \"x\", when = { types = [\"depoly\"] } }]",
            "did you mean `deploy`?",
        ),
        ("[approvals]\nrules = [{ name = \"x\", when = { tipes = [] } }]", "tipes"),
        (
            "[approvals]\nrules = [{ name = \"x\", \
             when = { where = [{ field = \"a\", equals = [] }] } }]",
            "payload.<name>",
        ),
        ("[approvals]\non_expiry = \"approve\"", "`approvals.on_expiry` = \"approve\" (test.toml)"),
        ("[approvals]\non_expiry = \"escalate\"", "only the terms of a rule can escalate"),
        ("[approvals.asked]\nquorum = 0", "`approvals.asked.quorum`"),
        ("[approvals.asked]\non_expiry = \"escalate\"", "expected at least one entry"),
        ("[approvals.asked]\ngroups = [\"oncall\"]", "`oncall` is not one of approvals.groups"),
        ("[approvals.asked]\nroles = [\"agent\"]", "the role agent may not decide"),
        (
            "[approvals.groups]\noncall = [\"alice\"]",
            "expected `key:<name of an API key>` or `user:<sub of a token>`",
        ),
        (
            "[approvals.asked]\nquorum = 2\ngroups = [\"one\"]\n\
             [approvals.groups]\none = [\"key:a\"]",
            "fewer people than the quorum",
        ),
        (
            "[approvals.asked]\nquorum = 2\ngroups = [\"one\"]\n\
             [approvals.groups]\none = [\"key:a\", \"user:A\"]",
            "fewer people than the quorum",
        ),
        (
            "[approvals]\nrules = [{ name = \"x\", \
             when = { where = [{ field = \"payload.x\", unless = [] }] } }]",
            "a test needs equals, unless or or_missing",
        ),
    ]);
}

#[test]
fn values_of_clocks_credentials_and_logs_are_checked() {
    assert_refused(&[
        ("[sla]\nwarn_at_percent = 0", "expected 1 to 100"),
        ("[sla.targets]\nP9 = 60_000", "`sla.targets.P9`"),
        ("[sla.start_targets]\n\"depoly/P0\" = 60_000", "did you mean `deploy`?"),
        ("[sla.start_targets]\nP0 = 10", "expected 1000 to 31536000000"),
        (
            "[[sla.rules]]\non = \"warning\"\naction = \"notify\"",
            "expected `to`, which names the receiver",
        ),
        (
            "[[sla.rules]]\non = \"warning\"\naction = \"raise\"\nto = \"oncall\"",
            "only with the action `notify`",
        ),
        ("[[sla.rules]]\non = \"warning\"\naction = \"rise\"", "rise"),
        ("[[sla.rules]]\non = \"late\"\naction = \"raise\"", "late"),
        (
            "[[sla.rules]]\non = \"warning\"\naction = \"raise\"\nwhen = { types = [\"fax\"] }",
            "`fax` is not one of",
        ),
        ("[http]\nport = 70_000", "http.port"),
        ("[http]\ncors_origins = [\"example.com\"]", "`http.cors_origins[0]` = \"example.com\""),
        ("[auth]\njwt_secret = \"short\"", "expected at least 32 bytes"),
        ("[auth.api_keys]\nops = \"key:root\"", "expected `<key>:<role>`"),
        ("[log]\nlevel = \"x=loud\"", "log.level"),
        ("[log]\nformat = \"xml\"", "`log.format` = \"xml\""),
        ("tasks = 3", "expected a table"),
        ("[tasks", "test.toml"),
    ]);
}

#[test]
fn settings_about_credentials_are_checked() {
    assert_refused(&[
        ("[auth.api_keys]\nOrchestrator = \"0123456789abcdef:user\"", "is not `orchestrator`"),
        ("[auth.identities]\nops = \"\\u200b\"", "expected the name of a person"),
        ("[auth.identities]\nops = \"user:alice\"", "without `key:` or `user:`"),
        ("[auth.identities]\n\"user:\" = \"alice\"", "a caller's name has 1 to 256"),
        ("[auth.identities]\nops = \"bob\"\nbob = \"robert\"", "name that person"),
        ("[auth.identities]\nops = 7", "expected a text"),
        ("[auth.tenants]\nghost = \"acme\"", "expected the name of a key in auth.api_keys"),
        ("[auth.sources]\ncrew = []", "expected at least one source"),
        ("[auth.sources]\ncrew = [\"Git Hub\"]", "`Git Hub`: expected `*`, or a name"),
        ("[auth.sources]\ncrew = \"github\"", "expected a list"),
        ("[approvals.groups]\noncall = [\"user:a\\nb\"]", "`user:<sub of a token>`"),
    ]);
}

#[test]
fn file_and_environment_name_people_and_sources() {
    let text =
        "[auth.identities]\n\"user:auth0|5f.7c\" = \"alice\"\n[auth.sources]\ncrew = [\"github\"]";
    let pairs = [
        ("ORCHESTRATOR__AUTH__IDENTITIES__OPS", "Alice"),
        ("ORCHESTRATOR__AUTH__SOURCES__OPS", "slack,mail"),
    ];

    let settings = join(text, &pairs).unwrap();

    let people = &settings.engine.people;
    for actor in ["key:ops", "user:auth0|5F.7c", "user:ALICE"] {
        assert!(people.is(&Identity::of("alice"), actor), "{actor}");
    }
    let sources = |name: &str| {
        let subject = Subject::Key(name.to_owned());
        people.sources(&Principal::new(subject, Role::Agent).unwrap())
    };
    assert_eq!(
        (sources("crew"), sources("ops")),
        (vec!["github".to_owned()], vec!["slack".to_owned(), "mail".to_owned()])
    );
    assert!(join(&settings.shown(), &[]).is_ok(), "{}", settings.shown());
}

#[test]
fn a_requested_file_must_exist() {
    let read = |name| Settings::read(None, &variables(&[("ORCHESTRATOR_ENV", name)]));
    let missing = read("no-such-env").unwrap_err();
    let escaping = read("../secret").unwrap_err();

    assert!(missing.to_string().contains("config/no-such-env.toml"), "{missing}");
    assert!(matches!(escaping, Error::Environment(_)), "{escaping}");
}

#[test]
fn shown_settings_hide_secrets_and_can_be_read_again() {
    let secret = "0123456789abcdef0123456789abcdef";
    let pairs = [
        ("REDIS_URL", "redis://ops:hunter2@db:6379"),
        ("ORCHESTRATOR_JWT_SECRET", secret),
        ("ORCHESTRATOR_API_KEY_OPS", "hunter3:admin"),
    ];

    let shown = join("[agents]\nmax_lost = 7", &pairs).unwrap().shown();

    assert!(shown.contains("url = \"redis://ops:***@db:6379\"  # REDIS_URL"), "{shown}");
    assert!(shown.contains("max_lost = 7  # test.toml"), "{shown}");
    assert!(shown.contains("api_keys.ops = \"***:admin\""), "{shown}");
    assert!(!shown.contains("hunter") && !shown.contains(secret), "{shown}");
    let again = join(&shown.replace("jwt_secret = \"***\"", ""), &[]).unwrap();
    assert_eq!(again.engine.agents.max_lost, 7);
}
