//! `orchestrator approvals review`: walks through the approvals that wait for the caller, shows
//! exactly what would run, and binds each decision to the digest of what it showed.

use std::io::Write;
use std::path::Path;
use std::process::{Command, ExitCode};

use serde_json::value::RawValue;
use uuid::Uuid;

use super::super::client::Client;
use super::decision::{Decision, result};
use super::describe::describe;
use super::json::{Members, pretty};
use super::text::{terminal_width, visible};
use super::{Error, Page, Service, read_json, report, say, terminal};
use crate::domain::json;
use crate::runtime::scratch::Scratch;

/// What waits for the caller, the first to expire first.
const INBOX: &str = "/approvals?for=me&limit=200";

/// What the user does with one approval.
enum Step {
    Decide(&'static str, Decision),
    Skip,
    Quit,
}

/// Shows the approvals one after another, and asks what to do with each.
pub async fn review(service: &Service) -> Result<ExitCode, Error> {
    if !terminal::is_there() {
        let why = "review requires a terminal; use `approvals show` and `approve --digest`";
        return Err(Error::Usage(why.to_owned()));
    }
    let client = service.client()?;
    let inbox: Page<Members> = client.get(INBOX).await?;
    let count = inbox.items.len();
    if count == 0 {
        say("No approval waits for you.\n")?;
    }
    let mut code = ExitCode::SUCCESS;
    for (nth, waiting) in inbox.items.iter().enumerate() {
        let id = waiting.word("approval_id");
        let path = format!("/approvals/{id}");
        let shown: Members = match client.get(&path).await {
            Ok(shown) => shown,
            Err(error) => {
                code = report(&error.into(), service.form(), &format!("{id}: "));
                continue;
            }
        };
        say(&format!("\n{} of {count}\n\n{}", nth + 1, describe(&shown, terminal_width())))?;
        let (verb, decision) = match choose(&shown)? {
            Step::Decide(verb, decision) => (verb, decision),
            Step::Skip => continue,
            Step::Quit => break,
        };
        match client.post::<Members>(&format!("{path}/{verb}"), &decision).await {
            Ok(decided) => say(&format!("{id}: {}\n", result(&decided)))?,
            Err(error) => code = report(&error.into(), service.form(), &format!("{id}: ")),
        }
    }
    Ok(code)
}

/// Shows an approval and asks for confirmation. Returns the digest of what was shown; `None` if the
/// user does not confirm.
pub async fn confirm(client: &Client, id: Uuid) -> Result<Option<String>, Error> {
    let shown: Members = client.get(&format!("/approvals/{id}")).await?;
    say(&format!("{}\n", describe(&shown, terminal_width())))?;
    let is_confirmed = terminal::confirm("approve exactly this?", "--yes or --digest")?;
    Ok(shown.text("digest").filter(|_| is_confirmed))
}

fn choose(shown: &Members) -> Result<Step, Error> {
    let digest = shown.text("digest");
    loop {
        let answer = terminal::ask("\n[y]es, [n]o, [e]dit, [s]kip, [q]uit? ")?;
        match answer.as_str() {
            "y" | "yes" => {
                let decision = Decision { comment: None, digest, payload: None };
                return Ok(Step::Decide("approve", decision));
            }
            "n" | "no" => {
                let reason = terminal::ask("reason: ")?;
                if reason.is_empty() {
                    continue;
                }
                let decision = Decision { comment: Some(reason), digest, payload: None };
                return Ok(Step::Decide("reject", decision));
            }
            "e" | "edit" => {
                let payload = shown.object("task").get("payload").map(RawValue::to_owned);
                let Some(payload) = edited(payload)? else { continue };
                let decision = Decision { comment: None, digest, payload: Some(payload) };
                return Ok(Step::Decide("approve", decision));
            }
            "s" | "skip" => return Ok(Step::Skip),
            // The end of the input is no decision.
            "q" | "quit" | "" => return Ok(Step::Quit),
            _ => {}
        }
    }
}

/// Opens the payload in the user's editor. Returns what it is then, after confirmation; `None` if it
/// is unchanged, no JSON, or not confirmed.
fn edited(payload: Option<Box<RawValue>>) -> Result<Option<Box<RawValue>>, Error> {
    let Some(payload) = payload else { return Ok(None) };
    let scratch = Scratch::new()?;
    let file = scratch.path().join("payload.json");
    let before = format!("{}\n", pretty(payload.get()));
    std::fs::File::create_new(&file)?.write_all(before.as_bytes())?;
    if !edit(&file)? || std::fs::read_to_string(&file)? == before {
        eprintln!("the payload is unchanged");
        return Ok(None);
    }
    let changed = match read_json(&file.to_string_lossy()) {
        Ok(changed) => changed,
        Err(error) => {
            eprintln!("{}", visible(&error.to_string()));
            return Ok(None);
        }
    };
    let members: Members = json::Members(vec![("payload".to_owned(), changed.clone())]);
    say(&describe(&members, terminal_width()))?;
    let is_confirmed = terminal::confirm("approve, with this payload instead?", "--payload")?;
    Ok(Some(changed).filter(|_| is_confirmed))
}

/// Runs the user's editor, which may have arguments. Returns whether it ended well.
fn edit(file: &Path) -> Result<bool, Error> {
    let given = ["VISUAL", "EDITOR"].into_iter().find_map(|name| std::env::var(name).ok());
    let editor = given.filter(|text| !text.trim().is_empty()).unwrap_or_else(|| "vi".to_owned());
    let mut words = editor.split_whitespace();
    let Some(program) = words.next() else { return Ok(false) };
    let status = Command::new(program).args(words).arg(file).status();
    Ok(status.map_err(Error::Programs)?.success())
}
