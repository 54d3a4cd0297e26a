//! Readers meet blocks that no importer made: they end, with a result or an error, and never panic.

use std::collections::HashMap;

use bytes::Bytes;
use ipfs_kit_blockstore::codec::dag_pb::{PbLink, write_data};
use ipfs_kit_blockstore::codec::{DAG_CBOR, DAG_PB, RAW};
use ipfs_kit_blockstore::{Cid, HashSpec};
use ipfs_kit_unixfs::*;
use proptest::prelude::*;

/// More steps than any machine needs under the limits of these tests.
const MAX_STEPS: usize = 20_000;
/// What is read of a file that unfolds into exabytes.
const MAX_ITEMS: usize = 500;

#[derive(Clone, Debug)]
struct Spec {
    codec: u64,
    message: UnixFs,
    /// Which of the blocks before it is linked, under which name.
    links: Vec<(prop::sample::Index, Option<Vec<u8>>)>,
    /// Sizes that fit the links, as a hostile author would rather have them.
    honest_sizes: bool,
    /// A byte to change in the finished block.
    flip: Option<(prop::sample::Index, u8)>,
}

fn name() -> impl Strategy<Value = Option<Vec<u8>>> {
    prop_oneof![
        2 => Just(None),
        4 => "[0-9A-F]{1,3}[a-z]{0,2}".prop_map(|name| Some(name.into_bytes())),
        1 => prop::sample::select(vec!["", ".", "..", "../x", "a/b", "a\0", "\u{1b}[m"])
            .prop_map(|name| Some(name.as_bytes().to_vec())),
        1 => prop::collection::vec(any::<u8>(), 0..6).prop_map(Some),
    ]
}

fn message() -> impl Strategy<Value = UnixFs> {
    let kind = prop::sample::select(vec![
        Kind::Raw,
        Kind::Directory,
        Kind::File,
        Kind::Metadata,
        Kind::Symlink,
        Kind::HamtShard,
    ]);
    let size = prop_oneof![0_u64..100, Just(u64::MAX), Just(1 << 63), any::<u64>()];
    let fanout = prop_oneof![3 => Just(256_u64), 2 => Just(8), 1 => any::<u64>()];
    let mode = prop::option::of(any::<u32>());
    let data = prop::option::of(prop::collection::vec(any::<u8>(), 0..40));
    let sizes = prop::collection::vec(size.clone(), 0..6);
    (
        kind,
        data,
        prop::option::of(size),
        sizes,
        prop::option::of(fanout),
        mode,
    )
        .prop_map(
            |(kind, data, file_size, block_sizes, fanout, mode)| UnixFs {
                data: data.map(Bytes::from),
                file_size,
                block_sizes,
                hash_type: fanout.map(|_| 0x22),
                fanout,
                mode,
                ..UnixFs::new(kind)
            },
        )
}

fn spec() -> impl Strategy<Value = Spec> {
    let codec = prop_oneof![1 => Just(RAW), 8 => Just(DAG_PB), 1 => Just(DAG_CBOR)];
    let links = prop::collection::vec((any::<prop::sample::Index>(), name()), 0..6);
    let flip = prop::option::weighted(0.2, (any::<prop::sample::Index>(), any::<u8>()));
    (codec, message(), links, any::<bool>(), flip).prop_map(
        |(codec, message, links, honest_sizes, flip)| Spec {
            codec,
            message,
            links,
            honest_sizes,
            flip,
        },
    )
}

/// The blocks, each linking only to those before it, and their CIDs in that order.
fn build(specs: Vec<Spec>) -> (HashMap<Cid, Bytes>, Vec<Cid>) {
    let (mut blocks, mut order, mut sizes) = (HashMap::new(), Vec::<Cid>::new(), Vec::new());
    for mut spec in specs {
        let mut block = Vec::new();
        let picks: Vec<usize> = match order.len() {
            0 => Vec::new(),
            known => spec
                .links
                .iter()
                .map(|(pick, _)| pick.index(known))
                .collect(),
        };
        let own = spec.message.data.as_ref().map_or(0, Bytes::len) as u64;
        if spec.honest_sizes {
            spec.message.block_sizes = picks.iter().map(|pick| sizes[*pick]).collect();
            spec.message.file_size = None;
        }
        let parts = spec.message.block_sizes.iter();
        let size = parts.fold(own, |sum: u64, part| sum.saturating_add(*part));
        for (pick, (_, name)) in picks.iter().zip(&spec.links) {
            let name = name.clone().filter(|_| !spec.honest_sizes).map(Bytes::from);
            let (cid, tsize) = (order[*pick].clone(), Some(size));
            PbLink { cid, name, tsize }.write_to(&mut block);
        }
        write_data(&spec.message.encode(), &mut block);
        if let Some((at, value)) = spec.flip {
            let at = at.index(block.len());
            block[at] = value;
        }
        let cid = Cid::v1(
            spec.codec,
            HashSpec::SHA2_256
                .digest(&block)
                .expect("sha2-256 takes anything"),
        );
        sizes.push(if spec.codec == RAW {
            block.len() as u64
        } else {
            size
        });
        blocks.insert(cid.clone(), Bytes::from(block));
        order.push(cid);
    }
    (blocks, order)
}

fn limits() -> Limits {
    Limits {
        depth: 50,
        pending_links: 1000,
        blocks: 500,
        entries: 500,
        ..Limits::default()
    }
}

/// Runs a machine until it ends, fails or has given enough.
fn drive<M: Steps>(
    mut machine: M,
    blocks: &HashMap<Cid, Bytes>,
    mut each: impl FnMut(M::Item),
) -> Result<(), ReadError> {
    let (mut items, mut wants) = (0, Vec::new());
    for _ in 0..MAX_STEPS {
        wants.clear();
        machine.wants(8, &mut wants);
        assert!(wants.len() <= 8);
        match machine.step()? {
            Step::Need(cid) => match blocks.get(&cid) {
                Some(block) => machine.supply(&cid, block.clone())?,
                // A changed byte has made another CID of it.
                None => return Ok(()),
            },
            Step::Item(item) => {
                each(item);
                items += 1;
                if items == MAX_ITEMS {
                    return Ok(());
                }
            }
            Step::Done => return Ok(()),
        }
    }
    panic!("does not end");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn readers_end_and_do_not_panic(
        specs in prop::collection::vec(spec(), 1..14),
        range in (any::<u16>(), any::<u16>()),
        segments in prop::collection::vec(name(), 0..5),
    ) {
        let (blocks, order) = build(specs);
        let root = order.last().unwrap();
        let segments: Vec<Vec<u8>> = segments.into_iter().flatten().collect();

        let mut file = FileReader::with_limits(root.clone(), limits());
        let mut seen = 0_u64;
        let whole = drive(&mut file, &blocks, |piece| seen += piece.len() as u64);
        if whole.is_ok() && file.size() == Some(file.position()) {
            prop_assert_eq!(file.position(), seen);
        }
        let mut file = FileReader::with_limits(root.clone(), limits());
        file.set_range(u64::from(range.0)..u64::from(range.0) + u64::from(range.1));
        let mut seen = 0;
        let _ = drive(&mut file, &blocks, |piece| seen += piece.len());
        prop_assert!(seen <= usize::from(range.1));

        let _ = drive(DirectoryReader::with_limits(root.clone(), limits()), &blocks, drop);
        let _ = drive(DirectoryReader::or_links(root.clone()), &blocks, drop);
        for namespace in [Namespace::Ipfs, Namespace::Ipld] {
            let path = PathResolver::new(namespace, root.clone(), &segments).unwrap();
            let _ = drive(path, &blocks, drop);
        }
        for name in segments {
            let _ = drive(NameLookup::new(root.clone(), name), &blocks, drop);
        }
        for unique in [false, true] {
            let options = WalkOptions { unique, limits: limits(), ..WalkOptions::default() };
            let _ = drive(DagWalk::with_options(root.clone(), options), &blocks, drop);
        }
        let options = TreeOptions { limits: limits(), ..TreeOptions::default() };
        let mut bad = None;
        let _ = drive(TreeReader::with_options(root.clone(), options), &blocks, |entry| {
            let plain = |name: &[u8]| names::NameRules::Posix.check(name).is_ok();
            if !entry.path.is_empty() && !entry.path.split(|byte| *byte == b'/').all(plain) {
                bad = Some(entry.path);
            }
        });
        prop_assert_eq!(bad, None);
        let now = Mtime { seconds: 0, nanos: 0 };
        let tar = TarReader::with_limits(root.clone(), b"root", now, limits()).unwrap();
        let _ = drive(tar, &blocks, drop);
        let _ = NodeStat::of(root, blocks[root].clone());
    }
}
