use super::*;
use crate::test_dag::{Dag, link, nowhere, pb};

fn resolve(dag: &Dag, namespace: Namespace, root: &Cid, path: &str) -> Result<Resolved, ReadError> {
    let segments: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let resolver = PathResolver::new(namespace, root.clone(), &segments)?;
    Ok(dag.run(resolver)?.remove(0))
}

fn ipfs(dag: &Dag, root: &Cid, path: &str) -> Result<Resolved, ReadError> {
    resolve(dag, Namespace::Ipfs, root, path)
}

#[test]
fn a_path_of_no_segments_needs_no_block() {
    let dag = Dag::default();
    let resolved = ipfs(&dag, &nowhere(), "").unwrap();
    assert_eq!(
        resolved,
        Resolved {
            cid: nowhere(),
            remainder: vec![],
            roots: vec![nowhere()]
        }
    );
}

#[test]
fn directories_are_followed_by_name_and_the_last_block_is_not_needed() {
    let mut dag = Dag::default();
    let inner = dag.directory(&[(b"gone", &nowhere())]);
    let root = dag.directory(&[(b"inner", &inner)]);
    let resolved = ipfs(&dag, &root, "inner/gone").unwrap();
    assert_eq!(resolved.cid, nowhere());
    assert_eq!(resolved.roots, [root.clone(), inner.clone(), nowhere()]);
    assert_eq!(dag.asked(), [root.clone(), inner.clone()]);
    let error = ipfs(&dag, &root, "inner/missing").unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("no link named \"missing\" under {inner}")
    );
}

#[test]
fn sharded_directories_are_followed_on_the_path_only() {
    let mut dag = Dag::default();
    let file = dag.raw(b"x");
    let entries: Vec<_> = (0..5000)
        .map(|i| (format!("{i}").into_bytes(), file.clone()))
        .collect();
    let sharded = dag.sharded(256, &entries);
    let root = dag.directory(&[(b"big", &sharded)]);
    let resolved = ipfs(&dag, &root, "big/4711").unwrap();
    assert_eq!(resolved.cid, file);
    assert_eq!(
        resolved.roots,
        [root.clone(), sharded.clone(), file.clone()]
    );
    assert!(dag.asked().len() <= 5);
    let error = ipfs(&dag, &root, "big/5000").unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("no link named \"5000\" under {sharded}")
    );
    assert!(
        matches!(ipfs(&dag, &root, "big/1/2"), Err(ReadError::NoLink { cid, .. }) if cid == file)
    );
}

#[test]
fn nodes_that_are_no_unixfs_have_named_links() {
    let mut dag = Dag::default();
    let file = dag.raw(b"x");
    for data in [None, Some(&b"not a message"[..]), Some(&b""[..])] {
        let block = pb(vec![link(&file, Some(b"name"), 1)], data);
        let root = dag.put(codec::DAG_PB, block);
        assert_eq!(ipfs(&dag, &root, "name").unwrap().cid, file);
        assert!(matches!(
            ipfs(&dag, &root, "nome"),
            Err(ReadError::NoLink { .. })
        ));
    }
}

#[test]
fn files_have_nothing_below_them() {
    let mut dag = Dag::default();
    let leaf = dag.raw(b"x");
    let file = dag.file(b"", &[(leaf.clone(), 1)]);
    for root in [leaf, file] {
        let error = ipfs(&dag, &root, "a\u{1b}[m").unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("no link named \"a\\x1b[m\" under {root}")
        );
    }
}

#[test]
fn the_data_model_is_followed_to_links_and_values() {
    let mut dag = Dag::default();
    let leaf = dag.raw(b"x");
    let directory = dag.directory(&[(b"a", &leaf)]);
    let text = format!("{{\"x\":{{\"y\":[1,{{\"z\":2}},{{\"/\":\"{directory}\"}}]}}}}");
    let json = dag.put(codec::DAG_JSON, text.into_bytes());
    let cbor = codec::transcode(codec::DAG_JSON, codec::DAG_CBOR, &dag.get(&json)).unwrap();
    let cbor = dag.put(codec::DAG_CBOR, cbor);
    for root in [json, cbor] {
        for path in ["x", "x/y", "x/y/0", "x/y/1/z"] {
            let resolved = ipfs(&dag, &root, path).unwrap();
            assert_eq!(resolved.cid, root);
            assert_eq!(resolved.remainder.join("/"), path);
        }
        assert_eq!(ipfs(&dag, &root, "x/y/2").unwrap().cid, directory);
        let end = ipfs(&dag, &root, "x/y/2/a").unwrap();
        assert_eq!((end.cid, end.remainder), (leaf.clone(), vec![]));
        assert_eq!(end.roots, [root.clone(), directory.clone(), leaf.clone()]);
        for (path, name) in [
            ("x/y/3", "3"),
            ("x/y/-1", "-1"),
            ("x/q/r", "q"),
            ("x/y/0/1", "1"),
        ] {
            let error = ipfs(&dag, &root, path).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("no link named \"{name}\" under {root}")
            );
        }
    }
}

#[test]
fn in_the_ipld_namespace_dag_pb_is_a_map() {
    let mut dag = Dag::default();
    let leaf = dag.raw(b"x");
    let root = dag.directory(&[(b"a", &leaf)]);
    let ipld = |path| resolve(&dag, Namespace::Ipld, &root, path);
    assert_eq!(ipld("Links/0/Hash").unwrap().cid, leaf);
    for path in ["Data", "Links", "Links/0", "Links/0/Name", "Links/0/Tsize"] {
        let resolved = ipld(path).unwrap();
        assert_eq!(
            (&resolved.cid, resolved.remainder.join("/")),
            (&root, path.to_owned())
        );
    }
    for path in ["a", "Links/1", "Links/0/hash", "Links/a"] {
        assert!(
            matches!(ipld(path), Err(ReadError::NoLink { .. })),
            "{path}"
        );
    }
}

#[test]
fn segments_and_codecs_have_bounds() {
    let mut dag = Dag::default();
    let error = PathResolver::new(Namespace::Ipfs, nowhere(), &["a"; 5000]).unwrap_err();
    assert!(matches!(
        error,
        ReadError::Limit {
            what: Limit::Segments,
            ..
        }
    ));
    let odd = dag.put(0x1234, vec![1]);
    assert!(matches!(
        ipfs(&dag, &odd, "a"),
        Err(ReadError::Codec { .. })
    ));
    let mut resolver = PathResolver::new(Namespace::Ipfs, odd, &["a"]).unwrap();
    assert!(resolver.supply(&nowhere(), Bytes::new()).is_err());
}
