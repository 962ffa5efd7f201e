//! Identifiers: UUIDv7, whose last byte names the partition of the task, approval or event.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::time;

/// The most partitions that the last byte of an id can name.
pub const MAX_PARTITIONS: u16 = 256;

/// A group of keys on one hash slot. All keys of a task are in the partition of its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Partition(pub u8);

impl fmt::Display for Partition {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// Groups items by their partitions, each group in the order of the items.
pub fn by_partition<T>(
    items: impl IntoIterator<Item = T>,
    partition_of: impl Fn(&T) -> Partition,
) -> BTreeMap<Partition, Vec<T>> {
    let mut groups = BTreeMap::<Partition, Vec<T>>::new();
    for item in items {
        groups.entry(partition_of(&item)).or_default().push(item);
    }
    groups
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// Returns a new id in `partition`, made of the current time and random bits.
            pub fn new(partition: Partition) -> Self {
                let mut bytes = Uuid::now_v7().into_bytes();
                bytes[15] = partition.0;
                Self(Uuid::from_bytes(bytes))
            }

            /// Returns the partition in which the task or approval is stored.
            pub fn partition(&self) -> Partition {
                Partition(self.0.as_bytes()[15])
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(formatter)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, uuid::Error> {
                Uuid::from_str(text).map(Self)
            }
        }
    };
}

id!(
    /// The identifier of a task. It never changes and is never used again.
    TaskId
);
id!(
    /// The identifier of an approval, in the partition of its task.
    ApprovalId
);
id!(
    /// The identifier of a bulk. Every bulk is in the first partition.
    BulkId
);

/// The identifier of an event, which is also its cursor in the log: a UUIDv7 that strictly
/// increases within a partition.
///
/// Its time is the time of the log entry. Its other bits hold the sequence of the entry, the index
/// of the event in the entry, and the partition. So the id needs no storage, and a reader can
/// resume from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventId {
    /// The time in milliseconds since 1970: the first half of the log entry's id.
    pub at_ms: u64,
    /// The second half of the log entry's id, which orders entries of the same millisecond.
    pub sequence: u32,
    /// The index of the event in its entry: a batch writes one entry for all its tasks.
    pub index: u16,
    /// The partition whose log the event is in.
    pub partition: Partition,
}

impl EventId {
    /// Returns the cursor before every event of `partition`.
    pub fn first(partition: Partition) -> Self {
        Self { at_ms: 0, sequence: 0, index: 0, partition }
    }

    /// Returns the time as RFC 3339 in UTC with milliseconds.
    pub fn timestamp(self) -> String {
        time::written(self.at_ms)
    }

    /// Returns the id as clients see it: `tttttttt-tttt-7000-80ss-ssssssiiiipp`, all hexadecimal.
    pub fn to_uuid(self) -> Uuid {
        let low = 0x80u64 << 56
            | u64::from(self.sequence) << 24
            | u64::from(self.index) << 8
            | u64::from(self.partition.0);
        Uuid::from_u64_pair(self.at_ms << 16 | 0x7000, low)
    }
}

impl TryFrom<Uuid> for EventId {
    type Error = ();

    fn try_from(id: Uuid) -> Result<Self, ()> {
        let (high, low) = id.as_u64_pair();
        if high & 0xffff != 0x7000 || low >> 56 != 0x80 {
            return Err(());
        }
        Ok(Self {
            at_ms: high >> 16,
            sequence: (low >> 24) as u32,
            index: (low >> 8) as u16,
            partition: Partition(low as u8),
        })
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_uuid().fmt(formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_names_its_partition() {
        for partition in [0, 1, 255].map(Partition) {
            let id = TaskId::new(partition);

            assert_eq!(id.partition(), partition);
            assert_eq!(id.0.get_version_num(), 7);
        }
    }

    #[test]
    fn an_event_id_is_a_uuid_v7_and_is_read_back() {
        let id = EventId {
            at_ms: 1_764_000_000_000,
            sequence: 9_000_000,
            index: 255,
            partition: Partition(3),
        };
        let uuid = id.to_uuid();

        assert_eq!(uuid.get_version_num(), 7);
        assert_eq!(uuid.get_variant(), uuid::Variant::RFC4122);
        assert_eq!(EventId::try_from(uuid), Ok(id));
        assert_eq!(EventId::try_from(Uuid::nil()), Err(()));
    }
}
