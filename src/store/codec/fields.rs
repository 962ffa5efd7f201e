//! The fields of a task's record: one list for this program and for the scripts.
//!
//! A record is `<times><status>\t<content>` and the timeline, one line for each transition:
//! `<when, ms><verb><state> <actor> <attempt>[ <reason, a JSON string>][ =<digest of a report>]`,
//! where letters stand for the verb and the state; see [`super::letters`]. `-` stands for an absent
//! word, [`NO_TIME`] for an absent time, and [`NEW`] for the words of a part that a new record has,
//! as long as none of them has changed.

use std::fmt::Write as _;

/// The digits of a time in milliseconds since 1970, which suffice until the year 2286.
const TIME: usize = 13;

/// An absent time.
pub(in crate::store) const NO_TIME: &str = "0000000000000";

/// The words of a part that a new record has.
pub(super) const NEW: &str = "=";

/// Defines a part of a record: the widths of its first fields and then its words, each with the
/// word that a new record has, if the scripts do not compute it.
macro_rules! part {
    (
        $(#[$doc:meta])*
        $name:ident {
            fixed { $($(#[$fixed_doc:meta])* $fixed:ident: $width:expr,)* }
            words { $($(#[$word_doc:meta])* $word:ident $(= $new:literal)?,)* }
        }
    ) => {
        $(#[$doc])*
        #[allow(dead_code, reason = "some fields are only for scripts")]
        pub(in crate::store) struct $name<'r> {
            $($(#[$fixed_doc])* pub $fixed: &'r str,)*
            $($(#[$word_doc])* pub $word: &'r str,)*
        }

        #[allow(dead_code, reason = "some parts have no words")]
        impl<'r> $name<'r> {
            /// The names and the widths of the fields with a fixed width.
            const FIXED: &'static [(&'static str, usize)] = &[$((stringify!($fixed), $width)),*];
            /// The names of the words.
            const WORDS: &'static [&'static str] = &[$(stringify!($word)),*];
            /// Those words that a new record has, which stand together.
            const NEW: &'static [&'static str] = &[$($($new,)?)*];
            /// How many words stand before them.
            const BEFORE_NEW: usize = {
                let has_new: &[&[&str]] = &[$(&[$($new)?]),*];
                let mut count = 0;
                while count < has_new.len() && has_new[count].is_empty() {
                    count += 1;
                }
                count
            };

            /// Reads the part. `None` if a field is missing, or there is one more.
            pub fn read(text: &'r str) -> Option<Self> {
                #[allow(unused_mut, reason = "some parts have no field with a fixed width")]
                let mut rest = text;
                $(
                    let ($fixed, after) = rest.split_at_checked($width)?;
                    rest = after;
                )*
                let words = rest.split(' ').filter(|word| !word.is_empty()).enumerate();
                let mut words = words.flat_map(|(nth, word)| {
                    let is_new = word == NEW && nth == Self::BEFORE_NEW;
                    let new = if is_new { Self::NEW } else { &[] };
                    new.iter().copied().chain((!is_new).then_some(word))
                });
                let part = Self { $($fixed,)* $($word: words.next()?,)* };
                words.next().is_none().then_some(part)
            }
        }
    };
}

part! {
    /// What changes with each task and each step, in fields of a fixed width.
    Times {
        fixed {
            /// When the task came to its state, ms.
            since: TIME,
            /// When the next SLA threshold passes, ms: the score of an open task, or of its group, in
            /// `timers`. Absent if there is none.
            timer: TIME,
            /// Its place in the queue and in the subject, ms: its start minus its head start. Absent
            /// after its end.
            rank: TIME,
        }
        words {}
    }
}

part! {
    /// What many tasks have in common.
    Status {
        fixed {}
        words {
            /// The letter of the state.
            state,
            /// The number of the newest attempt.
            attempt = "0",
            /// The results of its SLA clocks, a sum; see `clocks.lua`.
            sla = "0",
            /// The id of its newest approval.
            approval = "-",
            /// Who holds the newest attempt: the lease of a claim as the store keeps it, 22 characters,
            /// or the caller that took the task itself, such as `key:ops`.
            holder = "-",
            /// How long the task waited for humans while it could have continued, ms, without the
            /// current wait.
            human = "0",
            /// How many attempts failed.
            retries = "0",
            /// How many leases were lost.
            lost = "0",
            /// When the attempt reaches the timeout of the task, ms.
            limit = "-",
            /// When it is due, ms, if it waits for that.
            due = "-",
            /// Of the content: 1, and one more for every change of the payload by an approver.
            version = "1",
            /// The rank of the role of the human that ended the task. Absent if no human did.
            ended = "-",
            /// The agent that gets the task. It begins the facts, which submissions name.
            agent,
            /// The type.
            kind,
            /// The priority, `P0` to `P3`.
            priority,
            /// How many failed attempts are followed by another one.
            max_retries,
            /// How long an attempt may take, ms.
            timeout,
            /// The source that the submission names.
            source,
            /// `+` if the content has a trace, a traceparent or a title, which events show; else `-`.
            labels,
        }
    }
}

part! {
    /// What belongs to this task alone.
    Content {
        fixed {
            /// The size of its spec in version 1.
            bytes: BYTES,
            /// When its clocks start to run, ms.
            begin: TIME,
            /// The deadline of the start of the first attempt, ms.
            start: TIME,
            /// The deadline of its end, ms.
            finish: TIME,
        }
        words {
            /// The share of the time after which to warn. Absent if the task has no SLA.
            percent,
            /// 1 if its clocks stop while it waits for a human, else 0.
            stands,
            /// What to do when a threshold passes, each `<bit of the threshold><action>[:<argument>]`,
            /// joined by commas.
            actions = "-",
            /// The SLA target in the client's words, a JSON string in which the character 31 is a space.
            target = "-",
            /// The id of its parent. It begins the words of its own, which most tasks do not have.
            parent = "-",
            /// What happens when its parent is cancelled, `cancel` or `continue`.
            cascade = "-",
            /// The client's trace id.
            trace = "-",
            /// The W3C trace context; see `trace_word` in `codec/mod.rs`.
            traceparent = "-",
            /// What the task is about, a JSON string in which the character 31 is a space.
            title = "-",
        }
    }
}

/// The digits of the size of a spec.
const BYTES: usize = 8;

/// Returns the size of a spec as the content has it. A larger one than fits counts as the largest.
pub(in crate::store) fn bytes_text(bytes: usize) -> String {
    format!("{:0BYTES$}", bytes.min(10usize.pow(BYTES as u32) - 1))
}

/// A record, taken apart.
pub(in crate::store) struct Parts<'r> {
    pub times: Times<'r>,
    pub status: Status<'r>,
    pub content: Content<'r>,
    /// The lines of the timeline.
    pub timeline: std::str::Split<'r, char>,
}

impl<'r> Parts<'r> {
    /// Takes a record apart. `None` if it is not one.
    pub fn read(record: &'r str) -> Option<Self> {
        let mut lines = record.split('\n');
        let (state, content) = lines.next()?.split_once('\t')?;
        let (times, status) = state.split_at_checked(3 * TIME)?;
        Some(Self {
            times: Times::read(times)?,
            status: Status::read(status)?,
            content: Content::read(content)?,
            timeline: lines,
        })
    }
}

/// Returns the positions of the fields and the functions that take records apart and put them
/// together, as Lua.
pub(in crate::store) fn lua() -> String {
    let mut lua = format!(
        "local NO_TIME, TIMES_WIDTH = '{NO_TIME}', {}\n\
         local RANK_FORMAT, BYTES_FORMAT = '%0{TIME}.0f', '%0{BYTES}d'\n\
         local NEW, NEW_CONTENT = '{NEW}', '{}'\n",
        3 * TIME,
        Content::NEW.join(" "),
    );
    for fixed in [Times::FIXED, Content::FIXED] {
        let mut end = 0;
        for (name, width) in fixed {
            let name = name.to_uppercase();
            // Writing to a `String` cannot fail.
            let _ = writeln!(lua, "local {name}, {name}_END = {}, {}", end + 1, end + width);
            end += width;
        }
    }
    let (before, rest) = Status::WORDS.split_at(Status::BEFORE_NEW);
    let (new, after) = rest.split_at(Status::NEW.len());
    let joined = |words: &[&str]| {
        let words: Vec<_> = words.iter().map(|word| format!("s.{word}")).collect();
        words.join(" .. ' ' .. ")
    };
    let _ = writeln!(
        lua,
        "local function join_status(s)\n local new = {}\n\
         return STATES[{}].letter .. ' ' .. (new == '{}' and NEW or new) .. ' ' .. {}\nend",
        joined(new),
        joined(before),
        Status::NEW.join(" "),
        joined(after),
    );
    lua.push_str(&cut(
        "status(text)",
        &expanded("text", Status::BEFORE_NEW, Status::NEW),
        Status::FIXED,
        Status::WORDS,
        "steps = nil, owner = nil, ",
    ));
    lua.push_str(&cut(
        "content(text, at)",
        &expanded("string.match(text, '^[^\\n]*', at + 1)", Content::BEFORE_NEW + 1, Content::NEW),
        Content::FIXED,
        Content::WORDS,
        "",
    ));
    lua
}

/// Returns the Lua expression of a text with the words of a new record in place of [`NEW`], after
/// `before` words.
fn expanded(text: &str, before: usize, new: &[&str]) -> String {
    let before = vec!["%S+"; before].join(" ");
    format!("string.gsub({text}, '^({before}) {NEW}', '%1 {}')", new.join(" "))
}

/// Returns the Lua function that takes a part apart, which is the Lua expression `part`.
pub(super) fn cut(
    head: &str,
    part: &str,
    fixed: &[(&str, usize)],
    words: &[&str],
    more: &str,
) -> String {
    let mut names: Vec<_> = fixed.iter().map(|(name, _)| *name).collect();
    names.extend(words);
    let mut pattern = String::from("^");
    for (_, width) in fixed {
        let _ = write!(pattern, "({})", ".".repeat(*width));
    }
    if !fixed.is_empty() {
        pattern.push(' ');
    }
    pattern.push_str(&vec!["(%S+)"; words.len()].join(" "));
    let names_list = names.join(", ");
    let members: Vec<_> = names.iter().map(|name| format!("{name} = {name}")).collect();
    let members = members.join(", ");
    format!(
        "local function cut_{head}\n local part = {part}\n \
         local {names_list} = string.match(part, '{pattern}')\n\
         return {{ text = text, {more}{members} }}\nend\n"
    )
}
