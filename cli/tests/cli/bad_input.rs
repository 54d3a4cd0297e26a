//! What goes wrong: each a clear error and status 1, nothing lost, nothing half there.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use super::harness::{BINARY, Home, Ran, failed, noise};
use super::read::ABSENT;

/// Runs the binary as a user without special rights, also when the tests run as root.
fn run_unprivileged(home: &Home, args: &[&str]) -> Ran {
    if !rustix::process::geteuid().is_root() {
        return home.run(args);
    }
    // The build directory may be closed to others; a copy beside the test's files is not.
    let binary = home.work("ipfs-kit");
    // A process of its own copies it: while we have it open for writing, a test beside this one may
    // fork, and the system does not run a file that anybody has open so.
    let copied = Command::new("cp")
        .arg(BINARY)
        .arg(&binary)
        .status()
        .unwrap();
    assert!(copied.success());
    for path in [home.work(".."), home.work("."), binary.clone()] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let mut command = Command::new("setpriv");
    home.prepare(&mut command);
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
    command.arg(binary).args(args).output().unwrap().into()
}

/// Lets anyone use everything below `path`.
fn open_to_all(path: &Path) {
    let mode = if path.is_dir() { 0o777 } else { 0o666 };
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    if path.is_dir() {
        fs::read_dir(path)
            .unwrap()
            .for_each(|entry| open_to_all(&entry.unwrap().path()));
    }
}

#[test]
fn an_unreadable_file() {
    let home = Home::new();
    home.write("d/a", "1");
    let secret = home.write("d/secret", "2");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o000)).unwrap();
    open_to_all(&home.repo());
    let pins = home.ok(["pin", "ls", "-t", "recursive"]);
    for args in [
        vec!["add", "d/secret"],
        vec!["add", "-r", "d"],
        vec!["block", "put", "d/secret"],
    ] {
        let error = failed(run_unprivileged(&home, &args));
        assert!(
            error.contains("secret") && error.contains("ermission denied"),
            "{error}"
        );
    }
    assert_eq!(
        home.ok(["pin", "ls", "-t", "recursive"]),
        pins,
        "nothing is pinned half"
    );
    home.assert_sound();
}

#[test]
fn missing_paths() {
    let home = Home::new();
    let blocks = home.blocks();
    home.write("real", "1");
    symlink("nowhere", home.work("dangling")).unwrap();
    for args in [
        vec!["add", "nope"],
        vec!["add", "real", "nope"],
        vec!["add", "real/below"],
        vec!["add", "--dereference-args", "dangling"],
        vec!["add", "-r", "--dereference-symlinks", "."],
        vec!["dag", "import", "nope.car"],
        vec!["block", "put", "nope"],
    ] {
        let error = home.fails(&args);
        assert!(
            error.contains("o such file") || error.contains("ot a directory"),
            "{args:?}: {error}"
        );
    }
    assert_eq!(home.blocks(), blocks);
    home.ok(["add", "dangling"]);
    assert!(
        home.fails(["add", "https://example.com/x"])
            .contains("network")
    );
    assert!(
        home.fails(["dag", "import", "."])
            .contains("does not support directories")
    );
}

#[test]
fn wrong_cids() {
    let home = Home::new();
    for text in [
        "bogus",
        "Qm",
        "/ipfs/",
        "/ipfs",
        "QmZULkCELmmk5XNfCgTnCyFgAVxBRBXyDHGGMVoLFLiXE0",
        "..",
        "/",
    ] {
        for command in [
            vec!["cat"],
            vec!["get"],
            vec!["ls"],
            vec!["refs"],
            vec!["pin", "add"],
            vec!["pin", "rm"],
            vec!["pin", "ls"],
            vec!["block", "get"],
            vec!["block", "rm"],
            vec!["block", "stat"],
            vec!["dag", "get"],
            vec!["dag", "stat"],
            vec!["dag", "export"],
            vec!["dag", "resolve"],
            vec!["resolve"],
            vec!["stat"],
            vec!["exists"],
        ] {
            let error = home.fails([command.as_slice(), &[text]].concat());
            assert!(
                error.contains("nvalid") || error.contains("path"),
                "{command:?} {text}: {error}"
            );
        }
    }
    home.fails(["pin", "update", "bogus", ABSENT]);
}

#[test]
fn broken_cars() {
    let home = Home::new();
    home.write("d/a", noise(1, 300_000));
    let root = home.ok(["add", "-rQ", "d"]);
    let car = home.run(["dag", "export", &root]).stdout;
    let other = Home::new();
    let empty = other.blocks();
    let mut wrong = car.clone();
    *wrong.last_mut().unwrap() ^= 1;
    let cases: [(&str, &[u8]); 6] = [
        ("truncated", &car[..car.len() - 1]),
        ("cut in a frame head", &car[..120]),
        ("cut in the header", &car[..20]),
        ("a block that does not match", &wrong),
        ("not a car", b"hello, this is text\n"),
        ("empty", b""),
    ];
    for (what, bytes) in cases {
        let error = failed(other.run_with(["dag", "import"], bytes));
        assert!(error.len() > 15, "{what}: {error}");
        other.fails(["pin", "ls", "-t", "recursive", &root]);
        let file = other.write("x.car", bytes);
        failed(other.run(["dag", "import", file.to_str().unwrap()]));
    }
    other.assert_sound();
    other.ok(["repo", "gc"]);
    assert_eq!(other.blocks(), empty, "what came of broken cars is garbage");
    // One broken file among good ones pins nothing.
    let good = other.write("good.car", &car);
    let bad = other.write("bad.car", &wrong);
    other.fails([
        "dag",
        "import",
        good.to_str().unwrap(),
        bad.to_str().unwrap(),
    ]);
    other.fails(["pin", "ls", "-t", "recursive", &root]);
    other.ok(["dag", "import", good.to_str().unwrap()]);
    other.assert_sound();
}

#[test]
fn a_locked_repo() {
    let home = Home::alone();
    let mut holder = home.command(["add"]);
    holder
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null());
    let mut holder = holder.spawn().unwrap();
    std::thread::sleep(std::time::Duration::from_millis(500));
    let error = home.fails(["cat", ABSENT]);
    assert!(error.contains("someone else has the lock"), "{error}");
    drop(holder.stdin.take());
    assert!(holder.wait().unwrap().success());
    home.assert_sound();
}

#[test]
fn a_kubo_repo() {
    let home = Home::bare();
    let repo = home.repo();
    fs::create_dir_all(repo.join("blocks")).unwrap();
    fs::create_dir(repo.join("datastore")).unwrap();
    fs::write(repo.join("version"), "18\n").unwrap();
    fs::write(repo.join("datastore_spec"), "{}").unwrap();
    fs::write(
        repo.join("config"),
        r#"{"Datastore":{"StorageMax":"10GB"}}"#,
    )
    .unwrap();
    home.write("f", "1");
    for args in [
        vec!["init"],
        vec!["add", "f"],
        vec!["cat", ABSENT],
        vec!["repo", "gc"],
        vec!["config", "Datastore.StorageMax", "1GB"],
        vec!["config", "show"],
    ] {
        let error = home.fails(&args);
        assert!(error.contains("Kubo"), "{args:?}: {error}");
    }
    assert_eq!(fs::read_dir(&repo).unwrap().count(), 5, "nothing was added");
    assert_eq!(
        fs::read(repo.join("config")).unwrap(),
        br#"{"Datastore":{"StorageMax":"10GB"}}"#
    );
}

#[test]
fn a_newer_or_damaged_repo() {
    let home = Home::alone();
    for text in ["ipfs-kit/99\n", "", "??\n"] {
        fs::write(home.repo().join("version"), text).unwrap();
        let error = home.fails(["repo", "stat"]);
        assert!(error.contains("version"), "{error}");
    }
    fs::write(home.repo().join("version"), "ipfs-kit/1\n").unwrap();
    home.ok(["repo", "stat"]);
    fs::write(home.repo().join("config"), "{").unwrap();
    assert!(home.fails(["repo", "stat"]).contains("config"));
}

#[test]
fn a_file_where_the_repo_should_be() {
    let home = Home::bare();
    fs::write(home.repo(), "I am a file").unwrap();
    home.write("f", "1");
    for args in [vec!["init"], vec!["add", "f"], vec!["cat", ABSENT]] {
        home.fails(&args);
    }
    assert_eq!(fs::read(home.repo()).unwrap(), b"I am a file");
}

#[test]
fn a_repo_that_may_not_be_written() {
    let home = Home::alone();
    home.write("f", "1");
    let kept = home.ok(["add", "-Q", "f"]);
    fn close(path: &Path, directories: u32, files: u32) {
        if path.is_dir() {
            for entry in fs::read_dir(path).unwrap() {
                close(&entry.unwrap().path(), directories, files);
            }
        }
        let mode = if path.is_dir() { directories } else { files };
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
    home.write("new", noise(3, 1000));
    close(&home.repo(), 0o555, 0o444);
    for args in [
        vec!["add", "new"],
        vec!["repo", "gc"],
        vec!["pin", "rm", &kept],
    ] {
        let error = failed(run_unprivileged(&home, &args));
        assert!(
            error.contains(home.repo().to_str().unwrap()),
            "{args:?}: {error}"
        );
    }
    close(&home.repo(), 0o755, 0o644);
    assert_eq!(home.ok(["cat", &kept]), "1");
    home.assert_sound();
}

#[test]
fn names_that_climb() {
    let home = Home::new();
    let leaf = home.add("climbed");
    let node = |name: &str| {
        let link = format!(r#"{{"Hash":{{"/":"{leaf}"}},"Name":"{name}","Tsize":15}}"#);
        let text = format!(r#"{{"Data":{{"/":{{"bytes":"CAE"}}}},"Links":[{link}]}}"#);
        home.ok_with(["dag", "put", "--store-codec=dag-pb"], text)
    };
    for name in [
        "../x",
        "..",
        ".",
        "/etc/x",
        "a/../../x",
        "a\\u0000b",
        "",
        "./x",
    ] {
        let root = node(name);
        let target = home.work("safe/target");
        fs::create_dir_all(home.work("safe")).unwrap();
        let before = names(&home.work("safe"));
        let ran = home.run(["get", &root, "-o", target.to_str().unwrap()]);
        let _ = fs::remove_dir_all(&target);
        let _ = fs::remove_file(&target);
        assert_eq!(
            names(&home.work("safe")),
            before,
            "{name}: nothing outside the target"
        );
        assert!(!Path::new("/etc/x").exists() && !home.work("x").exists());
        failed(ran);
        let archive = home.run(["get", "-a", "-o", "-", &root]);
        assert_eq!(archive.code, 1, "{name}");
        // Listing shows the name and does no harm.
        home.run(["ls", &root]);
    }
}

fn names(path: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(path)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}
