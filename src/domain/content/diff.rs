//! Where two payloads differ.

use std::cmp::Ordering;
use std::fmt::Write as _;

use serde::Serialize;
use serde_json::value::RawValue;

use super::tree::{Key, Node};

/// One place at which two payloads differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Where: a JSON Pointer.
    pub pointer: String,
    /// What stood there, as JSON; none: nothing.
    #[serde(with = "embedded")]
    pub before: Option<String>,
    /// What stands there, as JSON; none: nothing.
    #[serde(with = "embedded")]
    pub after: Option<String>,
    /// How many more changes there are that are not listed: those of the last entry of a long list.
    #[serde(skip_serializing_if = "is_zero")]
    pub omitted: usize,
}

/// The most changes that are listed.
const MAX_CHANGES: usize = 1_000;

/// The most bytes that the listed changes may have together: pointers and both values.
const MAX_CHANGES_BYTES: usize = 256 * 1024;

/// Where `after` differs from `before`, in the order of the keys: the smallest parts that do. Lists are compared place
/// by place, objects with a repeated key as a whole.
///
/// The list is bounded: what exceeds 1,000 changes or 256 KiB is counted in a last entry, which points at the whole.
pub fn changes(before: &RawValue, after: &RawValue) -> Vec<Change> {
    let before = Node::read(before);
    let after = Node::read(after);
    let mut diff = Diff::default();
    diff.compare(Some(&before), Some(&after));
    if diff.omitted > 0 {
        let (pointer, omitted) = (String::new(), diff.omitted);
        diff.changes.push(Change { pointer, before: None, after: None, omitted });
    }
    diff.changes
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// The differences found so far.
#[derive(Default)]
struct Diff<'n> {
    /// The keys and places that lead to where the comparison is.
    path: Vec<Segment<'n>>,
    changes: Vec<Change>,
    /// Of what is in `changes`.
    bytes: usize,
    omitted: usize,
}

#[derive(Clone, Copy)]
enum Segment<'n> {
    Key(&'n Key),
    Place(usize),
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

    /// Both are sorted by key, so one walk over the two finds what each key has on either side.
    fn compare_fields(&mut self, old: &'n [(Key, Node)], new: &'n [(Key, Node)]) {
        let (mut old, mut new) = (old.iter().peekable(), new.iter().peekable());
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
                let value = |field: &'n (Key, Node)| &field.1;
                self.compare_at(Segment::Key(key), before.map(value), after.map(value));
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
        let length = |segment: &Segment<'_>| match segment {
            Segment::Key(key) => key.text().len() + 1,
            Segment::Place(_) => 8,
        };
        let pointed: usize = self.path.iter().map(length).sum();
        if self.changes.len() >= MAX_CHANGES || self.bytes + pointed > MAX_CHANGES_BYTES {
            self.omitted += 1;
            return;
        }
        let (before, after) = (before.map(Node::json), after.map(Node::json));
        let shown: usize = [&before, &after].into_iter().flatten().map(String::len).sum();
        if self.bytes + pointed + shown > MAX_CHANGES_BYTES {
            self.omitted += 1;
            return;
        }
        self.bytes += pointed + shown;
        let mut pointer = String::with_capacity(pointed);
        for segment in &self.path {
            // Writing to a String cannot fail.
            let _ = match segment {
                Segment::Key(key) => {
                    write!(pointer, "/{}", key.text().replace('~', "~0").replace('/', "~1"))
                }
                Segment::Place(nth) => write!(pointer, "/{nth}"),
            };
        }
        self.changes.push(Change { pointer, before, after, omitted: 0 });
    }
}

/// JSON within JSON.
mod embedded {
    use serde::{Serialize, Serializer};
    use serde_json::value::RawValue;

    pub fn serialize<S: Serializer>(
        json: &Option<String>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let raw = json.as_ref().map(|text| RawValue::from_string(text.clone())).transpose();
        raw.map_err(serde::ser::Error::custom)?.serialize(serializer)
    }
}
