//! Bytes to [`Message`].
//!
//! What is read takes no more than four times the bytes that it is read from, and a constant: lists have their length from
//! the beginning, entries that no honest peer sends are skipped, and more tiny blocks than that are refused.

use bytes::Bytes;
use ipfs_kit_blockstore::{Cid, MAX_BLOCK_LEN, Version, varint};

use super::{
    MAX_BLOCKS, MAX_CID_LEN, MAX_PRESENCES, MAX_WANTS, Message, Prefix, RawBlock, WantEntry,
    WantKind, WireError,
};

impl Message {
    /// Decodes a message body. Block data are slices of `body`.
    ///
    /// # Errors
    /// [`WireError`]; nothing of a malformed message is used.
    pub fn decode(body: &Bytes) -> Result<Self, WireError> {
        let mut message = with_room(body)?;
        let mut fields = Fields::new(body);
        while let Some(field) = fields.next()? {
            match field {
                (1, Value::Bytes(list)) => message.read_wantlist(list)?,
                (2, Value::Bytes(data)) => message.add_block(V0_PREFIX, body.slice_ref(data))?,
                (3, Value::Bytes(payload)) => {
                    let (prefix, data) = read_payload(payload)?;
                    message.add_block(prefix, body.slice_ref(data))?;
                }
                (4, Value::Bytes(presence)) => {
                    let (cid, have) = read_presence(presence)?;
                    if is_servable(&cid) {
                        message.presences.push((cid, have));
                    }
                }
                (5, Value::Varint(pending)) => message.pending_bytes = pending as i32,
                (field @ 1..=5, _) => return Err(WireError::WireType(field)),
                _ => {}
            }
        }
        Ok(message)
    }

    fn add_block(&mut self, prefix: Prefix, data: Bytes) -> Result<(), WireError> {
        if data.len() > MAX_BLOCK_LEN {
            return Err(WireError::BlockTooLong(data.len()));
        }
        self.blocks.push(RawBlock { prefix, data });
        Ok(())
    }

    fn read_wantlist(&mut self, list: &[u8]) -> Result<(), WireError> {
        let mut fields = Fields::new(list);
        while let Some(field) = fields.next()? {
            match field {
                (1, Value::Bytes(entry)) => {
                    let entry = read_entry(entry)?;
                    if is_servable(&entry.cid) && self.wants.len() < MAX_WANTS {
                        self.wants.push(entry);
                    }
                }
                (2, Value::Varint(full)) => self.full = full != 0,
                (field @ 1..=2, _) => return Err(WireError::WireType(field)),
                _ => {}
            }
        }
        Ok(())
    }
}

/// Bytes that the list of blocks may take whatever the length of the message is: enough for all different blocks of up to
/// two bytes.
const SMALL_BLOCKS: usize = 64 << 10;

/// Bytes of an entry with the shortest CID that is read: two of its field and four before a digest of twenty.
const LEAST_ENTRY: usize = 26;

/// An empty message with room for what `body` has.
fn with_room(body: &[u8]) -> Result<Message, WireError> {
    let (mut wants, mut blocks, mut presences) = (0, 0, 0);
    let mut fields = Fields::new(body);
    while let Some(field) = fields.next()? {
        match field {
            (1, Value::Bytes(list)) => {
                let mut entries = Fields::new(list);
                while let Some(entry) = entries.next()? {
                    wants += usize::from(is_entry(&entry, 1));
                }
            }
            (2 | 3, _) => blocks += 1,
            _ => presences += usize::from(is_entry(&field, 4)),
        }
    }
    let room = 4 * body.len() + SMALL_BLOCKS;
    if blocks > MAX_BLOCKS || presences > MAX_PRESENCES || blocks * size_of::<RawBlock>() > room {
        return Err(WireError::TooMany);
    }
    Ok(Message {
        wants: Vec::with_capacity(wants.min(MAX_WANTS)),
        blocks: Vec::with_capacity(blocks),
        presences: Vec::with_capacity(presences),
        ..Message::default()
    })
}

fn is_entry(field: &(u64, Value<'_>), number: u64) -> bool {
    matches!(field, (found, Value::Bytes(entry)) if *found == number && entry.len() >= LEAST_ENTRY)
}

/// Whether any node may have it as a block of its own.
fn is_servable(cid: &Cid) -> bool {
    cid.check().is_ok() && !cid.hash().is_identity()
}

const V0_PREFIX: Prefix = Prefix {
    version: Version::V0,
    codec: 0x70,
    hash: 0x12,
    digest_len: 32,
};

fn read_entry(bytes: &[u8]) -> Result<WantEntry, WireError> {
    let (mut cid, mut priority, mut cancel) = (None, 0, false);
    let (mut kind, mut send_dont_have) = (WantKind::Block, false);
    let mut fields = Fields::new(bytes);
    while let Some(field) = fields.next()? {
        match field {
            (1, Value::Bytes(bytes)) => cid = Some(read_cid(bytes)?),
            (2, Value::Varint(value)) => priority = value as i32,
            (3, Value::Varint(value)) => cancel = value != 0,
            (4, Value::Varint(value)) => {
                kind = if value == 1 {
                    WantKind::Have
                } else {
                    WantKind::Block
                }
            }
            (5, Value::Varint(value)) => send_dont_have = value != 0,
            (field @ 1..=5, _) => return Err(WireError::WireType(field)),
            _ => {}
        }
    }
    Ok(WantEntry {
        cid: cid.ok_or(WireError::Cid)?,
        priority,
        cancel,
        kind,
        send_dont_have,
    })
}

fn read_presence(bytes: &[u8]) -> Result<(Cid, bool), WireError> {
    let (mut cid, mut have) = (None, true);
    let mut fields = Fields::new(bytes);
    while let Some(field) = fields.next()? {
        match field {
            (1, Value::Bytes(bytes)) => cid = Some(read_cid(bytes)?),
            (2, Value::Varint(kind)) => have = kind == 0,
            (field @ 1..=2, _) => return Err(WireError::WireType(field)),
            _ => {}
        }
    }
    Ok((cid.ok_or(WireError::Cid)?, have))
}

fn read_payload(bytes: &[u8]) -> Result<(Prefix, &[u8]), WireError> {
    let (mut prefix, mut data) = (None, &bytes[..0]);
    let mut fields = Fields::new(bytes);
    while let Some(field) = fields.next()? {
        match field {
            (1, Value::Bytes(bytes)) => prefix = Some(read_prefix(bytes)?),
            (2, Value::Bytes(bytes)) => data = bytes,
            (field @ 1..=2, _) => return Err(WireError::WireType(field)),
            _ => {}
        }
    }
    Ok((prefix.ok_or(WireError::Cid)?, data))
}

fn read_cid(bytes: &[u8]) -> Result<Cid, WireError> {
    if bytes.len() > MAX_CID_LEN {
        return Err(WireError::Cid);
    }
    match Cid::read(bytes) {
        Ok((cid, read)) if read == bytes.len() => Ok(cid),
        _ => Err(WireError::Cid),
    }
}

fn read_prefix(bytes: &[u8]) -> Result<Prefix, WireError> {
    let mut rest = bytes;
    let mut next = || {
        let (value, read) = varint::read(rest).map_err(|_| WireError::Cid)?;
        rest = &rest[read..];
        Ok::<_, WireError>(value)
    };
    let (version, codec, hash, digest_len) = (next()?, next()?, next()?, next()?);
    let version = match version {
        0 => Version::V0,
        1 => Version::V1,
        _ => return Err(WireError::Cid),
    };
    if !rest.is_empty() || digest_len > 128 {
        return Err(WireError::Cid);
    }
    Ok(Prefix {
        version,
        codec,
        hash,
        digest_len: digest_len as u8,
    })
}

enum Value<'a> {
    Varint(u64),
    Bytes(&'a [u8]),
    Fixed,
}

/// The fields of a protobuf message, in their order.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    fn next(&mut self) -> Result<Option<(u64, Value<'a>)>, WireError> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let field = tag >> 3;
        let value = match tag & 7 {
            0 => Value::Varint(self.varint()?),
            1 => self.take(8).map(|_| Value::Fixed)?,
            2 => {
                let len = self.varint()?;
                Value::Bytes(self.take(len)?)
            }
            5 => self.take(4).map(|_| Value::Fixed)?,
            _ => return Err(WireError::WireType(field)),
        };
        if field == 0 {
            return Err(WireError::WireType(0));
        }
        Ok(Some((field, value)))
    }

    fn take(&mut self, len: u64) -> Result<&'a [u8], WireError> {
        let len = usize::try_from(len).map_err(|_| WireError::Truncated)?;
        let (head, rest) = self.0.split_at_checked(len).ok_or(WireError::Truncated)?;
        self.0 = rest;
        Ok(head)
    }

    /// A protobuf varint: up to ten bytes, since negative numbers take all of them.
    fn varint(&mut self) -> Result<u64, WireError> {
        let mut value = 0_u64;
        for (at, &byte) in self.0.iter().take(10).enumerate() {
            if at == 9 && byte > 1 {
                return Err(WireError::Varint);
            }
            value |= u64::from(byte & 0x7f) << (7 * at);
            if byte < 0x80 {
                self.0 = &self.0[at + 1..];
                return Ok(value);
            }
        }
        Err(if self.0.len() < 10 {
            WireError::Truncated
        } else {
            WireError::Varint
        })
    }
}
