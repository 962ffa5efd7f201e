//! Cursors of lists of tasks and approvals, and the ends of pages, which they name.

use crate::domain::name::Name;
use crate::store::lists::Place;

use super::Error;

/// Writes a cursor as `<list>_<score>_<member>`, opaque to clients.
pub(super) fn write_cursor(list: &str, place: &Place) -> String {
    format!("{list}_{}_{}", place.score, place.member)
}

/// Reads a cursor of this list.
pub(super) fn read_cursor(list: &str, text: &str) -> Result<Place, Error> {
    let cursor = parse_cursor(list, text);
    cursor.ok_or_else(|| Error::invalid("cursor", "is not a cursor from a page of this list"))
}

fn parse_cursor(list: &str, text: &str) -> Option<Place> {
    let words: Vec<&str> = text.rsplitn(3, '_').collect();
    let [member, score, of] = words.as_slice() else { return None };
    let score: f64 = score.parse().ok()?;
    if *of != list || !score.is_finite() || member.parse::<uuid::Uuid>().is_err() {
        return None;
    }
    Some(Place { score, member: (*member).to_owned() })
}

/// The end of a page of a list of which a tenant sees a part.
#[derive(Default)]
pub(super) struct End {
    last: Option<Place>,
    /// The last place whose item the tenant sees.
    seen: Option<Place>,
}

impl End {
    /// The end of the page before.
    pub fn at(last: Option<Place>) -> Self {
        Self { last, seen: None }
    }

    /// Moves the end to the next place.
    pub fn move_to(&mut self, place: Place, is_seen: bool) {
        if is_seen {
            self.seen = Some(place.clone());
        }
        self.last = Some(place);
    }

    /// Returns the last place.
    pub fn last(&self) -> Option<&Place> {
        self.last.as_ref()
    }

    /// Returns the end as a cursor for this tenant may show it.
    pub fn of(&self, tenant: Option<&Name>) -> Option<Place> {
        if tenant.is_some() { self.shown() } else { self.last.clone() }
    }

    /// Returns the end as a cursor may show it: it never has the id of what the tenant does not see.
    fn shown(&self) -> Option<Place> {
        let last = self.last.as_ref()?;
        // From here on, what stands at the same score comes again, but not what was shown.
        let seen = self.seen.as_ref().filter(|seen| seen.score.total_cmp(&last.score).is_eq());
        Some(seen.cloned().unwrap_or_else(|| last.without_id()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(score: f64, nth: u8) -> Place {
        Place { score, member: format!("0198c4de-1234-7{nth:03}-8000-00000000000{nth}") }
    }

    #[test]
    fn end_of_a_page_has_no_id_of_what_is_not_seen() {
        let mut end = End::at(Some(place(9.0, 9)));
        end.move_to(place(5.0, 5), true);
        assert_eq!(end.shown(), Some(place(5.0, 5)));
        end.move_to(place(5.0, 4), false);
        assert_eq!(end.shown(), Some(place(5.0, 5)), "nothing is shown twice");

        end.move_to(place(3.0, 3), false);

        let shown = end.shown().unwrap();
        assert_eq!((shown.score, &*shown.member), (3.0, "0198c4de-1234-7003-ffff-ffffffffffff"));
        assert_eq!(end.last(), Some(&place(3.0, 3)));
    }
}
