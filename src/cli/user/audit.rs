//! `orchestrator audit`: shows who did what, and verifies that the record is complete and
//! unchanged.

use std::process::ExitCode;

use clap::Subcommand;
use serde_json::value::{RawValue, to_raw_value};

use super::chain::{Chains, Entry, Findings, Page, Summary};
use super::table::table;
use super::text::visible;
use super::{Error, Part, Service, more, say};

/// The commands for the audit log; they require role admin.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// List entries, the newest first.
    List {
        /// List only what this actor did, such as user:alice or key:ops.
        #[arg(long)]
        actor: Option<String>,
        /// List only this action, such as approve.
        #[arg(long)]
        action: Option<String>,
        /// List only what was done to this subject, such as `task:<id>`.
        #[arg(long)]
        subject: Option<String>,
        #[command(flatten)]
        part: Part,
        #[command(flatten)]
        service: Service,
    },
    /// Verify the whole log: compute every hash again on this side, and name each entry that is
    /// changed or missing.
    ///
    /// Exits 1 if there is one. Keep the head's hash elsewhere: an attacker with write access to
    /// Redis can write a new chain, but not one that contains this hash.
    Verify {
        /// A hash that the chain must still contain; can be given several times.
        #[arg(long, value_name = "HASH")]
        expect: Vec<String>,
        #[command(flatten)]
        service: Service,
    },
}

impl Command {
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
                let answer = to_raw_value(&findings)?;
                say(&service.form().of(&answer, || Ok(report(&findings)))?)?;
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
    let rows = page.items.iter().map(|entry| {
        let Entry { partition, sequence, at, actor, origin, action, subject, detail, .. } = entry;
        let detail: Vec<_> = detail.iter().map(|(name, text)| format!("{name}={text}")).collect();
        let number = format!("{partition}/{sequence}");
        let origin = origin.as_deref().unwrap_or("-");
        let detail = detail.join(", ");
        [&number, at, actor, origin, action, subject, &detail].map(visible).to_vec()
    });
    let headings = ["ENTRY", "WHEN", "WHO", "FROM", "DID", "TO", "DETAIL"];
    table(headings, rows) + &more(page.next_cursor.as_deref())
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
    let times: String = times.collect();
    let gone = match trimmed {
        0 => String::new(),
        _ => format!("; entries up to {trimmed} are past their retention"),
    };
    visible(&format!(
        "partition {partition}: {entries} entries{times}{gone}; head {sequence} {head}"
    )) + "\n"
}
