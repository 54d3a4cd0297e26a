//! The UnixFS `Data` message that stands in the Data field of a dag-pb node.
//!
//! Spec: <https://specs.ipfs.tech/unixfs/#data>. Decoding is strict where implementations could
//! otherwise read one block in two ways: a field that occurs twice, an unknown type or a wrong wire
//! type is an error. Unknown fields are skipped, so that later additions to the format stay
//! readable.

use bytes::Bytes;

use crate::proto::{
    self, Fields, ProtoError, Value, put_bytes_header, put_varint_field, read_varint, varint_len,
};

/// What a UnixFS node stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    /// File content, as trickle leaves write it.
    Raw = 0,
    /// A directory whose entries are all links of this node.
    Directory = 1,
    /// A file, or a part of one.
    File = 2,
    /// A MIME type beside a file; never written, no reader follows it.
    Metadata = 3,
    /// A symbolic link; Data is its target.
    Symlink = 4,
    /// One shard of a directory.
    HamtShard = 5,
}

impl Kind {
    fn from_number(number: u64) -> Option<Self> {
        Some(match number {
            0 => Self::Raw,
            1 => Self::Directory,
            2 => Self::File,
            3 => Self::Metadata,
            4 => Self::Symlink,
            5 => Self::HamtShard,
            _ => return None,
        })
    }
}

/// A modification time: seconds since the Unix epoch and nanoseconds that count forward from them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mtime {
    /// Seconds since 1970-01-01T00:00:00Z, negative before it.
    pub seconds: i64,
    /// Nanoseconds, 0 to 999,999,999.
    pub nanos: u32,
}

/// A block that is not a valid UnixFS message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NodeError {
    /// Broken protobuf.
    #[error("not a UnixFS message: {0}")]
    Proto(#[from] ProtoError),
    /// The Type field is missing.
    #[error("not a UnixFS message: it has no type")]
    NoType,
    /// A type that the format does not define.
    #[error("unknown UnixFS type {0}")]
    UnknownType(u64),
    /// A field that may occur once occurs twice.
    #[error("UnixFS field {0} occurs twice")]
    Repeated(&'static str),
    /// A field has a wire type other than the format's.
    #[error("UnixFS field {0} has the wrong wire type")]
    WrongWireType(&'static str),
    /// Mode beyond 32 bits, nanoseconds beyond a second, or a time without seconds.
    #[error("UnixFS field {0} is out of range")]
    OutOfRange(&'static str),
}

/// The decoded message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnixFs {
    /// What the node stands for.
    pub kind: Kind,
    /// File bytes, symlink target or HAMT bitfield.
    pub data: Option<Bytes>,
    /// File bytes of this node and everything below it.
    pub file_size: Option<u64>,
    /// File bytes below each link, in link order.
    pub block_sizes: Vec<u64>,
    /// Hash function of a HAMT shard, as a multicodec.
    pub hash_type: Option<u64>,
    /// Fan-out of a HAMT shard, unchecked; see [`crate::hamt::Fanout`].
    pub fanout: Option<u64>,
    /// Permission bits in the low 12 bits; the others are kept as they are.
    pub mode: Option<u32>,
    /// Modification time.
    pub mtime: Option<Mtime>,
}

impl UnixFs {
    /// A message with only its type set.
    pub fn new(kind: Kind) -> Self {
        Self {
            kind,
            data: None,
            file_size: None,
            block_sizes: Vec::new(),
            hash_type: None,
            fanout: None,
            mode: None,
            mtime: None,
        }
    }

    /// Decodes the Data field of a dag-pb node. The content shares the buffer of `message`.
    ///
    /// # Errors
    /// [`NodeError`] says which rule the message breaks.
    pub fn decode(message: &Bytes) -> Result<Self, NodeError> {
        let mut node = Self::new(Kind::Raw);
        let mut kind = None;
        let mut fields = Fields::new(message);
        while let Some((number, value)) = fields.next_field()? {
            match number {
                1 => set(&mut kind, varint(value, "Type")?, "Type")?,
                2 => {
                    let Value::Bytes(data) = value else {
                        return Err(NodeError::WrongWireType("Data"));
                    };
                    set(&mut node.data, message.slice_ref(data), "Data")?;
                }
                3 => set(&mut node.file_size, varint(value, "filesize")?, "filesize")?,
                4 => put_block_sizes(&mut node.block_sizes, value)?,
                5 => set(&mut node.hash_type, varint(value, "hashType")?, "hashType")?,
                6 => set(&mut node.fanout, varint(value, "fanout")?, "fanout")?,
                7 => {
                    let mode = u32::try_from(varint(value, "mode")?)
                        .map_err(|_| NodeError::OutOfRange("mode"))?;
                    set(&mut node.mode, mode, "mode")?;
                }
                8 => set(&mut node.mtime, decode_mtime(value)?, "mtime")?,
                _ => {}
            }
        }
        let kind = kind.ok_or(NodeError::NoType)?;
        node.kind = Kind::from_number(kind).ok_or(NodeError::UnknownType(kind))?;
        Ok(node)
    }

    /// Encodes the message in field order, as every implementation writes it.
    pub fn encode(&self) -> Vec<u8> {
        let data_len = self.data.as_ref().map_or(0, Bytes::len);
        let mut out = Vec::with_capacity(data_len + 32 + 4 * self.block_sizes.len());
        self.write_to(&mut out);
        out
    }

    /// Appends the encoded message.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        put_varint_field(out, 1, self.kind as u64);
        if let Some(data) = &self.data {
            put_bytes_header(out, 2, data.len());
            out.extend_from_slice(data);
        }
        if let Some(size) = self.file_size {
            put_varint_field(out, 3, size);
        }
        for &size in &self.block_sizes {
            put_varint_field(out, 4, size);
        }
        if let Some(code) = self.hash_type {
            put_varint_field(out, 5, code);
        }
        if let Some(fanout) = self.fanout {
            put_varint_field(out, 6, fanout);
        }
        put_attributes(out, self.mode, self.mtime);
    }
}

/// Appends mode and mtime, the last two fields of the message.
pub(crate) fn put_attributes(out: &mut Vec<u8>, mode: Option<u32>, mtime: Option<Mtime>) {
    if let Some(mode) = mode {
        put_varint_field(out, 7, u64::from(mode));
    }
    if let Some(mtime) = mtime {
        put_bytes_header(out, 8, mtime_len(mtime));
        put_varint_field(out, 1, mtime.seconds as u64);
        if mtime.nanos > 0 {
            out.push(2 << 3 | 5);
            out.extend_from_slice(&mtime.nanos.to_le_bytes());
        }
    }
}

/// Encoded length of what [`put_attributes`] writes.
pub(crate) fn attributes_len(mode: Option<u32>, mtime: Option<Mtime>) -> usize {
    mode.map_or(0, |mode| 1 + varint_len(u64::from(mode)))
        + mtime.map_or(0, |mtime| proto::bytes_field_len(mtime_len(mtime)))
}

fn mtime_len(mtime: Mtime) -> usize {
    // A negative int64 is a ten-byte varint, which is what the cast gives.
    1 + varint_len(mtime.seconds as u64) + if mtime.nanos > 0 { 5 } else { 0 }
}

fn set<T>(slot: &mut Option<T>, value: T, field: &'static str) -> Result<(), NodeError> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(NodeError::Repeated(field)),
    }
}

fn varint(value: Value<'_>, field: &'static str) -> Result<u64, NodeError> {
    match value {
        Value::Varint(number) => Ok(number),
        _ => Err(NodeError::WrongWireType(field)),
    }
}

/// blocksizes is declared unpacked, but protobuf decoders must accept the packed form too.
fn put_block_sizes(sizes: &mut Vec<u64>, value: Value<'_>) -> Result<(), NodeError> {
    match value {
        Value::Varint(size) => sizes.push(size),
        Value::Bytes(mut packed) => {
            while !packed.is_empty() {
                let (size, len) = read_varint(packed)?;
                sizes.push(size);
                packed = &packed[len..];
            }
        }
        Value::Fixed32(_) => return Err(NodeError::WrongWireType("blocksizes")),
    }
    Ok(())
}

fn decode_mtime(value: Value<'_>) -> Result<Mtime, NodeError> {
    let Value::Bytes(message) = value else {
        return Err(NodeError::WrongWireType("mtime"));
    };
    let (mut seconds, mut nanos) = (None, None);
    let mut fields = Fields::new(message);
    while let Some((number, value)) = fields.next_field()? {
        match (number, value) {
            (1, Value::Varint(s)) => set(&mut seconds, s as i64, "mtime.seconds")?,
            (2, Value::Fixed32(n)) => set(&mut nanos, n, "mtime.nanos")?,
            (1 | 2, _) => return Err(NodeError::WrongWireType("mtime")),
            _ => {}
        }
    }
    let nanos = nanos.unwrap_or(0);
    if nanos > 999_999_999 {
        return Err(NodeError::OutOfRange("mtime.nanos"));
    }
    let seconds = seconds.ok_or(NodeError::OutOfRange("mtime"))?;
    Ok(Mtime { seconds, nanos })
}

#[cfg(test)]
mod tests;
