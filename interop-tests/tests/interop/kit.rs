//! The HTTP interface of the Python kit, asked by the Python that its users have.

use anyhow::{Context, Result, ensure};
use ipfs_kit_interop_tests::{Peer, Side, scratch};
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A node with the port of the kit; killed when it is dropped.
struct Served {
    child: Child,
    address: String,
}

impl Served {
    fn start(peer: &Peer) -> Result<Served> {
        let mut child = peer
            .command(["serve", "--port=0", "--offline"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let lines = BufReader::new(child.stdout.take().context("no output")?).lines();
        let mut served = Served {
            child,
            address: String::new(),
        };
        for line in lines {
            let line = line?;
            if let Some(port) = line.strip_prefix("API server listening on /ip4/127.0.0.1/tcp/") {
                served.address = format!("http://localhost:{port}");
            }
            if line == "Daemon is ready" {
                return Ok(served);
            }
        }
        anyhow::bail!("the node ended before it was ready")
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // One that has ended already is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn f99_the_example_of_the_kit_runs() -> Result<()> {
    let place = scratch::in_memory()?;
    let peer = Peer::init(Side::Ours, place.path().join("node"))?;
    let served = Served::start(&peer)?;
    fs::write(place.path().join("example.txt"), "an example\n")?;
    let python = scratch::target_dir().join("peers/clients/python/bin/python");
    ensure!(
        python.is_file(),
        "{} is missing: run `cargo xtask setup`",
        python.display()
    );
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/python/kit_example.py");
    let ran = Command::new(python)
        .arg(script)
        .arg(&served.address)
        .current_dir(place.path())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()?;
    let errors = String::from_utf8_lossy(&ran.stderr);
    ensure!(ran.status.success(), "{errors}");
    let said: Value = serde_json::from_slice(&ran.stdout)?;
    let cid = &said["added"]["Hash"];
    assert_eq!(said["added"]["Name"], "example.txt");
    assert_eq!(said["content"], "an example\n");
    assert_eq!(&said["listed"]["Objects"][0]["Hash"], cid);
    assert_eq!(said["called"]["data"], "YW4gZXhhbXBsZQo=");
    assert_eq!(said["uploaded"]["count"], 2);
    assert_eq!(&said["uploaded"]["items"][0]["cid"], cid);
    let saved = json!(["an example\n", "attachment; filename*=UTF-8''a%20b.txt"]);
    assert_eq!(said["saved"], saved);
    assert_eq!(said["refused"][0], 404);
    assert_eq!(said["refused"][1]["error_type"], "IPFSValidationError");
    Ok(())
}
