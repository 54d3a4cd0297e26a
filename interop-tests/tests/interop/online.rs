//! Daemons that talk to each other over loopback, and waiting for what they do.

use anyhow::{Context, Result, bail, ensure};
use ipfs_kit_interop_tests::daemon::Daemon;
use ipfs_kit_interop_tests::{Peer, Side};
use serde_json::Value;
use std::ops::Deref;
use std::path::Path;
use std::time::{Duration, Instant};

/// Longest wait for anything that one node does because of another.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(50);

/// A running node. It reads as its [`Peer`]; the daemon is stopped when it is dropped.
pub struct Online {
    peer: Peer,
    /// Its peer id.
    pub id: String,
    /// The first address that it listens on, with its id.
    pub address: String,
    _daemon: Daemon,
}

impl Deref for Online {
    type Target = Peer;

    fn deref(&self) -> &Peer {
        &self.peer
    }
}

impl Online {
    /// Makes a repo `name` below `place`, sets the keys of `config` and starts the daemon.
    pub fn start(side: Side, place: &Path, name: &str, config: &[(&str, Value)]) -> Result<Self> {
        Self::run(Peer::init(side, place.join(name))?, config)
    }

    /// As [`Online::start`] with a repo that is there already.
    pub fn run(peer: Peer, config: &[(&str, Value)]) -> Result<Self> {
        for (key, value) in config {
            peer.run(["config", "--json", key, &value.to_string()])?;
        }
        let daemon = Daemon::start(&peer, &[])?;
        let (id, address) = until("the node listens", || {
            let told = peer.json(["id"])?;
            let told = told.first().context("`id` says nothing")?;
            let id = told["ID"].as_str().context("`id` gives no id")?;
            let address = told["Addresses"][0].as_str();
            Ok(address.map(|address| (id.to_owned(), address.to_owned())))
        })?;
        Ok(Self {
            peer,
            id,
            address,
            _daemon: daemon,
        })
    }

    /// Connects to another node.
    pub fn connect(&self, other: &Online) -> Result<()> {
        self.connect_at(&other.address)
    }

    /// Connects to an address.
    pub fn connect_at(&self, address: &str) -> Result<()> {
        let said = self.text(["swarm", "connect", address])?;
        ensure!(said.contains("success"), "{said}");
        Ok(())
    }

    /// What a command says on standard error when it must fail.
    pub fn refusal(&self, args: &[&str]) -> Result<String> {
        let output = self.output(args)?;
        ensure!(
            !output.status.success(),
            "{args:?} of {} should fail",
            self.side().name()
        );
        Ok(String::from_utf8_lossy(&output.stderr).trim().to_owned())
    }

    /// Adds the bytes as a file and gives its CID.
    pub fn add(&self, bytes: &[u8]) -> Result<String> {
        let cid = self.run_with(["add", "-Q", "--stdin-name=file"], bytes)?;
        Ok(String::from_utf8(cid)?.trim().to_owned())
    }
}

/// Asks again and again until there is an answer; an error of the last try is told.
pub fn until<T>(what: &str, mut probe: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let start = Instant::now();
    loop {
        let failure = match probe() {
            Ok(Some(found)) => return Ok(found),
            Ok(None) => None,
            Err(error) => Some(error),
        };
        if start.elapsed() >= WAIT_MAX {
            match failure {
                Some(error) => return Err(error.context(format!("waited too long: {what}"))),
                None => bail!("waited too long: {what}"),
            }
        }
        std::thread::sleep(PAUSE);
    }
}
