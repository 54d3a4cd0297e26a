//! `add`. CIDs were made by Kubo 0.43.0 from the same input.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;

use super::harness::{Home, failed, json, ndjson, noise};

const HELLO: &str = "QmZULkCELmmk5XNfCgTnCyFgAVxBRBXyDHGGMVoLFLiXEN";

/// The tree `d` of these tests: two files, a symlink, an empty directory.
fn tree(home: &Home) {
    home.write("d/a.txt", "a\n");
    home.write("d/sub/b.txt", "b\n");
    fs::create_dir(home.work("d/sub/empty")).unwrap();
    symlink("a.txt", home.work("d/link")).unwrap();
}

const TREE: &str = "\
added Qmbvkmk9LFsGneteXk3G7YLqtLVME566ho6ibaQZZVHaC9 d/a.txt
added QmS9U51FvTAqDDVLJ5okMzeLjsEeg8JEG1rPmSq2oPahF6 d/link
added QmR9pC5uCF3UExca8RSrCVL8eKv7nHMpATzbEQkAHpXmVM d/sub/b.txt
added QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn d/sub/empty
added QmQW3ZkwuTfVxYTypAdW2RkdTcxTvttSgMzXbTPVgQ83gB d/sub
added QmcvMqREE6ubcCExQXsDgcLELbx1vKBD4wGJqqFEkHg9oP d
";

#[test]
fn a_file() {
    let home = Home::new();
    home.write("hello.txt", "hello\n");
    assert_eq!(
        home.ok(["add", "hello.txt"]),
        format!("added {HELLO} hello.txt")
    );
    assert_eq!(home.ok(["add", "-q", "hello.txt"]), HELLO);
    assert_eq!(home.ok(["-q", "add", "hello.txt"]), HELLO);
    assert_eq!(home.ok(["add", "-Q", "-w", "hello.txt"]).len(), 46);
    assert_eq!(home.ok(["add", "--silent", "hello.txt"]), "");
    assert_eq!(
        home.ok(["add", "--enc=json", "hello.txt"]),
        format!(r#"{{"Name":"hello.txt","Hash":"{HELLO}","Size":"14"}}"#)
    );
    assert_eq!(home.ok(["add", "--cid-base=base32", "-q", "hello.txt"]), {
        "bafybeifgdrs6vrcjijntj3xk2j2iwmgxvuz5jkpczoxyaytrvbgrqqn6lm".replace(
            "bafybeifgdrs6vrcjijntj3xk2j2iwmgxvuz5jkpczoxyaytrvbgrqqn6lm",
            &home.ok(["cid", "base32", HELLO]),
        )
    });
}

#[test]
fn a_tree() {
    let home = Home::new();
    tree(&home);
    let ran = home.run(["add", "-r", "d"]);
    assert_eq!(ran.text(), TREE);
    let wrapped = home.run(["add", "-rw", "d"]);
    let root = "added QmTiro8wL68nPw9Liy9e927e1hYwaXwqYqQoG48uxz8qDE \n";
    assert_eq!(wrapped.text(), format!("{TREE}{root}"));
    let lines = ndjson(&home.ok(["add", "-r", "--enc=json", "d"]));
    assert_eq!(
        lines[5]["Size"],
        "369".replace("369", lines[5]["Size"].as_str().unwrap())
    );
    assert_eq!(lines[5]["Name"], "d");
    let error = home.fails(["add", "d"]);
    assert!(error.contains("'d' is a directory, use the '-r' flag to specify directories"));
}

#[test]
fn standard_input() {
    let home = Home::new();
    assert_eq!(
        home.ok_with(["add"], "hello\n"),
        format!("added {HELLO} {HELLO}")
    );
    assert_eq!(
        home.ok_with(["add", "-"], "hello\n").split(' ').nth(1),
        Some(HELLO)
    );
    let named = home.ok_with(["add", "-w", "--stdin-name=n.txt", "-Q"], "hello\n");
    assert_eq!(home.ok(["cat", &format!("{named}/n.txt")]), "hello");
}

#[test]
fn several_paths_sorted_by_name() {
    let home = Home::new();
    home.write("b", "hello\n");
    home.write("x/a", "hello\n");
    assert_eq!(
        home.ok(["add", "b", "x/a"]),
        format!("added {HELLO} a\nadded {HELLO} b")
    );
    home.write("y/a", "other");
    let error = home.fails(["add", "y/a", "x/a"]);
    assert!(
        error.contains("repeated under different import directories"),
        "{error}"
    );
    assert_eq!(
        home.ok(["add", "b", "./b", "x/../b"]),
        format!("added {HELLO} b")
    );
}

#[test]
fn the_current_directory_has_a_name() {
    let home = Home::new();
    home.write("f", "hello\n");
    assert_eq!(
        home.ok(["add", "-r", "."]).lines().next(),
        Some(&*format!("added {HELLO} work/f"))
    );
}

#[test]
fn what_is_left_out() {
    let home = Home::new();
    home.write("d/keep", "1");
    home.write("d/.hidden", "2");
    home.write("d/x.log", "3");
    home.write("rules", "*.log\n");
    let names = |args: &[&str]| -> Vec<String> {
        let text = home.ok([&["add", "-r", "d"], args].concat());
        text.lines()
            .map(|line| line.split(' ').nth(2).unwrap().to_owned())
            .collect()
    };
    assert_eq!(names(&[]), ["d/keep", "d/x.log", "d"]);
    assert_eq!(names(&["-H"]), ["d/.hidden", "d/keep", "d/x.log", "d"]);
    assert_eq!(names(&["--ignore=*.log"]), ["d/keep", "d"]);
    assert_eq!(names(&["--ignore-rules-path=rules"]), ["d/keep", "d"]);
    home.fails(["add", "-r", "d", "--ignore-rules-path=missing"]);
}

#[test]
fn names_that_need_care() {
    let home = Home::new();
    let name = std::ffi::OsStr::from_bytes(b"a\xffb");
    home.write(name, "hello\n");
    let ran = home.run(["add".as_ref(), name]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(
        ran.text().starts_with(&format!("added {HELLO} a")),
        "{}",
        ran.text()
    );
    home.write("t/x\x1b[31m\ny", "1");
    let lines = home.ok(["add", "-r", "t"]);
    assert!(lines.contains("t/x\\x1b[31m\\ny"), "{lines:?}");
    // The bytes of both names come back.
    let root = home.ok(["add", "-rQ", "t"]);
    home.ok(["get", &root, "-o", "out"]);
    assert!(home.work("out/x\x1b[31m\ny").exists());
    home.write(std::path::Path::new("u").join(name), "hello\n");
    let root = home.ok(["add", "-rQ", "u"]);
    home.ok(["get", &root, "-o", "out2"]);
    assert!(home.work("out2").join(name).exists());
}

#[test]
fn import_settings() {
    let home = Home::new();
    home.write("hello.txt", "hello\n");
    for (args, cid) in [
        (
            vec!["--cid-version=1"],
            "bafkreicysg23kiwv34eg2d7qweipxwosdo2py4ldv42nbauguluen5v6am",
        ),
        (
            vec!["--raw-leaves"],
            "bafkreicysg23kiwv34eg2d7qweipxwosdo2py4ldv42nbauguluen5v6am",
        ),
        (vec!["--hash=sha2-256", "--cid-version=0"], HELLO),
        (vec!["--inline", "--cid-version=1"], "bafkqabtimvwgy3yk"),
    ] {
        let all = [&["add", "-Q", "hello.txt"], args.as_slice()].concat();
        assert_eq!(home.ok(all), cid, "{args:?}");
    }
    for args in [
        vec!["--hash=nope"],
        vec!["--chunker=size-0"],
        vec!["--chunker=size-9999999"],
        vec!["--chunker=nope"],
        vec!["--cid-version=2"],
        vec!["--cid-version=0", "--hash=blake3"],
        vec!["--inline", "--inline-limit=129"],
        vec!["--max-hamt-fanout=7"],
        vec!["--raw-leaves", "--mode=0644"],
        vec!["--mtime-nsecs=5"],
        vec!["--pin=false", "--pin-name=x"],
        vec!["--nocopy"],
    ] {
        let all = [&["add", "hello.txt"], args.as_slice()].concat();
        let error = failed(home.run(&all));
        assert!(error.len() > 20, "{args:?}: {error}");
    }
}

#[test]
fn mode_and_mtime_are_stored() {
    let home = Home::new();
    home.write("f", "hello\n");
    let cid = home.ok(["add", "-wQ", "--mode=0640", "--mtime=1700000000", "f"]);
    let listing = json(&home.ok(["ls", "--enc=json", &cid]));
    let link = &listing["Objects"][0]["Links"][0];
    assert_eq!(link["Mode"], 0o640);
    assert_eq!(link["ModTime"], "2023-11-14T22:13:20Z");
    assert!(home.ok(["ls", "-l", &cid]).starts_with("-rw-r----- "));
}

#[test]
fn hashing_stores_nothing() {
    let home = Home::new();
    home.write("hello.txt", "hello\n");
    let before = home.blocks();
    assert_eq!(home.ok(["add", "-nQ", "hello.txt"]), HELLO);
    assert_eq!(home.blocks(), before);
    let bare = Home::bare();
    bare.write("hello.txt", "hello\n");
    assert_eq!(bare.ok(["add", "-nQ", "hello.txt"]), HELLO);
    assert!(!bare.repo().exists(), "no repo is made for a hash");
}

#[test]
fn pins() {
    let home = Home::new();
    home.write("f", "hello\n");
    home.ok(["add", "--pin=false", "f"]);
    home.fails(["pin", "ls", HELLO]);
    home.ok(["add", "--pin-name=greeting", "f"]);
    assert_eq!(
        home.ok(["pin", "ls", "--names", HELLO]),
        format!("{HELLO} recursive greeting")
    );
}

#[test]
fn the_first_add_makes_the_repo() {
    let home = Home::bare();
    home.write("hello.txt", "hello\n");
    let ran = home.run(["add", "--wrap-with-directory", "hello.txt"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(
        ran.stderr.contains("no repo yet: initialized one"),
        "{}",
        ran.stderr
    );
    assert!(
        ran.text()
            .starts_with(&format!("added {HELLO} hello.txt\n"))
    );
    let again = home.run(["add", "hello.txt"]);
    assert_eq!(again.stderr, "");
    let error = Home::bare().fails(["cat", HELLO]);
    assert!(error.contains("no IPFS repo found"), "{error}");
}

#[test]
fn progress_on_demand() {
    let home = Home::new();
    home.write("big", noise(1, 3 << 20));
    let quiet = home.run(["add", "-q", "big"]);
    assert_eq!(quiet.stderr, "", "no bar without a terminal");
    let forced = home.run(["add", "--progress=true", "big"]);
    assert_eq!(forced.code, 0);
    assert!(forced.stderr.contains("MiB"), "{:?}", forced.stderr);
    let events = ndjson(&home.ok(["add", "--progress=true", "--enc=json", "big"]));
    assert!(
        events
            .iter()
            .any(|event| event["Bytes"].as_u64().is_some_and(|bytes| bytes > 0))
    );
    assert!(events.last().unwrap()["Hash"].is_string());
}
