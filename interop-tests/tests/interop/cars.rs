//! CAR files from one binary into the other.

use anyhow::{Context, Result, ensure};
use ipfs_kit_interop_tests::stream::write_file;
use ipfs_kit_interop_tests::{Peer, data, scratch, tree};
use std::fs;
use std::path::Path;

const SETTINGS: [&str; 4] = [
    "",
    "--cid-version=1",
    "--cid-version=1 --inline --max-directory-links=20 --max-hamt-fanout=16",
    "--trickle --chunker=size-3000 --hash=sha3-512",
];

#[test]
fn cars_are_equal_and_go_both_ways() -> Result<()> {
    let place = scratch::in_memory()?;
    let odd = place.path().join("odd");
    fs::create_dir(&odd)?;
    tree::make_odd(&odd)?;
    let big = place.path().join("big");
    write_file(&big, "car", 20_000_000)?;
    let mut exchanged = 0;
    for source in [odd.as_path(), &big, &data::date_fns()?] {
        for (index, setting) in SETTINGS.iter().enumerate() {
            let place = place.path().join(format!("exchange-{index}"));
            fs::create_dir(&place)?;
            exchange(source, setting, &place)
                .with_context(|| format!("{} {setting}", source.display()))?;
            fs::remove_dir_all(&place)?;
            exchanged += 2;
        }
    }
    assert_eq!(exchanged, 24);
    Ok(())
}

#[test]
fn a_car_v2_is_imported_as_its_payload() -> Result<()> {
    let place = scratch::in_memory()?;
    let (ours, kubo) = Peer::pair(place.path())?;
    let file = place.path().join("file");
    write_file(&file, "car v2", 3_000_000)?;
    let cid = kubo.text(["add", "-Q", text(&file)?])?;
    let payload = kubo.run(["dag", "export", "--progress=false", &cid])?;
    let car = place.path().join("v2.car");
    fs::write(&car, wrapped_as_v2(&payload))?;
    for peer in [&ours, &kubo] {
        peer.run(["dag", "import", text(&car)?])?;
    }
    ensure!(ours.run(["cat", &cid])? == fs::read(&file)?, "other bytes");
    Ok(())
}

#[test]
fn damaged_cars_are_refused_and_leave_nothing_pinned() -> Result<()> {
    let place = scratch::in_memory()?;
    let (ours, kubo) = Peer::pair(place.path())?;
    let file = place.path().join("file");
    write_file(&file, "damaged", 1_000_000)?;
    let cid = kubo.text(["add", "-Q", text(&file)?])?;
    let whole = kubo.run(["dag", "export", "--progress=false", &cid])?;
    let before = ours.text(["pin", "ls", "--type=recursive", "-q"])?;
    let mut flipped = whole.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    let cut = whole[..whole.len() - 1_000].to_vec();
    let no_header = whole[60..].to_vec();
    for (name, bytes) in [
        ("flipped", flipped),
        ("cut", cut),
        ("no header", no_header),
        ("empty", vec![]),
    ] {
        let car = place.path().join("damaged.car");
        fs::write(&car, bytes)?;
        let output = ours.output(["dag", "import", text(&car)?])?;
        ensure!(!output.status.success(), "{name}: imported");
        ensure!(!output.stderr.is_empty(), "{name}: no error text");
        let after = ours.text(["pin", "ls", "--type=recursive", "-q"])?;
        ensure!(after == before, "{name}: pins changed");
        ensure!(
            ours.output(["repo", "verify"])?.status.success(),
            "{name}: repo verify"
        );
    }
    Ok(())
}

fn exchange(source: &Path, setting: &str, place: &Path) -> Result<()> {
    let (ours, kubo) = Peer::pair(place)?;
    let mut args = vec!["add", "-r", "-Q", "--hidden", "--pin=false"];
    args.extend(setting.split_whitespace());
    args.push(text(source)?);
    let mut cars = Vec::new();
    for (from, to, name) in [(&ours, "kubo", "a"), (&kubo, "ours", "b")] {
        let cid = from.text(&args)?;
        let bytes = from.run(["dag", "export", "--progress=false", &cid])?;
        let car = place.join(name);
        fs::write(&car, &bytes)?;
        // A new repo, so that nothing but the CAR can supply a block.
        let fresh = place.join(format!("fresh-{name}"));
        let side = if to == "kubo" {
            kubo.side()
        } else {
            ours.side()
        };
        let reader = Peer::init(side, fresh)?;
        let report = reader.json(["dag", "import", "--stats", text(&car)?])?;
        let again = reader.run(["dag", "export", "--progress=false", &cid])?;
        ensure!(again == bytes, "{to} exports other bytes than it imported");
        ensure!(
            reader
                .text(["pin", "ls", "--type=recursive", "-q"])?
                .lines()
                .any(|line| line == cid),
            "{to} did not pin the root"
        );
        cars.push((cid, bytes, report));
    }
    ensure!(
        cars[0] == cars[1],
        "the two CARs or the reports of their import differ"
    );
    Ok(())
}

/// The CARv2 frame around a CARv1: pragma, header without characteristics and index, payload
/// (ipld.io/specs/transport/car/carv2).
fn wrapped_as_v2(payload: &[u8]) -> Vec<u8> {
    const PRAGMA: [u8; 11] = *b"\x0a\xa1\x67version\x02";
    const HEADER: u64 = 40;
    let mut car = PRAGMA.to_vec();
    car.extend([0; 16]);
    car.extend((PRAGMA.len() as u64 + HEADER).to_le_bytes());
    car.extend((payload.len() as u64).to_le_bytes());
    car.extend(0u64.to_le_bytes());
    car.extend(payload);
    car
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().context("the path is not UTF-8")
}
