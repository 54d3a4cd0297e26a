//! dag-pb: a node of links and opaque bytes, the form of UnixFS files and directories.
//!
//! Decoding follows go-codec-dagpb: no unknown field, no field twice, the fields of a link in the
//! order hash, name, size. Data may stand before or after the links, because old nodes have it
//! first, but not between them. Beyond that a link's hash must be a CID and nothing else: bytes
//! after the CID are refused.
//!
//! Spec: <https://ipld.io/specs/codecs/dag-pb/spec/>.

mod model;

use bytes::Bytes;
use thiserror::Error;

use crate::cid::{Cid, CidError};
use crate::varint;

pub use model::FormError;

/// Why bytes are not a dag-pb node.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DagPbError {
    /// The bytes end inside a field.
    #[error("unexpected end of the node")]
    Truncated,
    /// A varint has more than 64 bits.
    #[error("varint overflow")]
    VarintOverflow,
    /// A field number that cannot exist in protobuf.
    #[error("invalid field number {0}")]
    FieldNumber(u64),
    /// A node has only Data (1) and Links (2).
    #[error("invalid field number {0} in the node, expected 1 or 2")]
    NodeField(u64),
    /// A link has only Hash (1), Name (2) and Tsize (3).
    #[error("invalid field number {0} in a link, expected 1, 2 or 3")]
    LinkField(u64),
    /// The field is encoded as another type than it has.
    #[error("wrong wire type {wire} for {field}")]
    WireType {
        /// The name of the field.
        field: &'static str,
        /// The wire type that was found.
        wire: u8,
    },
    /// The field stands twice.
    #[error("duplicate {0} section")]
    Duplicate(&'static str),
    /// The fields of a link are out of order.
    #[error("invalid order, found {found} before {missing}")]
    Order {
        /// The field that came first.
        found: &'static str,
        /// The field that should have come before.
        missing: &'static str,
    },
    /// A link has no hash.
    #[error("invalid Hash field found in link, expected CID")]
    NoHash,
    /// The hash of a link is not a CID.
    #[error("invalid Hash field found in link, expected CID ({0})")]
    Hash(#[from] CidError),
}

/// A link as it stands in the bytes of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkRef<'a> {
    /// The block that is linked.
    pub cid: Cid,
    /// The name: any bytes, because Linux file names are any bytes.
    pub name: Option<&'a [u8]>,
    /// The total size of the blocks below the link, in bytes, as the writer saw it.
    pub tsize: Option<u64>,
}

/// A link of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PbLink {
    /// The block that is linked.
    pub cid: Cid,
    /// The name: any bytes, because Linux file names are any bytes.
    pub name: Option<Bytes>,
    /// The total size of the blocks below the link, in bytes, as the writer saw it.
    pub tsize: Option<u64>,
}

/// A node: links and data.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PbNode {
    /// The links, in the order of the bytes.
    pub links: Vec<PbLink>,
    /// The data; absent and empty are two different things.
    pub data: Option<Bytes>,
}

impl PbNode {
    /// Decodes a node. Names and data point into `bytes`.
    ///
    /// # Errors
    /// [`DagPbError`] when the bytes are not a node.
    pub fn decode(bytes: &Bytes) -> Result<Self, DagPbError> {
        let mut node = Self::default();
        let mut fields = Fields::new(bytes);
        while let Some(field) = fields.next()? {
            match field {
                Field::Data(data) => node.data = Some(bytes.slice_ref(data)),
                Field::Link(link) => node.links.push(PbLink {
                    cid: link.cid,
                    name: link.name.map(|name| bytes.slice_ref(name)),
                    tsize: link.tsize,
                }),
            }
        }
        Ok(node)
    }

    /// Encodes the node in the canonical form: links sorted by name, those of equal name in their
    /// order, then the data.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut sorted: Vec<&PbLink> = self.links.iter().collect();
        sorted.sort_by(|a, b| name_of(a).cmp(name_of(b)));
        let links: usize = sorted
            .iter()
            .map(|link| field_len(link.encoded_len()))
            .sum();
        let data = self.data.as_ref().map_or(0, |data| field_len(data.len()));
        let mut out = Vec::with_capacity(links + data);
        for link in sorted {
            link.write_to(&mut out);
        }
        if let Some(data) = &self.data {
            write_data(data, &mut out);
        }
        out
    }
}

impl PbLink {
    /// The length of the link's own fields, in bytes, without the tag and length before them.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        let tsize = self.tsize.map_or(0, |tsize| 1 + varint::len(tsize));
        let name = self.name.as_ref().map_or(0, |name| field_len(name.len()));
        field_len(self.cid.encoded_len()) + name + tsize
    }

    /// Appends the link as field 2 of a node.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        out.push(TAG_LINKS);
        varint::write(self.encoded_len() as u64, out);
        out.push(TAG_HASH);
        varint::write(self.cid.encoded_len() as u64, out);
        self.cid.write_to(out);
        if let Some(name) = &self.name {
            out.push(TAG_NAME);
            varint::write(name.len() as u64, out);
            out.extend_from_slice(name);
        }
        if let Some(tsize) = self.tsize {
            out.push(TAG_TSIZE);
            varint::write(tsize, out);
        }
    }
}

/// Appends `data` as field 1 of a node.
pub fn write_data(data: &[u8], out: &mut Vec<u8>) {
    out.push(TAG_DATA);
    varint::write(data.len() as u64, out);
    out.extend_from_slice(data);
}

/// The links of a node in the order of its bytes, without building the node. Every field is
/// checked as [`PbNode::decode`] does; after an error the iterator ends.
pub fn links(bytes: &[u8]) -> impl Iterator<Item = Result<LinkRef<'_>, DagPbError>> {
    let mut fields = Fields::new(bytes);
    std::iter::from_fn(move || {
        loop {
            match fields.next() {
                Ok(Some(Field::Link(link))) => return Some(Ok(link)),
                Ok(Some(Field::Data(_))) => {}
                Ok(None) => return None,
                Err(error) => {
                    fields.rest = &[];
                    return Some(Err(error));
                }
            }
        }
    })
}

/// The data of a node, without building the node. Every field is checked as
/// [`PbNode::decode`] does.
///
/// # Errors
/// [`DagPbError`] when the bytes are not a node.
pub fn data(bytes: &[u8]) -> Result<Option<&[u8]>, DagPbError> {
    let mut found = None;
    let mut fields = Fields::new(bytes);
    while let Some(field) = fields.next()? {
        if let Field::Data(data) = field {
            found = Some(data);
        }
    }
    Ok(found)
}

const TAG_DATA: u8 = 0x0a;
const TAG_LINKS: u8 = 0x12;
const TAG_HASH: u8 = 0x0a;
const TAG_NAME: u8 = 0x12;
const TAG_TSIZE: u8 = 0x18;
const WIRE_VARINT: u8 = 0;
const WIRE_BYTES: u8 = 2;

fn name_of(link: &PbLink) -> &[u8] {
    link.name.as_deref().unwrap_or_default()
}

const fn field_len(len: usize) -> usize {
    1 + varint::len(len as u64) + len
}

enum Field<'a> {
    Data(&'a [u8]),
    Link(LinkRef<'a>),
}

/// The fields of a node, one after the other.
struct Fields<'a> {
    rest: &'a [u8],
    have_data: bool,
    have_links: bool,
    /// Data came after some links: another link would be a second run of them.
    links_closed: bool,
}

impl<'a> Fields<'a> {
    const fn new(bytes: &'a [u8]) -> Self {
        Self {
            rest: bytes,
            have_data: false,
            have_links: false,
            links_closed: false,
        }
    }

    fn next(&mut self) -> Result<Option<Field<'a>>, DagPbError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let (number, wire) = read_tag(&mut self.rest)?;
        if wire != WIRE_BYTES {
            return Err(DagPbError::WireType {
                field: "the node",
                wire,
            });
        }
        match number {
            1 => {
                if self.have_data {
                    return Err(DagPbError::Duplicate("Data"));
                }
                self.have_data = true;
                self.links_closed = self.have_links;
                Ok(Some(Field::Data(read_bytes(&mut self.rest)?)))
            }
            2 => {
                let bytes = read_bytes(&mut self.rest)?;
                if self.links_closed {
                    return Err(DagPbError::Duplicate("Links"));
                }
                self.have_links = true;
                Ok(Some(Field::Link(read_link(bytes)?)))
            }
            other => Err(DagPbError::NodeField(other)),
        }
    }
}

fn read_link(mut rest: &[u8]) -> Result<LinkRef<'_>, DagPbError> {
    let (mut cid, mut name, mut tsize) = (None, None, None);
    while !rest.is_empty() {
        let (number, wire) = read_tag(&mut rest)?;
        match number {
            1 => {
                in_order(
                    "Hash",
                    cid.is_some(),
                    &[("Name", name.is_some()), ("Tsize", tsize.is_some())],
                )?;
                typed("Hash", wire, WIRE_BYTES)?;
                cid = Some(Cid::try_from(read_bytes(&mut rest)?)?);
            }
            2 => {
                in_order("Name", name.is_some(), &[("Tsize", tsize.is_some())])?;
                typed("Name", wire, WIRE_BYTES)?;
                name = Some(read_bytes(&mut rest)?);
            }
            3 => {
                in_order("Tsize", tsize.is_some(), &[])?;
                typed("Tsize", wire, WIRE_VARINT)?;
                tsize = Some(read_varint(&mut rest)?);
            }
            other => return Err(DagPbError::LinkField(other)),
        }
    }
    Ok(LinkRef {
        cid: cid.ok_or(DagPbError::NoHash)?,
        name,
        tsize,
    })
}

fn in_order(
    field: &'static str,
    seen: bool,
    later: &[(&'static str, bool)],
) -> Result<(), DagPbError> {
    if seen {
        return Err(DagPbError::Duplicate(field));
    }
    match later.iter().find(|(_, seen)| *seen) {
        Some((found, _)) => Err(DagPbError::Order {
            found,
            missing: field,
        }),
        None => Ok(()),
    }
}

const fn typed(field: &'static str, wire: u8, expected: u8) -> Result<(), DagPbError> {
    if wire == expected {
        Ok(())
    } else {
        Err(DagPbError::WireType { field, wire })
    }
}

fn read_tag(rest: &mut &[u8]) -> Result<(u64, u8), DagPbError> {
    const MAX_FIELD: u64 = (1 << 29) - 1;
    let tag = read_varint(rest)?;
    let number = tag >> 3;
    if number == 0 || number > MAX_FIELD {
        return Err(DagPbError::FieldNumber(number));
    }
    Ok((number, (tag & 7) as u8))
}

fn read_bytes<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], DagPbError> {
    let len = usize::try_from(read_varint(rest)?).map_err(|_| DagPbError::Truncated)?;
    let (bytes, after) = rest.split_at_checked(len).ok_or(DagPbError::Truncated)?;
    *rest = after;
    Ok(bytes)
}

/// A protobuf varint: up to 64 bits, and overlong encodings are allowed, unlike in multiformats.
fn read_varint(rest: &mut &[u8]) -> Result<u64, DagPbError> {
    let mut value = 0_u64;
    for (at, &byte) in rest.iter().take(10).enumerate() {
        if at == 9 && byte > 1 {
            return Err(DagPbError::VarintOverflow);
        }
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte < 0x80 {
            *rest = &rest[at + 1..];
            return Ok(value);
        }
    }
    Err(if rest.len() < 10 {
        DagPbError::Truncated
    } else {
        DagPbError::VarintOverflow
    })
}
