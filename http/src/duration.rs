//! Lengths of time as users write them: a number of seconds, or Go's notation (`1h30m`, `1.5s`).

use std::time::Duration;

/// Parses `text`; a bare number counts seconds.
pub fn parse(text: &str) -> Result<Duration, String> {
    if let Ok(seconds) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds)
            .map_err(|_| format!("invalid duration {text:?}: out of range"));
    }
    if text.is_empty() {
        return Err("invalid duration \"\": expected seconds or a form like 1m30s".to_owned());
    }
    let mut total = 0f64;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .ok_or_else(|| format!("missing unit in duration {text:?}"))?;
        let number: f64 = rest[..digits]
            .parse()
            .map_err(|_| format!("invalid duration {text:?}"))?;
        rest = &rest[digits..];
        let end = rest
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(rest.len());
        let (unit, tail) = rest.split_at(end);
        let seconds = match unit {
            "ns" => 1e-9,
            "us" | "\u{b5}s" | "\u{3bc}s" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            "d" => 86_400.0,
            _ => return Err(format!("unknown unit {unit:?} in duration {text:?}")),
        };
        total += number * seconds;
        rest = tail;
    }
    Duration::try_from_secs_f64(total)
        .map_err(|_| format!("invalid duration {text:?}: out of range"))
}

/// Nanoseconds as Go prints a duration: `5m0s`, `1.5s`, `250ms`.
pub fn go(nanos: i64) -> String {
    let sign = if nanos < 0 { "-" } else { "" };
    let nanos = nanos.unsigned_abs();
    let fraction = |value: u64, unit: u64| {
        let digits = format!("{:09}", value % unit * (1_000_000_000 / unit));
        let digits = digits.trim_end_matches('0');
        match digits {
            "" => (value / unit).to_string(),
            digits => format!("{}.{digits}", value / unit),
        }
    };
    match nanos {
        0 => "0s".to_owned(),
        1..1_000 => format!("{sign}{nanos}ns"),
        1_000..1_000_000 => format!("{sign}{}\u{b5}s", fraction(nanos, 1_000)),
        1_000_000..1_000_000_000 => format!("{sign}{}ms", fraction(nanos, 1_000_000)),
        _ => {
            let seconds = nanos / 1_000_000_000;
            let (hours, minutes) = (seconds / 3_600, seconds / 60 % 60);
            let rest = fraction(nanos % 60_000_000_000, 1_000_000_000);
            match (hours, minutes) {
                (0, 0) => format!("{sign}{rest}s"),
                (0, _) => format!("{sign}{minutes}m{rest}s"),
                _ => format!("{sign}{hours}h{minutes}m{rest}s"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_notations() {
        for (text, millis) in [
            ("60", 60_000),
            ("0.25", 250),
            ("30s", 30_000),
            ("1m30s", 90_000),
            ("1h", 3_600_000),
            ("1.5s", 1_500),
            ("250ms", 250),
            ("0", 0),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        assert_eq!(parse("1us"), Ok(Duration::from_micros(1)));
    }

    #[test]
    fn as_go_prints_them() {
        for (nanos, text) in [
            (0, "0s"),
            (300_000_000_000, "5m0s"),
            (172_800_000_000_000, "48h0m0s"),
            (1_500_000_000, "1.5s"),
            (250_000_000, "250ms"),
            (1_100, "1.1\u{b5}s"),
            (7, "7ns"),
            (-60_000_000_001, "-1m0.000000001s"),
        ] {
            assert_eq!(go(nanos), text);
        }
        go(i64::MIN);
    }

    #[test]
    fn refusals() {
        for text in [
            "", "s", "1x", "-5", "-5s", "1h2", "abc", "nan", "inf", "1..2s",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
