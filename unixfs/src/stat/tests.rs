use super::*;
use crate::node::{Mtime, UnixFs};
use crate::test_dag::{Dag, link};

#[test]
fn sizes_and_kinds_are_read_off_the_first_block() {
    let mut dag = Dag::default();
    let leaf = dag.raw(b"12345");
    let stat = |dag: &Dag, cid: &Cid| NodeStat::of(cid, dag.get(cid)).unwrap();
    let raw = stat(&dag, &leaf);
    assert_eq!(
        (raw.kind, raw.size, raw.cumulative_size, raw.links),
        (Kind::Raw, 5, 5, 0)
    );

    let file = dag.file(b"", &[(leaf.clone(), 5), (leaf.clone(), 5)]);
    let of_file = stat(&dag, &file);
    assert_eq!(
        (of_file.kind, of_file.size, of_file.links),
        (Kind::File, 10, 2)
    );
    assert_eq!(of_file.cumulative_size, dag.get(&file).len() as u64 + 10);

    let mut message = UnixFs::new(Kind::Directory);
    message.mode = Some(0o750);
    message.mtime = Some(Mtime {
        seconds: 1,
        nanos: 2,
    });
    let directory = dag.node(&message, vec![link(&file, Some(b"f"), 1000)]);
    let of_directory = stat(&dag, &directory);
    assert!(of_directory.is_directory());
    assert_eq!((of_directory.size, of_directory.links), (0, 1));
    assert_eq!(
        of_directory.cumulative_size,
        dag.get(&directory).len() as u64 + 1000
    );
    assert_eq!(of_directory.attributes.mode, Some(0o750));
    assert_eq!(of_directory.attributes.mtime, message.mtime);

    let symlink = dag.symlink(b"../x");
    let of_symlink = stat(&dag, &symlink);
    assert_eq!((of_symlink.kind, of_symlink.size), (Kind::Symlink, 4));
    assert_eq!(of_symlink.target.as_deref(), Some(&b"../x"[..]));
}

#[test]
fn hostile_sizes_do_not_overflow() {
    let mut dag = Dag::default();
    let leaf = dag.raw(b"");
    let huge = link(&leaf, None, u64::MAX);
    let mut message = UnixFs::new(Kind::File);
    message.block_sizes = vec![u64::MAX, u64::MAX];
    let root = dag.node(&message, vec![huge.clone(), huge]);
    let stat = NodeStat::of(&root, dag.get(&root)).unwrap();
    assert_eq!((stat.size, stat.cumulative_size), (u64::MAX, u64::MAX));
}
