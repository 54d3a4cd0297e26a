//! The archive of a tree is the one that Kubo makes, byte for byte.

use std::collections::HashMap;

use bytes::Bytes;
use ipfs_kit_blockstore::Cid;
use ipfs_kit_blockstore::HashSpec;
use ipfs_kit_blockstore::car::{CarLimits, CarReader};
use ipfs_kit_unixfs::{Mtime, ReadError, TarReader, run};

const TREE: &[u8] = include_bytes!("vectors/kubo/archive.car");
const ROOT: &str = "QmNhQk3dbLFqtmnaZ5yzubZjfFYEvGoZKEATrPnHMxrhpr";
const ARCHIVE_LEN: usize = 53_760;
const ARCHIVE_SHA2_256: &str = "3455aef7a3fee1c81c67c775a7391c236dc951ad696b9529e834d69687f642d7";

#[test]
fn an_archive_is_the_one_that_kubo_makes() {
    let root: Cid = ROOT.parse().unwrap();
    let mut blocks: HashMap<Cid, Bytes> = HashMap::new();
    for block in CarReader::new(TREE, CarLimits::default()).unwrap() {
        let (cid, data) = block.unwrap().into_parts();
        blocks.insert(cid, data);
    }
    let now = Mtime {
        seconds: 0,
        nanos: 0,
    };
    let mut tar = TarReader::new(root, ROOT.as_bytes(), now).unwrap();
    let mut archive = Vec::new();
    let block = |cid: &Cid| Ok::<_, ReadError>(blocks[cid].clone());
    run(&mut tar, block, |piece| {
        archive.extend_from_slice(&piece);
        Ok(())
    })
    .unwrap();
    assert_eq!(archive.len(), ARCHIVE_LEN);
    let digest = HashSpec::SHA2_256.digest(&archive).unwrap();
    let hex: String = digest
        .digest()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(hex, ARCHIVE_SHA2_256);
}
