//! The places at which two payloads differ, which approvers see after an edit.

use std::cmp::Ordering;

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use super::tree::{Key, Node};

/// One place at which two payloads differ.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Change {
    /// A JSON Pointer to the place; empty for the whole payload.
    pub pointer: String,
    /// The value before the change, as JSON. `None` if the place did not exist.
    #[serde(serialize_with = "embedded")]
    pub before: Option<String>,
    /// The value after the change, as JSON. `None` if the place no longer exists.
    #[serde(serialize_with = "embedded")]
    pub after: Option<String>,
    /// How many further changes are not listed; above 0 only in the last entry of a long list.
    #[serde(skip_serializing_if = "is_zero")]
    pub omitted: usize,
}

const MAX_CHANGES: usize = 1_000;

/// The largest size of all listed changes together, in bytes of their pointers and values.
const MAX_CHANGES_BYTES: usize = 256 * 1024;

/// Returns the smallest parts in which `after` differs from `before`, in the order of the keys.
/// Lists are compared index by index, objects with a repeated key as a whole.
///
/// The list has at most 1,000 changes and 256 KiB. Its last entry counts the changes beyond, with
/// an empty pointer.
pub fn changes(before: &RawValue, after: &RawValue) -> Vec<Change> {
    let before = Node::read(before);
    let after = Node::read(after);
    let mut diff = Diff::default();
    diff.compare(Some(&before), Some(&after));
    if diff.omitted > 0 {
        diff.changes.push(Change { omitted: diff.omitted, ..Change::default() });
    }
    diff.changes
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// The differences found so far, and the place at which the comparison is.
#[derive(Default)]
struct Diff<'n> {
    /// The keys and indexes from the root to the compared values.
    path: Vec<Segment<'n>>,
    changes: Vec<Change>,
    /// The size of `changes`: the bytes of their pointers and values.
    bytes: usize,
    omitted: usize,
}

#[derive(Clone, Copy)]
enum Segment<'n> {
    Key(&'n Key),
    Place(usize),
}

impl Segment<'_> {
    /// About how many bytes the segment takes in a JSON Pointer.
    fn bytes(&self) -> usize {
        match self {
            Self::Key(key) => key.text().len() + 1,
            Self::Place(_) => 8,
        }
    }
}

impl<'n> Diff<'n> {
    fn compare(&mut self, before: Option<&'n Node>, after: Option<&'n Node>) {
        match (before, after) {
            (Some(Node::Object(old)), Some(Node::Object(new)))
                if ![before, after].into_iter().flatten().any(Node::has_repeated_key) =>
            {
                self.compare_fields(old, new);
            }
            (Some(Node::Array(old)), Some(Node::Array(new))) => {
                for nth in 0..old.len().max(new.len()) {
                    self.compare_at(Segment::Place(nth), old.get(nth), new.get(nth));
                }
            }
            _ if before != after => self.note(before, after),
            _ => {}
        }
    }

    /// Compares two objects. Both are sorted by key, so one walk over the two pairs their members.
    fn compare_fields(&mut self, old: &'n [(Key, Node)], new: &'n [(Key, Node)]) {
        let mut old = old.iter().peekable();
        let mut new = new.iter().peekable();
        loop {
            let order = match (old.peek(), new.peek()) {
                (Some((one, _)), Some((other, _))) => one.cmp(other),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (None, None) => return,
            };
            let before = if order.is_le() { old.next() } else { None };
            let after = if order.is_ge() { new.next() } else { None };
            if let Some((key, _)) = before.or(after) {
                let before = before.map(|(_, value)| value);
                let after = after.map(|(_, value)| value);
                self.compare_at(Segment::Key(key), before, after);
            }
        }
    }

    fn compare_at(
        &mut self,
        segment: Segment<'n>,
        before: Option<&'n Node>,
        after: Option<&'n Node>,
    ) {
        self.path.push(segment);
        self.compare(before, after);
        self.path.pop();
    }

    fn note(&mut self, before: Option<&Node>, after: Option<&Node>) {
        let pointed: usize = self.path.iter().map(Segment::bytes).sum();
        if self.changes.len() >= MAX_CHANGES || self.bytes + pointed > MAX_CHANGES_BYTES {
            self.omitted += 1;
            return;
        }
        let before = before.map(Node::json);
        let after = after.map(Node::json);
        let shown: usize = [&before, &after].into_iter().flatten().map(String::len).sum();
        if self.bytes + pointed + shown > MAX_CHANGES_BYTES {
            self.omitted += 1;
            return;
        }
        self.bytes += pointed + shown;
        let mut pointer = String::with_capacity(pointed);
        for segment in &self.path {
            pointer.push('/');
            pointer.push_str(&match segment {
                Segment::Key(key) => key.text().replace('~', "~0").replace('/', "~1"),
                Segment::Place(nth) => nth.to_string(),
            });
        }
        self.changes.push(Change { pointer, before, after, omitted: 0 });
    }
}

/// Serializes a text that already is JSON as a part of the surrounding JSON.
fn embedded<S: Serializer>(json: &Option<String>, serializer: S) -> Result<S::Ok, S::Error> {
    let raw = json.clone().map(RawValue::from_string).transpose();
    raw.map_err(serde::ser::Error::custom)?.serialize(serializer)
}
