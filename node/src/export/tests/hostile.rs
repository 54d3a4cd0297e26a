//! DAGs made to write outside the target (CVE-2020-26279 and its kin).

use super::*;

/// A place where anything outside the target would be noticed.
struct Yard {
    dir: TempDir,
    before: BTreeMap<PathBuf, String>,
}

impl Yard {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let outer = dir.path().join("outer");
        fs::create_dir_all(outer.join("victims/sub")).unwrap();
        for name in ["victim", "x", "victims/x", "victims/sub/x"] {
            fs::write(outer.join(name), "untouched").unwrap();
        }
        fs::create_dir(outer.join("target")).unwrap();
        let before = Self::outside(&dir);
        Self { dir, before }
    }

    fn target(&self) -> PathBuf {
        self.dir.path().join("outer/target")
    }

    fn outside(dir: &TempDir) -> BTreeMap<PathBuf, String> {
        let mut found = snapshot(dir.path());
        found.retain(|path, _| !path.starts_with("outer/target"));
        found
    }

    /// Nothing outside has changed, and nothing half-written is left inside. Then cleans up.
    fn check(&self, case: &str) {
        assert_eq!(Self::outside(&self.dir), self.before, "{case}");
        for path in paths(&self.target()) {
            let name = path.rsplit('/').next().unwrap();
            let temporary = name.starts_with('.') && name.len() > 33;
            assert!(!temporary || name.len() >= 255, "{case} left {path}");
        }
        fs::remove_dir_all(self.target()).unwrap();
        fs::create_dir(self.target()).unwrap();
    }
}

/// Names from parts that mean something to a file system somewhere.
fn hostile_names(yard: &Yard) -> Vec<Vec<u8>> {
    let absolute = yard.dir.path().join("outer/x");
    let mut names: Vec<Vec<u8>> = [
        "",
        ".",
        "..",
        "...",
        "....",
        "/",
        "//",
        "~",
        "-rf",
        "*",
        "$HOME",
        "a\0b",
        "\0",
        "..\0",
        "\n",
        "\r",
        "\u{1b}[2J",
        "\u{202e}txt",
        "\u{9b}31m",
        "CON",
        "NUL",
        "aux.txt",
        "C:",
        "C:x",
        "\u{ff0e}\u{ff0e}",
        "\u{2215}etc",
        "..;",
        ".. ",
        " ..",
        "..\u{200b}",
        "%2e%2e%2fx",
        "..%2f..%2fx",
        "\u{e9}",
        "a:b",
        "x\u{301}",
        "victim",
        "x",
        "target",
    ]
    .map(|name| name.as_bytes().to_vec())
    .into();
    names.push(absolute.as_os_str().as_bytes().to_vec());
    names.push(vec![b'n'; 255]);
    names.push(vec![b'n'; 256]);
    names.push(vec![b'n'; 5000]);
    names.push(b"\xff\xfe".to_vec());
    names.push(b"\xc0\xaf..\xc0\xaf".to_vec());
    for separator in ["/", "\\", "//", "/./", "\\\\"] {
        for parts in [
            &["..", "x"][..],
            &["..", "..", "x"],
            &["a", "..", "..", "x"],
            &["a", "b"],
            &["a", ""],
            &["", "x"],
            &[".", "x"],
            &["..", "victims", "x"],
            &["a", "..", "..", "..", "..", "..", "tmp", "x"],
        ] {
            names.push(parts.join(separator).into_bytes());
        }
    }
    names
}

/// DAGs in which `name` plays each part it could play.
fn dags(dag: &mut Dag, name: &[u8]) -> Vec<(&'static str, Cid)> {
    let file = dag.raw(b"written by the DAG");
    let inner = dag.directory(&[(b"x", &file), (b"sub", &file)]);
    let up = dag.symlink(b"..");
    let to_victim = dag.symlink(b"../victim");
    let to_victims = dag.symlink(b"../victims");
    let absolute = dag.symlink(b"/tmp");
    let middle = dag.directory(&[(name, &inner)]);
    vec![
        ("file", dag.directory(&[(name, &file)])),
        (
            "file after a good one",
            dag.directory(&[(b"good", &file), (name, &file)]),
        ),
        ("directory", middle.clone()),
        ("nested", dag.directory(&[(b"a", &middle)])),
        ("symlink", dag.directory(&[(name, &to_victim)])),
        (
            "symlink then file",
            dag.directory(&[(name, &to_victim), (name, &file)]),
        ),
        (
            "symlink then directory",
            dag.directory(&[(name, &to_victims), (name, &inner)]),
        ),
        (
            "directory then symlink",
            dag.directory(&[(name, &inner), (name, &to_victims)]),
        ),
        ("twice", dag.directory(&[(name, &file), (name, &file)])),
        (
            "through a link up",
            dag.directory(&[(b"a", &up), (name, &file)]),
        ),
        (
            "through an absolute link",
            dag.directory(&[(b"a", &absolute), (name, &inner)]),
        ),
    ]
}

#[test]
fn hostile_names_write_nothing_outside_the_target() {
    let yard = Yard::new();
    let mut cases = 0;
    for name in hostile_names(&yard) {
        let mut dag = Dag::default();
        for (what, root) in dags(&mut dag, &name) {
            let case = format!("{what} {:?}", String::from_utf8_lossy(&name));
            let written = dag.export(&root, &yard.target());
            let plain = NameRules::native().check(&name).is_ok();
            let twice = ["then", "twice"].iter().any(|word| what.contains(word));
            assert_eq!(written.is_ok(), plain && !twice, "{case}: {written:?}");
            yard.check(&case);
            cases += 1;
        }
        // As the name of a single file in the target.
        let file = dag.raw(b"written by the DAG");
        let _ = dag.export_as(&file, &name, &yard.target());
        yard.check("single file");
        let link = dag.symlink(b"../victim");
        let _ = dag.export_as(&link, &name, &yard.target());
        yard.check("single link");
        cases += 2;
    }
    assert!(cases > 1000, "{cases}");
}

/// Two exports into one target: the first plants links, the second writes where they stand.
#[test]
fn links_planted_by_an_earlier_export_are_not_followed() {
    let yard = Yard::new();
    for target in [
        "../victims",
        "..",
        "/tmp",
        "../victim",
        ".",
        "loop",
        "../../outer/victims",
    ] {
        let mut dag = Dag::default();
        let link = dag.symlink(target.as_bytes());
        let planted = dag.directory(&[(b"d", &link), (b"f", &link), (b"loop", &link)]);
        let file = dag.raw(b"written by the DAG");
        let inner = dag.directory(&[(b"x", &file), (b"sub", &file)]);
        let files = dag.directory(&[(b"f", &file)]);
        let directories = dag.directory(&[(b"d", &inner)]);

        dag.export(&planted, &yard.target()).unwrap();
        // The link is replaced, not what it points to.
        dag.export(&files, &yard.target()).unwrap();
        assert!(
            fs::symlink_metadata(yard.target().join("f"))
                .unwrap()
                .is_file()
        );
        let error = dag.export(&directories, &yard.target()).unwrap_err();
        assert!(
            matches!(error, ExportError::SymlinkInTheWay { .. }),
            "{target}: {error}"
        );
        yard.check(target);
    }
}

/// Another process that swaps a directory for a link while the export writes below it.
#[test]
fn a_race_with_links_writes_nothing_outside_the_target() {
    let yard = Yard::new();
    let mut dag = Dag::default();
    let file = dag.raw(b"written by the DAG");
    let leaf = dag.directory(&[(b"a", &file), (b"b", &file), (b"c", &file)]);
    let middle = dag.directory(&[(b"d", &leaf), (b"e", &leaf), (b"f", &file)]);
    let root = dag.directory(&[(b"d", &middle), (b"e", &middle)]);
    let (target, done) = (yard.target(), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                for name in ["d", "e"] {
                    let (path, aside) = (target.join(name), target.join("aside"));
                    let _ = fs::rename(&path, &aside);
                    let _ = symlink("../victims", &path);
                    let _ = fs::remove_file(&path);
                    let _ = fs::remove_dir_all(&aside);
                }
            }
        });
        for _ in 0..500 {
            // Whether it succeeds depends on the race; where it writes must not.
            let _ = dag.export(&root, &target);
        }
        done.store(true, Ordering::Relaxed);
    });
    assert_eq!(Yard::outside(&yard.dir), yard.before);
}

/// The way for systems without `openat2` keeps the same promises.
#[test]
fn opening_step_by_step_follows_no_link() {
    let yard = Yard::new();
    let target = yard.target();
    fs::create_dir_all(target.join("a/b")).unwrap();
    symlink("a", target.join("link")).unwrap();
    symlink("../victims", target.join("out")).unwrap();
    fs::write(target.join("file"), "").unwrap();
    let top = Directory::create_all(&target).unwrap();
    for stepwise in [false, true] {
        let open = |path: &str| top.open_with(path.as_bytes(), stepwise);
        for path in ["a", "a/b"] {
            assert!(open(path).is_ok(), "{path}");
        }
        for path in [
            "link", "link/b", "out", "out/sub", "..", "a/../..", "/", "/tmp", "file", "no",
        ] {
            assert!(open(path).is_err(), "{path}");
        }
    }
    assert!(matches!(
        Directory::create_all(&target.join("out")),
        Err(ExportError::SymlinkInTheWay { .. })
    ));
}
