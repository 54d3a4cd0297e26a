//! `block` and `dag`.

use std::fs;

use super::harness::{Home, failed, json, ndjson, noise};
use super::read::ABSENT;

#[test]
fn block() {
    let home = Home::new();
    let zz = "bafkreig4lzxxzkzdlxklb44iemqn4hj4befcvmqc7qsrjoddi2sgqgyaaa";
    assert_eq!(home.ok_with(["block", "put"], "zz\n"), zz);
    assert_eq!(
        home.ok_with(["block", "put", "--enc=json"], "zz\n"),
        format!(r#"{{"Key":"{zz}","Size":3}}"#)
    );
    for (args, cid) in [
        (
            vec!["--format=v0"],
            "QmdAsvSnuT4K1965EgtMFvEsPQRr1v6134e194ncmfuZQB",
        ),
        (
            vec!["--cid-codec=dag-pb"],
            "bafybeig4lzxxzkzdlxklb44iemqn4hj4befcvmqc7qsrjoddi2sgqgyaaa",
        ),
        (
            vec!["--mhlen=21"],
            "bafkrefo4lzxxzkzdlxklb44iemqn4hj4befcvmqc",
        ),
    ] {
        assert_eq!(
            home.ok_with([&["block", "put"], args.as_slice()].concat(), "zz\n"),
            cid
        );
    }
    assert_eq!(home.run(["block", "get", zz]).stdout, b"zz\n");
    assert_eq!(
        home.ok(["block", "stat", zz]),
        format!("Key: {zz}\nSize: 3")
    );
    assert_eq!(
        home.ok(["block", "stat", "--enc=xml", zz]),
        format!("<BlockStat><Key>{zz}</Key><Size>3</Size></BlockStat>")
    );
    assert_eq!(home.ok(["block", "rm", zz]), format!("removed {zz}"));
    let error = home.fails(["block", "rm", zz]);
    assert!(error.contains(&format!("cannot remove {zz}: ")), "{error}");
    assert!(error.ends_with("Error: some blocks not removed\n"));
    assert_eq!(home.ok(["block", "rm", "-f", zz]), format!("removed {zz}"));
    assert_eq!(home.ok(["block", "rm", "-fq", zz]), "");
    assert!(
        home.fails(["block", "get", zz])
            .contains("ipld: could not find")
    );
}

#[test]
fn wrong_blocks() {
    let home = Home::new();
    for args in [
        vec!["--format=bogus"],
        vec!["--mhtype=bogus"],
        vec!["--cid-codec=bogus"],
        vec!["--mhlen=5"],
        vec!["--mhlen=33"],
        vec!["--format=v0", "--cid-codec=dag-cbor"],
    ] {
        failed(home.run_with([&["block", "put"], args.as_slice()].concat(), "zz"));
    }
    let big = noise(3, (2 << 20) + 1);
    let error = failed(home.run_with(["block", "put"], &big));
    assert!(error.contains("over 2MiB"), "{error}");
    let before = home.blocks();
    home.ok_with(["block", "put", "--allow-big-block"], &big);
    assert_eq!(home.blocks(), before + 1);
    for args in [
        ["block", "get", "bogus"],
        ["block", "stat", ABSENT],
        ["block", "put", "missing"],
    ] {
        home.fails(args);
    }
}

#[test]
fn a_pinned_block_is_not_removed() {
    let home = Home::new();
    let cid = home.add("kept");
    let error = home.fails(["block", "rm", &cid]);
    assert!(error.contains("pinned: recursive"), "{error}");
    let removed = home.run(["block", "rm", "--enc=json", &cid]);
    assert_eq!(removed.code, 1);
    assert!(
        json(removed.text().trim())["Error"]
            .as_str()
            .unwrap()
            .contains("pinned")
    );
    assert_eq!(home.run(["cat", &cid]).stdout, b"kept");
}

#[test]
fn dag() {
    let home = Home::new();
    let dir = "QmcvMqREE6ubcCExQXsDgcLELbx1vKBD4wGJqqFEkHg9oP";
    let node = format!(r#"{{"a":1, "b":{{"/":"{dir}"}}, "c":{{"d":[10,20]}}}}"#);
    let cid = home.ok_with(["dag", "put"], &node);
    assert_eq!(
        home.ok_with(["dag", "put"], format!(r#"{{"a":1, "b":{{"/":"{dir}"}}}}"#)),
        "bafyreicxts5gysghwe66zs2xzfoazw5rzydsksaid6tv6h6coji4xmei5i"
    );
    assert_eq!(
        home.ok_with(["dag", "put", "--enc=json"], &node),
        format!(r#"{{"Cid":{{"/":"{cid}"}}}}"#)
    );
    assert_eq!(home.ok(["dag", "get", &cid]), node.replace(", ", ","));
    assert_eq!(home.ok(["dag", "get", &format!("{cid}/c/d/1")]), "20");
    assert_eq!(
        home.ok(["dag", "resolve", &format!("{cid}/c/d")]),
        format!("{cid}/c/d")
    );
    assert_eq!(
        home.ok(["dag", "resolve", "--enc=json", &format!("{cid}/c/d")]),
        format!(r#"{{"Cid":{{"/":"{cid}"}},"RemPath":"/c/d"}}"#)
    );
    for (args, input) in [
        (vec!["dag", "put"], r#"{"a":1"#),
        (vec!["dag", "put"], ""),
        (vec!["dag", "put", "--store-codec=dag-pb"], "[1]"),
        (vec!["dag", "put", "--store-codec=raw"], "[1]"),
        (vec!["dag", "put", "--store-codec=bogus"], "[1]"),
        (vec!["dag", "put", "--input-codec=bogus"], "[1]"),
        (vec!["dag", "put", "--hash=bogus"], "[1]"),
    ] {
        failed(home.run_with(&args, input));
    }
    home.fails(["dag", "get", &format!("{cid}/nope")]);
    home.fails(["dag", "get", "--output-codec=bogus", &cid]);
}

#[test]
fn dag_stat() {
    let home = Home::new();
    home.write("d/a", noise(5, 300_000));
    home.write("d/b", noise(5, 300_000));
    let root = home.ok(["add", "-rQ", "d"]);
    let text = home.ok(["dag", "stat", &root]);
    assert!(text.contains("Summary\nTotal Size: "), "{text}");
    let one = json(&home.ok(["dag", "stat", "--enc=json", &root]));
    assert_eq!(one["UniqueBlocks"], 4);
    assert_eq!((&one["Ratio"], one.get("SharedSize")), (&1.into(), None));
    let two = json(&home.ok(["dag", "stat", "--enc=json", &root, &format!("{root}/a")]));
    assert_eq!(two["UniqueBlocks"], 4);
    assert_eq!(two["SharedSize"], two["DagStats"][1]["Size"]);
    home.fails(["dag", "stat", ABSENT]);
}

#[test]
fn car_out_and_in() {
    let home = Home::new();
    home.write("d/a", noise(6, 600_000));
    home.write("d/b", "b");
    let root = home.ok(["add", "-rQ", "d"]);
    let car = home.run(["dag", "export", &root]);
    assert_eq!(car.code, 0, "{}", car.stderr);
    let other = Home::new();
    let file = other.write("d.car", &car.stdout);
    let file = file.to_str().unwrap();
    assert_eq!(
        other.ok(["dag", "import", file]),
        format!("Pinned root\t{root}\tsuccess")
    );
    assert_eq!(other.ok(["pin", "ls", &root]), format!("{root} recursive"));
    let lines = ndjson(&other.ok(["dag", "import", "--stats", "--enc=json", file]));
    assert_eq!(lines[0]["Root"]["Cid"]["/"], root);
    assert_eq!(lines[0]["Root"]["PinErrorMsg"], "");
    let stat = json(&home.ok(["dag", "stat", "--enc=json", &root]));
    assert_eq!(lines[1]["Stats"]["BlockCount"], stat["UniqueBlocks"]);
    assert_eq!(lines[1]["Stats"]["BlockBytesCount"], stat["TotalSize"]);
    assert_eq!(
        other.ok_with(["dag", "import", "--silent"], &car.stdout),
        ""
    );
    assert_eq!(
        other.ok_with(["dag", "import", "--pin-roots=false"], &car.stdout),
        ""
    );
    assert!(other.run(["dag", "export", &root]).stdout == car.stdout);
    let error = other.fails(["dag", "export", ABSENT]);
    assert!(error.contains("offline"), "{error}");
    other.assert_sound();
}

#[test]
fn partial_cars() {
    let home = Home::new();
    home.write("d/a", "a");
    home.write("d/b", "b");
    let root = home.ok(["add", "-rQ", "--pin=false", "d"]);
    let child = home.ok(["resolve", &format!("{root}/a")]);
    home.ok(["block", "rm", &child]);
    home.fails(["dag", "export", &root]);
    let partial = home.run(["dag", "export", "--local-only", &root]);
    assert_eq!(partial.code, 0, "{}", partial.stderr);
    let other = Home::new();
    let error = failed(other.run_with(["dag", "import"], &partial.stdout));
    assert!(
        error.contains("pinning root") && error.contains("FAILED"),
        "{error}"
    );
    other.ok_with(["dag", "import", "--local-only"], &partial.stdout);
    assert_eq!(other.ok(["cat", &format!("{root}/b")]), "b");
    other.fails(["dag", "import", "--local-only", "--pin-roots=true", "x"]);
    home.fails(["dag", "export", "--local-only", "--offline=false", &root]);
}

#[test]
fn an_export_to_nobody_ends() {
    let home = Home::new();
    let root = home.add(noise(7, 4 << 20));
    let mut sh = std::process::Command::new("sh");
    home.prepare(&mut sh);
    let script = format!(
        "{} dag export {root} | head -c 10 > out",
        super::harness::BINARY
    );
    let output = sh.args(["-c", &script]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert_eq!(fs::read(home.work("out")).unwrap().len(), 10);
    home.assert_sound();
}
