use proptest::prelude::*;

use super::*;
use crate::hamt::{HASH_MURMUR3_X64_64, HamtError};
use crate::read_error::ShardFault;
use crate::test_dag::{Dag, link};

fn names(dag: &Dag, cid: &Cid) -> Result<Vec<Vec<u8>>, ReadError> {
    let entries = dag.run(DirectoryReader::new(cid.clone()))?;
    Ok(entries
        .into_iter()
        .map(|entry| entry.name.to_vec())
        .collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn a_sharded_directory_lists_what_was_put_in(
        names in proptest::collection::btree_set("[a-z0-9]{1,12}", 1..300),
        bits in 3_u32..=10,
    ) {
        let mut dag = Dag::default();
        let entries: Vec<_> = names
            .iter()
            .map(|name| (name.clone().into_bytes(), dag.raw(name.as_bytes())))
            .collect();
        let root = dag.sharded(1 << bits, &entries);
        let mut listed = dag.run(DirectoryReader::new(root)).unwrap();
        listed.sort_by(|a, b| a.name.cmp(&b.name));
        let expected: Vec<_> = entries
            .into_iter()
            .map(|(name, cid)| DirectoryEntry { name: name.into(), cid, tsize: 1 })
            .collect();
        prop_assert_eq!(listed, expected);
    }
}

#[test]
fn a_basic_directory_lists_its_links_as_they_are() {
    let mut dag = Dag::default();
    let file = dag.raw(b"x");
    let root = dag.directory(&[(b"b", &file), (b"a", &file), (b"b", &file), (b"", &file)]);
    assert_eq!(
        names(&dag, &root).unwrap(),
        [b"b".to_vec(), b"a".into(), b"b".into(), b"".into()]
    );
    assert_eq!(dag.asked(), [root]);
}

#[test]
fn what_is_not_a_directory_is_refused_or_shown_as_links() {
    let mut dag = Dag::default();
    let leaf = dag.raw(b"12345");
    let file = dag.file(b"", &[(leaf.clone(), 5), (leaf.clone(), 5)]);
    assert!(matches!(
        names(&dag, &file),
        Err(ReadError::NotADirectory { .. })
    ));
    assert!(matches!(
        names(&dag, &leaf),
        Err(ReadError::NotADirectory { .. })
    ));
    let links = dag.run(DirectoryReader::or_links(file)).unwrap();
    let shown: Vec<_> = links
        .iter()
        .map(|link| (&link.name[..], &link.cid))
        .collect();
    assert_eq!(shown, [(&b""[..], &leaf), (&b""[..], &leaf)]);
    assert!(dag.run(DirectoryReader::or_links(leaf)).unwrap().is_empty());
}

/// A shard with links in these slots and no check at all.
fn shard(dag: &mut Dag, fanout: u64, slots: &[usize], names: &[&str], children: &[Cid]) -> Cid {
    let mut message = UnixFs::new(Kind::HamtShard);
    let mut field = vec![0; fanout.div_ceil(8).max(1) as usize];
    for slot in slots {
        let last = field.len() - 1;
        field[last - slot / 8] |= 1 << (slot % 8);
    }
    message.data = Some(field.into());
    message.hash_type = Some(HASH_MURMUR3_X64_64);
    message.fanout = Some(fanout);
    let links = names.iter().zip(children);
    let links = links
        .map(|(name, cid)| link(cid, Some(name.as_bytes()), 1))
        .collect();
    dag.node(&message, links)
}

fn shard_fault(dag: &Dag, root: &Cid) -> ShardFault {
    match names(dag, root) {
        Err(ReadError::Shard { fault, .. }) => fault,
        other => panic!("{other:?}"),
    }
}

/// CVE-2023-23625, CVE-2023-23626, CVE-2023-23631: fan-outs and bitfields made to crash a reader.
#[test]
fn hostile_fanouts_and_bitfields_are_refused() {
    let mut dag = Dag::default();
    for fanout in [
        0,
        1,
        2,
        4,
        7,
        9,
        12,
        100,
        255,
        2048,
        1 << 16,
        1 << 31,
        1 << 40,
        u64::MAX,
    ] {
        let mut message = UnixFs::new(Kind::HamtShard);
        message.hash_type = Some(HASH_MURMUR3_X64_64);
        message.fanout = Some(fanout);
        let root = dag.node(&message, Vec::new());
        assert!(matches!(
            shard_fault(&dag, &root),
            ShardFault::Hamt(HamtError::Fanout(_))
        ));
    }
    let leaf = dag.raw(b"");
    for field in [vec![1; 33], vec![0; 33], vec![0xff; 100], vec![0; 1 << 20]] {
        let mut message = UnixFs::new(Kind::HamtShard);
        message.hash_type = Some(HASH_MURMUR3_X64_64);
        message.fanout = Some(256);
        message.data = Some(field.into());
        let root = dag.node(&message, Vec::new());
        assert!(matches!(
            shard_fault(&dag, &root),
            ShardFault::Hamt(HamtError::BitfieldTooLong { .. })
        ));
    }
    let root = shard(
        &mut dag,
        256,
        &[1, 2],
        &["01a"],
        std::slice::from_ref(&leaf),
    );
    assert!(matches!(
        shard_fault(&dag, &root),
        ShardFault::Hamt(HamtError::LinkCount { .. })
    ));
    for name in ["", "0", "01", "XXa", "0aa", "1Fa"] {
        let root = shard(&mut dag, 256, &[10], &[name], std::slice::from_ref(&leaf));
        assert!(matches!(
            shard_fault(&dag, &root),
            ShardFault::Hamt(HamtError::LinkName { .. })
        ));
    }
}

#[test]
fn shards_must_agree_with_their_directory() {
    let mut dag = Dag::default();
    let leaf = dag.raw(b"");
    let root = shard(&mut dag, 256, &[10], &["0Aa"], std::slice::from_ref(&leaf));
    assert!(matches!(shard_fault(&dag, &root), ShardFault::Misplaced(name) if name == b"a"));

    let empty = shard(&mut dag, 256, &[], &[], &[]);
    let root = shard(&mut dag, 256, &[10], &["0A"], std::slice::from_ref(&empty));
    assert_eq!(shard_fault(&dag, &root), ShardFault::Empty);
    assert!(names(&dag, &empty).unwrap().is_empty());

    let narrow = shard(&mut dag, 8, &[1], &["1"], std::slice::from_ref(&leaf));
    let root = shard(&mut dag, 256, &[10], &["0A"], &[narrow]);
    assert!(matches!(
        shard_fault(&dag, &root),
        ShardFault::Hamt(HamtError::MixedFanout { .. })
    ));

    let basic = dag.directory(&[(b"a", &leaf)]);
    for child in [leaf, basic] {
        let root = shard(&mut dag, 256, &[10], &["0A"], &[child]);
        assert_eq!(shard_fault(&dag, &root), ShardFault::NotAShard);
    }
}

/// Shards that all link to the same shard below them: 256^7 visits if nothing notices.
#[test]
fn a_shard_that_is_linked_twice_is_noticed_at_once() {
    let mut dag = Dag::default();
    let leaf = dag.raw(b"");
    let slots: Vec<usize> = (0..256).collect();
    let prefixes: Vec<String> = slots.iter().map(|slot| format!("{slot:02X}")).collect();
    let prefixes: Vec<&str> = prefixes.iter().map(String::as_str).collect();
    let hash = crate::hamt::name_hash(b"name");
    let slot = (hash & 0xff) as usize;
    let mut cid = shard(
        &mut dag,
        256,
        &[slot],
        &[&format!("{slot:02X}name")],
        &[leaf],
    );
    for _ in 0..7 {
        cid = shard(&mut dag, 256, &slots, &prefixes, &vec![cid; 256]);
    }
    assert!(matches!(shard_fault(&dag, &cid), ShardFault::Misplaced(_)));
    assert!(dag.asked().len() <= 8);
    let deeper = shard(&mut dag, 256, &slots, &prefixes, &vec![cid; 256]);
    assert_eq!(
        shard_fault(&dag, &deeper),
        ShardFault::Hamt(HamtError::TooDeep)
    );
}

#[test]
fn a_listing_stops_at_its_limits() {
    let mut dag = Dag::default();
    let file = dag.raw(b"x");
    let entries: Vec<_> = (0..1000)
        .map(|i| (format!("{i}").into_bytes(), file.clone()))
        .collect();
    let root = dag.sharded(8, &entries);
    let limited = |limits| dag.run(DirectoryReader::with_limits(root.clone(), limits));
    let error = limited(Limits {
        entries: 999,
        ..Limits::default()
    })
    .unwrap_err();
    assert!(
        matches!(
            error,
            ReadError::Limit {
                what: Limit::Entries,
                max: 999,
                ..
            }
        ),
        "{error}"
    );
    let error = limited(Limits {
        blocks: 10,
        ..Limits::default()
    })
    .unwrap_err();
    assert!(
        matches!(
            error,
            ReadError::Limit {
                what: Limit::Blocks,
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(limited(Limits::default()).unwrap().len(), 1000);
}

#[test]
fn wants_are_the_shards_that_come_next() {
    let mut dag = Dag::default();
    let file = dag.raw(b"x");
    let entries: Vec<_> = (0..300)
        .map(|i| (format!("{i}").into_bytes(), file.clone()))
        .collect();
    let mut listing = DirectoryReader::new(dag.sharded(16, &entries));
    let mut wants = Vec::new();
    loop {
        wants.clear();
        match listing.step().unwrap() {
            Step::Need(cid) => {
                listing.wants(4, &mut wants);
                assert_eq!(wants.first(), Some(&cid));
                listing.supply(&cid, dag.get(&cid)).unwrap();
            }
            Step::Item(_) => {}
            Step::Done => break,
        }
    }
    listing.wants(4, &mut wants);
    assert!(wants.is_empty());
}
