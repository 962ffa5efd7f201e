//! The forms of the output of a command, and of its errors.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::RawValue;

use super::Error;
use super::json::Members;
use crate::cli::client;
use crate::runtime::chain::Chain;

/// The form of the output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// Text for people.
    #[default]
    Table,
    /// JSON, exactly as the API returns it; errors as JSON too.
    Json,
    /// JSON with a line for each item; errors as JSON too.
    Jsonl,
    /// Only the id of each item, one a line.
    Id,
}

/// A page of a list, with items as they are written.
#[derive(Deserialize)]
struct Items {
    items: Vec<Box<RawValue>>,
}

impl Form {
    /// Returns an answer in this form; as a table, it is what `show` makes of it.
    pub fn of(
        self,
        answer: &RawValue,
        show: impl FnOnce() -> Result<String, Error>,
    ) -> Result<String, Error> {
        match self {
            Self::Table => show(),
            Self::Json => Ok(format!("{}\n", answer.get())),
            Self::Jsonl => Ok(lines(answer, one_line)),
            Self::Id => {
                let ids = items(answer).iter().map(|item| id_of(item)).collect::<Result<_, _>>();
                ids.map(|ids: Vec<_>| ids.concat())
            }
        }
    }

    /// Returns one item of a stream, always as one line.
    pub fn of_item(
        self,
        item: &RawValue,
        show: impl FnOnce() -> Result<String, Error>,
    ) -> Result<String, Error> {
        let form = if self == Self::Json { Self::Jsonl } else { self };
        form.of(item, show)
    }

    /// Returns the rows of a command that calls no API in this form: as JSON they are the `items` of
    /// a page, as text they are as `show` formats them.
    ///
    /// * `id`: the name of a row.
    pub fn of_rows<T: Serialize>(
        self,
        rows: &[T],
        id: impl Fn(&T) -> &str,
        show: impl FnOnce() -> String,
    ) -> serde_json::Result<String> {
        match self {
            Self::Table => Ok(show()),
            Self::Json => Ok(format!("{}\n", json!({ "items": serde_json::to_value(rows)? }))),
            Self::Jsonl => {
                let lines = rows.iter().map(|row| Ok(serde_json::to_string(row)? + "\n"));
                lines.collect()
            }
            Self::Id => Ok(rows.iter().map(|row| format!("{}\n", id(row))).collect()),
        }
    }

    /// Returns whether programs read the output, and so the errors.
    pub fn is_for_programs(self) -> bool {
        matches!(self, Self::Json | Self::Jsonl)
    }
}

/// Returns the items of a page, or the answer itself if it is none.
fn items(answer: &RawValue) -> Vec<Box<RawValue>> {
    serde_json::from_str(answer.get())
        .map_or_else(|_| vec![answer.to_owned()], |Items { items }| items)
}

fn lines(answer: &RawValue, line: impl Fn(&RawValue) -> String) -> String {
    items(answer).iter().map(|item| line(item)).collect()
}

/// Line breaks occur only between tokens of JSON.
fn one_line(item: &RawValue) -> String {
    format!("{}\n", item.get().replace(['\n', '\r'], " "))
}

/// Returns the first member of an item, if that names the item.
fn id_of(item: &RawValue) -> Result<String, Error> {
    let members: Members = serde_json::from_str(item.get())?;
    let name = members.0.first().map(|(name, _)| name.as_str()).unwrap_or_default();
    if name != "agent" && !name.ends_with("_id") {
        return Err(Error::Usage("the answer has no id; use another form than `id`".to_owned()));
    }
    Ok(format!("{}\n", members.word(name)))
}

/// Returns an error as JSON on one line. Of a refusal it has `status` and `type` too.
pub fn error(error: &Error) -> String {
    let message = Chain(error).to_string();
    let json = match error {
        Error::Call(client::Error::Refused { status, kind, detail }) => {
            json!({ "error": detail, "status": status, "type": kind })
        }
        _ => json!({ "error": message }),
    };
    format!("{json}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(form: Form, json: &str) -> Result<String, Error> {
        let answer = RawValue::from_string(json.to_owned()).unwrap();
        form.of(&answer, || Ok("shown".to_owned()))
    }

    #[test]
    fn a_page_is_printed_in_every_form() {
        let page = "{\"items\": [{\"task_id\": \"a\",\n \"n\": 1e400}, {\"task_id\": \"b\"}]}";

        assert_eq!(printed(Form::Table, page).unwrap(), "shown");
        assert_eq!(printed(Form::Json, page).unwrap(), format!("{page}\n"));
        let lines = "{\"task_id\": \"a\",  \"n\": 1e400}\n{\"task_id\": \"b\"}\n";
        assert_eq!(printed(Form::Jsonl, page).unwrap(), lines);
        assert_eq!(printed(Form::Id, page).unwrap(), "a\nb\n");
    }

    #[test]
    fn an_object_is_its_only_item() {
        assert_eq!(printed(Form::Id, "{\"agent\": \"x\", \"depth\": 1}").unwrap(), "x\n");
        assert_eq!(printed(Form::Jsonl, "{\"a\":\n1}").unwrap(), "{\"a\": 1}\n");
        let refused = printed(Form::Id, "{\"by_status\": {}}").unwrap_err();
        assert!(refused.to_string().contains("no id"), "{refused}");
    }
}
