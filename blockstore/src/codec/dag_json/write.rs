//! Writing dag-json.

use std::fmt::Write;

use crate::cid::Base;
use crate::codec::value::{MAX_DEPTH, Value, duplicate_key};

use super::{BYTES, JsonError, RESERVED};

/// Encodes a value without white space and with the map keys sorted by their bytes.
///
/// # Errors
/// [`JsonError`] when the value is nested too deep, has a key twice, holds a number that is not
/// finite, or a map that would be read back as a link or bytes.
pub fn encode(value: &Value) -> Result<Vec<u8>, JsonError> {
    let mut writer = Writer {
        out: String::new(),
        dag: true,
    };
    writer.value(value, 0)?;
    Ok(writer.out.into_bytes())
}

/// Encodes a value without links and bytes as json, one entry a line, indented with tabs; maps
/// keep their order.
///
/// # Errors
/// As [`encode`], [`JsonError::NoLinks`] and [`JsonError::NoBytes`].
pub fn encode_plain(value: &Value) -> Result<Vec<u8>, JsonError> {
    let mut writer = Writer {
        out: String::new(),
        dag: false,
    };
    writer.value(value, 0)?;
    if matches!(value, Value::List(_) | Value::Map(_)) {
        writer.out.push('\n');
    }
    Ok(writer.out.into_bytes())
}

struct Writer {
    out: String,
    dag: bool,
}

impl Writer {
    fn value(&mut self, value: &Value, depth: usize) -> Result<(), JsonError> {
        match value {
            Value::Null => self.out.push_str("null"),
            Value::Bool(bool) => self.out.push_str(if *bool { "true" } else { "false" }),
            Value::Int(int) => self.display(int),
            Value::Float(float) => self.float(*float)?,
            Value::String(text) => self.string(text),
            Value::Bytes(_) if !self.dag => return Err(JsonError::NoBytes),
            Value::Bytes(bytes) => {
                self.out.push_str(r#"{"/":{"bytes":""#);
                self.out.push_str(&Base::Base64.encode(bytes));
                self.out.push_str(r#""}}"#);
            }
            Value::Link(_) if !self.dag => return Err(JsonError::NoLinks),
            Value::Link(cid) => {
                self.out.push_str(r#"{"/":""#);
                self.display(cid);
                self.out.push_str(r#""}"#);
            }
            Value::List(values) => self.list(values, depth)?,
            Value::Map(entries) => self.map(entries, depth)?,
        }
        Ok(())
    }

    fn list(&mut self, values: &[Value], depth: usize) -> Result<(), JsonError> {
        enter(depth)?;
        self.out.push('[');
        for (at, value) in values.iter().enumerate() {
            self.separate(at, depth);
            self.value(value, depth + 1)?;
        }
        self.close(values.is_empty(), depth, ']');
        Ok(())
    }

    fn map(&mut self, entries: &[(String, Value)], depth: usize) -> Result<(), JsonError> {
        enter(depth)?;
        if let Some(key) = duplicate_key(entries) {
            return Err(JsonError::DuplicateKey(key.to_owned()));
        }
        if self.dag && is_reserved(entries) {
            return Err(JsonError::Reserved);
        }
        let mut ordered: Vec<&(String, Value)> = entries.iter().collect();
        if self.dag {
            ordered.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        }
        self.out.push('{');
        for (at, (key, value)) in ordered.into_iter().enumerate() {
            self.separate(at, depth);
            self.string(key);
            self.out.push_str(if self.dag { ":" } else { ": " });
            self.value(value, depth + 1)?;
        }
        self.close(entries.is_empty(), depth, '}');
        Ok(())
    }

    fn separate(&mut self, at: usize, depth: usize) {
        if at > 0 {
            self.out.push(',');
        }
        if !self.dag {
            self.line(depth + 1);
        }
    }

    fn close(&mut self, empty: bool, depth: usize, bracket: char) {
        if !self.dag && !empty {
            self.line(depth);
        }
        self.out.push(bracket);
    }

    fn line(&mut self, indent: usize) {
        self.out.push('\n');
        self.out.extend(std::iter::repeat_n('\t', indent));
    }

    fn string(&mut self, text: &str) {
        self.out.push('"');
        for char in text.chars() {
            match char {
                '"' => self.out.push_str("\\\""),
                '\\' => self.out.push_str("\\\\"),
                '\n' => self.out.push_str("\\n"),
                '\r' => self.out.push_str("\\r"),
                '\t' => self.out.push_str("\\t"),
                // JavaScript takes the last two for line ends; Go escapes them.
                '\0'..' ' | '\u{2028}' | '\u{2029}' => {
                    let code = u32::from(char);
                    self.display(&format_args!("\\u{code:04x}"));
                }
                _ => self.out.push(char),
            }
        }
        self.out.push('"');
    }

    /// The shortest digits that read back as the same float; with an exponent where JavaScript
    /// uses one, and without a point when the number is whole, as Go does both.
    fn float(&mut self, float: f64) -> Result<(), JsonError> {
        if !float.is_finite() {
            return Err(JsonError::NotFinite);
        }
        let abs = float.abs();
        if abs != 0.0 && !(1e-6..1e21).contains(&abs) {
            let text = format!("{float:e}");
            let text = if abs >= 1.0 {
                text.replace('e', "e+")
            } else {
                text
            };
            self.out.push_str(&text);
        } else {
            self.display(&float);
        }
        Ok(())
    }

    fn display(&mut self, value: &dyn std::fmt::Display) {
        // Writing to a string cannot fail.
        let _ = write!(self.out, "{value}");
    }
}

/// Whether a map would be read back as a link or bytes.
fn is_reserved(entries: &[(String, Value)]) -> bool {
    match entries {
        [(key, Value::String(_))] => key == RESERVED,
        [(key, Value::Map(inner))] if key == RESERVED => {
            matches!(inner.as_slice(), [(key, Value::String(_))] if key == BYTES)
        }
        _ => false,
    }
}

const fn enter(depth: usize) -> Result<(), JsonError> {
    if depth < MAX_DEPTH {
        Ok(())
    } else {
        Err(JsonError::TooDeep)
    }
}
