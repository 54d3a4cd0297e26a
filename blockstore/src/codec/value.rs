//! The IPLD data model: what dag-cbor and dag-json can say.
//!
//! Spec: <https://ipld.io/docs/data-model/>.

use crate::cid::Cid;

use super::CodecError;

/// The deepest nesting of lists and maps that is read or written, as in go-ipld-prime.
pub const MAX_DEPTH: usize = 1024;

/// What one block may cost to decode, in units close to bytes, as in go-ipld-prime: a two-byte
/// list header must not make the reader build millions of values.
pub(super) const BUDGET: u64 = 10 << 20;
pub(super) const MAP_ENTRY_COST: u64 = 8;
pub(super) const LIST_ENTRY_COST: u64 = 4;

/// A value of the data model.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Nothing.
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number from -2^64 to 2^64 - 1.
    Int(i128),
    /// A number that is finite.
    Float(f64),
    /// Text.
    String(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// Values in order.
    List(Vec<Value>),
    /// Values under names; no name stands twice. The order is that of the bytes, and codecs that
    /// sort do so when they encode.
    Map(Vec<(String, Value)>),
    /// A link to another block.
    Link(Box<Cid>),
}

impl Value {
    /// A link.
    #[must_use]
    pub fn link(cid: Cid) -> Self {
        Self::Link(Box::new(cid))
    }

    /// The value under `name` of a map, or at the index `name` of a list.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Map(entries) => entries.iter().find(|(key, _)| key == name).map(|(_, v)| v),
            Self::List(values) => {
                // As Go reads an index: digits, with an optional sign.
                let index = name.strip_prefix('+').unwrap_or(name);
                let digits = !index.is_empty() && index.bytes().all(|b| b.is_ascii_digit());
                digits
                    .then(|| index.parse::<usize>().ok())
                    .flatten()
                    .and_then(|at| values.get(at))
            }
            _ => None,
        }
    }

    /// The kind of the value, for messages.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Float(_) => "float",
            Self::String(_) => "string",
            Self::Bytes(_) => "bytes",
            Self::List(_) => "list",
            Self::Map(_) => "map",
            Self::Link(_) => "link",
        }
    }

    /// Calls `visit` with each link, in order.
    pub fn for_each_link(&self, visit: &mut dyn FnMut(&Cid)) {
        match self {
            Self::Link(cid) => visit(cid),
            Self::List(values) => values.iter().for_each(|value| value.for_each_link(visit)),
            Self::Map(entries) => entries
                .iter()
                .for_each(|(_, value)| value.for_each_link(visit)),
            _ => {}
        }
    }
}

/// Where a path through one block ended.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Walk<'a> {
    /// The value that was reached: the one the path names, or a link with segments left.
    pub value: &'a Value,
    /// How many segments were used up to reach it.
    pub used: usize,
}

/// Follows `segments` from `root` until they are used up or a link is met. When the walk ends at
/// a link before the last segment, the path goes on in the block behind it.
///
/// # Errors
/// [`CodecError::NoSegment`] when a map has no such name, a list no such index, or a value has no
/// inside.
pub fn walk<'a, S: AsRef<str>>(root: &'a Value, segments: &[S]) -> Result<Walk<'a>, CodecError> {
    let mut value = root;
    for (used, segment) in segments.iter().enumerate() {
        if matches!(value, Value::Link(_)) {
            return Ok(Walk { value, used });
        }
        value = value
            .get(segment.as_ref())
            .ok_or_else(|| CodecError::NoSegment {
                segment: segment.as_ref().to_owned(),
                kind: value.kind(),
            })?;
    }
    Ok(Walk {
        value,
        used: segments.len(),
    })
}

/// What is left of [`BUDGET`].
pub(super) struct Budget(u64);

impl Budget {
    pub(super) const fn new() -> Self {
        Self(BUDGET)
    }

    pub(super) fn spend(&mut self, cost: u64) -> Option<()> {
        self.0 = self.0.checked_sub(cost)?;
        Some(())
    }
}

/// Whether two entries have the same name.
pub(super) fn duplicate_key(entries: &[(String, Value)]) -> Option<&str> {
    let mut keys: Vec<&str> = entries.iter().map(|(key, _)| key.as_str()).collect();
    keys.sort_unstable();
    keys.windows(2)
        .find(|pair| pair[0] == pair[1])
        .map(|pair| pair[0])
}
