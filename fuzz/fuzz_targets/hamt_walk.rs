//! Every reader over hostile blocks: each CID asked for is answered with one of the blocks of the input,
//! so that DAGs can be deep, wide, self-similar and inconsistent. No panic, no endless run without items.
#![no_main]
use arbitrary::Arbitrary;
use bytes::Bytes;
use ipfs_kit_blockstore::{Cid, HashSpec, codec};
use ipfs_kit_unixfs::{DagWalk, DirectoryReader, FileReader, Mtime, NameLookup, Step, Steps};
use ipfs_kit_unixfs::{TarReader, TreeReader};
use libfuzzer_sys::fuzz_target;

/// Items that one run may give before the target stops asking.
const MAX_STEPS: usize = 2_000;

#[derive(Arbitrary, Debug)]
struct Input {
    blocks: Vec<Vec<u8>>,
    range: (u16, u16),
    name: Vec<u8>,
}

fuzz_target!(|input: Input| {
    if input.blocks.is_empty() {
        return;
    }
    let blocks: Vec<Bytes> = input.blocks.into_iter().map(Bytes::from).collect();
    let root = Cid::v1(
        codec::DAG_PB,
        HashSpec::SHA2_256.digest(b"root").expect("sha2-256"),
    );
    let mut reader = FileReader::new(root.clone());
    reader.set_range(u64::from(input.range.0)..u64::from(input.range.1));
    drive(reader, &blocks);
    drive(DirectoryReader::new(root.clone()), &blocks);
    drive(DirectoryReader::or_links(root.clone()), &blocks);
    drive(NameLookup::new(root.clone(), input.name), &blocks);
    drive(TreeReader::new(root.clone()), &blocks);
    drive(DagWalk::new(root.clone()), &blocks);
    let now = Mtime {
        seconds: 0,
        nanos: 0,
    };
    if let Ok(tar) = TarReader::new(root, b"root", now) {
        drive(tar, &blocks);
    }
});

fn drive<M: Steps>(mut machine: M, blocks: &[Bytes]) {
    let mut wanted = Vec::new();
    for _ in 0..MAX_STEPS {
        match machine.step() {
            Ok(Step::Need(cid)) => {
                wanted.clear();
                machine.wants(8, &mut wanted);
                assert!(wanted.len() <= 8);
                let pick = cid.hash().digest().first().copied().unwrap_or(0);
                let block = &blocks[usize::from(pick) % blocks.len()];
                if machine.supply(&cid, block.clone()).is_err() {
                    return;
                }
            }
            Ok(Step::Item(_)) => {}
            Ok(Step::Done) | Err(_) => return,
        }
    }
}
