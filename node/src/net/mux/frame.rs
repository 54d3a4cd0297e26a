//! Frames as they stand on the wire: a header of twelve bytes, big endian, and behind that of a data frame its body.

use super::MuxError;

/// Bytes of a header: version, kind, flags (2), stream (4), length (4).
pub const HEADER: usize = 12;

/// The first frame of a stream, or the question of a ping.
pub const SYN: u16 = 1;
/// The first frame of the other side, or the answer to a ping.
pub const ACK: u16 = 2;
/// Nothing comes behind this frame on its stream.
pub const FIN: u16 = 4;
/// The stream is given up in both directions.
pub const RST: u16 = 8;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Bytes of a stream; the length is theirs.
    Data,
    /// More bytes may be sent on a stream: as many as the length says.
    Window,
    /// A round trip of the connection; the length is its number.
    Ping,
    /// The connection ends; the length says why.
    GoAway,
}

/// A header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    pub kind: Kind,
    pub flags: u16,
    pub stream: u32,
    pub length: u32,
}

impl Header {
    /// Reads a header.
    ///
    /// # Errors
    /// Another version of the protocol, or a kind that there is not.
    pub fn decode(bytes: [u8; HEADER]) -> Result<Self, MuxError> {
        let [version, kind, f0, f1, s0, s1, s2, s3, l0, l1, l2, l3] = bytes;
        if version != 0 {
            return Err(MuxError::Protocol("another version"));
        }
        let kind = match kind {
            0 => Kind::Data,
            1 => Kind::Window,
            2 => Kind::Ping,
            3 => Kind::GoAway,
            _ => return Err(MuxError::Protocol("a frame of no kind")),
        };
        Ok(Self {
            kind,
            flags: u16::from_be_bytes([f0, f1]),
            stream: u32::from_be_bytes([s0, s1, s2, s3]),
            length: u32::from_be_bytes([l0, l1, l2, l3]),
        })
    }

    /// Writes a header.
    pub fn encode(self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[1] = match self.kind {
            Kind::Data => 0,
            Kind::Window => 1,
            Kind::Ping => 2,
            Kind::GoAway => 3,
        };
        bytes[2..4].copy_from_slice(&self.flags.to_be_bytes());
        bytes[4..8].copy_from_slice(&self.stream.to_be_bytes());
        bytes[8..].copy_from_slice(&self.length.to_be_bytes());
        bytes
    }
}
