//! Sizes for people, in the decimal units that Kubo prints.

/// `82854982` as `83 MB`; one decimal below ten.
pub fn bytes(size: u64) -> String {
    const UNITS: [&str; 7] = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];
    if size < 10 {
        return format!("{size} B");
    }
    let mut scale = 1u64;
    let mut unit = 0;
    while unit + 1 < UNITS.len() && size / scale >= 1000 {
        scale *= 1000;
        unit += 1;
    }
    let value = (size as f64 / scale as f64 * 10.0 + 0.5).floor() / 10.0;
    let decimals = usize::from(value < 10.0);
    format!("{value:.decimals$} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_kubo_prints_them() {
        for (size, text) in [
            (0, "0 B"),
            (9, "9 B"),
            (275, "275 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (1024, "1.0 kB"),
            (71_873, "72 kB"),
            (82_854_982, "83 MB"),
            (10_000_000_000, "10 GB"),
            (u64::MAX, "18 EB"),
        ] {
            assert_eq!(bytes(size), text);
        }
    }
}
