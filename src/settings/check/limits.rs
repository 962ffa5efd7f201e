//! Checks of what one caller or address may do.

use super::Check;

/// The highest limit of calls a second and of open tasks, which is as good as none.
const MOST: u64 = 1_000_000_000;

impl Check<'_> {
    pub(super) fn limits(&mut self) {
        for (path, range) in [
            ("limits.read_per_second", 0..=MOST),
            ("limits.write_per_second", 0..=MOST),
            ("limits.claim_per_second", 0..=MOST),
            ("limits.admin_per_second", 0..=MOST),
            ("limits.stream_per_second", 0..=MOST),
            ("limits.open_tasks", 0..=MOST),
            ("limits.submitted_bytes_per_hour", 0..=1 << 50),
            ("http.max_failed_logins_per_minute", 0..=1_000_000),
        ] {
            // Without a number at the path the value is out of every range.
            self.range(path, self.tree.whole(path).unwrap_or(u64::MAX), range);
        }
    }
}
