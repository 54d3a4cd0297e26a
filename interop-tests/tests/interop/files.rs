//! The mutable file system beside Kubo's: the same calls to two daemons give the same answers and the same roots.

mod local;
mod random;
mod script;
mod shards;

use anyhow::{Result, ensure};
use ipfs_kit_interop_tests::Peer;
use ipfs_kit_interop_tests::daemon::{Answer, Daemon};

/// Two daemons that get the same calls.
pub struct Pair {
    ours: Daemon,
    kubo: Daemon,
    /// Calls that were compared.
    pub compared: usize,
}

impl Pair {
    /// Daemons of both sides, offline.
    pub fn start(ours: &Peer, kubo: &Peer) -> Result<Pair> {
        Ok(Pair {
            ours: Daemon::start(ours, &["--offline"])?,
            kubo: Daemon::start(kubo, &["--offline"])?,
            compared: 0,
        })
    }

    /// One call to both, whose status and body must be equal; the body.
    pub fn call(&mut self, call: &str, file: Option<&[u8]>) -> Result<String> {
        let ours = self.ours.call(call, file)?;
        let kubo = self.kubo.call(call, file)?;
        let shown = |answer: &Answer| {
            let text = String::from_utf8_lossy(&answer.body);
            format!("{} {text:.2000} {:?}", answer.status, answer.error)
        };
        ensure!(
            ours == kubo,
            "call {} {call} ({:?} bytes)\n ours {}\n kubo {}",
            self.compared,
            file.map(<[u8]>::len),
            shown(&ours),
            shown(&kubo)
        );
        self.compared += 1;
        Ok(String::from_utf8_lossy(&kubo.body).into_owned())
    }

    /// A change, and the root after it.
    pub fn change(&mut self, call: &str, file: Option<&[u8]>) -> Result<()> {
        self.call(call, file)?;
        let root = self.call("files/stat?arg=/", None);
        match root {
            Ok(_) => Ok(()),
            Err(error) => Err(error.context(format!("after {call}"))),
        }
    }
}

/// Bytes that repeat late: the same for the same length and seed.
pub fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        bytes.extend_from_slice(&next().to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}
