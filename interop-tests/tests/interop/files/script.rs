//! Every verb, one after the other.

use super::{Pair, noise};
use anyhow::{Context, Result, ensure};
use ipfs_kit_interop_tests::{Peer, scratch};

const CHUNK: usize = 262_144;

#[test]
fn every_verb_gives_what_kubo_gives() -> Result<()> {
    let place = scratch::in_memory()?;
    let (ours, kubo) = Peer::pair(place.path())?;
    let mut content = Vec::new();
    for peer in [&ours, &kubo] {
        let mut roots = Vec::new();
        for (name, args, len) in [
            ("small", &["--raw-leaves=false"][..], 1000),
            ("raw", &["--cid-version=1"], 1000),
            ("large", &["--chunker=size-1000"], 30_000),
            ("wide", &["--chunker=size-100", "--cid-version=1"], 30_000),
        ] {
            let path = place.path().join(name);
            std::fs::write(&path, noise(len as u64, len))?;
            let mut words = vec!["add", "-Q"];
            words.extend(args);
            let path = path.to_str().context("a path is not UTF-8")?;
            words.push(path);
            roots.push(peer.text(words)?);
        }
        let tree = place.path().join("tree");
        if !tree.exists() {
            std::fs::create_dir_all(tree.join("sub"))?;
            std::fs::write(tree.join("sub/file"), "in a tree")?;
            std::os::unix::fs::symlink("sub/file", tree.join("link"))?;
        }
        roots.push(peer.text(["add", "-Qr", tree.to_str().context("a path is not UTF-8")?])?);
        let cbor = peer.run_with(["dag", "put"], b"{\"a\":1}")?;
        roots.push(String::from_utf8(cbor)?.trim().to_owned());
        content.push(roots);
    }
    ensure!(content[0] == content[1], "{content:?}");
    let mut pair = Pair::start(&ours, &kubo)?;
    let [small, raw, large, wide, tree, cbor] = <[String; 6]>::try_from(content.swap_remove(0))
        .map_err(|roots| anyhow::anyhow!("{roots:?}"))?;

    directories(&mut pair)?;
    files(&mut pair)?;
    copies(&mut pair, &small, &raw, &tree, &cbor)?;
    edits_of_added(&mut pair, &[small, raw, large, wide])?;
    attributes(&mut pair, &tree)?;
    moves_and_removals(&mut pair)?;
    mistakes(&mut pair)?;
    ensure!(pair.compared > 300, "only {} calls", pair.compared);
    Ok(())
}

fn directories(pair: &mut Pair) -> Result<()> {
    pair.call("files/stat?arg=/", None)?;
    pair.call("files/ls", None)?;
    for call in [
        "files/mkdir?arg=/a",
        "files/mkdir?arg=/a",
        "files/mkdir?arg=/a&parents=true",
        "files/mkdir?arg=/",
        "files/mkdir?arg=/&p=true",
        "files/mkdir?arg=/b/c/d",
        "files/mkdir?arg=/b/c/d/&parents=true",
        "files/mkdir?arg=/v1&cid-version=1",
        "files/mkdir?arg=/v1/below",
        "files/mkdir?arg=/v1/p/q&parents=true&cid-version=1",
        "files/mkdir?arg=/blake&hash=blake2b-256",
        "files/mkdir?arg=/blake/../blake0&hash=BLAKE2B-256&cid-version=0",
        "files/mkdir?arg=/late&flush=false",
        "files/mkdir?arg=/bad&cid-version=2",
        "files/mkdir?arg=/bad&hash=nosuch",
        "files/mkdir?arg=relative",
        "files/mkdir?arg=",
        "files/flush",
        "files/flush?arg=/b/c",
        "files/flush?arg=/nosuch",
    ] {
        pair.change(call, None)?;
    }
    for call in [
        "files/ls",
        "files/ls?arg=/&long=true",
        "files/ls?arg=/b&l=true",
        "files/ls?arg=/b/c/d",
        "files/ls?arg=/nosuch",
        "files/ls?arg=/a/b/c",
        "files/ls?encoding=text",
        "files/ls?encoding=text&long=true",
        "files/ls?encoding=text&long=true&U=true",
        "files/stat?arg=/b/",
        "files/stat?arg=/v1&cid-base=base16",
        "files/stat?arg=/b&encoding=text",
        "files/stat?arg=/b&encoding=text&hash=true",
        "files/stat?arg=/b&encoding=text&size=true",
        "files/stat?arg=/b&encoding=text&format=%3Ctype%3E-%3Cchilds%3E-%3Chash%3E",
        "files/stat?arg=/b&with-local=true",
        "files/stat?arg=/b&with-local=true&encoding=text",
    ] {
        pair.call(call, None)?;
    }
    Ok(())
}

fn files(pair: &mut Pair) -> Result<()> {
    for (nth, len) in [
        0,
        1,
        4095,
        4096,
        4097,
        CHUNK - 1,
        CHUNK,
        CHUNK + 1,
        3 * CHUNK,
    ]
    .into_iter()
    .enumerate()
    {
        for (kind, options) in [
            ("v0", ""),
            ("v1", "&cid-version=1"),
            ("v0raw", "&raw-leaves=true"),
            ("v1pb", "&cid-version=1&raw-leaves=false"),
            ("b2", "&hash=blake2b-256"),
        ] {
            let path = format!("/{kind}-{nth}");
            let data = noise(nth as u64, len);
            let call = format!("files/write?arg={path}&create=true{options}");
            pair.change(&call, Some(&data))?;
            // Over the middle, over the end, behind the end, behind a hole, and anew.
            for (query, data) in [
                (format!("&offset={}", len / 2), noise(1, 100)),
                (format!("&offset={len}"), noise(2, 5000)),
                (format!("&offset={}", len + 20_000), noise(3, 10)),
                (format!("&offset={}", len / 3), noise(4, CHUNK + 10)),
                (format!("&offset=7&count={}", 5), noise(5, 10)),
                ("&truncate=true".to_owned(), noise(6, 300)),
                (format!("&truncate=true&offset={}", 9000), noise(7, 3)),
                ("&truncate=true".to_owned(), Vec::new()),
                ("&offset=0".to_owned(), noise(8, 70_000)),
            ] {
                let call = format!("files/write?arg={path}{query}");
                pair.change(&call, Some(&data))?;
            }
            pair.call(&format!("files/read?arg={path}"), None)?;
            pair.call(&format!("files/stat?arg={path}"), None)?;
        }
    }
    for query in [
        "",
        "&offset=10",
        "&offset=10&count=5",
        "&count=0",
        "&offset=70000",
        "&offset=70001",
        "&offset=-1",
        "&count=-1",
    ] {
        pair.call(&format!("files/read?arg=/v0-3{query}"), None)?;
    }
    pair.change(
        "files/write?arg=/new/dir/file&create=true&parents=true&cid-version=1",
        Some(b"deep"),
    )?;
    pair.change(
        "files/write?arg=/unflushed&create=true&flush=false",
        Some(b"later"),
    )?;
    pair.call("files/read?arg=/unflushed", None)?;
    pair.change("files/flush?arg=/", None)?;
    Ok(())
}

fn copies(pair: &mut Pair, small: &str, raw: &str, tree: &str, cbor: &str) -> Result<()> {
    for call in [
        format!("files/cp?arg=/ipfs/{small}&arg=/copy-small"),
        format!("files/cp?arg=/ipfs/{raw}&arg=/copy-raw"),
        format!("files/cp?arg=/ipfs/{tree}&arg=/copy-tree"),
        format!("files/cp?arg=ipfs://{tree}/sub&arg=/copy-sub/"),
        format!("files/cp?arg=/ipfs/{tree}/sub&arg=/a/"),
        // Flushed, Kubo says that it cannot, and has done it.
        format!("files/cp?arg=/ipfs/{tree}/link&arg=/copy-link&flush=false"),
        format!("files/cp?arg=/ipfs/{tree}&arg=/deep/er/tree&parents=true"),
        format!("files/cp?arg=/ipfs/{tree}&arg=/copy-tree"),
        format!("files/cp?arg=/ipfs/{tree}&arg=/copy-tree&force=true"),
        format!("files/cp?arg=/ipfs/{raw}&arg=/copy-small&force=true"),
        format!("files/cp?arg=/ipfs/{raw}&arg=/no/parent"),
        format!("files/cp?arg=/ipfs/{raw}&arg=/copy-raw/below"),
        format!("files/cp?arg=/ipfs/{cbor}&arg=/cbor"),
        "files/cp?arg=/copy-tree&arg=/copy-of-copy".to_owned(),
        "files/cp?arg=/copy-tree/sub/file&arg=/a/".to_owned(),
        "files/cp?arg=/&arg=/root-in-root".to_owned(),
        "files/cp?arg=/nosuch&arg=/x".to_owned(),
        "files/cp?arg=/copy-raw&arg=relative".to_owned(),
        "files/cp?arg=relative&arg=/x".to_owned(),
        "files/cp?arg=/copy-raw".to_owned(),
    ] {
        pair.change(&call, None)?;
    }
    for call in [
        "files/ls?arg=/copy-tree&long=true",
        "files/ls?arg=/copy-raw&long=true",
        "files/stat?arg=/copy-link",
        "files/stat?arg=/copy-link&encoding=text",
        "files/read?arg=/copy-link",
        "files/read?arg=/copy-tree",
        "files/read?arg=/copy-tree/sub/file",
    ] {
        pair.call(call, None)?;
    }
    pair.call(&format!("files/stat?arg=/ipfs/{tree}/sub/file"), None)?;
    pair.change("files/write?arg=/copy-link", Some(b"x"))?;
    Ok(())
}

/// Files that `add` made, which have another shape than those that are written.
fn edits_of_added(pair: &mut Pair, roots: &[String]) -> Result<()> {
    for (nth, root) in roots.iter().enumerate() {
        for (edit, (query, len)) in [
            ("&offset=10", 20),
            ("&offset=990", 5),
            ("&truncate=true", 50),
        ]
        .into_iter()
        .enumerate()
        {
            let path = format!("/edit-{nth}-{edit}");
            pair.change(&format!("files/cp?arg=/ipfs/{root}&arg={path}"), None)?;
            pair.change(
                &format!("files/write?arg={path}{query}"),
                Some(&noise(edit as u64, len)),
            )?;
            pair.call(&format!("files/read?arg={path}"), None)?;
        }
    }
    // Behind the end of what has links, and of a raw leaf. A wide balanced root stands for a full layer.
    for (nth, root) in roots.iter().enumerate().skip(1).take(2) {
        let path = format!("/append-{nth}");
        pair.change(&format!("files/cp?arg=/ipfs/{root}&arg={path}"), None)?;
        let size = [0, 1000, 30_000][nth];
        pair.change(
            &format!("files/write?arg={path}&offset={size}"),
            Some(&noise(9, 400_000)),
        )?;
        pair.change(
            &format!("files/write?arg={path}&offset=5"),
            Some(&noise(10, 300)),
        )?;
        pair.call(&format!("files/read?arg={path}&offset=900&count=500"), None)?;
    }
    Ok(())
}

fn attributes(pair: &mut Pair, tree: &str) -> Result<()> {
    pair.change(&format!("files/cp?arg=/ipfs/{tree}&arg=/attributes"), None)?;
    for call in [
        "files/write?arg=/attributes/plain&create=true",
        "files/write?arg=/attributes/v1&create=true&cid-version=1",
        "files/write?arg=/attributes/long&create=true",
    ] {
        let len = if call.contains("long") { 300_000 } else { 10 };
        pair.change(call, Some(&noise(11, len)))?;
    }
    for call in [
        "files/chmod?arg=0644&arg=/attributes/plain",
        "files/chmod?arg=0600&arg=/attributes/v1",
        "files/chmod?arg=755&arg=/attributes/long",
        "files/chmod?arg=4755&arg=/attributes/long",
        "files/chmod?arg=0700&arg=/attributes/sub",
        "files/chmod?arg=0777&arg=/attributes/link",
        "files/chmod?arg=0&arg=/attributes/plain",
        "files/chmod?arg=9&arg=/attributes/plain",
        "files/chmod?arg=x&arg=/attributes/plain",
        "files/chmod?arg=77777777777777777777&arg=/attributes/plain",
        "files/chmod?arg=0644&arg=/nosuch",
        "files/touch?arg=/attributes/plain&mtime=1700000000",
        "files/touch?arg=/attributes/v1&mtime=1700000000&mtime-nsecs=5",
        "files/touch?arg=/attributes/long&mtime=-5",
        "files/touch?arg=/attributes/sub&mtime=1700000001",
        "files/touch?arg=/attributes/link&mtime=1700000001",
        "files/touch?arg=/nosuch&mtime=1",
        "files/chcid?arg=/attributes/sub&cid-version=1",
        "files/chcid?arg=/attributes/sub&hash=blake2b-256",
        "files/chcid?arg=/attributes/plain&cid-version=1",
        "files/chcid?arg=/attributes/sub",
        "files/chcid?arg=/&cid-version=1",
        "files/chcid?arg=/nosuch&cid-version=1",
        "files/write?arg=/attributes/sub/inside&create=true",
        "files/mkdir?arg=/attributes/sub/dir",
    ] {
        let file = call.starts_with("files/write").then_some(&b"inside"[..]);
        pair.change(call, file)?;
    }
    for name in ["plain", "v1", "long", "sub", "link"] {
        pair.call(&format!("files/stat?arg=/attributes/{name}"), None)?;
        pair.call(
            &format!("files/stat?arg=/attributes/{name}&encoding=text"),
            None,
        )?;
    }
    Ok(())
}

fn moves_and_removals(pair: &mut Pair) -> Result<()> {
    for call in [
        "files/mv?arg=/copy-raw&arg=/moved",
        "files/mv?arg=/moved&arg=/a/",
        "files/mv?arg=/a/moved&arg=/b",
        "files/mv?arg=/b/moved&arg=/copy-small",
        "files/mv?arg=/copy-tree&arg=/b/tree",
        "files/mv?arg=/copy-of-copy&arg=/b",
        "files/mv?arg=/b/copy-of-copy/sub&arg=/b/tree",
        "files/mv?arg=/nosuch&arg=/x",
        "files/mv?arg=/a&arg=/no/such",
        "files/mv?arg=/copy-small/x&arg=/y",
        "files/mv?arg=/v0-0&arg=/v0-0",
        "files/rm?arg=/v0-0",
        "files/rm?arg=/v0-0",
        "files/rm?arg=/v0-0&force=true",
        "files/rm?arg=/a",
        "files/rm?arg=/a/&recursive=true",
        "files/rm?arg=/b/tree&force=true",
        "files/rm?arg=/v0-1&arg=/nosuch&arg=relative&arg=/v0-2",
        "files/rm?arg=/",
        "files/rm?arg=/v0-3/x",
        "files/rm?arg=/v1-1&flush=false",
        "files/rm?arg=/no/such&force=true",
        "files/ls?arg=/b",
    ] {
        pair.change(call, None)?;
    }
    Ok(())
}

fn mistakes(pair: &mut Pair) -> Result<()> {
    for (call, file) in [
        ("files/write?arg=/new", Some(&b"x"[..])),
        ("files/write?arg=/no/such&create=true", Some(b"x")),
        ("files/write?arg=/v0-3/x&create=true", Some(b"x")),
        ("files/write?arg=/b&create=true", Some(b"x")),
        ("files/write?arg=/new&create=true&offset=-1", Some(b"x")),
        ("files/write?arg=/new&create=true&offset=x", Some(b"x")),
        ("files/write?arg=new&create=true", Some(b"x")),
        ("files/write?arg=/new&create=true", None),
        ("files/write", Some(b"x")),
        ("files/read", None),
        ("files/read?arg=/b", None),
        ("files/read?arg=/nosuch", None),
        ("files/stat", None),
        ("files/stat?arg=nosuch", None),
        ("files/stat?arg=/ipfs/nosuch", None),
        ("files/mv?arg=/x", None),
        ("files/mkdir", None),
        ("files/rm", None),
        ("files/chroot?confirm=true", None),
        ("files/nosuch", None),
        ("files", None),
    ] {
        pair.call(call, file)?;
    }
    Ok(())
}
