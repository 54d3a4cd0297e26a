//! Directories that turn into shards and back.

use super::{Pair, noise};
use anyhow::{Context, Result, ensure};
use ipfs_kit_interop_tests::{Peer, scratch};

const ENTRIES: usize = 60;

#[test]
fn directories_shard_and_shrink_as_those_of_kubo() -> Result<()> {
    for settings in [
        &[
            ("UnixFSHAMTDirectorySizeThreshold", "\"1500B\""),
            ("UnixFSHAMTDirectoryMaxFanout", "16"),
        ][..],
        &[
            ("UnixFSHAMTDirectorySizeThreshold", "\"2000B\""),
            ("UnixFSHAMTDirectorySizeEstimation", "\"block\""),
            ("CidVersion", "1"),
            ("UnixFSRawLeaves", "true"),
        ],
        &[("UnixFSDirectoryMaxLinks", "25")],
    ] {
        compare(settings).with_context(|| format!("{settings:?}"))?;
    }
    Ok(())
}

fn compare(settings: &[(&str, &str)]) -> Result<()> {
    let place = scratch::in_memory()?;
    let (ours, kubo) = Peer::pair(place.path())?;
    for peer in [&ours, &kubo] {
        for (key, value) in settings {
            peer.run(["config", "--json", &format!("Import.{key}"), value])?;
        }
    }
    let mut pair = Pair::start(&ours, &kubo)?;
    pair.change("files/mkdir?arg=/dir", None)?;
    let name = |nth: usize| format!("name-{}", nth * 7919 % 1000);
    let mut shapes = Vec::new();
    for nth in 0..ENTRIES {
        let flush = ["", "&flush=false"][nth % 2];
        let call = format!("files/write?arg=/dir/{}&create=true{flush}", name(nth));
        pair.change(&call, Some(&noise(nth as u64, nth)))?;
        shapes.push(pair.call("files/stat?arg=/dir", None)?);
    }
    pair.change("files/flush", None)?;
    if settings[0].0 == "UnixFSDirectoryMaxLinks" {
        // Kubo counts the links of the first shard for those of the directory, and then refuses to write.
        return Ok(());
    }
    // Over what is there, and back again to few.
    for nth in (0..ENTRIES).step_by(5) {
        let call = format!("files/write?arg=/dir/{}&truncate=true", name(nth));
        pair.change(&call, Some(&noise(9, nth * 10)))?;
    }
    pair.change("files/cp?arg=/dir&arg=/copy", None)?;
    pair.change("files/chmod?arg=0750&arg=/copy", None)?;
    pair.change("files/touch?arg=/copy&mtime=1700000000", None)?;
    pair.call("files/ls?arg=/dir&long=true", None)?;
    for dir in ["dir", "copy"] {
        for nth in 0..ENTRIES - 3 {
            pair.change(&format!("files/rm?arg=/{dir}/{}", name(nth)), None)?;
            shapes.push(pair.call(&format!("files/stat?arg=/{dir}"), None)?);
        }
        // Up and down once more.
        for nth in 0..30 {
            let call = format!("files/write?arg=/{dir}/{}&create=true", name(nth));
            pair.change(&call, Some(b"x"))?;
        }
        for nth in 0..30 {
            pair.change(&format!("files/rm?arg=/{dir}/{}", name(nth)), None)?;
        }
    }
    let most = |shapes: &[String]| {
        shapes
            .iter()
            .filter(|shape| shape.contains("\"Blocks\":0"))
            .count()
    };
    ensure!(most(&shapes) < shapes.len());
    Ok(())
}
