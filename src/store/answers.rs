//! What each answer of Redis, or no answer, means for the connection and for readiness, as one
//! table.

use redis::{ErrorKind, RedisError};

/// What to do after an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reaction {
    /// Reconnect with back-off. The address may lead to another server by then, or the server may
    /// accept the credentials again.
    Reconnect,
    /// Keep the connection and wait. The server accepts writes again by itself or after an
    /// operator's action.
    Wait,
    /// End the call. The connection and the server work, and a repetition does not help.
    End,
}

/// A row of the table.
#[derive(Debug)]
pub(super) struct Row {
    /// The first word of the answer of Redis. In lower case if the connection failed.
    pub word: &'static str,
    pub reaction: Reaction,
    /// Whether no write can work, so that the process is not ready.
    pub is_down: bool,
    /// What the answer means, for the log.
    pub meaning: &'static str,
}

const fn row(word: &'static str, reaction: Reaction, is_down: bool, meaning: &'static str) -> Row {
    Row { word, reaction, is_down, meaning }
}

/// Every known answer. The last row stands for all others.
#[rustfmt::skip]
static TABLE: [Row; 31] = [
    // The connection.
    row("refused",     Reaction::Reconnect, true,  "the address accepts no connections"),
    row("lost",        Reaction::Reconnect, true,  "the connection broke"),
    row("silent",      Reaction::Reconnect, true,  "Redis did not answer in time"),
    row("unreadable",  Reaction::Reconnect, true,  "the answer is unreadable; this may not be a Redis"),
    row("settings",    Reaction::End,  true,  "the connection settings are invalid"),
    // The wrong server.
    row("READONLY",    Reaction::Reconnect, true,  "the server is a replica and accepts no writes"),
    row("MASTERDOWN",  Reaction::Reconnect, true,  "the server is a replica that has lost its primary"),
    row("UNBLOCKED",   Reaction::Reconnect, true,  "the server has become a replica"),
    // The server does not accept this client.
    row("NOAUTH",      Reaction::Reconnect, true,  "the server requires a password"),
    row("WRONGPASS",   Reaction::Reconnect, true,  "the server rejects the user or the password"),
    row("DENIED",      Reaction::Reconnect, true,  "the server is in protected mode"),
    row("MAXCLIENTS",  Reaction::Reconnect, true,  "the server has no connection left"),
    row("NOPROTO",     Reaction::Reconnect, true,  "the server does not speak the protocol"),
    row("NOPERM",      Reaction::Wait, true,  "the Redis user lacks a permission"),
    // The right server, but it accepts no writes now.
    row("LOADING",     Reaction::Wait, true,  "the server is loading its data"),
    row("MISCONF",     Reaction::Wait, true,  "the server cannot write to its disk"),
    row("NOREPLICAS",  Reaction::Wait, true,  "fewer replicas than min-replicas-to-write"),
    row("CLUSTERDOWN", Reaction::Wait, true,  "the cluster is down"),
    row("MOVED",       Reaction::Wait, true,  "another node of the cluster has the keys"),
    row("ASK",         Reaction::Wait, true,  "another node of the cluster takes the keys over"),
    row("TRYAGAIN",    Reaction::Wait, true,  "the cluster is moving the keys"),
    row("BUSY",        Reaction::Wait, true,  "a script has kept the server busy for long"),
    row("UNKILLABLE",  Reaction::Wait, true,  "a script that has written keeps the server busy"),
    row("EXECABORT",   Reaction::Wait, true,  "the server refused a part of a transaction"),
    row("CROSSSLOT",   Reaction::End,  true,  "the keys of a partition are on several slots"),
    // Only this call failed.
    row("OOM",         Reaction::End,  false, "the server is full; only calls that end work succeed"),
    row("NOSCRIPT",    Reaction::End,  false, "the server lacks the script, which is sent again"),
    row("NOTBUSY",     Reaction::End,  false, "no script was running"),
    row("WRONGTYPE",   Reaction::End,  false, "a key has another type"),
    row("ERR",         Reaction::End,  false, "the call failed"),
    // A later Redis may send this. It is no reason to reconnect, nor to report readiness.
    row("other",       Reaction::Wait, true,  "the server sent an unknown answer"),
];

/// Returns the row of this error.
pub(super) fn of(error: &RedisError) -> &'static Row {
    let found = word(error);
    let last = &TABLE[TABLE.len() - 1];
    TABLE.iter().find(|row| row.word == found).unwrap_or(last)
}

/// Returns whether the connection that returned this error must be replaced.
pub(super) fn wants_another_connection(error: &RedisError) -> bool {
    of(error).reaction == Reaction::Reconnect
}

fn word(error: &RedisError) -> &str {
    let detail = error.detail().unwrap_or_default();
    match error.code() {
        // Before Redis 7.2 a missing permission of a script has no word of its own.
        Some("ERR") if detail.contains("The user executing the script can't") => "NOPERM",
        Some("ERR") if detail.contains("max number of clients") => "MAXCLIENTS",
        Some(code) => code,
        None if error.is_timeout() => "silent",
        None if error.is_connection_refusal() => "refused",
        None => match error.kind() {
            ErrorKind::AuthenticationFailed => "WRONGPASS",
            ErrorKind::InvalidClientConfig => "settings",
            ErrorKind::Parse => "unreadable",
            ErrorKind::Io => "lost",
            _ => "other",
        },
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::io;

    use super::*;

    fn error_of(text: &str) -> RedisError {
        let (code, detail) = text.split_once(' ').unwrap();
        redis::make_extension_error(code.to_owned(), Some(detail.to_owned()))
    }

    #[test]
    fn each_answer_has_one_row() {
        let words: BTreeSet<_> = TABLE.iter().map(|row| row.word).collect();
        assert_eq!(words.len(), TABLE.len());
        assert_eq!(TABLE[TABLE.len() - 1].word, "other");
        for row in &TABLE {
            assert!(
                row.is_down || row.reaction == Reaction::End,
                "{}: retried, yet ready",
                row.word
            );
        }
    }

    #[test]
    fn each_answer_decides_to_reconnect_to_wait_or_to_end() {
        for (answer, word, reaction) in [
            (
                "READONLY You can't write against a read only replica.",
                "READONLY",
                Reaction::Reconnect,
            ),
            ("NOAUTH Authentication required.", "NOAUTH", Reaction::Reconnect),
            ("WRONGPASS invalid username-password pair", "WRONGPASS", Reaction::Reconnect),
            ("MASTERDOWN Link with MASTER is down", "MASTERDOWN", Reaction::Reconnect),
            ("ERR max number of clients reached", "MAXCLIENTS", Reaction::Reconnect),
            ("LOADING Redis is loading the dataset in memory", "LOADING", Reaction::Wait),
            ("MISCONF Errors writing to the AOF file", "MISCONF", Reaction::Wait),
            ("NOREPLICAS Not enough good replicas to write.", "NOREPLICAS", Reaction::Wait),
            ("NOPERM this user has no permissions", "NOPERM", Reaction::Wait),
            ("ERR The user executing the script can't publish", "NOPERM", Reaction::Wait),
            ("SOMETHING new", "other", Reaction::Wait),
            ("OOM command not allowed", "OOM", Reaction::End),
            ("WRONGTYPE Operation against a key", "WRONGTYPE", Reaction::End),
            ("ERR unknown command", "ERR", Reaction::End),
        ] {
            let row = of(&error_of(answer));
            assert_eq!((row.word, row.reaction), (word, reaction), "{answer}");
        }
    }

    #[test]
    fn each_connection_failure_has_its_own_word() {
        for (kind, word) in [
            (io::ErrorKind::ConnectionRefused, "refused"),
            (io::ErrorKind::ConnectionReset, "lost"),
            (io::ErrorKind::TimedOut, "silent"),
            (io::ErrorKind::Other, "lost"),
        ] {
            assert_eq!(of(&io::Error::from(kind).into()).word, word, "{kind:?}");
        }
        let refused = (ErrorKind::AuthenticationFailed, "Password authentication failed");
        assert_eq!(of(&refused.into()).word, "WRONGPASS");
    }
}
