//! Reading CARv1 and CARv2.

use std::io::{self, Read};

use bytes::Bytes;
use thiserror::Error;

use crate::block::{Block, BlockError};
use crate::cid::{Cid, CidError};
use crate::varint::{self, VarintError};

use super::MAX_SECTION_LEN;
use super::header::{self, First, HeaderError, Payload, V2_HEADER_LEN};

/// What a CAR may ask of its reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CarLimits {
    /// The longest header, in bytes.
    pub header: usize,
    /// The longest section, a CID and its data, in bytes.
    pub section: usize,
    /// The most roots.
    pub roots: usize,
}

impl Default for CarLimits {
    /// 1 MiB of header, 4 MiB a section, 1,024 roots.
    fn default() -> Self {
        Self {
            header: 1 << 20,
            section: MAX_SECTION_LEN,
            roots: 1024,
        }
    }
}

/// Why a CAR cannot be read on. Offsets count from the first byte of the file.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CarError {
    /// The reader failed.
    #[error("cannot read the CAR at byte {offset}: {error}")]
    Io {
        /// Where it failed.
        offset: u64,
        /// Why it failed.
        #[source]
        error: io::Error,
    },
    /// The file is empty.
    #[error("the CAR is empty")]
    Empty,
    /// The file ends inside the header or a section.
    #[error("the CAR is truncated: it ends at byte {offset} inside {place}")]
    Truncated {
        /// Where the file ends.
        offset: u64,
        /// What is cut.
        place: &'static str,
    },
    /// The header is not one.
    #[error("invalid CAR header: {0}")]
    Header(#[from] HeaderError),
    /// The length of the header or a section is malformed.
    #[error("malformed length in the CAR at byte {offset}: {error}")]
    Length {
        /// Where the length stands.
        offset: u64,
        /// What is wrong with it.
        #[source]
        error: VarintError,
    },
    /// A section of no bytes.
    #[error("zero-length section in the CAR at byte {offset}")]
    ZeroLength {
        /// Where the section stands.
        offset: u64,
    },
    /// The header or a section is longer than allowed.
    #[error("{place} of {len} bytes in the CAR at byte {offset} is over the limit of {max}")]
    TooLong {
        /// Where it stands.
        offset: u64,
        /// What is too long.
        place: &'static str,
        /// The announced length, in bytes.
        len: u64,
        /// The limit, in bytes.
        max: usize,
    },
    /// A section does not begin with a CID.
    #[error("invalid section in the CAR at byte {offset}: {error}")]
    Cid {
        /// Where the section stands.
        offset: u64,
        /// What is wrong with the CID.
        #[source]
        error: CidError,
    },
    /// The data of a section is not what its CID names, or the CID may not name data.
    #[error("invalid block in the CAR at byte {offset}: {error}")]
    Block {
        /// Where the section stands.
        offset: u64,
        /// What is wrong with the block.
        #[source]
        error: BlockError,
    },
}

/// A section whose data has not been checked against its CID.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// What the data claims to be.
    pub cid: Cid,
    /// The data.
    pub data: Bytes,
    /// Where the section stands in the file, in bytes.
    pub offset: u64,
}

/// Reads the blocks of a CAR one after another; as an iterator, each is checked against its CID.
/// After an error it ends. Reads are small: give it a [`io::BufReader`].
#[derive(Debug)]
pub struct CarReader<R> {
    input: Input<R>,
    limits: CarLimits,
    roots: Vec<Cid>,
    version: u8,
    done: bool,
}

impl<R: Read> CarReader<R> {
    /// Reads the header of version 1 or 2.
    ///
    /// # Errors
    /// [`CarError`] when there is no header or it is over a limit.
    pub fn new(read: R, limits: CarLimits) -> Result<Self, CarError> {
        let mut input = Input {
            read,
            offset: 0,
            end: u64::MAX,
        };
        let (roots, version) = match read_header(&mut input, limits)? {
            First::V1(roots) => (roots, 1),
            First::V2 => (enter_payload(&mut input, limits)?, 2),
        };
        Ok(Self {
            input,
            limits,
            roots,
            version,
            done: false,
        })
    }

    /// The roots of the header.
    #[must_use]
    pub fn roots(&self) -> &[Cid] {
        &self.roots
    }

    /// The version of the file, 1 or 2.
    #[must_use]
    pub const fn version(&self) -> u8 {
        self.version
    }

    /// The next section, not checked against its CID: whoever takes it does that, see
    /// [`crate::hash::verify`]. `None` at the end.
    ///
    /// # Errors
    /// [`CarError`] when the section is malformed or over the limit.
    pub fn next_section(&mut self) -> Result<Option<Section>, CarError> {
        if self.done {
            return Ok(None);
        }
        let section = self.read_section();
        self.done = !matches!(section, Ok(Some(_)));
        section
    }

    fn read_section(&mut self) -> Result<Option<Section>, CarError> {
        let offset = self.input.offset;
        let Some(len) = self.input.length("a section length")? else {
            return Ok(None);
        };
        if len == 0 {
            return Err(CarError::ZeroLength { offset });
        }
        let max = self.limits.section;
        let data = self.input.bounded(len, max, offset, "section")?;
        let (cid, cid_len) = Cid::read(&data).map_err(|error| CarError::Cid { offset, error })?;
        let data = Bytes::from(data).slice(cid_len..);
        Ok(Some(Section { cid, data, offset }))
    }
}

impl<R: Read> Iterator for CarReader<R> {
    type Item = Result<Block, CarError>;

    fn next(&mut self) -> Option<Self::Item> {
        let section = self.next_section().transpose()?;
        let block = section.and_then(|Section { cid, data, offset }| {
            Block::verified(cid, data).map_err(|error| CarError::Block { offset, error })
        });
        self.done |= block.is_err();
        Some(block)
    }
}

fn read_header<R: Read>(input: &mut Input<R>, limits: CarLimits) -> Result<First, CarError> {
    let offset = input.offset;
    let len = input.length("the header length")?.ok_or(CarError::Empty)?;
    if len == 0 {
        return Err(CarError::ZeroLength { offset });
    }
    let body = input.bounded(len, limits.header, offset, "header")?;
    Ok(header::parse(&body, limits.roots)?)
}

/// Goes to the payload of a version 2, which is a version 1, and reads its roots.
fn enter_payload<R: Read>(input: &mut Input<R>, limits: CarLimits) -> Result<Vec<Cid>, CarError> {
    let mut header = [0; V2_HEADER_LEN];
    input.fill(&mut header, "the version 2 header")?;
    let Payload { skip, size } = header::parse_v2(&header)?;
    input.skip(skip)?;
    input.end = input.offset + size;
    match read_header(input, limits)? {
        First::V1(roots) => Ok(roots),
        First::V2 => Err(HeaderError::Version(2).into()),
    }
}

/// The bytes of the file up to where the payload ends.
#[derive(Debug)]
struct Input<R> {
    read: R,
    offset: u64,
    end: u64,
}

impl<R: Read> Input<R> {
    /// A length before a header or section, or `None` at the end.
    fn length(&mut self, place: &'static str) -> Result<Option<u64>, CarError> {
        let offset = self.offset;
        let mut bytes = [0_u8; varint::MAX_LEN];
        for at in 0..bytes.len() {
            let byte = &mut bytes[at..=at];
            if self.read_some(byte)? == 0 {
                let cut = CarError::Truncated {
                    offset: self.offset,
                    place,
                };
                // A payload of a stated size must reach it.
                let complete = at == 0 && (self.end == u64::MAX || self.offset == self.end);
                return if complete { Ok(None) } else { Err(cut) };
            }
            if bytes[at] < 0x80 {
                break;
            }
        }
        match varint::read(&bytes) {
            Ok((len, _)) => Ok(Some(len)),
            Err(error) => Err(CarError::Length { offset, error }),
        }
    }

    /// As many bytes as announced, if that is not over the limit.
    fn bounded(
        &mut self,
        len: u64,
        max: usize,
        offset: u64,
        place: &'static str,
    ) -> Result<Vec<u8>, CarError> {
        if len > max as u64 {
            return Err(CarError::TooLong {
                offset,
                place,
                len,
                max,
            });
        }
        if len > self.end - self.offset {
            return Err(CarError::Truncated {
                offset: self.end,
                place,
            });
        }
        let mut bytes = vec![0; len as usize];
        self.fill(&mut bytes, place)?;
        Ok(bytes)
    }

    fn fill(&mut self, mut bytes: &mut [u8], place: &'static str) -> Result<(), CarError> {
        while !bytes.is_empty() {
            let read = self.read_some(bytes)?;
            if read == 0 {
                return Err(CarError::Truncated {
                    offset: self.offset,
                    place,
                });
            }
            bytes = &mut bytes[read..];
        }
        Ok(())
    }

    fn skip(&mut self, mut len: u64) -> Result<(), CarError> {
        let mut scratch = [0; 4096];
        while len > 0 {
            let step = len.min(scratch.len() as u64);
            self.fill(&mut scratch[..step as usize], "the version 2 padding")?;
            len -= step;
        }
        Ok(())
    }

    /// Zero at the end of the file or payload.
    fn read_some(&mut self, bytes: &mut [u8]) -> Result<usize, CarError> {
        let len = (bytes.len() as u64).min(self.end - self.offset) as usize;
        loop {
            match self.read.read(&mut bytes[..len]) {
                Ok(read) => {
                    self.offset += read as u64;
                    return Ok(read);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    return Err(CarError::Io {
                        offset: self.offset,
                        error,
                    });
                }
            }
        }
    }
}
