//! Modes and times of entries, as Go and `ls -l` write them.

use std::time::{SystemTime, UNIX_EPOCH};

use ipfs_kit_node::{EntryKind, LsEntry};

/// The number of Go's `os.FileMode`: permissions, and its own bits for the kind and set-id.
pub fn go_mode(entry: &LsEntry) -> u32 {
    entry.mode.map_or(0, |mode| with_kind(mode, entry.kind))
}

/// The same of a mode alone; `None` if it has no bits.
pub fn go_bits(mode: u32, kind: EntryKind) -> Option<u32> {
    (mode != 0).then(|| with_kind(mode, kind))
}

fn with_kind(mode: u32, kind: EntryKind) -> u32 {
    let mut bits = mode & 0o777;
    for (posix, go) in [(0o4000, 1 << 23), (0o2000, 1 << 22), (0o1000, 1 << 20)] {
        if mode & posix != 0 {
            bits |= go;
        }
    }
    match kind {
        EntryKind::Directory => bits | 1 << 31,
        EntryKind::Symlink => bits | 1 << 27,
        EntryKind::File | EntryKind::Unknown => bits,
    }
}

/// The letters of Go's `os.FileMode`, in lower case as Kubo shows them.
pub fn go_mode_string(bits: u32) -> String {
    let mut text: String = "dalTLDpSugct?"
        .chars()
        .enumerate()
        .filter(|(at, _)| bits & 1 << (31 - at) != 0)
        .map(|(_, letter)| letter.to_ascii_lowercase())
        .collect();
    if text.is_empty() {
        text.push('-');
    }
    let permissions = "rwxrwxrwx".chars().enumerate();
    text.extend(permissions.map(|(at, letter)| match bits & 1 << (8 - at) {
        0 => '-',
        _ => letter,
    }));
    text
}

/// `14 Nov 2023, 22:13:20 UTC`
pub fn day_and_time(seconds: i64) -> String {
    let t = Civil::new(seconds);
    format!(
        "{} {} {:04}, {:02}:{:02}:{:02} UTC",
        t.day,
        MONTHS[t.month as usize - 1],
        t.year,
        t.hour,
        t.minute,
        t.second
    )
}

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// `-rw-r--r--`, or `-` when no mode is stored.
pub fn mode_text(entry: &LsEntry) -> String {
    let Some(mode) = entry.mode else {
        return "-".to_owned();
    };
    mode_string(mode, entry.kind)
}

/// A mode in the ten characters of `ls -l`.
pub fn mode_string(mode: u32, kind: EntryKind) -> String {
    let mut text = String::with_capacity(10);
    text.push(match kind {
        EntryKind::Directory => 'd',
        EntryKind::Symlink => 'l',
        EntryKind::File | EntryKind::Unknown => '-',
    });
    for (shift, special, letter) in [(6, 0o4000, 's'), (3, 0o2000, 's'), (0, 0o1000, 't')] {
        let bits = mode >> shift;
        text.push(if bits & 4 != 0 { 'r' } else { '-' });
        text.push(if bits & 2 != 0 { 'w' } else { '-' });
        text.push(match (mode & special != 0, bits & 1 != 0) {
            (true, true) => letter,
            (true, false) => letter.to_ascii_uppercase(),
            (false, true) => 'x',
            (false, false) => '-',
        });
    }
    text
}

/// `Jan 15 10:30` for the last half year, `Jan 15  2023` for other times, `-` for none.
pub fn time_text(mtime: Option<(i64, u32)>) -> String {
    let Some((seconds, _)) = mtime else {
        return "-".to_owned();
    };
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |now| now.as_secs() as i64);
    time_text_at(seconds, now)
}

fn time_text_at(seconds: i64, now: i64) -> String {
    let time = Civil::new(seconds);
    let month = MONTHS[time.month as usize - 1];
    let half_year = 183 * 86_400;
    if seconds > now - half_year && seconds < now + 86_400 {
        format!(
            "{month} {:02} {:02}:{:02}",
            time.day, time.hour, time.minute
        )
    } else {
        format!("{month} {:02}  {:04}", time.day, time.year)
    }
}

/// A time as Go's JSON writes it; none is the year 1.
pub fn rfc3339(mtime: Option<(i64, u32)>) -> String {
    let Some((seconds, nanos)) = mtime else {
        return "0001-01-01T00:00:00Z".to_owned();
    };
    let t = Civil::new(seconds);
    let mut text = format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}",
        t.year, t.month, t.day, t.hour, t.minute, t.second
    );
    if nanos > 0 {
        let fraction = format!("{nanos:09}");
        text.push('.');
        text.push_str(fraction.trim_end_matches('0'));
    }
    text.push('Z');
    text
}

/// A time of the proleptic Gregorian calendar in UTC.
pub struct Civil {
    /// Year, may be negative.
    pub year: i64,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
    /// 0 to 59.
    pub second: u8,
}

impl Civil {
    /// Splits seconds since the Epoch, by days counted from the start of March of the year 0.
    pub fn new(seconds: i64) -> Civil {
        let days = seconds.div_euclid(86_400) + 719_468;
        let of_day = seconds.rem_euclid(86_400);
        let era = days.div_euclid(146_097);
        let day_of_era = days.rem_euclid(146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let from_march = (5 * day_of_year + 2) / 153;
        let month = if from_march < 10 {
            from_march + 3
        } else {
            from_march - 9
        };
        Civil {
            year: year_of_era + era * 400 + i64::from(month <= 2),
            month: month as u8,
            day: (day_of_year - (153 * from_march + 2) / 5 + 1) as u8,
            hour: (of_day / 3_600) as u8,
            minute: (of_day / 60 % 60) as u8,
            second: (of_day % 60) as u8,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        assert_eq!(rfc3339(Some((0, 0))), "1970-01-01T00:00:00Z");
        assert_eq!(
            rfc3339(Some((1_709_210_096, 500_000_000))),
            "2024-02-29T12:34:56.5Z"
        );
        assert_eq!(rfc3339(Some((-1, 0))), "1969-12-31T23:59:59Z");
        assert_eq!(rfc3339(None), "0001-01-01T00:00:00Z");
        for extreme in [i64::MIN, i64::MAX] {
            rfc3339(Some((extreme / 2, 1)));
        }
    }

    #[test]
    fn recent_times_show_the_hour() {
        let now = 1_709_210_096;
        assert_eq!(time_text_at(now, now), "Feb 29 12:34");
        assert_eq!(time_text_at(now - 200 * 86_400, now), "Aug 13  2023");
        assert_eq!(time_text_at(now + 2 * 86_400, now), "Mar 02  2024");
    }

    #[test]
    fn modes() {
        assert_eq!(mode_string(0o644, EntryKind::File), "-rw-r--r--");
        assert_eq!(mode_string(0o755, EntryKind::Directory), "drwxr-xr-x");
        assert_eq!(mode_string(0o7000, EntryKind::Symlink), "l--S--S--T");
        assert_eq!(mode_string(0o7111, EntryKind::File), "---s--s--t");
    }
}
