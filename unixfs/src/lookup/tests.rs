use super::*;
use crate::test_dag::{Dag, nowhere};

#[test]
fn every_name_of_a_sharded_directory_is_found_on_its_own_path() {
    for fanout in [8, 16, 256, 1024] {
        let mut dag = Dag::default();
        let entries: Vec<_> = (0..2000)
            .map(|i| {
                let name = format!("file-{i}").into_bytes();
                let cid = dag.raw(&name);
                (name, cid)
            })
            .collect();
        let root = dag.sharded(fanout, &entries);
        let max_shards = 64 / fanout.trailing_zeros() as usize;
        for (name, cid) in &entries {
            let found = dag
                .run(NameLookup::new(root.clone(), name.clone()))
                .unwrap();
            assert_eq!(found.len(), 1);
            assert_eq!((&found[0].name[..], &found[0].cid), (&name[..], cid));
            let touched = dag.asked();
            assert_eq!(touched[0], root);
            assert!(
                touched.len() <= max_shards.min(8),
                "{} shards",
                touched.len()
            );
        }
        for name in ["", "file-2000", "file-", "FILE-1", "../file-1"] {
            assert!(
                dag.run(NameLookup::new(root.clone(), name))
                    .unwrap()
                    .is_empty()
            );
        }
    }
}

#[test]
fn a_basic_directory_needs_its_one_block() {
    let mut dag = Dag::default();
    let (first, second) = (dag.raw(b"1"), dag.raw(b"2"));
    let root = dag.directory(&[(b"a", &first), (b"a", &second), (b"b", &second)]);
    let found = dag.run(NameLookup::new(root.clone(), &b"a"[..])).unwrap();
    assert_eq!(found[0].cid, first);
    assert_eq!(dag.asked(), std::slice::from_ref(&root));
    assert!(
        dag.run(NameLookup::new(root, &b"c"[..]))
            .unwrap()
            .is_empty()
    );
    let refused = dag.run(NameLookup::new(first, &b"a"[..]));
    assert!(matches!(refused, Err(ReadError::NotADirectory { .. })));
}

#[test]
fn only_the_needed_block_is_taken() {
    let mut dag = Dag::default();
    let root = dag.directory(&[]);
    let mut lookup = NameLookup::new(root.clone(), &b"a"[..]);
    assert!(lookup.supply(&nowhere(), Bytes::new()).is_err());
    lookup.supply(&root, dag.get(&root)).unwrap();
    assert!(lookup.supply(&root, dag.get(&root)).is_err());
    assert_eq!(lookup.step().unwrap(), Step::Done);
}
