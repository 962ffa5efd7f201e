//! Reads the figures that the scripts count for each hour.

use std::collections::HashMap;
use std::ops::Range;
use std::str::FromStr;

use crate::domain::ids::Partition;
use crate::domain::name::Name;
use crate::domain::priority::Priority;
use crate::domain::sla::Group;

use super::{Error, Store};

/// How many hours one round trip reads.
const PIECE: usize = 24;

/// How many figures of an hour one call reads, about.
const FIELDS: usize = 1_000;

impl Store {
    /// Returns what a partition counted in `hours`, numbered since 1970: each group with the name
    /// of a figure and its count.
    pub async fn counted(
        &self,
        partition: Partition,
        hours: Range<u64>,
    ) -> Result<Vec<(Group, String, u64)>, Error> {
        let mut counted = Vec::new();
        let hours: Vec<_> = hours.collect();
        for piece in hours.chunks(PIECE) {
            // A scan may return the same field twice.
            let mut found: HashMap<(u64, String), u64> = HashMap::new();
            let mut open: Vec<(u64, u64)> = piece.iter().map(|hour| (*hour, 0)).collect();
            while !open.is_empty() {
                let mut pipe = redis::pipe();
                for (hour, cursor) in &open {
                    pipe.cmd("HSCAN").arg(self.keys().hour(partition, *hour)).arg(*cursor);
                    pipe.arg("COUNT").arg(FIELDS);
                }
                let scans: Vec<(u64, Vec<(String, u64)>)> =
                    self.query_cold("report", partition, &pipe).await?;
                for ((hour, cursor), (next, fields)) in open.iter_mut().zip(scans) {
                    *cursor = next;
                    found.extend(fields.into_iter().map(|(field, count)| ((*hour, field), count)));
                }
                open.retain(|(_, cursor)| *cursor != 0);
            }
            for ((_, field), count) in found {
                let (group, figure) =
                    read(&field).ok_or_else(|| Error::corrupt(format!("a figure {field:?}")))?;
                counted.push((group, figure.to_owned(), count));
            }
        }
        Ok(counted)
    }
}

/// Reads `<subject> <type> <priority> <figure>`. A figure may have two words.
fn read(field: &str) -> Option<(Group, &str)> {
    let mut words = field.splitn(4, ' ');
    let agent = Name::of_subject(words.next()?).ok()?;
    let kind = Name::from_str(words.next()?).ok()?;
    let priority = Priority::from_str(words.next()?).ok()?;
    Some((Group { kind: Some(kind), priority: Some(priority), agent: Some(agent) }, words.next()?))
}
