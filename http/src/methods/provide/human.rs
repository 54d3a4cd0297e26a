//! Numbers, times and aligned lines as Kubo's `provide stat` prints them.

use std::fmt::Write as _;
use std::time::Duration;

/// `1234567.89` with one digit as `1,234,567.8`; digits beyond are cut, not rounded.
pub fn full(value: f64, digits: usize) -> String {
    let text = format!("{}", value.abs());
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let mut out = String::new();
    if value < 0.0 {
        out.push('-');
    }
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    let fraction: String = fraction.chars().take(digits).collect();
    if !fraction.is_empty() {
        let _ = write!(out, ".{fraction}");
    }
    out
}

/// `1234` as `1k`, or with one digit as `1.2k`.
pub fn si(value: u64, digits: usize) -> String {
    const UNITS: [&str; 7] = ["", "k", "M", "G", "T", "P", "E"];
    let (mut scaled, mut unit) = (value as f64, 0);
    while scaled >= 1000.0 && unit + 1 < UNITS.len() {
        scaled /= 1000.0;
        unit += 1;
    }
    format!("{}{}", full(scaled, digits), UNITS[unit])
}

/// `12` as it is, `1234` as `1k` and in full, with a tab between.
pub fn number(value: u64) -> String {
    let (short, long) = (si(value, 0), full(value as f64, 0));
    if short == long {
        short
    } else {
        format!("{short}\t({long})")
    }
}

/// An average; there is none of nothing.
pub fn average(value: f64) -> String {
    if value <= 0.0 {
        return "N/A".to_owned();
    }
    full(value, 1)
}

/// As Go prints durations, to a tenth of a second above one second.
pub fn duration(value: Duration) -> String {
    let seconds = value.as_secs();
    if value <= Duration::from_secs(1) {
        let micros = value.as_micros();
        return match micros {
            0 => "0s".to_owned(),
            1..1000 => format!("{micros}µs"),
            1_000_000.. => "1s".to_owned(),
            _ => format!("{}ms", full(micros as f64 / 1000.0, 3)),
        };
    }
    let tenth = value.subsec_millis() / 100;
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    let mut out = String::new();
    if hours > 0 {
        let _ = write!(out, "{hours}h");
    }
    if seconds >= 60 {
        let _ = write!(out, "{minutes}m");
    }
    let _ = match tenth {
        0 => write!(out, "{}s", seconds % 60),
        tenth => write!(out, "{}.{tenth}s", seconds % 60),
    };
    out
}

/// As Go's `tabwriter` with a padding of one: tabs end cells, and a column is as wide as its widest cell among lines that
/// follow each other and have it.
pub fn align(lines: &[String]) -> String {
    let rows: Vec<Vec<&str>> = lines
        .iter()
        .map(|line| line.split('\t').collect())
        .collect();
    let width = |row: usize, column: usize| {
        let has = |row: &usize| rows[*row].len() > column + 1;
        let before = (0..row).rev().take_while(has);
        let after = (row..rows.len()).take_while(has);
        let cells = before
            .chain(after)
            .map(|row| rows[row][column].chars().count());
        cells.max().unwrap_or(0) + 1
    };
    let mut out = String::new();
    for (at, row) in rows.iter().enumerate() {
        for (column, cell) in row.iter().enumerate() {
            out.push_str(cell);
            if column + 1 < row.len() {
                let padding = width(at, column) - cell.chars().count();
                out.extend(std::iter::repeat_n(' ', padding));
            }
        }
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_as_kubo_prints_them() {
        assert_eq!(full(1_234_567.89, 1), "1,234,567.8");
        assert_eq!(
            (full(2.0, 1), full(19.96, 1)),
            ("2".to_owned(), "19.9".to_owned())
        );
        assert_eq!(
            (si(999, 0), si(1500, 0), si(1500, 1)),
            ("999".into(), "1k".into(), "1.5k".into())
        );
        assert_eq!(number(12), "12");
        assert_eq!(number(1_234_567), "1M\t(1,234,567)");
        assert_eq!((average(0.0), average(2.25)), ("N/A".into(), "2.2".into()));
    }

    #[test]
    fn durations_are_as_go_prints_them() {
        for (millis, text) in [
            (0, "0s"),
            (120, "120ms"),
            (1000, "1s"),
            (3999, "3.9s"),
            (4010, "4s"),
            (79_200_000, "22h0m0s"),
            (90_500, "1m30.5s"),
        ] {
            assert_eq!(duration(Duration::from_millis(millis)), text);
        }
    }

    #[test]
    fn columns_end_where_a_line_does_not_have_them() {
        let lines = [
            "Queues:",
            "  Provide queue:\t0 CIDs,\t0 regions",
            "  Reprovide queue:\t0 regions",
            "",
            "A:\tb",
        ];
        let lines: Vec<String> = lines.iter().map(ToString::to_string).collect();
        assert_eq!(
            align(&lines),
            "Queues:\n  Provide queue:   0 CIDs, 0 regions\n  Reprovide queue: 0 regions\n\nA: b\n"
        );
    }
}
