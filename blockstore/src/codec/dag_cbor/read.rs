//! Reading dag-cbor.

use smallvec::SmallVec;

use crate::cid::Cid;
use crate::codec::value::{
    Budget, LIST_ENTRY_COST, MAP_ENTRY_COST, MAX_DEPTH, Value, duplicate_key,
};

use super::{CborError, LINK_TAG};

/// Decodes dag-cbor as go-ipld-prime does.
///
/// # Errors
/// [`CborError`] when the bytes are malformed, nested too deep or too costly.
pub fn decode(data: &[u8]) -> Result<Value, CborError> {
    whole(
        data,
        Rules {
            links: true,
            canonical: false,
        },
    )
}

/// Decodes dag-cbor in its one canonical form.
///
/// # Errors
/// As [`decode`], and when the same value has another encoding than these bytes.
pub fn decode_canonical(data: &[u8]) -> Result<Value, CborError> {
    whole(
        data,
        Rules {
            links: true,
            canonical: true,
        },
    )
}

/// Decodes cbor without links.
///
/// # Errors
/// As [`decode`], and [`CborError::Tag`] for a link.
pub fn decode_plain(data: &[u8]) -> Result<Value, CborError> {
    whole(
        data,
        Rules {
            links: false,
            canonical: false,
        },
    )
}

/// Calls `visit` with each link, in order, without building the value. Nothing is allocated for
/// usual nesting; the contents of strings and duplicate keys are not looked at.
///
/// # Errors
/// [`CborError`] when the bytes are malformed or nested too deep; `visit` may have been called.
pub fn links(data: &[u8], visit: &mut dyn FnMut(Cid)) -> Result<(), CborError> {
    let mut reader = Reader { rest: data };
    // Items that are left in each open list or map. Of a map, keys come at even counts.
    let mut open: SmallVec<[Open; 16]> = SmallVec::new();
    loop {
        let is_key = open
            .last()
            .is_some_and(|open| open.map && open.left % 2 == 0);
        let item = reader.item(true)?;
        if let Some(inner) = open.last_mut() {
            inner.left -= 1;
        }
        if is_key && !matches!(item, Item::String(_)) {
            return Err(CborError::KeyKind);
        }
        match item {
            Item::Link(cid) => visit(cid),
            Item::List(left) => reader.open(&mut open, left, false)?,
            Item::Map(entries) => reader.open(&mut open, entries.saturating_mul(2), true)?,
            _ => {}
        }
        while open.last().is_some_and(|open| open.left == 0) {
            open.pop();
        }
        if open.is_empty() {
            return reader.end();
        }
    }
}

#[derive(Clone, Copy)]
struct Rules {
    links: bool,
    canonical: bool,
}

struct Open {
    left: u64,
    map: bool,
}

fn whole(data: &[u8], rules: Rules) -> Result<Value, CborError> {
    let mut builder = Builder {
        reader: Reader { rest: data },
        budget: Budget::new(),
        rules,
    };
    let value = builder.value(0)?;
    builder.reader.end()?;
    Ok(value)
}

/// Builds values out of items.
struct Builder<'a> {
    reader: Reader<'a>,
    budget: Budget,
    rules: Rules,
}

impl Builder<'_> {
    fn value(&mut self, depth: usize) -> Result<Value, CborError> {
        let item = self.reader.item(self.rules.links)?;
        match item {
            Item::Int(int) => self.scalar(Value::Int(int)),
            Item::Bool(bool) => self.scalar(Value::Bool(bool)),
            Item::Null => Ok(Value::Null),
            Item::Undefined if self.rules.canonical => Err(CborError::NotCanonical),
            Item::Undefined => Ok(Value::Null),
            Item::NarrowFloat(_) if self.rules.canonical => Err(CborError::NotCanonical),
            Item::Float(float) | Item::NarrowFloat(float) => self.scalar(Value::Float(float)),
            Item::String(bytes) => {
                self.spend(bytes.len() as u64)?;
                Ok(Value::String(text(bytes)?.to_owned()))
            }
            Item::Bytes(bytes) => {
                self.spend(bytes.len() as u64)?;
                Ok(Value::Bytes(bytes.to_vec()))
            }
            Item::Link(cid) => {
                self.spend(cid.encoded_len() as u64)?;
                Ok(Value::link(cid))
            }
            Item::List(len) => self.list(len, depth),
            Item::Map(len) => self.map(len, depth),
        }
    }

    fn list(&mut self, len: u64, depth: usize) -> Result<Value, CborError> {
        let len = self.enter(len, 1, depth)?;
        let mut values = Vec::with_capacity(len.min(1024));
        for _ in 0..len {
            self.spend(LIST_ENTRY_COST)?;
            values.push(self.value(depth + 1)?);
        }
        Ok(Value::List(values))
    }

    fn map(&mut self, len: u64, depth: usize) -> Result<Value, CborError> {
        let len = self.enter(len, 2, depth)?;
        let mut entries: Vec<(String, Value)> = Vec::with_capacity(len.min(1024));
        for _ in 0..len {
            let Item::String(bytes) = self.reader.item(false)? else {
                return Err(CborError::KeyKind);
            };
            self.spend(bytes.len() as u64 + MAP_ENTRY_COST)?;
            let key = text(bytes)?;
            if let Some((before, _)) = entries.last().filter(|_| self.rules.canonical) {
                let ordered = (before.len(), before.as_str()) < (key.len(), key);
                if before == key {
                    return Err(CborError::DuplicateKey(key.to_owned()));
                } else if !ordered {
                    return Err(CborError::KeyOrder);
                }
            }
            let key = key.to_owned();
            entries.push((key, self.value(depth + 1)?));
        }
        if !self.rules.canonical
            && let Some(key) = duplicate_key(&entries)
        {
            return Err(CborError::DuplicateKey(key.to_owned()));
        }
        Ok(Value::Map(entries))
    }

    /// Checks the head of a list or map before anything is allocated for it.
    fn enter(&mut self, len: u64, items_each: u64, depth: usize) -> Result<usize, CborError> {
        if depth >= MAX_DEPTH {
            return Err(CborError::TooDeep);
        }
        self.spend(len)?;
        if len.saturating_mul(items_each) > self.reader.rest.len() as u64 {
            return Err(CborError::Truncated);
        }
        Ok(len as usize)
    }

    fn scalar(&mut self, value: Value) -> Result<Value, CborError> {
        self.spend(1)?;
        Ok(value)
    }

    fn spend(&mut self, cost: u64) -> Result<(), CborError> {
        self.budget.spend(cost).ok_or(CborError::TooLarge)
    }
}

fn text(bytes: &[u8]) -> Result<&str, CborError> {
    std::str::from_utf8(bytes).map_err(|_| CborError::Utf8)
}

/// One scalar, or the head of a list or map.
enum Item<'a> {
    Int(i128),
    Bool(bool),
    Null,
    Undefined,
    Float(f64),
    /// A float of 16 or 32 bits.
    NarrowFloat(f64),
    String(&'a [u8]),
    Bytes(&'a [u8]),
    Link(Cid),
    List(u64),
    Map(u64),
}

/// The bytes that are left.
struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn item(&mut self, links: bool) -> Result<Item<'a>, CborError> {
        let first = self.byte()?;
        let minor = first & 0x1f;
        match first >> 5 {
            0 => Ok(Item::Int(self.argument(minor)?.into())),
            1 => Ok(Item::Int(-1 - i128::from(self.argument(minor)?))),
            2 => Ok(Item::Bytes(self.bytes(minor)?)),
            3 => Ok(Item::String(self.bytes(minor)?)),
            4 => Ok(Item::List(self.argument(minor)?)),
            5 => Ok(Item::Map(self.argument(minor)?)),
            6 => match self.argument(minor)? {
                LINK_TAG if links => Ok(Item::Link(self.link()?)),
                other => Err(CborError::Tag(other)),
            },
            _ => self.simple(first),
        }
    }

    fn simple(&mut self, first: u8) -> Result<Item<'a>, CborError> {
        let (float, wide) = match first {
            0xf4 => return Ok(Item::Bool(false)),
            0xf5 => return Ok(Item::Bool(true)),
            0xf6 => return Ok(Item::Null),
            0xf7 => return Ok(Item::Undefined),
            0xf9 => (half_to_f64(u16::from_be_bytes(self.array()?)), false),
            0xfa => (f32::from_be_bytes(self.array()?).into(), false),
            0xfb => (f64::from_be_bytes(self.array()?), true),
            0xff => return Err(CborError::Indefinite),
            other => return Err(CborError::Invalid(other)),
        };
        if !float.is_finite() {
            return Err(CborError::NotFinite);
        }
        Ok(if wide {
            Item::Float(float)
        } else {
            Item::NarrowFloat(float)
        })
    }

    /// The bytes under tag 42.
    fn link(&mut self) -> Result<Cid, CborError> {
        let first = self.byte()?;
        if first >> 5 != 2 {
            return Err(CborError::LinkForm);
        }
        match self.bytes(first & 0x1f)?.split_first() {
            Some((0, cid)) => Ok(Cid::try_from(cid)?),
            _ => Err(CborError::LinkForm),
        }
    }

    fn argument(&mut self, minor: u8) -> Result<u64, CborError> {
        let (value, shortest) = match minor {
            0..=0x17 => return Ok(minor.into()),
            0x18 => (self.byte()?.into(), 0x18),
            0x19 => (u16::from_be_bytes(self.array()?).into(), 1 << 8),
            0x1a => (u32::from_be_bytes(self.array()?).into(), 1 << 16),
            0x1b => (u64::from_be_bytes(self.array()?), 1 << 32),
            0x1f => return Err(CborError::Indefinite),
            other => return Err(CborError::Invalid(other)),
        };
        if value < shortest {
            Err(CborError::NotMinimal)
        } else {
            Ok(value)
        }
    }

    fn bytes(&mut self, minor: u8) -> Result<&'a [u8], CborError> {
        let len = usize::try_from(self.argument(minor)?).map_err(|_| CborError::Truncated)?;
        let (bytes, rest) = self
            .rest
            .split_at_checked(len)
            .ok_or(CborError::Truncated)?;
        self.rest = rest;
        Ok(bytes)
    }

    fn byte(&mut self) -> Result<u8, CborError> {
        let [byte] = self.array()?;
        Ok(byte)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], CborError> {
        let (array, rest) = self.rest.split_first_chunk().ok_or(CborError::Truncated)?;
        self.rest = rest;
        Ok(*array)
    }

    fn open(&self, open: &mut SmallVec<[Open; 16]>, left: u64, map: bool) -> Result<(), CborError> {
        if open.len() >= MAX_DEPTH {
            return Err(CborError::TooDeep);
        }
        if left > self.rest.len() as u64 {
            return Err(CborError::Truncated);
        }
        open.push(Open { left, map });
        Ok(())
    }

    const fn end(&self) -> Result<(), CborError> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(CborError::TrailingBytes)
        }
    }
}

/// A float of 16 bits, IEEE 754.
fn half_to_f64(bits: u16) -> f64 {
    let (exponent, fraction) = ((bits >> 10) & 0x1f, f64::from(bits & 0x3ff));
    let magnitude = match exponent {
        0 => fraction * 2_f64.powi(-24),
        0x1f if fraction == 0.0 => f64::INFINITY,
        0x1f => f64::NAN,
        _ => (1.0 + fraction / 1024.0) * 2_f64.powi(i32::from(exponent) - 15),
    };
    if bits & 0x8000 == 0 {
        magnitude
    } else {
        -magnitude
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_floats_have_the_values_of_rfc_8949() {
        for (bits, value) in [
            (0x0000, 0.0),
            (0x3c00, 1.0),
            (0x3e00, 1.5),
            (0x7bff, 65_504.0),
            (0x0001, 5.960_464_477_539_063e-8),
            (0x0400, 6.103_515_625e-5),
            (0xc400, -4.0),
        ] {
            assert_eq!(half_to_f64(bits), value, "{bits:04x}");
        }
    }
}
