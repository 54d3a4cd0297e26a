//! How much memory the process has for itself.

/// Bytes that are neither a file's nor shared with another process; `None` where the system does not tell.
///
/// The store maps its segments, and such pages are the system's cache: counted, they would refuse connections only
/// because much was read.
pub fn used() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    field(&status, "RssAnon:")
}

/// All the memory of the machine.
pub fn total() -> Option<u64> {
    let info = std::fs::read_to_string("/proc/meminfo").ok()?;
    field(&info, "MemTotal:")
}

fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read() {
        let text = "Name:\tx\nRssAnon:\t   12 kB\nRssFile:\t 7 kB\n";
        assert_eq!(field(text, "RssAnon:"), Some(12 << 10));
        assert_eq!(field(text, "RssShmem:"), None);
        assert_eq!(field("RssAnon: many kB", "RssAnon:"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn own_memory_grows_with_what_is_written_to() {
        let before = used().unwrap();
        let filled = vec![1_u8; 64 << 20];
        assert!(used().unwrap() >= before + (32 << 20));
        assert!(total().unwrap() > filled.len() as u64);
    }
}
