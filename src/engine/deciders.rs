//! Approvers: whether those who are asked exist, and retargeting an approval to others.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use crate::domain::approval::{Approval, ApprovalStatus, Level, OnExpiry, Terms};
use crate::domain::ids::ApprovalId;
use crate::domain::lifecycle::Verb;
use crate::domain::principal::{Principal, Role, Scope};
use crate::domain::task::Task;
use crate::store::Gate;

use super::approvals::ASKED_BY_AGENT;
use super::{Engine, Error, Fault};

/// How many pending approvals are read at most to look for missing approvers.
const LOOKED_AT: usize = 10_000;

/// How many approvals are read in one call to the store.
const PAGE: usize = 200;

/// How many approvals are named for each fault.
const NAMED: usize = 5;

/// The range of [`Terms::quorum`] that settings and retargeting accept.
pub const QUORUM: RangeInclusive<u32> = 1..=20;

/// Pending approvals with one common fault: they ask people who do not exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreachable {
    /// The fault as a text, such as "group `oncall` is not configured".
    pub fault: String,
    /// How many pending approvals have this fault.
    pub count: usize,
    /// The first of these approvals, at most five.
    pub first: Vec<ApprovalId>,
}

/// The approvers to whom an approval is retargeted.
#[derive(Clone, Debug)]
pub enum Target {
    /// The approvers of this approval rule, under its current terms.
    Rule(String),
    /// The approvers given here. All other terms of the approval stay.
    People {
        /// The roles that may decide; see [`Level::roles`].
        roles: Vec<Role>,
        /// The groups whose members may decide; see [`Level::groups`].
        groups: Vec<String>,
        /// How many people must approve; see [`Terms::quorum`]. `None` keeps the number.
        quorum: Option<u32>,
    },
}

impl Engine {
    /// Returns what prevents pending approvals from being decided: groups that are not configured
    /// or empty, and quorums larger than their groups. Reads at most 10,000 approvals.
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
                let faults = levels.flat_map(|level| directory.faults(level, terms.quorum));
                for fault in faults.collect::<BTreeSet<_>>() {
                    let (count, first) = found.entry(fault).or_default();
                    *count += 1;
                    if first.len() < NAMED {
                        first.push(approval.id);
                    }
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

    /// Logs a warning for everything that [`Engine::unreachable`] finds.
    pub async fn warn_of_unreachable(&self) -> Result<(), Error> {
        for Unreachable { fault, count, first } in self.unreachable().await? {
            let first: Vec<_> = first.iter().map(ApprovalId::to_string).collect();
            let first = first.join(" ");
            tracing::warn!(
                fault,
                approvals = count,
                first,
                "pending approvals ask approvers who do not exist; \
                 retarget them with `orchestrator approvals retarget`"
            );
        }
        Ok(())
    }

    /// Retargets a pending approval to other approvers. Votes under the old terms do not count.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if no approver could decide under the new terms, [`Error::OwnSubmission`]
    /// if the caller submitted the task or requested the approval, [`Error::AlreadyDecided`] if
    /// there is a final decision.
    pub async fn retarget(
        &self,
        caller: &Principal,
        id: ApprovalId,
        target: Target,
        reason: Option<String>,
    ) -> Result<(Approval, Task), Error> {
        loop {
            let (approval, task) = self.approval_for(caller, id).await?;
            let is_open = approval.status == ApprovalStatus::Pending;
            if is_open && self.settings.directory().is_own(caller, &approval, &task) {
                return Err(Error::OwnSubmission(id));
            }
            let terms =
                self.terms_for(&approval, &target).map_err(|fault| Error::Invalid(vec![fault]))?;
            let digest = approval.digest.clone();
            let rule = approval.rule.clone();
            let gate = Gate { id, digest, rule, terms };
            let done = self.store.retarget(&approval, caller, &gate, reason.as_deref()).await?;
            if let Some(done) = self.outcome(&approval, Verb::Retarget, done).await? {
                tracing::info!(approval.id = %id, %caller, "approval retargeted");
                return Ok(done);
            }
        }
    }

    /// Returns the terms for `target`. The error says which field of it is wrong and why.
    fn terms_for(&self, approval: &Approval, target: &Target) -> Result<Terms, Fault> {
        let settings = &self.settings.approvals;
        let (roles, groups, quorum) = match target {
            Target::Rule(name) if name == ASKED_BY_AGENT => {
                return Ok(settings.terms_of(&settings.asked));
            }
            Target::Rule(name) => {
                if let Some(rule) = settings.rules.iter().find(|rule| rule.name == *name) {
                    return Ok(settings.terms_of(&rule.terms));
                }
                let known: Vec<_> = settings.rules.iter().map(|rule| rule.name.as_str()).collect();
                let detail = format!("unknown approval rule; known rules: {}", known.join(", "));
                return Err(Fault::new("/rule", detail));
            }
            Target::People { roles, groups, quorum } => {
                (roles, groups, quorum.unwrap_or(approval.terms.quorum))
            }
        };
        if let Some(role) = roles.iter().find(|role| !role.allows(Scope::ApprovalsDecide)) {
            let detail = format!("the role {} cannot decide approvals", role.as_str());
            return Err(Fault::new("/roles", detail));
        }
        let asked = approval.terms.level(approval.level);
        let expires_after_ms =
            asked.map_or(settings.expires_after_ms, |level| level.expires_after_ms);
        let level = Level { roles: roles.clone(), groups: groups.clone(), expires_after_ms };
        if let Some(fault) = self.settings.directory().faults(&level, quorum).into_iter().next() {
            return Err(Fault::new("/groups", fault));
        }
        // No other level is left to escalate to, so the expiry is a rejection.
        let on_expiry = match approval.terms.on_expiry {
            OnExpiry::Escalate => OnExpiry::Reject,
            OnExpiry::Reject | OnExpiry::Hold => approval.terms.on_expiry,
        };
        Ok(Terms { levels: vec![level], quorum, on_expiry, ..approval.terms.clone() })
    }
}
