//! A repo that Kubo 0.43 wrote, with tables and with a journal of a killed daemon, whole and broken in many ways.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use super::leveldb::LevelDb;
use super::*;
use crate::names::PublishOptions;
use crate::pins::{PinFilter, PinKind, PinList};
use crate::repo::{self, InitOptions};

mod broken;
mod records;
mod versions;

/// A recursive pin of a tree, by name "a tree".
const TREE: &str = "QmXqELBkGxZkD8F2pevTjkkCqBgePa3nGH7AwcsWYsHRP7";
/// A dag-cbor node above the tree, pinned as "node".
const NODE: &str = "bafyreib2dcndcmxhzwmxwlwrwikxoh23wmjwtzbyyb3bzd2lc7npuwzykm";
/// A direct pin, "held alone".
const DIRECT: &str = "bafkreigrk2ipbcsxkasgkcyb76wislh5foj6nrl4cqhrw3m6i52tzk6vpe";
/// A block that nothing holds.
const LOOSE: &str = "bafkreifv4dxonyuo7stnnlif264ksrrrk5qdp3e6l73ngbp6rh5kbyidfy";
/// Pinned as "journal" by a daemon that was killed.
const JOURNAL: &str = "bafkreiclccwr23dcbnr4hffu64x2hbr7svjxj7ad5zebvqzi2poffthvp4";
/// What `init` pins.
const EMPTY: &str = "QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn";
/// Root of MFS, flushed by that daemon.
const MFS: &str = "bafybeicg2xtuccujvs5bjsxswh32a62c2po7m322wrbma7f4uausjcra4a";
/// The id of the key "site".
const SITE: &str = "k51qzi5uqu5djfli1cznlyabfmcnohodeu3vkx9j34a5tidz2rs5zx1marjz6w";
const BLOCKS: u64 = 24;

/// A copy of the repo and an empty one of ours.
struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/kubo-0.43.0-repo");
        copy(&source, &dir.path().join("kubo"));
        repo::init(&dir.path().join("ours"), &InitOptions::default()).unwrap();
        Self { dir }
    }

    fn kubo(&self) -> PathBuf {
        self.dir.path().join("kubo")
    }

    fn open(&self) -> Node {
        let ours = self.dir.path().join("ours");
        Node::builder().repo(ours).open().unwrap()
    }

    /// The file of the block of a CID.
    fn block(&self, cid: &str) -> PathBuf {
        let cid: Cid = cid.parse().unwrap();
        let name = multibase::Base::Base32Upper.encode(cid.hash().to_bytes());
        let shard = &name[name.len() - 3..name.len() - 1];
        self.kubo()
            .join("blocks")
            .join(shard)
            .join(format!("{name}.data"))
    }

    fn migrate(&self) -> MigrateReport {
        let kubo = KuboRepo::open(self.kubo()).unwrap();
        let node = self.open();
        let report = run(&node, &kubo, &mut |_| Ok(())).unwrap();
        node.close().unwrap();
        report
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Every file and directory with its content and the time it was changed.
fn everything(dir: &Path) -> Vec<(PathBuf, Vec<u8>, std::time::SystemTime)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let changed = fs::metadata(&path).unwrap().modified().unwrap();
        if path.is_dir() {
            found.push((path.clone(), Vec::new(), changed));
            found.extend(everything(&path));
        } else {
            let content = fs::read(&path).unwrap();
            found.push((path, content, changed));
        }
    }
    found.sort();
    found
}

/// Recursive and direct pins with their names, sorted.
fn pins(node: &Node) -> Vec<(String, bool, String)> {
    let mut found = Vec::new();
    for filter in [PinFilter::Recursive, PinFilter::Direct] {
        let options = PinList { filter, name: None };
        node.pins()
            .list(&options, &mut |pin| {
                let recursive = pin.kind == PinKind::Recursive;
                found.push((pin.cid.to_string(), recursive, pin.name.unwrap_or_default()));
                Ok(())
            })
            .unwrap();
    }
    found.sort();
    found
}

fn expected_pins() -> Vec<(String, bool, String)> {
    let pin = |cid: &str, recursive, name: &str| (cid.to_owned(), recursive, name.to_owned());
    let mut pins = vec![
        pin(EMPTY, true, ""),
        pin(TREE, true, "a tree"),
        pin(NODE, true, "node"),
        pin(DIRECT, false, "held alone"),
        pin(JOURNAL, true, "journal"),
    ];
    pins.sort();
    pins
}

#[test]
fn all_is_taken_and_the_repo_stays_as_it_was() {
    let place = Place::new();
    let before = everything(&place.kubo());
    let report = place.migrate();
    assert_eq!(everything(&place.kubo()), before);
    assert!(report.is_complete(), "{report:?}");
    // The identity was not asked for, so its name stays behind.
    assert!(
        matches!(&*report.notes, [note] if note.contains("--peer-id")),
        "{report:?}"
    );
    // The empty directory is in every repo.
    assert_eq!(report.blocks.taken + report.blocks.present, BLOCKS);
    assert_eq!((report.pins.taken, report.pins.present), (4, 1));
    assert_eq!((report.keys.taken, report.mfs.taken), (2, 1));

    let node = place.open();
    assert_eq!(pins(&node), expected_pins());
    let read = |path: &str| {
        let mut text = Vec::new();
        let mut file = node.files().cat(path).unwrap();
        std::io::Read::read_to_end(&mut file, &mut text).unwrap();
        String::from_utf8(text).unwrap()
    };
    assert_eq!(read(&format!("{TREE}/d/two")), "two\n");
    let long: String = (1..=400).map(|n| format!("{n}\n")).collect();
    assert_eq!(read(&format!("{TREE}/long")), long);
    assert_eq!(read(LOOSE), "loose");
    let root = node.mfs().committed_root().unwrap().unwrap();
    assert_eq!(root.to_string(), MFS);
    // What is below a pin is found from below, which takes the links of every block.
    let leaf = node.resolve(&format!("{TREE}/d/two")).unwrap();
    let held = node
        .pins()
        .check(&[leaf.to_string()], PinFilter::All)
        .unwrap();
    assert!(matches!(held[0].kind, PinKind::Indirect { .. }));
    let above = node
        .pins()
        .check(&[TREE.to_owned()], PinFilter::Indirect)
        .unwrap();
    let through = PinKind::Indirect {
        through: Some(NODE.parse().unwrap()),
    };
    assert_eq!(above[0].kind, through);
    assert_eq!(node.keys().find("site").unwrap().0.id_text(), SITE);
    let verified = node
        .repo()
        .verify(&Default::default(), &mut |_| Ok(()))
        .unwrap();
    assert_eq!(verified.corrupt, 0);
}

#[test]
fn the_sequence_of_a_name_goes_on() {
    let place = Place::new();
    let report = place.migrate();
    assert_eq!(
        (report.names.taken, report.names.left),
        (1, 0),
        "{report:?}"
    );
    let node = place.open();
    let known = crate::names::table::get(node.database(), &crate::parse_peer_id(SITE).unwrap());
    let record = known.unwrap().best().unwrap();
    assert_eq!(record.value(), format!("/ipfs/{DIRECT}"));
    let options = PublishOptions {
        key: "site".to_owned(),
        allow_offline: true,
        ..Default::default()
    };
    let published = node
        .names()
        .publish(&format!("/ipfs/{TREE}"), &options)
        .unwrap();
    assert_eq!(published.record.sequence(), record.sequence() + 1);
}

#[test]
fn a_second_run_finds_everything_there_and_an_interrupted_one_is_continued() {
    let place = Place::new();
    let kubo = KuboRepo::open(place.kubo()).unwrap();
    let node = place.open();
    let interrupted = run(&node, &kubo, &mut |event| match event {
        MigrateEvent::Blocks { .. } => Ok(()),
        MigrateEvent::Checked(_) => Err(std::io::ErrorKind::BrokenPipe.into()),
    });
    assert!(matches!(interrupted, Err(Error::Output(_))));
    node.close().unwrap();
    assert_eq!(pins(&place.open()).len(), 1, "pins come last");
    let report = place.migrate();
    let found = (report.blocks.present, report.pins.taken);
    assert_eq!(found, (BLOCKS, 4), "{report:?}");
    assert_eq!(pins(&place.open()), expected_pins());
    let again = place.migrate();
    for part in [
        &again.blocks,
        &again.pins,
        &again.keys,
        &again.names,
        &again.mfs,
    ] {
        assert_eq!(part.taken, 0, "{again:?}");
    }
    assert_eq!(again.blocks.present, BLOCKS);
    assert_eq!(again.mfs.present, 1);
    assert_eq!(pins(&place.open()), expected_pins());
}

#[test]
fn what_is_here_already_stays() {
    let place = Place::new();
    let node = place.open();
    node.keys()
        .generate("site", crate::KeyType::Ed25519, None)
        .unwrap();
    node.mfs()
        .mkdir("/mine", false, &Default::default())
        .unwrap();
    node.close().unwrap();
    let report = place.migrate();
    assert_eq!((report.keys.taken, report.keys.left), (1, 1), "{report:?}");
    assert_eq!((report.mfs.taken, report.mfs.left), (0, 1), "{report:?}");
    assert!(report.mfs.named[0].reason.contains(MFS), "{report:?}");
    assert!(!report.is_complete());
    let node = place.open();
    assert!(node.mfs().is_directory("/mine").unwrap());
    assert_ne!(node.keys().find("site").unwrap().0.id_text(), SITE);
}

#[test]
fn configuration_and_identity() {
    let place = Place::new();
    let kubo = KuboRepo::open(place.kubo()).unwrap();
    let node = place.open();
    let own = node.keys().identity().unwrap().peer_id();
    let ours = place.dir.path().join("ours");
    let mut file = crate::config::ConfigFile::load(&ours).unwrap();
    file.set("Swarm.ConnMgr.LowWater", 7.into()).unwrap();
    let mut report = MigrateReport::default();
    take_config(&node, &kubo, true, true, &mut report).unwrap();
    node.close().unwrap();
    assert!(
        report.config.taken > 0 && report.identity.taken == 1,
        "{report:?}"
    );

    let node = place.open();
    assert_eq!(node.config().integer("Import.CidVersion"), Some(1));
    assert_eq!(node.config().storage_max(), 3_000_000_000);
    assert_eq!(node.config().integer("Swarm.ConnMgr.LowWater"), Some(7));
    let spec = node.config().get("Datastore.Spec").unwrap();
    assert_eq!(spec["type"], "segments");
    let taken = node.keys().identity().unwrap().peer_id();
    assert_eq!(
        Some(taken.to_base58().as_str()),
        kubo.config()["Identity"]["PeerID"].as_str()
    );
    assert_eq!(node.keys().find("self-before-migrate").unwrap().0.id, own);
    let names = run(&node, &kubo, &mut |_| Ok(())).unwrap().names;
    assert_eq!((names.taken, names.left), (2, 0), "{names:?}");
    let mut again = MigrateReport::default();
    take_config(&node, &kubo, true, true, &mut again).unwrap();
    assert_eq!(
        (again.config.taken, again.identity.present),
        (0, 1),
        "{again:?}"
    );
    assert_eq!(again.config.named, report.config.named);
}
