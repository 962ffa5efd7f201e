//! Whether those who are asked are there, and having others decide in their place.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use crate::domain::approval::{Approval, ApprovalStatus, Level, OnExpiry, Terms};
use crate::domain::ids::ApprovalId;
use crate::domain::lifecycle::Verb;
use crate::domain::principal::{Principal, Role, Scope};
use crate::domain::task::Task;
use crate::store::Gate;

use super::approvals::ASKED_BY_AGENT;
use super::{Engine, Error, Fault};

/// How many open approvals a look for missing deciders reads at the most.
const LOOKED_AT: usize = 10_000;

/// How many of them it reads at once.
const PAGE: usize = 200;

/// How many approvals are named for each thing that is wrong.
const NAMED: usize = 5;

/// The bounds of [`Terms::quorum`].
pub const QUORUM: RangeInclusive<u32> = 1..=20;

/// Open approvals that ask people who are not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreachable {
    /// What is wrong, such as "group `oncall` is not configured".
    pub fault: String,
    /// How many approvals it concerns.
    pub count: usize,
    /// The first of them, at most five.
    pub first: Vec<ApprovalId>,
}

/// Who decides from now on.
#[derive(Clone, Debug)]
pub enum Target {
    /// Those whom this approval rule asks, on its terms of today.
    Rule(String),
    /// These; the other terms stay.
    People {
        /// See [`Level::roles`].
        roles: Vec<Role>,
        /// See [`Level::groups`].
        groups: Vec<String>,
        /// See [`Terms::quorum`]; none: as it is.
        quorum: Option<u32>,
    },
}

impl Engine {
    /// What keeps open approvals from being decided: groups that are not configured or empty, and quorums that are
    /// larger than the groups. Looks at no more than 10,000 approvals.
    pub async fn unreachable(&self) -> Result<Vec<Unreachable>, Error> {
        let directory = self.settings.directory();
        let mut found: BTreeMap<String, (usize, Vec<ApprovalId>)> = BTreeMap::new();
        let mut cursor = None;
        for _ in 0..LOOKED_AT / PAGE {
            let open = [ApprovalStatus::Pending];
            let page = self.approvals(&open, PAGE, cursor.as_deref(), false).await?;
            for approval in page.items {
                let terms = &approval.terms;
                let levels = terms.levels.iter().skip(approval.level);
                let mut faults: Vec<_> =
                    levels.flat_map(|level| directory.faults(level, terms.quorum)).collect();
                faults.sort();
                faults.dedup();
                for fault in faults {
                    let (count, first) = found.entry(fault).or_default();
                    *count += 1;
                    first.extend(Some(approval.id).filter(|_| *count <= NAMED));
                }
            }
            cursor = page.next_cursor;
            if cursor.is_none() {
                break;
            }
        }
        let found = found.into_iter();
        Ok(found.map(|(fault, (count, first))| Unreachable { fault, count, first }).collect())
    }

    /// Says in the log what [`Engine::unreachable`] finds.
    pub async fn warn_of_unreachable(&self) -> Result<(), Error> {
        for Unreachable { fault, count, first } in self.unreachable().await? {
            let first: Vec<_> = first.iter().map(ApprovalId::to_string).collect();
            let first = first.join(" ");
            tracing::warn!(
                fault,
                approvals = count,
                first,
                "open approvals ask people who are not there; `orchestrator approvals retarget` has others decide"
            );
        }
        Ok(())
    }

    /// Has others decide on an open approval. What was said under the old terms no longer counts.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if nobody could decide under the new terms, [`Error::OwnSubmission`] if the caller submitted
    /// the task or asked, [`Error::AlreadyDecided`] if there is a decision.
    pub async fn retarget(
        &self,
        caller: &Principal,
        id: ApprovalId,
        target: Target,
        reason: Option<String>,
    ) -> Result<(Approval, Task), Error> {
        loop {
            let (approval, task) = self.approval(id).await?;
            let is_open = approval.status == ApprovalStatus::Pending;
            if is_open && self.settings.directory().is_own(caller, &approval, &task) {
                return Err(Error::OwnSubmission(id));
            }
            let terms = self.terms_for(&approval, &target).map_err(|fault| {
                let (pointer, detail) = fault;
                Error::Invalid(vec![Fault::new(pointer, detail)])
            })?;
            let (digest, rule) = (approval.digest.clone(), approval.rule.clone());
            let gate = Gate { id, digest, rule, terms };
            let done = self.store.retarget(&approval, caller, &gate, reason.as_deref()).await?;
            if let Some(done) = self.outcome(&approval, Verb::Retarget, done).await? {
                tracing::info!(approval.id = %id, %caller, "others are asked to decide");
                return Ok(done);
            }
        }
    }

    /// The terms that `target` means; or which field of it is wrong, and why.
    fn terms_for(
        &self,
        approval: &Approval,
        target: &Target,
    ) -> Result<Terms, (&'static str, String)> {
        let settings = &self.settings.approvals;
        let (roles, groups, quorum) = match target {
            Target::Rule(name) if name == ASKED_BY_AGENT => {
                return Ok(settings.terms_of(&settings.asked));
            }
            Target::Rule(name) => {
                let rule = settings.rules.iter().find(|rule| rule.name == *name);
                let known: Vec<_> = settings.rules.iter().map(|rule| rule.name.as_str()).collect();
                let unknown =
                    || ("/rule", format!("no rule is called so; known are {}", known.join(", ")));
                return rule.map(|rule| settings.terms_of(&rule.terms)).ok_or_else(unknown);
            }
            Target::People { roles, groups, quorum } => {
                (roles, groups, quorum.unwrap_or(approval.terms.quorum))
            }
        };
        if let Some(role) = roles.iter().find(|role| !role.allows(Scope::ApprovalsDecide)) {
            return Err(("/roles", format!("the role {} never decides", role.as_str())));
        }
        let expires_after_ms =
            approval.terms.level(approval.level).map(|level| level.expires_after_ms);
        let level = Level {
            roles: roles.clone(),
            groups: groups.clone(),
            expires_after_ms: expires_after_ms.unwrap_or(settings.expires_after_ms),
        };
        if let Some(fault) = self.settings.directory().faults(&level, quorum).into_iter().next() {
            return Err(("/groups", fault));
        }
        // There is no other level left to escalate to, which means a rejection.
        let on_expiry = match approval.terms.on_expiry {
            OnExpiry::Escalate => OnExpiry::Reject,
            other => other,
        };
        Ok(Terms { levels: vec![level], quorum, on_expiry, ..approval.terms.clone() })
    }
}
