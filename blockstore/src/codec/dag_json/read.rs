//! Reading dag-json.

use crate::cid::{Base, Cid};
use crate::codec::value::{
    Budget, LIST_ENTRY_COST, MAP_ENTRY_COST, MAX_DEPTH, Value, duplicate_key,
};

use super::{BYTES, JsonError, RESERVED};

/// Decodes dag-json.
///
/// # Errors
/// [`JsonError`] when the text is malformed, nested too deep or too costly.
pub fn decode(data: &[u8]) -> Result<Value, JsonError> {
    whole(data, true)
}

/// Decodes json; maps with the key `/` stay maps.
///
/// # Errors
/// As [`decode`].
pub fn decode_plain(data: &[u8]) -> Result<Value, JsonError> {
    whole(data, false)
}

fn whole(data: &[u8], dag: bool) -> Result<Value, JsonError> {
    let mut parser = Parser {
        data,
        at: 0,
        budget: Budget::new(),
        dag,
    };
    let value = parser.value(0)?;
    match parser.peek() {
        None => Ok(value),
        Some(_) => Err(JsonError::TrailingBytes(parser.at)),
    }
}

struct Parser<'a> {
    data: &'a [u8],
    at: usize,
    budget: Budget,
    dag: bool,
}

impl Parser<'_> {
    fn value(&mut self, depth: usize) -> Result<Value, JsonError> {
        match self.peek().ok_or(JsonError::Truncated)? {
            b'{' => self.map(depth),
            b'[' => self.list(depth),
            b'"' => Ok(Value::String(self.string()?)),
            b't' => self.word("true", Value::Bool(true)),
            b'f' => self.word("false", Value::Bool(false)),
            b'n' => self.word("null", Value::Null),
            b'-' | b'0'..=b'9' => self.number(),
            _ => Err(self.unexpected("start of value")),
        }
    }

    fn list(&mut self, depth: usize) -> Result<Value, JsonError> {
        let mut values = Vec::new();
        let mut more = self.enter(b']', depth)?;
        while more {
            self.spend(LIST_ENTRY_COST)?;
            values.push(self.value(depth + 1)?);
            more = self.more(b']', "comma or array close")?;
        }
        Ok(Value::List(values))
    }

    fn map(&mut self, depth: usize) -> Result<Value, JsonError> {
        let mut entries = Vec::new();
        let mut more = self.enter(b'}', depth)?;
        while more {
            if self.peek() != Some(b'"') {
                return Err(self.unexpected("map key"));
            }
            let key = self.string()?;
            self.spend(MAP_ENTRY_COST)?;
            if self.peek() != Some(b':') {
                return Err(self.unexpected("colon after map key"));
            }
            self.at += 1;
            entries.push((key, self.value(depth + 1)?));
            more = self.more(b'}', "comma or map close")?;
        }
        if let Some(key) = duplicate_key(&entries) {
            return Err(JsonError::DuplicateKey(key.to_owned()));
        }
        if self.dag {
            reserved_form(entries)
        } else {
            Ok(Value::Map(entries))
        }
    }

    /// Steps into a list or map and tells whether it holds anything.
    fn enter(&mut self, close: u8, depth: usize) -> Result<bool, JsonError> {
        if depth >= MAX_DEPTH {
            return Err(JsonError::TooDeep);
        }
        self.at += 1;
        let empty = self.peek().ok_or(JsonError::Truncated)? == close;
        self.at += usize::from(empty);
        Ok(!empty)
    }

    /// Steps over a comma or the close, and tells whether something follows.
    fn more(&mut self, close: u8, expected: &'static str) -> Result<bool, JsonError> {
        match self.peek() {
            Some(b',') => {
                self.at += 1;
                Ok(true)
            }
            Some(byte) if byte == close => {
                self.at += 1;
                Ok(false)
            }
            _ => Err(self.unexpected(expected)),
        }
    }

    fn string(&mut self) -> Result<String, JsonError> {
        let start = self.at;
        let invalid = || JsonError::String(start);
        self.at += 1;
        let mut out = Vec::new();
        loop {
            let rest = &self.data[self.at..];
            let plain = rest
                .iter()
                .position(|&byte| byte < 0x20 || byte == b'"' || byte == b'\\');
            let plain = plain.ok_or(JsonError::Truncated)?;
            out.extend_from_slice(&rest[..plain]);
            self.at += plain + 1;
            match rest[plain] {
                b'"' => break,
                b'\\' => self.escape(&mut out).ok_or_else(invalid)?,
                _ => return Err(invalid()),
            }
        }
        self.spend(out.len() as u64)?;
        String::from_utf8(out).map_err(|_| invalid())
    }

    fn escape(&mut self, out: &mut Vec<u8>) -> Option<()> {
        let escaped = *self.data.get(self.at)?;
        self.at += 1;
        let byte = match escaped {
            b'"' | b'\\' | b'/' => escaped,
            b'b' => 0x08,
            b'f' => 0x0c,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => {
                let char = self.unicode_escape()?;
                out.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
                return Some(());
            }
            _ => return None,
        };
        out.push(byte);
        Some(())
    }

    fn unicode_escape(&mut self) -> Option<char> {
        let first = self.hex4()?;
        if !(0xd800..0xdc00).contains(&first) {
            return char::from_u32(first);
        }
        if self.data.get(self.at..self.at + 2)? != b"\\u" {
            return None;
        }
        self.at += 2;
        let second = self.hex4().filter(|low| (0xdc00..0xe000).contains(low))?;
        char::from_u32(0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00))
    }

    fn hex4(&mut self) -> Option<u32> {
        let digits = self.data.get(self.at..self.at + 4)?;
        self.at += 4;
        digits.iter().try_fold(0, |value, &digit| {
            Some(value << 4 | (digit as char).to_digit(16)?)
        })
    }

    fn number(&mut self) -> Result<Value, JsonError> {
        let start = self.at;
        let out_of_range = || JsonError::NumberRange(start);
        self.at += usize::from(self.byte() == Some(b'-'));
        match self.byte() {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.digits()?,
            _ => return Err(self.unexpected("digit")),
        }
        let mut whole = true;
        if self.byte() == Some(b'.') {
            whole = false;
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.byte(), Some(b'e' | b'E')) {
            whole = false;
            self.at += 1;
            self.at += usize::from(matches!(self.byte(), Some(b'+' | b'-')));
            self.digits()?;
        }
        self.spend(1)?;
        // The bytes scanned are ASCII.
        let text = String::from_utf8_lossy(&self.data[start..self.at]);
        if whole {
            let int: i128 = text.parse().map_err(|_| out_of_range())?;
            let fits = (-(1_i128 << 64)..1 << 64).contains(&int);
            return if fits {
                Ok(Value::Int(int))
            } else {
                Err(out_of_range())
            };
        }
        let float: f64 = text.parse().map_err(|_| out_of_range())?;
        if float.is_finite() {
            Ok(Value::Float(float))
        } else {
            Err(out_of_range())
        }
    }

    /// One digit or more.
    fn digits(&mut self) -> Result<(), JsonError> {
        let digits = self.data[self.at..]
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        if digits == 0 {
            return Err(self.unexpected("digit"));
        }
        self.at += digits;
        Ok(())
    }

    fn word(&mut self, word: &'static str, value: Value) -> Result<Value, JsonError> {
        if !self.data[self.at..].starts_with(word.as_bytes()) {
            return Err(self.unexpected(word));
        }
        self.at += word.len();
        self.spend(1)?;
        Ok(value)
    }

    fn byte(&self) -> Option<u8> {
        self.data.get(self.at).copied()
    }

    /// The next byte that is not white space.
    fn peek(&mut self) -> Option<u8> {
        while matches!(self.byte(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
        self.byte()
    }

    fn unexpected(&self, expected: &'static str) -> JsonError {
        match self.byte() {
            Some(byte) => JsonError::Unexpected {
                expected,
                byte,
                at: self.at,
            },
            None => JsonError::Truncated,
        }
    }

    fn spend(&mut self, cost: u64) -> Result<(), JsonError> {
        self.budget.spend(cost).ok_or(JsonError::TooLarge)
    }
}

/// Turns the two reserved forms of a map into what they stand for.
fn reserved_form(entries: Vec<(String, Value)>) -> Result<Value, JsonError> {
    match entries.as_slice() {
        [(key, Value::String(text))] if key == RESERVED => Ok(Value::link(text.parse::<Cid>()?)),
        [(key, Value::Map(inner))] if key == RESERVED => match inner.as_slice() {
            [(key, Value::String(text))] if key == BYTES => Ok(Value::Bytes(base64(text)?)),
            _ => Ok(Value::Map(entries)),
        },
        _ => Ok(Value::Map(entries)),
    }
}

/// Base64 with or without padding.
fn base64(text: &str) -> Result<Vec<u8>, JsonError> {
    let base = if text.ends_with('=') {
        Base::Base64Pad
    } else {
        Base::Base64
    };
    base.decode(text).map_err(|_| JsonError::Base64)
}
