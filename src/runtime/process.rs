//! The resources that a process has used, by `/proc`; `None` on systems without it.

use std::fs;
use std::time::Duration;

/// The CPU time of all current threads of a process; `None` if it cannot be read.
pub fn cpu_time(pid: u32) -> Option<Duration> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).ok()?;
    let mut total = 0;
    for thread in threads.flatten() {
        // The first field is nanoseconds on a CPU. A thread that has just ended has no file.
        let Ok(text) = fs::read_to_string(thread.path().join("schedstat")) else { continue };
        let first = text.split_whitespace().next().and_then(|field| field.parse::<u64>().ok());
        total += first.unwrap_or(0);
    }
    Some(Duration::from_nanos(total))
}

/// The memory that a process has in RAM, in bytes; `None` if it cannot be read.
pub fn resident_bytes(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn this_process_uses_cpu_and_memory() {
        let own = std::process::id();

        assert!(cpu_time(own).unwrap() > Duration::ZERO);
        assert!(resident_bytes(own).unwrap() > 1 << 20);
        assert_eq!(resident_bytes(u32::MAX), None);
    }
}
