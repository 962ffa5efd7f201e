//! The names of keys and channels in a test's Redis, for tests that read or damage what is stored.
//!
//! They are written out here once more, and not taken from the product: what another version has stored must be found
//! where this one looks.

use std::fmt::Display;

use orchestrator::domain::ids::Partition;

use super::Redis;

/// What a Redis user must be allowed at the least, as the product says when it is not.
pub const GRANTS: &str = "~orchestrator:* &orchestrator:* +@all -@admin -@dangerous +info";

/// What a deployment stores about itself.
pub const LAYOUT: &str = "orchestrator:layout";

/// Whether a dump leaves the key out: who called last, which a refused call changes too; what expires within seconds; and
/// the layout.
pub fn is_presence(key: &str) -> bool {
    let ends = [":roster", ":keys:used", ":waited", LAYOUT];
    let inside = [":sessions:", ":rate:", ":recorded:", ":published:"];
    inside.iter().any(|part| key.contains(part)) || ends.iter().any(|end| key.ends_with(end))
}

/// The key of this name in partition 0, or the channel of one of its notifications.
pub fn key(name: &str) -> String {
    key_in(Partition(0), name)
}

/// The key of an approval of partition 0.
pub fn approval_key(id: impl Display) -> String {
    key(&format!("approval:{id}"))
}

/// The key of this name in a partition.
pub fn key_in(partition: Partition, name: &str) -> String {
    key_under("orchestrator", partition, name)
}

/// The key of this name in a partition of the deployment with this prefix.
pub fn key_under(prefix: &str, partition: Partition, name: &str) -> String {
    format!("{prefix}:{{{partition}}}:{name}")
}

/// The channel of the events of a type; of a pattern of types, for who subscribes.
pub fn channel_of(event_type: &str) -> String {
    format!("orchestrator:events:{event_type}")
}

/// The script that takes the task `ARGV[1]` out of its group in the index `KEYS[1]`; the others keep their places.
pub const LEAVE_INDEX: &str = "\
    for _, group in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do \
        local rest, found = string.gsub(group, (string.gsub(ARGV[1], '-', '%%-')), '', 1) \
        if found == 1 then \
            local score = redis.call('ZSCORE', KEYS[1], group) \
            redis.call('ZREM', KEYS[1], group) \
            return redis.call('ZADD', KEYS[1], score, rest) \
        end \
    end";

/// The script that forgets when the group of the task `ARGV[1]` in the index `KEYS[1]` is due, which `KEYS[2]` has.
pub const LOSE_TIMER: &str = "\
    for _, group in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do \
        if string.find(group, ARGV[1], 1, true) then \
            return redis.call('ZREM', KEYS[2], redis.call('ZSCORE', KEYS[1], group)) \
        end \
    end";

/// The fields of a record before its content, in order: three times of 13 digits, then words.
pub const FIELDS: [&str; 15] = [
    "since", "timer", "rank", "state", "attempt", "sla", "approval", "holder", "human", "retries",
    "lost", "limit", "due", "version", "ended",
];

/// The letters that stand for states in a record.
pub const STATE_LETTERS: [(&str, &str); 8] = [
    ("blocked", "b"),
    ("scheduled", "s"),
    ("pending", "p"),
    ("assigned", "a"),
    ("in_progress", "i"),
    ("completed", "c"),
    ("failed", "f"),
    ("cancelled", "x"),
];

/// The record with the words that `=` stands for, if no attempt of the task has begun or it has no words of its own.
pub fn with_all_words(record: &str) -> String {
    let (status, rest) = record.split_once('\t').unwrap();
    let (content, timeline) = rest.split_once('\n').unwrap();
    let status = status.replacen(" = ", " 0 0 - - 0 0 0 - - 1 - ", 1);
    let content = match content.strip_suffix(" =") {
        Some(content) => format!("{content} - - - - - - -"),
        None => content.to_owned(),
    };
    format!("{status}\t{content}\n{timeline}")
}

/// Where a field stands in a record with all words.
pub fn place_in(record: &str, field: &str) -> std::ops::Range<usize> {
    let nth = FIELDS.iter().position(|known| *known == field).unwrap();
    if nth < 3 {
        return 13 * nth..13 * nth + 13;
    }
    let mut start = 39;
    for _ in 3..nth {
        start += record[start..].find(' ').unwrap() + 1;
    }
    start..start + record[start..].find([' ', '\t']).unwrap()
}

/// The record with this word in the field, a state by its name, and the word that was there.
pub fn with_word(record: &str, field: &str, word: &str) -> (String, String) {
    let mut edited = with_all_words(record);
    let place = place_in(&edited, field);
    let old = edited[place.clone()].to_owned();
    let letter = STATE_LETTERS.iter().find(|(state, _)| field == "state" && *state == word);
    edited.replace_range(place, letter.map_or(word, |(_, letter)| *letter));
    (edited, old)
}

impl Redis {
    /// How many tasks partition 0 has.
    pub async fn count_tasks(&self) -> usize {
        self.ask(&["HLEN", &key("records")]).await
    }

    /// How many members the sorted set of this name has in partition 0.
    pub async fn count(&self, name: &str) -> usize {
        self.ask(&["ZCARD", &key(name)]).await
    }
}
