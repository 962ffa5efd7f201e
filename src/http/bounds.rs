//! The bounds of members that several request bodies have. The other bounds stand with their
//! bodies.

use std::ops::RangeInclusive;

use crate::domain::text::Bound;
use crate::domain::time::Millis;

/// The bounds of a whole number, for the API document: schema, member, minimum, maximum.
pub type Number = (&'static str, &'static str, u64, u64);

/// The bound of a text, for the API document: schema, member, bound.
pub type Text = (&'static str, &'static str, Bound);

/// The range of a lease, in milliseconds: 1 s to 1 h.
pub const LEASE_MS: RangeInclusive<Millis> = 1_000..=3_600_000;

/// The bound of a comment, and of the reason for a decision, a cancellation or an approval request.
pub const REASON: Bound = Bound { chars: 1_000, bytes: 4_096 };

/// The bound of the error of a failed attempt.
pub const ERROR: Bound = Bound { chars: 8_192, bytes: 8_192 };

/// The bound of a lease, which has 22 characters.
pub const LEASE: Bound = Bound { chars: 64, bytes: 64 };
