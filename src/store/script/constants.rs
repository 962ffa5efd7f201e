//! The facts that the scripts share with this program.

use std::fmt::Write as _;
use std::sync::LazyLock;

use crate::domain::approval::ApprovalStatus;
use crate::domain::bulk::MAX_BULKS;
use crate::domain::event::EventPriority;
use crate::domain::lifecycle::{RULES, State};
use crate::domain::principal::{ORCHESTRATOR, Role};
use crate::domain::priority::Priority;
use crate::domain::sla::REPORT_KEPT_S;
use crate::domain::task::{TIMELINE, TIMELINE_BYTES};

use super::super::codec::{fields, letters, row};
use super::super::keys::{self, GROUP_SIZE};

/// All constants, as Lua.
pub(super) static ALL: LazyLock<String> = LazyLock::new(|| {
    let mut lua = String::from("local RULES = {");
    for rule in RULES {
        let from = set(rule.from);
        let to = set(rule.to);
        let only = match rule.to {
            [only] => format!("only='{only}',"),
            _ => String::new(),
        };
        // Writing to a `String` cannot fail.
        let _ = write!(
            lua,
            "['{}']={{from={from},to={to},{only}event='{}',letter='{}'}},",
            rule.verb,
            rule.event,
            letters::of_verb(rule.verb)
        );
    }
    lua.push_str("}\nlocal STATES = {");
    for state in State::ALL {
        let place = keys::place(state);
        let wake = place.wake.map(|wake| format!("wake='{wake}',")).unwrap_or_default();
        let _ = write!(
            lua,
            "{state}={{letter='{}',order='{}',{wake}is_per_agent={},is_final={},is_human={}}},",
            letters::of_state(state),
            place.order,
            keys::is_per_agent(state),
            state.is_terminal(),
            state == State::Blocked,
        );
    }
    let leasing: Vec<_> = RULES.iter().filter(|rule| rule.to == [State::InProgress]).collect();
    let leasing: Vec<_> = leasing.iter().map(|rule| format!("{}=true", rule.verb)).collect();
    let event_priority = Priority::ALL.map(|priority| {
        format!("{}='{}'", priority.as_str(), EventPriority::from(priority).as_str())
    });
    let approvals = ApprovalStatus::ALL.map(|status| format!("{}=true", status.as_str()));
    let _ = writeln!(
        lua,
        "}}\n\
         local LEASING = {{{}}}\n\
         local EVENT_PRIORITY = {{{}}}\n\
         local APPROVALS = {{{}}}\n\
         local ORCHESTRATOR, HUMAN = '{ORCHESTRATOR}', {}\n\
         local TIMELINE, TIMELINE_BYTES = {TIMELINE}, {TIMELINE_BYTES}\n\
         local REPORT_KEPT, GROUP_SIZE = {REPORT_KEPT_S}, {GROUP_SIZE}\n\
         local MOST_BULKS = {MAX_BULKS}",
        leasing.join(","),
        event_priority.join(","),
        approvals.join(","),
        Role::HUMAN.rank(),
    );
    lua.push_str(&letters::lua());
    lua.push_str(&fields::lua());
    lua.push_str(&row::lua());
    lua
});

/// Returns a Lua table with these states as keys.
fn set(states: &[State]) -> String {
    let words: Vec<_> = states.iter().map(|state| format!("{state}=true")).collect();
    format!("{{{}}}", words.join(","))
}
