//! Deterministic bytes: the ChaCha20 keystream that Kubo's published CID vectors are made from.

use chacha20::ChaCha20;
use chacha20::cipher::{KeyIvInit, StreamCipher};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

/// Bytes handed to the writer at once.
const PIECE: usize = 1 << 20;

/// An endless stream of bytes that depends on nothing but its seed text.
pub struct Stream {
    cipher: ChaCha20,
}

impl Stream {
    /// The keystream with key SHA-256(`seed`), a zero nonce and counter 0.
    pub fn new(seed: &str) -> Self {
        let key: [u8; 32] = Sha256::digest(seed.as_bytes()).into();
        Self {
            cipher: ChaCha20::new(&key.into(), &[0u8; 12].into()),
        }
    }

    /// Overwrites `buffer` with the next bytes of the stream.
    pub fn fill(&mut self, buffer: &mut [u8]) {
        buffer.fill(0);
        self.cipher.apply_keystream(buffer);
    }

    /// The next `length` bytes.
    pub fn take(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.cipher.apply_keystream(&mut bytes);
        bytes
    }

    /// Writes the next `length` bytes to `out`, a piece at a time.
    pub fn write_to(&mut self, out: &mut dyn Write, length: u64) -> io::Result<()> {
        let mut piece = vec![0; PIECE];
        let mut left = length;
        while left > 0 {
            let size = left.min(PIECE as u64) as usize;
            self.fill(&mut piece[..size]);
            out.write_all(&piece[..size])?;
            left -= size as u64;
        }
        Ok(())
    }
}

/// Makes the file `path` of `length` bytes of the stream of `seed`.
pub fn write_file(path: &Path, seed: &str, length: u64) -> io::Result<()> {
    Stream::new(seed).write_to(&mut File::create(path)?, length)
}
