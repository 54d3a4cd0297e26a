//! The three protobuf wire types that UnixFS and dag-pb use: varint, bytes and fixed32.
//!
//! Not a general protobuf codec: groups and fixed64 are refused, and a varint must fit 64 bits.

/// A malformed protobuf field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProtoError {
    /// The input ends inside a field.
    #[error("the message ends in the middle of a field")]
    Truncated,
    /// A varint of more than 64 bits.
    #[error("a number in the message is longer than 64 bits")]
    VarintTooLong,
    /// A wire type that no field of this message uses.
    #[error("field {field} has the wire type {wire_type}, which this message does not use")]
    WireType {
        /// Field number as written.
        field: u64,
        /// Wire type as written.
        wire_type: u8,
    },
}

/// One field as it stands on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    Varint(u64),
    Bytes(&'a [u8]),
    Fixed32(u32),
}

/// Reads the fields of one message in wire order.
pub(crate) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(crate) fn new(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    /// The next field's number and value, or `None` at the end of the message.
    pub(crate) fn next_field(&mut self) -> Result<Option<(u64, Value<'a>)>, ProtoError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let (field, wire_type) = (tag >> 3, (tag & 7) as u8);
        let value = match wire_type {
            0 => Value::Varint(self.varint()?),
            2 => {
                let len = usize::try_from(self.varint()?).map_err(|_| ProtoError::Truncated)?;
                Value::Bytes(self.take(len)?)
            }
            5 => {
                let mut word = [0; 4];
                word.copy_from_slice(self.take(4)?);
                Value::Fixed32(u32::from_le_bytes(word))
            }
            _ => return Err(ProtoError::WireType { field, wire_type }),
        };
        Ok(Some((field, value)))
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], ProtoError> {
        let (head, rest) = self
            .rest
            .split_at_checked(len)
            .ok_or(ProtoError::Truncated)?;
        self.rest = rest;
        Ok(head)
    }

    fn varint(&mut self) -> Result<u64, ProtoError> {
        let (value, len) = read_varint(self.rest)?;
        self.rest = &self.rest[len..];
        Ok(value)
    }
}

/// Reads a protobuf varint from the start of `bytes`: the value and how many bytes it took.
///
/// Overlong forms are accepted, as every protobuf decoder does.
pub(crate) fn read_varint(bytes: &[u8]) -> Result<(u64, usize), ProtoError> {
    let mut value = 0u64;
    for (i, &byte) in bytes.iter().enumerate() {
        if i == 9 && byte > 1 {
            return Err(ProtoError::VarintTooLong);
        }
        value |= u64::from(byte & 0x7f) << (7 * i);
        if byte & 0x80 == 0 {
            return Ok((value, i + 1));
        }
    }
    Err(ProtoError::Truncated)
}

/// Bytes that `value` takes as a varint, 1 to 10.
pub(crate) const fn varint_len(value: u64) -> usize {
    let bits = 64 - (value | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// A varint field whose number is below 16, so that its tag is one byte.
pub(crate) fn put_varint_field(out: &mut Vec<u8>, field: u8, value: u64) {
    out.push(field << 3);
    put_varint(out, value);
}

/// Tag and length of a bytes field whose number is below 16; the bytes themselves follow.
pub(crate) fn put_bytes_header(out: &mut Vec<u8>, field: u8, len: usize) {
    out.push(field << 3 | 2);
    put_varint(out, len as u64);
}

/// Bytes that a bytes field (number below 16) of `len` bytes takes, tag and length included.
pub(crate) const fn bytes_field_len(len: usize) -> usize {
    1 + varint_len(len as u64) + len
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_round_trip_at_every_width() {
        for bit in 0..64 {
            for value in [1u64 << bit, (1u64 << bit) - 1, u64::MAX >> bit] {
                let mut out = Vec::new();
                put_varint(&mut out, value);
                assert_eq!(out.len(), varint_len(value), "{value}");
                assert_eq!(read_varint(&out).unwrap(), (value, out.len()));
            }
        }
    }

    #[test]
    fn an_eleven_byte_varint_is_refused() {
        assert_eq!(read_varint(&[0xff; 11]), Err(ProtoError::VarintTooLong));
        assert_eq!(read_varint(&[0x80, 0x80]), Err(ProtoError::Truncated));
    }

    #[test]
    fn a_length_beyond_the_input_is_refused() {
        let mut fields = Fields::new(&[0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f, 0x00]);
        assert_eq!(fields.next_field(), Err(ProtoError::Truncated));
    }
}
