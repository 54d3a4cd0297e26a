//! What the reading commands print about the same DAGs, as text and as JSON.

use anyhow::{Context, Result, ensure};
use ipfs_kit_interop_tests::stream::write_file;
use ipfs_kit_interop_tests::{Peer, scratch, tree};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// A DAG that both repos hold.
pub struct Roots {
    /// A directory with every kind of entry.
    pub folder: String,
    /// A directory that is a HAMT.
    pub sharded: String,
    /// A file of many blocks.
    pub file: String,
    /// A file of one raw block.
    pub raw: String,
    /// A dag-cbor node that links to the others.
    pub node: String,
}

#[test]
fn reports_are_equal() -> Result<()> {
    let place = scratch::in_memory()?;
    let (ours, kubo) = Peer::pair(place.path())?;
    let roots = fill(&ours, place.path())?;
    let same = fill(&kubo, place.path())?;
    ensure!(
        roots.node == same.node,
        "the two repos do not hold the same"
    );
    let mut differences = Vec::new();
    let mut compared = 0;
    for command in commands(&roots) {
        for encoding in ["text", "json"] {
            // Kubo prints text whatever the encoding when `ls` runs offline: see `rpc`.
            if encoding == "json" && command.starts_with("ls ") {
                continue;
            }
            compared += 1;
            if let Err(error) = compare(&ours, &kubo, &command, encoding) {
                differences.push(format!("{command} --enc={encoding}: {error:#}"));
            }
        }
    }
    println!("reports: {compared} outputs compared");
    assert_eq!(compared, 104, "outputs compared");
    ensure!(
        differences.is_empty(),
        "{} differ:\n{}",
        differences.len(),
        differences.join("\n")
    );
    Ok(())
}

pub fn fill(peer: &Peer, place: &Path) -> Result<Roots> {
    let odd = place.join("odd");
    if !odd.exists() {
        fs::create_dir(&odd)?;
        tree::make_odd(&odd)?;
        tree::make_small_files(&place.join("many"), 60, 40, "reports")?;
        write_file(&place.join("big"), "reports", 5_000_000)?;
        fs::write(place.join("small"), b"a raw block")?;
    }
    let add = |name: &str, flags: &[&str]| -> Result<String> {
        let path = place.join(name);
        let path = path.to_str().context("the path is not UTF-8")?;
        peer.text(["add", "-r", "-Q", path].iter().chain(flags))
    };
    let folder = add("odd", &["--hidden"])?;
    let sharded = add("many", &["--max-directory-links=8", "--max-hamt-fanout=8"])?;
    let file = add("big", &["--pin-name=big one"])?;
    let raw = add("small", &["--cid-version=1"])?;
    let json = format!(
        r#"{{"a":{{"/":"{folder}"}},"list":[1,-2,1.5,null,true,{{"/":"{raw}"}}],"bytes":{{"/":{{"bytes":"AQID"}}}},"text":"\u00e4"}}"#
    );
    let node = peer.run_with(["dag", "put", "--pin"], json.as_bytes())?;
    let node = String::from_utf8(node)?.trim().to_owned();
    Ok(Roots {
        folder,
        sharded,
        file,
        raw,
        node,
    })
}

fn commands(roots: &Roots) -> Vec<String> {
    let Roots {
        folder,
        sharded,
        file,
        raw,
        node,
    } = roots;
    let mut all = Vec::new();
    for root in [folder, sharded, file] {
        for command in [
            "ls",
            "ls --size=false",
            "ls --resolve-type=false --size=false",
            "ls -v",
            "ls --stream",
            "refs",
            "refs -r",
            "refs -r -u",
            "refs -e",
            "refs -r --max-depth=2",
            "block stat",
            "dag get",
            "dag stat --progress=false",
            "resolve",
        ] {
            all.push(format!("{command} {root}"));
        }
    }
    for command in [
        "block stat",
        "dag get",
        "dag stat --progress=false",
        "refs",
        "ls",
    ] {
        all.push(format!("{command} {raw}"));
    }
    all.extend([
        format!("dag get {node}"),
        format!("dag get {node}/list/3"),
        format!("dag get {node}/text"),
        format!("dag get {node}/bytes"),
        format!("dag get --output-codec=dag-cbor {node}"),
        format!("dag get {node}/missing"),
        format!("dag resolve {node}/a"),
        format!("dag resolve {node}/list/1"),
        format!("dag resolve {node}/list/5"),
        format!("resolve /ipfs/{folder}/a/b"),
        format!("ls {folder}/a/b"),
        format!("ls {folder}/missing"),
        format!("dag stat --progress=false {folder} {sharded} {file}"),
        format!("pin ls --names {file}"),
    ]);
    all
}

fn compare(ours: &Peer, kubo: &Peer, command: &str, encoding: &str) -> Result<()> {
    let mut args: Vec<&str> = command.split(' ').collect();
    let encoding_flag = format!("--enc={encoding}");
    args.push(&encoding_flag);
    let (a, b) = (ours.output(&args)?, kubo.output(&args)?);
    ensure!(
        a.status.code() == b.status.code(),
        "exit code {:?}, kubo {:?}: {}",
        a.status.code(),
        b.status.code(),
        String::from_utf8_lossy(&a.stderr).trim()
    );
    if a.stdout == b.stdout {
        return Ok(());
    }
    // `dag get` prints JSON in any case, and Kubo escapes more of it than it must.
    if let (Ok(ours), Ok(kubo)) = (values(&a.stdout), values(&b.stdout))
        && ours == kubo
    {
        return Ok(());
    }
    let (a, b) = (
        String::from_utf8_lossy(&a.stdout),
        String::from_utf8_lossy(&b.stdout),
    );
    // Names that are not UTF-8 are shown with U+FFFD, where Kubo passes their bytes on.
    if a == b {
        return Ok(());
    }
    for (index, line) in b.lines().enumerate() {
        let found = a.lines().nth(index).unwrap_or("nothing");
        ensure!(
            line == found,
            "line {}: ours `{found}`, kubo `{line}`",
            index + 1
        );
    }
    anyhow::bail!("{} lines, kubo {}", a.lines().count(), b.lines().count())
}

/// JSON values compared without the order of the keys of an object.
fn values(stdout: &[u8]) -> Result<Vec<Value>> {
    Ok(serde_json::Deserializer::from_slice(stdout)
        .into_iter()
        .collect::<Result<_, _>>()?)
}

#[test]
fn lists_of_the_whole_repo_are_equal_as_sets() -> Result<()> {
    let place = scratch::in_memory()?;
    let (ours, kubo) = Peer::pair(place.path())?;
    fill(&ours, place.path())?;
    fill(&kubo, place.path())?;
    let mut compared = 0;
    for command in [
        "pin ls",
        "pin ls --type=recursive",
        "pin ls --type=direct",
        "pin ls --type=indirect",
        "pin ls --names",
        "pin ls --names --type=recursive",
        "pin ls -q",
        "pin ls --stream",
        "refs local",
    ] {
        let set = |peer: &Peer| -> Result<BTreeSet<String>> {
            Ok(peer
                .text(command.split(' '))?
                .lines()
                .map(str::to_owned)
                .collect())
        };
        let (a, b) = (set(&ours)?, set(&kubo)?);
        let missing: Vec<_> = b.difference(&a).collect();
        let extra: Vec<_> = a.difference(&b).collect();
        // Kubo leaves behind directories that it replaced while it added to them.
        ensure!(
            (missing.is_empty() || command == "refs local") && extra.is_empty(),
            "{command}: missing {missing:?}, extra {extra:?}"
        );
        compared += 1;
    }
    assert_eq!(compared, 9);
    Ok(())
}
