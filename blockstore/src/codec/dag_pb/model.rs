//! dag-pb as a value of the data model, in the form of its schema.

use bytes::Bytes;

use crate::codec::value::Value;

use super::{PbLink, PbNode};

/// Why a value is not a dag-pb node.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FormError {
    /// The value is of another kind than the schema says.
    #[error("invalid DAG-PB form ({field} must be a {expected}, not a {found})")]
    Kind {
        /// Where the value stands.
        field: &'static str,
        /// The kind of the schema.
        expected: &'static str,
        /// The kind that was found.
        found: &'static str,
    },
    /// A map has a key that the schema does not have.
    #[error("invalid DAG-PB form (extraneous property {0:?})")]
    Extraneous(String),
    /// A map lacks a key that the schema asks for.
    #[error("invalid DAG-PB form (missing required field {0})")]
    Missing(&'static str),
    /// A map has a key twice.
    #[error("invalid DAG-PB form (repeated property {0:?})")]
    Repeated(&'static str),
    /// A size is negative or does not fit in 63 bits.
    #[error("invalid DAG-PB form (Tsize {0} is out of range)")]
    Tsize(i128),
}

impl PbNode {
    /// The node as a map with `Data`, if there is any, and `Links`, in the order of go-codec-dagpb.
    /// A byte of a name that is not UTF-8 becomes U+FFFD.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let mut entries = Vec::with_capacity(2);
        let links = self.links.iter().map(PbLink::to_value).collect();
        entries.push(("Links".to_owned(), Value::List(links)));
        if let Some(data) = &self.data {
            entries.push(("Data".to_owned(), Value::Bytes(data.to_vec())));
        }
        Value::Map(entries)
    }

    /// Whether [`PbNode::to_value`] keeps every name as it is.
    #[must_use]
    pub fn names_are_text(&self) -> bool {
        self.links
            .iter()
            .flat_map(|link| &link.name)
            .all(|name| std::str::from_utf8(name).is_ok())
    }

    /// The node that a value of the schema's form describes.
    ///
    /// # Errors
    /// [`FormError`] for anything outside the schema.
    pub fn from_value(value: &Value) -> Result<Self, FormError> {
        let [data, links] = fields(value, "the node", ["Data", "Links"])?;
        let links = match links.ok_or(FormError::Missing("Links"))? {
            Value::List(links) => links
                .iter()
                .map(PbLink::from_value)
                .collect::<Result<_, _>>()?,
            other => return Err(kind("Links", "list", other)),
        };
        let data = match data {
            None => None,
            Some(Value::Bytes(bytes)) => Some(Bytes::copy_from_slice(bytes)),
            Some(other) => return Err(kind("Data", "bytes", other)),
        };
        Ok(Self { links, data })
    }
}

impl PbLink {
    fn to_value(&self) -> Value {
        let mut entries = Vec::with_capacity(3);
        entries.push(("Hash".to_owned(), Value::link(self.cid.clone())));
        if let Some(name) = &self.name {
            let name = String::from_utf8_lossy(name).into_owned();
            entries.push(("Name".to_owned(), Value::String(name)));
        }
        if let Some(tsize) = self.tsize {
            // Go keeps the size in a signed integer.
            entries.push(("Tsize".to_owned(), Value::Int((tsize as i64).into())));
        }
        Value::Map(entries)
    }

    fn from_value(value: &Value) -> Result<Self, FormError> {
        let [hash, name, tsize] = fields(value, "a link", ["Hash", "Name", "Tsize"])?;
        let cid = match hash.ok_or(FormError::Missing("Hash"))? {
            Value::Link(cid) => (**cid).clone(),
            other => return Err(kind("Hash", "link", other)),
        };
        let name = match name {
            None => None,
            Some(Value::String(text)) => Some(Bytes::copy_from_slice(text.as_bytes())),
            Some(other) => return Err(kind("Name", "string", other)),
        };
        let tsize = match tsize {
            None => None,
            Some(Value::Int(int)) => match i64::try_from(*int) {
                Ok(size @ 0..) => Some(size as u64),
                _ => return Err(FormError::Tsize(*int)),
            },
            Some(other) => return Err(kind("Tsize", "int", other)),
        };
        Ok(Self { cid, name, tsize })
    }
}

/// The values of a map under the names of a schema, which has no others.
fn fields<'a, const N: usize>(
    value: &'a Value,
    place: &'static str,
    names: [&'static str; N],
) -> Result<[Option<&'a Value>; N], FormError> {
    let Value::Map(entries) = value else {
        return Err(kind(place, "map", value));
    };
    let mut found = [None; N];
    for (key, value) in entries {
        let at = names.iter().position(|name| name == key);
        let at = at.ok_or_else(|| FormError::Extraneous(key.clone()))?;
        if found[at].replace(value).is_some() {
            return Err(FormError::Repeated(names[at]));
        }
    }
    Ok(found)
}

const fn kind(field: &'static str, expected: &'static str, found: &Value) -> FormError {
    FormError::Kind {
        field,
        expected,
        found: found.kind(),
    }
}
