//! What the process uses, as the system counts it.

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

/// One look.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Process {
    /// Seconds of processors.
    pub cpu_seconds: f64,
    /// Memory in use, in bytes.
    pub resident_bytes: u64,
    /// Address space, in bytes.
    pub virtual_bytes: u64,
    /// Threads.
    pub threads: u64,
    /// Open files.
    pub open_files: u64,
    /// Open files at most.
    pub open_files_max: Option<u64>,
    /// When it was started, in seconds since 1970.
    pub started: f64,
}

impl Process {
    /// Looks; what the system does not tell is zero.
    pub fn look() -> Process {
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        // The name of the program may have spaces and brackets of its own.
        let rest = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
        let fields: Vec<u64> = rest
            .split(' ')
            .map(|field| field.parse().unwrap_or(0))
            .collect();
        let field = |number: usize| fields.get(number - 3).copied().unwrap_or(0);
        let ticks = rustix::param::clock_ticks_per_second() as f64;
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
        Process {
            cpu_seconds: (field(14) + field(15)) as f64 / ticks,
            threads: field(20),
            started: boot() + field(22) as f64 / ticks,
            virtual_bytes: field(23),
            resident_bytes: field(24) * rustix::param::page_size() as u64,
            // One of them is that of the look.
            open_files: fs::read_dir("/proc/self/fd")
                .map_or(0, |all| all.count().saturating_sub(1) as u64),
            open_files_max: limit.current,
        }
    }
}

/// When the system was started, in seconds since 1970.
fn boot() -> f64 {
    let uptime = fs::read_to_string("/proc/uptime").unwrap_or_default();
    let uptime: f64 = uptime
        .split(' ')
        .next()
        .and_then(|text| text.parse().ok())
        .unwrap_or(0.0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0.0, |now| now.as_secs_f64()) - uptime
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_is_seen() {
        let process = Process::look();
        assert!(process.resident_bytes > 100_000 && process.virtual_bytes > process.resident_bytes);
        assert!(process.threads >= 1 && process.open_files >= 3);
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_secs_f64();
        assert!(
            process.started <= now + 1.0 && process.started > now - 86_400.0,
            "{process:?}"
        );
    }
}
