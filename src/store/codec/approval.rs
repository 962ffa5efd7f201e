//! Reads an approval from the fields of its hash, which `approval.lua` writes.

use std::collections::HashMap;
use std::str::FromStr;

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::domain::approval::{Approval, Asked, Author, Edit};
use crate::domain::ids::ApprovalId;
use crate::domain::name::Name;
use crate::domain::submission::Heading;

use super::super::Error;
use super::cipher::{Cipher, Place};

/// Reads an approval from the fields of its hash.
pub(in crate::store) fn read_approval(
    cipher: &Cipher,
    id: ApprovalId,
    hash: &HashMap<String, String>,
) -> Result<Approval, Error> {
    let fields = Fields { cipher, id, hash };
    let task = fields.parse("task")?.ok_or_else(|| fields.unreadable("task"))?;
    let gate: Vec<&str> = fields.needed("gate")?.split('\n').collect();
    let [.., terms, rule] = gate.as_slice() else { return Err(fields.unreadable("gate")) };
    let edit = fields.get("edited_by").map(|by| {
        let original = fields.raw("original", Place::Original(task))?.unwrap_or_else(empty);
        let changes = fields.raw("changes", Place::Changes(task))?.unwrap_or_else(empty);
        Ok::<_, Error>(Edit { by: by.to_owned(), original, changes })
    });
    Ok(Approval {
        id,
        task,
        heading: heading(&fields)?,
        asked: match fields.json::<String>("reason")? {
            None => Asked::Gate,
            Some(reason) => Asked::Step {
                reason,
                action: fields.raw("action", Place::Action(id))?,
                on_rejection: fields.parse("on_rejection")?.unwrap_or_default(),
            },
        },
        status: fields.parse("status")?.ok_or_else(|| fields.unreadable("status"))?,
        rule: serde_json::from_str(rule).map_err(|_| fields.unreadable("gate"))?,
        digest: fields.needed("digest")?.to_owned(),
        terms: serde_json::from_str(terms).map_err(|_| fields.unreadable("gate"))?,
        level: fields.parse("level")?.unwrap_or_default(),
        votes: fields.json("votes")?.unwrap_or_default(),
        edit: edit.transpose()?,
        authors: authors(fields.get("authors").unwrap_or_default()),
        revision: fields.parse("revision")?.unwrap_or_default(),
        requested_by: fields.needed("by")?.to_owned(),
        requested_at: fields
            .parse("requested_at")?
            .ok_or_else(|| fields.unreadable("requested_at"))?,
        expires_at: fields.parse("expires_at")?,
        decided_by: fields.get("decided_by").map(str::to_owned),
        decided_at: fields.parse("decided_at")?,
        comment: fields.json("comment")?,
        previous: fields.parse("previous")?,
    })
}

fn heading(fields: &Fields<'_>) -> Result<Heading, Error> {
    Ok(Heading {
        kind: fields.parse("type")?.ok_or_else(|| fields.unreadable("type"))?,
        title: fields.json("title")?,
        agent: fields
            .get("agent")
            .map(Name::of_subject)
            .transpose()
            .map_err(|_| fields.unreadable("agent"))?,
    })
}

/// Reads the lines `<digest of a payload> <author>`; see `approve.lua`.
fn authors(lines: &str) -> Vec<Author> {
    lines
        .lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(payload, by)| Author { payload: payload.into(), by: by.into() })
        .collect()
}

/// JSON `null`, in place of a part that was not read.
fn empty() -> Box<RawValue> {
    RawValue::NULL.to_owned()
}

/// The fields of an approval's hash. An empty field counts as absent.
struct Fields<'h> {
    cipher: &'h Cipher,
    id: ApprovalId,
    hash: &'h HashMap<String, String>,
}

impl<'h> Fields<'h> {
    fn unreadable(&self, field: &str) -> Error {
        Error::corrupt(format!("field {field} of approval {}", self.id))
    }

    fn get(&self, field: &str) -> Option<&'h str> {
        self.hash.get(field).map(String::as_str).filter(|value| !value.is_empty())
    }

    fn needed(&self, field: &str) -> Result<&'h str, Error> {
        self.get(field).ok_or_else(|| self.unreadable(field))
    }

    fn parse<T: FromStr>(&self, field: &str) -> Result<Option<T>, Error> {
        self.get(field).map(str::parse).transpose().map_err(|_| self.unreadable(field))
    }

    fn json<T: DeserializeOwned>(&self, field: &str) -> Result<Option<T>, Error> {
        self.get(field).map(serde_json::from_str).transpose().map_err(|_| self.unreadable(field))
    }

    fn raw(&self, field: &str, place: Place) -> Result<Option<Box<RawValue>>, Error> {
        let Some(stored) = self.get(field) else { return Ok(None) };
        let text = self.cipher.open(place, stored.to_owned())?;
        serde_json::from_str(&text).map_err(|_| self.unreadable(field))
    }
}
