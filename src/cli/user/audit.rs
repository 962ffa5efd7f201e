//! `orchestrator audit`: who did what, and whether the record of it is whole.

use std::process::ExitCode;

use clap::Subcommand;
use serde_json::value::RawValue;

use super::chain::{Chains, Entry, Findings, Page, Summary};
use super::table::Table;
use super::text::visible;
use super::{Error, Part, Service, more, say};

/// What can be asked of the audit log; needs an admin's key.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Show entries, the newest first.
    List {
        /// Only what this actor did, such as user:alice or key:ops.
        #[arg(long)]
        actor: Option<String>,
        /// Only this action, such as approve.
        #[arg(long)]
        action: Option<String>,
        /// Only what was done to this, such as `task:<id>`.
        #[arg(long)]
        subject: Option<String>,
        #[command(flatten)]
        part: Part,
        #[command(flatten)]
        service: Service,
    },
    /// Read all of it, compute every hash again on this side, and name each entry that was changed or is missing.
    ///
    /// Exits 1 if there is one. Keep the head's hash elsewhere: whoever may write to Redis can write a whole chain anew,
    /// but not one in which that hash is still met.
    Verify {
        /// A hash that must still be in the chain; may be given several times.
        #[arg(long, value_name = "HASH")]
        expect: Vec<String>,
        #[command(flatten)]
        service: Service,
    },
}

impl Command {
    /// Does it.
    pub(super) async fn run(self) -> Result<ExitCode, Error> {
        match self {
            Self::List { actor, action, subject, part, service } => {
                let pairs = [("actor", actor), ("action", action), ("subject", subject)];
                let page: Box<RawValue> =
                    service.client()?.get(&part.path("/admin/audit", &pairs)).await?;
                service.print(&page, |page: Page| entries(&page))
            }
            Self::Verify { expect, service } => {
                let findings = verify(&service, expect).await?;
                let text = if service.json {
                    format!("{}\n", serde_json::to_string(&findings)?)
                } else {
                    report(&findings)
                };
                say(&text)?;
                Ok(if findings.faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
            }
        }
    }
}

async fn verify(service: &Service, expect: Vec<String>) -> Result<Findings, Error> {
    let client = service.client()?;
    let mut chains = Chains::expecting(expect);
    let mut cursor = None;
    loop {
        let part = Part { limit: 200, cursor };
        let page: Page = client.get(&part.path("/admin/audit", &[])).await?;
        chains.see(&page);
        if page.next_cursor.is_none() {
            return Ok(chains.finish(&page.chains));
        }
        cursor = page.next_cursor;
    }
}

fn entries(page: &Page) -> String {
    let mut table = Table::new(["ENTRY", "WHEN", "WHO", "FROM", "DID", "TO", "DETAIL"]);
    for entry in &page.items {
        let Entry { partition, sequence, at, actor, origin, action, subject, detail, .. } = entry;
        let detail: Vec<_> = detail.iter().map(|(name, text)| format!("{name}={text}")).collect();
        let (number, origin) =
            (format!("{partition}/{sequence}"), origin.as_deref().unwrap_or("-"));
        table.row([&number, at, actor, origin, action, subject, &detail.join(", ")].map(visible));
    }
    table.text() + &more(page.next_cursor.as_deref())
}

fn report(findings: &Findings) -> String {
    let chains: String = findings.chains.iter().map(chain).collect();
    let faults: String =
        findings.faults.iter().map(|fault| format!("{}\n", visible(fault))).collect();
    let verdict = match findings.faults.len() {
        0 => "Every entry follows on the one before it.\n".to_owned(),
        1 => "1 fault.\n".to_owned(),
        count => format!("{count} faults.\n"),
    };
    chains + &faults + &verdict
}

fn chain(chain: &Summary) -> String {
    let Summary { partition, entries, from, to, trimmed, sequence, head } = chain;
    let times = from.iter().zip(to).map(|(from, to)| format!(" from {from} to {to}"));
    let gone = if *trimmed == 0 {
        String::new()
    } else {
        format!("; entries up to {trimmed} are past their retention")
    };
    let times: String = times.collect();
    visible(&format!(
        "partition {partition}: {entries} entries{times}{gone}; head {sequence} {head}"
    )) + "\n"
}
