//! Values of options, and how they are read from text.
//!
//! The rules are those of Kubo, on the command line and in the query of a request alike.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

use crate::command::{Kind, Opt};
use crate::failure::Failure;

/// The value of an option.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Of a flag.
    Bool(bool),
    /// Of a signed number.
    Int(i64),
    /// Of an unsigned number.
    Uint(u64),
    /// Of a text.
    Text(String),
    /// Of a path.
    Path(OsString),
    /// Of a repeated text.
    List(Vec<String>),
}

/// Options that were given, by their first name.
pub type Values = BTreeMap<&'static str, Value>;

/// Reads a value as the option's kind.
pub fn parse_value(option: &Opt, value: &OsStr) -> Result<Value, Failure> {
    if option.kind == Kind::Path {
        return Ok(Value::Path(value.to_owned()));
    }
    let refuse = |what: &str| {
        Failure::usage(format!(
            "invalid value {:?} for option {:?}: {what}",
            value.to_string_lossy(),
            option.name()
        ))
    };
    let text = value.to_str().ok_or_else(|| refuse("not UTF-8"))?;
    match option.kind {
        Kind::Bool => parse_bool(text)
            .map(Value::Bool)
            .ok_or_else(|| refuse("expected true or false")),
        Kind::Int => parse_int(text)
            .and_then(|number| i64::try_from(number).ok())
            .filter(|number| option.wide || i32::try_from(*number).is_ok())
            .map(Value::Int)
            .ok_or_else(|| refuse("expected a number")),
        // Go takes no sign here.
        Kind::Uint => parse_int(text)
            .filter(|_| !text.starts_with('+'))
            .and_then(|number| u64::try_from(number).ok())
            .filter(|number| option.wide || u32::try_from(*number).is_ok())
            .map(Value::Uint)
            .ok_or_else(|| refuse("expected a number that is not negative")),
        Kind::Text | Kind::Path => Ok(Value::Text(text.to_owned())),
        Kind::List => Ok(Value::List(vec![text.to_owned()])),
    }
}

/// The spellings that Go's `strconv.ParseBool` takes, in any case; an empty value is true.
fn parse_bool(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "" | "1" | "t" | "true" => Some(true),
        "0" | "f" | "false" => Some(false),
        _ => None,
    }
}

/// A number with the prefixes of Go's base 0: 0x, 0o, 0b and a plain leading 0 for octal.
fn parse_int(text: &str) -> Option<i128> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let lower = digits.to_ascii_lowercase();
    let (radix, body) = if let Some(body) = lower.strip_prefix("0x") {
        (16, body)
    } else if let Some(body) = lower.strip_prefix("0o") {
        (8, body)
    } else if let Some(body) = lower.strip_prefix("0b") {
        (2, body)
    } else if lower.len() > 1 && lower.starts_with('0') {
        (8, &lower[1..])
    } else {
        (10, lower.as_str())
    };
    if body.starts_with(['+', '-']) {
        return None;
    }
    let magnitude = i128::from(u64::from_str_radix(&body.replace('_', ""), radix).ok()?);
    Some(if negative { -magnitude } else { magnitude })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_as_go_reads_them() {
        for (text, value) in [
            ("10", 10),
            ("-3", -3),
            ("0x1F", 31),
            ("0644", 0o644),
            ("0o17", 15),
            ("0b11", 3),
        ] {
            assert_eq!(parse_int(text), Some(value), "{text}");
        }
        for text in ["", "x", "1.5", "--1", "0x", "18446744073709551616"] {
            assert_eq!(parse_int(text), None, "{text}");
        }
    }
}
