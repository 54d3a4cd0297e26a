//! `cat`, `get`, `ls`, `refs`, `resolve`, `stat`, `exists`.

use std::fs;
use std::os::unix::fs::symlink;

use super::harness::{Home, json, ndjson, noise};

const DIR: &str = "QmcvMqREE6ubcCExQXsDgcLELbx1vKBD4wGJqqFEkHg9oP";
const SUB: &str = "QmQW3ZkwuTfVxYTypAdW2RkdTcxTvttSgMzXbTPVgQ83gB";
const FILE_A: &str = "Qmbvkmk9LFsGneteXk3G7YLqtLVME566ho6ibaQZZVHaC9";
const FILE_B: &str = "QmR9pC5uCF3UExca8RSrCVL8eKv7nHMpATzbEQkAHpXmVM";
const LINK: &str = "QmS9U51FvTAqDDVLJ5okMzeLjsEeg8JEG1rPmSq2oPahF6";
const EMPTY: &str = "QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn";
/// A well-formed CID of nothing we have.
pub const ABSENT: &str = "QmZULkCELmmk5XNfCgTnCyFgAVxBRBXyDHGGMVoLFLiXEZ";

fn home() -> Home {
    let home = Home::new();
    home.write("d/a.txt", "a\n");
    home.write("d/sub/b.txt", "b\n");
    fs::create_dir(home.work("d/sub/empty")).unwrap();
    symlink("a.txt", home.work("d/link")).unwrap();
    assert_eq!(home.ok(["add", "-rQ", "d"]), DIR);
    home
}

fn path(rest: &str) -> String {
    format!("{DIR}/{rest}")
}

/// A name that nobody has published under.
const UNPUBLISHED: &str = "k51qzi5uqu5djg2273h10k9xcy5n43xjj7zlndhsnalg3gwvab8g50iegjia32";

/// An archive of files without a stored time has that of its making in every head, and so in its checksum.
fn without_times(mut tar: Vec<u8>) -> Vec<u8> {
    for block in tar.chunks_mut(512) {
        if block.get(257..262) == Some(b"ustar") {
            block[136..156].fill(0);
        }
    }
    tar
}

#[test]
fn cat() {
    let home = home();
    assert_eq!(home.run(["cat", FILE_A]).stdout, b"a\n");
    for form in ["", "/ipfs/", "ipfs://", "ipfs:"] {
        assert_eq!(
            home.run(["cat", &format!("{form}{DIR}/sub/b.txt")]).stdout,
            b"b\n"
        );
    }
    assert_eq!(
        home.run(["cat", &path("a.txt"), &path("sub/b.txt")]).stdout,
        b"a\nb\n"
    );
    assert_eq!(
        home.run_with(["cat"], format!("{FILE_A}\n{FILE_B}\n"))
            .stdout,
        b"a\nb\n"
    );
    assert_eq!(home.run(["cat", &path("link")]).stdout, b"a.txt");
    for (wrong, message) in [
        (DIR.to_owned(), "this dag node is a directory"),
        (path("nope"), "no link named \"nope\" under "),
        (path("a.txt/x"), "Error"),
        ("bogus".to_owned(), "invalid path \"bogus\""),
        ("/ipfs/bogus".to_owned(), "invalid path \"/ipfs/bogus\""),
        (format!("/ipns/{UNPUBLISHED}"), "offline"),
        (format!("ipns://{UNPUBLISHED}/a"), "offline"),
        (ABSENT.to_owned(), "ipld: could not find"),
        (String::new(), "invalid path"),
    ] {
        let error = home.fails(["cat", &wrong]);
        assert!(error.contains(message), "{wrong}: {error}");
    }
}

#[test]
fn cat_ranges() {
    let home = Home::new();
    let data = noise(2, 700_000);
    let big = home.add(&data);
    let small = home.add("0123456789");
    let cat = |args: &[&str]| {
        let ran = home.run([&["cat"], args].concat());
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        ran.stdout
    };
    assert!(cat(&[&big]) == data);
    assert!(cat(&["-o", "262143", "-l", "2", &big]) == data[262_143..262_145]);
    assert!(cat(&["-o", "699999", &big]) == data[699_999..]);
    assert!(cat(&["-o", "700000", &big]).is_empty());
    assert!(cat(&["-o", "9000000", &big]).is_empty());
    assert!(cat(&["-l", "0", &big]).is_empty());
    assert_eq!(cat(&["-o", "12", "-l", "5", &small, &small]), b"23456");
    assert_eq!(cat(&["-l", "12", &small, &small]), b"012345678901");
    assert!(
        home.fails(["cat", "-o", "-1", &big])
            .contains("cannot specify negative offset")
    );
    assert!(
        home.fails(["cat", "-l", "-1", &big])
            .contains("cannot specify negative length")
    );
}

#[test]
fn get() {
    let home = home();
    assert_eq!(home.ok(["get", DIR]), format!("Saving file(s) to {DIR}"));
    assert_eq!(
        fs::read(home.work(format!("{DIR}/sub/b.txt"))).unwrap(),
        b"b\n"
    );
    assert_eq!(
        fs::read_link(home.work(format!("{DIR}/link")))
            .unwrap()
            .to_str(),
        Some("a.txt")
    );
    assert!(home.work(format!("{DIR}/sub/empty")).is_dir());
    assert_eq!(
        home.ok(["-q", "get", &path("a.txt"), "--output", "new"]),
        ""
    );
    assert_eq!(fs::read(home.work("new")).unwrap(), b"a\n");
    home.ok(["get", &path("sub/b.txt")]);
    assert_eq!(fs::read(home.work("b.txt")).unwrap(), b"b\n");
    home.fails(["get", &path("nope")]);
    home.fails(["get", &path("a.txt"), "-o", "no/such/dir"]);
    home.fails(["get", DIR, "-o", "new"]);
    assert_eq!(
        fs::read(home.work("new")).unwrap(),
        b"a\n",
        "a refused target stays as it was"
    );
}

#[test]
fn get_archives() {
    let home = home();
    assert_eq!(
        home.ok(["get", "-a", DIR]),
        format!("Saving archive to {DIR}.tar")
    );
    assert_eq!(
        home.ok(["get", "-aC", DIR]),
        format!("Saving archive to {DIR}.tar.gz")
    );
    home.ok(["get", "-C", "-l", "9", &path("a.txt"), "-o", "a"]);
    assert!(
        home.fails(["get", "-C", DIR])
            .contains("file is not regular")
    );
    assert!(
        home.fails(["get", "-C", "-l", "0", DIR])
            .contains("between 1 and 9")
    );
    for (archive, flags) in [
        (format!("{DIR}.tar"), "-xf"),
        (format!("{DIR}.tar.gz"), "-xzf"),
    ] {
        let to = home.work("untar");
        fs::create_dir_all(&to).unwrap();
        let mut tar = std::process::Command::new("tar");
        home.prepare(&mut tar);
        assert!(
            tar.args([flags, &archive, "-C", "untar"])
                .status()
                .unwrap()
                .success()
        );
        assert_eq!(fs::read(to.join(DIR).join("sub/b.txt")).unwrap(), b"b\n");
        fs::remove_dir_all(to).unwrap();
    }
    let mut gunzip = std::process::Command::new("gunzip");
    home.prepare(&mut gunzip);
    assert_eq!(gunzip.args(["-c", "a.gz"]).output().unwrap().stdout, b"a\n");
    let piped = home.run(["get", "-a", "-o", "-", DIR]).stdout;
    let stored = fs::read(home.work(format!("{DIR}.tar"))).unwrap();
    assert_eq!(without_times(piped), without_times(stored));
}

#[test]
fn ls() {
    let home = home();
    let text = format!("{FILE_A} 2 a.txt\n{LINK} 5 link\n{SUB} - sub/");
    assert_eq!(home.ok(["ls", DIR]), text);
    assert_eq!(
        home.ok(["ls", "-v", DIR]),
        format!(
            "{:46} Size Name\n{}",
            "Hash",
            text.replace(" 2 ", " 2    ")
                .replace(" 5 ", " 5    ")
                .replace(" - ", " -    ")
        )
    );
    assert_eq!(
        home.ok(["ls", "--size=false", &path("sub")]),
        format!("{FILE_B} b.txt\n{EMPTY} empty/")
    );
    assert_eq!(
        home.ok(["ls", "-l", &path("sub")]),
        format!("- {FILE_B} 2 - b.txt\n- {EMPTY} - - empty/")
    );
    assert_eq!(
        home.ok(["ls", "-s", &path("sub")]),
        format!("{FILE_B} 2         b.txt\n{EMPTY} -         empty/")
    );
    assert_eq!(
        home.ok(["ls", &path("sub"), &path("sub/empty")]),
        format!("{DIR}/sub:\n{FILE_B} 2 b.txt\n{EMPTY} - empty/\n\n{DIR}/sub/empty:")
    );
    assert_eq!(home.ok(["ls", &path("a.txt")]), "");
    assert_eq!(
        home.ok(["ls", "--enc=json", &path("sub")]),
        format!(
            r#"{{"Objects":[{{"Hash":"{DIR}/sub","Links":[{{"Name":"b.txt","Hash":"{FILE_B}","Size":2,"Type":2,"Target":"","Mode":0,"ModTime":"0001-01-01T00:00:00Z"}},{{"Name":"empty","Hash":"{EMPTY}","Size":0,"Type":1,"Target":"","Mode":0,"ModTime":"0001-01-01T00:00:00Z"}}]}}]}}"#
        )
    );
    let streamed = ndjson(&home.ok(["ls", "-s", "--enc=json", DIR]));
    assert_eq!(streamed.len(), 3);
    assert_eq!(streamed[1]["Objects"][0]["Links"][0]["Target"], "a.txt");
    home.fails(["ls", "QmWrong"]);
    home.fails(["ls", ABSENT]);
}

#[test]
fn refs() {
    let home = home();
    assert_eq!(home.ok(["refs", DIR]), format!("{FILE_A}\n{LINK}\n{SUB}"));
    assert_eq!(
        home.ok(["refs", "-r", "-e", &path("sub")]),
        format!("{SUB} -> {FILE_B}\n{SUB} -> {EMPTY}")
    );
    assert_eq!(
        home.ok(["refs", "--format=<linkname>", DIR]),
        "a.txt\nlink\nsub"
    );
    assert_eq!(
        home.ok(["refs", "-r", "--max-depth=1", DIR])
            .lines()
            .count(),
        3
    );
    assert_eq!(home.ok(["refs", "-ru", DIR, DIR]).lines().count(), 5);
    let lines = ndjson(&home.ok(["refs", "--enc=json", &path("sub")]));
    assert_eq!(lines[0], json(&format!(r#"{{"Ref":"{FILE_B}","Err":""}}"#)));
    let lines = ndjson(&home.ok(["refs", "--format", "json", &path("sub")]));
    assert_eq!(lines[0]["Ref"], FILE_B);
    assert!(
        home.fails(["refs", ABSENT])
            .contains("ipld: could not find")
    );
    home.ok(["pin", "rm", DIR]);
    home.ok(["block", "rm", FILE_B]);
    let ran = home.run(["refs", "-r", "--enc=json", DIR]);
    let failed = |line: &serde_json::Value| line["Err"].as_str().unwrap().contains(FILE_B);
    assert!(ndjson(&ran.text()).iter().any(failed), "{}", ran.text());
    assert!(home.fails(["refs", "-r", DIR]).contains(FILE_B));
    home.fails(["refs", "-e", "--format=<src>", DIR]);
    let local = home.ok(["refs", "local"]);
    assert_eq!(local.lines().count() as u64, home.blocks());
    assert!(local.lines().all(|line| line.starts_with("bafkrei")));
}

#[test]
fn resolve() {
    let home = home();
    assert_eq!(
        home.ok(["resolve", &path("sub/b.txt")]),
        format!("/ipfs/{FILE_B}")
    );
    let v1 = home.ok(["cid", "base32", DIR]);
    let b_v1 = home.ok(["cid", "base32", FILE_B]);
    assert_eq!(
        home.ok(["resolve", &format!("/ipfs/{v1}/sub/b.txt")]),
        format!("/ipfs/{b_v1}")
    );
    assert_eq!(
        home.ok(["resolve", "--enc=json", &path("sub")]),
        format!(r#"{{"Path":"/ipfs/{SUB}"}}"#)
    );
    assert!(
        home.fails(["resolve", &path("nope")])
            .contains("no link named \"nope\"")
    );
    assert!(
        home.fails(["resolve", &format!("/ipns/{UNPUBLISHED}")])
            .contains("offline")
    );
}

#[test]
fn stat_and_exists() {
    let home = home();
    let text = home.ok(["stat", DIR]);
    assert!(
        text.starts_with(&format!("{DIR}\nSize: 0\nCumulativeSize: ")),
        "{text}"
    );
    assert!(text.contains("ChildBlocks: 3\nType: directory"));
    let stat = json(&home.ok(["--format", "json", "stat", &path("a.txt")]));
    assert_eq!((&stat["Size"], &stat["Type"]), (&2.into(), &"file".into()));
    home.fails(["stat", ABSENT]);

    assert_eq!(home.ok(["exists", DIR]), "true");
    let ran = home.run(["exists", ABSENT]);
    assert_eq!(
        (ran.code, ran.text().as_str(), ran.stderr.as_str()),
        (1, "false\n", "")
    );
    home.fails(["exists", "bogus"]);
}
