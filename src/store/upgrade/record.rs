//! Converts records of layouts 6 and 7.
//!
//! A record of layout 6 has three lines of words before its timeline:
//!
//! ```text
//! state lines attempt rank since approval holder report timer human sla retries lost limit due
//!   version ended
//! agent kind priority trace traceparent title bytes max_retries timeout parent source cascade
//! actions begin start finish percent stands target
//! ```
//!
//! The first line is shown in two parts. `lines` is the number of lines of its timeline, and
//! `report` the digest of the report that ended the newest attempt. A record of layout 7 is like
//! one of this version, except that its status begins with the name of the state. In both, a line
//! of the timeline begins with `<when, ms> <verb> <state>` in words.

use crate::domain::lifecycle::{State, Verb};

use super::super::codec::fields::{NO_TIME, Parts};
use super::super::codec::letters;

/// The rank of parked tasks: behind all others. Layout 6 has a longer one.
pub(super) const PARKED: &str = "9999999999999";

/// What became of a record.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Conversion {
    /// The record was an older one; this is what it is now.
    Done(String),
    /// The record was of this version already.
    Needless,
}

/// Converts a record of layout 6 or 7. `None` if it is unreadable.
pub(super) fn convert(record: &str) -> Option<Conversion> {
    if let Some(parts) = Parts::read(record)
        && parts.status.state.parse().ok().and_then(letters::state).is_some()
    {
        return Some(Conversion::Needless);
    }
    let is_of_7 = record.lines().next()?.contains('\t');
    let converted = if is_of_7 { from_7(record)? } else { from_6(record)? };
    Parts::read(&converted).map(|_| Conversion::Done(converted.clone()))
}

fn from_7(record: &str) -> Option<String> {
    let mut lines = record.split('\n');
    let (times, rest) = lines.next()?.split_at_checked(3 * NO_TIME.len())?;
    let (state, rest) = rest.split_once(' ')?;
    let state = letter(state)?;
    let (attempt, rest) = rest.split_once(' ')?;
    let (sla, rest) = rest.split_once(' ')?;
    let timer = times.get(NO_TIME.len()..2 * NO_TIME.len())?;
    let sla = with_own_timer(sla, timer)?;
    Some(format!("{times}{state} {attempt} {sla} {rest}{}", timeline(lines)?))
}

fn from_6(record: &str) -> Option<String> {
    let mut lines = record.split('\n');
    #[rustfmt::skip]
    let [
        state, _lines, attempt, rank, since, approval, holder, report, timer, human, sla, retries,
        lost, limit, due, version, ended,
    ] = words(lines.next()?)?;
    #[rustfmt::skip]
    let [
        agent, kind, priority, trace, traceparent, title, bytes, max_retries, timeout, parent,
        source, cascade,
    ] = words(lines.next()?)?;
    let [actions, begin, start, finish, percent, stands, target] = words(lines.next()?)?;
    let timeline = timeline(lines)?;
    let state = letter(state)?;
    let [since, timer, begin, start, finish] =
        [time(since)?, time(timer)?, time(begin)?, time(start)?, time(finish)?];
    let sla = with_own_timer(sla, &timer)?;
    let rank = time(&rank.parse::<i64>().ok()?.clamp(0, PARKED.parse().ok()?).to_string())?;
    let bytes: u32 = bytes.parse().ok()?;
    let has_labels = [trace, traceparent, title].iter().any(|word| *word != "-");
    let labels = if has_labels { '+' } else { '-' };
    let report = if report == "-" { String::new() } else { format!(" ={report}") };
    Some(format!(
        "{since}{timer}{rank}{state} {attempt} {sla} {approval} {holder} {human} {retries} {lost} \
         {limit} {due} {version} {ended} {agent} {kind} {priority} {max_retries} {timeout} {source} \
         {labels}\t{bytes:08}{begin}{start}{finish} {percent} {stands} {actions} {target} {parent} \
         {cascade} {trace} {traceparent} {title}{timeline}{report}"
    ))
}

/// Returns the word `sla` of a task, each of which had an entry of its own in `timers` if it had a
/// timer; see `clocks.lua`. `None` if the word is no number.
fn with_own_timer(sla: &str, timer: &str) -> Option<String> {
    const OWN: u16 = 512;
    let sla: u16 = sla.parse().ok()?;
    Some((if timer == NO_TIME { sla } else { sla | OWN }).to_string())
}

/// Returns the words of a line. `None` if it has another number of them.
fn words<const COUNT: usize>(line: &str) -> Option<[&str; COUNT]> {
    line.split(' ').collect::<Vec<_>>().try_into().ok()
}

fn letter(state: &str) -> Option<char> {
    state.parse::<State>().ok().map(letters::of_state)
}

/// Returns a time, or `-`, as a field of a fixed width. `None` if it is too long or no time.
fn time(word: &str) -> Option<String> {
    if word == "-" {
        return Some(NO_TIME.to_owned());
    }
    let width = NO_TIME.len();
    let time = format!("{:0width$}", word.parse::<u64>().ok()?);
    (time.len() == width).then_some(time)
}

/// Converts the lines of a timeline. `None` if there are none, or one is unreadable.
fn timeline<'r>(lines: impl Iterator<Item = &'r str>) -> Option<String> {
    let lines: String = lines.map(transition).collect::<Option<_>>()?;
    (!lines.is_empty()).then_some(lines)
}

fn transition(line: &str) -> Option<String> {
    let mut words = line.splitn(4, ' ');
    let at: u64 = words.next()?.parse().ok()?;
    let verb = letters::of_verb(words.next()?.parse::<Verb>().ok()?);
    let state = letter(words.next()?)?;
    Some(format!("\n{at}{verb}{state} {}", words.next()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMELINE: &str = "\n1764500000000 submit pending key:alice 0\n\
        1764500001000 claim in_progress key:agent 1\n\
        1764500002000 retry scheduled key:agent 1 \"no luck: \\\"x =y\\\"\"";

    fn done(record: &str) -> String {
        match convert(record) {
            Some(Conversion::Done(record)) => record,
            other => panic!("{record:?} became {other:?}"),
        }
    }

    #[test]
    fn a_record_of_layout_6_keeps_every_word() {
        let old = "scheduled 3 1 1764400000000 1764500002000 - Lease7890123456789012 d-i_gest \
            1764500009000 5 17 1 2 1764500007000 1764500008000 3 4\n\
            faq_agent faq P1 trace-1 - \"a\\u0020title\" 321 7 9000 parent slack cancel\n\
            4notify:oncall 1764500000000 - 1764500010000 50 1 \"soon\\u0020enough\""
            .to_owned()
            + TIMELINE;

        let expected = "17645000020001764500009000\
            1764400000000s 1 529 - Lease7890123456789012 5 1 2 1764500007000 1764500008000 3 4 \
            faq_agent faq P1 7 9000 slack +\t\
            00000321176450000000000000000000001764500010000 50 1 4notify:oncall \
            \"soon\\u0020enough\" parent cancel trace-1 - \"a\\u0020title\"\n\
            1764500000000sp key:alice 0\n1764500001000ci key:agent 1\n\
            1764500002000Rs key:agent 1 \"no luck: \\\"x =y\\\"\" =d-i_gest";
        assert_eq!(done(&old), expected);
        assert_eq!(convert(expected), Some(Conversion::Needless));
    }

    #[test]
    fn a_record_of_layout_7_gets_letters() {
        let head = "176450000200000000000000001764400000000";
        let rest = " 1 0 - - 0 0 0 - - 1 - faq_agent faq P2 3 - user -\t\
            0000000217645000000000000000000000000000000000 - 0 - - - - - - -";
        let old = format!("{head}scheduled{rest}{TIMELINE} =d");

        let new = done(&old);

        assert_eq!(new.split('\n').next().unwrap(), format!("{head}s{rest}"));
        assert!(
            new.ends_with("\n1764500002000Rs key:agent 1 \"no luck: \\\"x =y\\\"\" =d"),
            "{new}"
        );
        assert_eq!(convert(&new), Some(Conversion::Needless));
    }

    #[test]
    fn a_parked_task_stays_behind_all_others() {
        let old = "pending 1 0 9007199254740991 1764500002000 - - - - 0 0 0 0 - - 1 -\n\
            faq_agent faq P2 - - - 2 3 - - user -\n- 1764500000000 - - - 0 -\n\
            1764500000000 submit pending key:alice 0";
        let new = done(old);
        assert_eq!(Parts::read(&new).unwrap().times.rank, PARKED);
        let negative = old.replace(" 9007199254740991 ", " -5 ");
        assert_eq!(Parts::read(&done(&negative)).unwrap().times.rank, NO_TIME);
    }

    #[test]
    fn what_is_no_record_is_unreadable() {
        let whole = "pending 1 0 1764500002000 1764500002000 - - - - 0 0 0 0 - - 1 -\n\
            faq_agent faq P2 - - - 2 3 - - user -\n- 1764500000000 - - - 0 -\n\
            1764500000000 submit pending key:alice 0";
        done(whole);
        for (old, new) in [
            ("pending", "waiting"),
            (" 1 -\n", " 1\n"),
            ("1764500000000 - -", "soon - -"),
            ("1764500000000 - -", "17645000000000 - -"),
            ("submit", "send"),
            ("\n1764500000000 submit pending key:alice 0", ""),
            (" - - - 2 ", " - - - x "),
        ] {
            let broken = whole.replacen(old, new, 1);
            assert_ne!(broken, whole);
            assert_eq!(convert(&broken), None, "{broken}");
        }
        for other in ["", "garbage", "\t", "a\tb\nc", "\u{e9}\t"] {
            assert_eq!(convert(other), None, "{other}");
        }
    }
}
