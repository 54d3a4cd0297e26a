//! The records of the repo, damaged in every way: damage is told, and does not pass for fewer records.

use super::*;

type Records = Vec<(Vec<u8>, Vec<u8>)>;

/// Every record, and how many notes there are.
fn all(dir: &Path) -> Result<(Records, usize), leveldb::LevelError> {
    let database = LevelDb::open(dir)?;
    let mut found = Vec::new();
    database.scan::<leveldb::LevelError>(b"", &mut |key, value| {
        found.push((key.to_vec(), value.to_vec()));
        Ok(())
    })?;
    Ok((found, database.notes().len()))
}

/// The database, and its files with their contents.
fn database() -> (Place, PathBuf, Vec<(PathBuf, Vec<u8>)>) {
    let place = Place::new();
    let dir = place.kubo().join("datastore");
    let files = fs::read_dir(&dir)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let files = files
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect();
    (place, dir, files)
}

fn is(path: &Path, end: &str) -> bool {
    path.extension().is_some_and(|found| found == end)
}

#[test]
fn records_are_sorted_found_by_prefix_and_the_newest() {
    let (_place, dir, _) = database();
    let (found, notes) = all(&dir).unwrap();
    assert_eq!(notes, 0);
    assert!(found.windows(2).all(|pair| pair[0].0 < pair[1].0));
    let pins = found
        .iter()
        .filter(|(key, _)| key.starts_with(b"/pins/pin/"));
    assert_eq!(pins.count(), 5, "a pin that was removed is gone");
    let database = LevelDb::open(&dir).unwrap();
    let root = database.get(MFS_ROOT).unwrap().unwrap();
    assert_eq!(Cid::try_from(root.as_slice()).unwrap().to_string(), MFS);
    assert_eq!(database.get(b"/local/").unwrap(), None);
    for (key, value) in &found {
        assert_eq!(database.get(key).unwrap().as_ref(), Some(value));
    }
    for prefix in [&b"/local"[..], b"/pins/index/", b"/zz", b"\xff"] {
        let mut some = Vec::new();
        database
            .scan::<leveldb::LevelError>(prefix, &mut |key, value| {
                some.push((key.to_vec(), value.to_vec()));
                Ok(())
            })
            .unwrap();
        let expected = found.iter().filter(|(key, _)| key.starts_with(prefix));
        assert!(some.iter().eq(expected), "{prefix:?}");
    }
}

#[test]
fn a_flipped_bit_is_told_or_changes_nothing() {
    let (_place, dir, files) = database();
    let (sound, _) = all(&dir).unwrap();
    let mut told = 0;
    for (path, content) in files {
        for at in 0..content.len() {
            let mut damaged = content.clone();
            damaged[at] ^= 1 << (at % 8);
            fs::write(&path, damaged).unwrap();
            match all(&dir) {
                Ok((found, 0)) => assert_eq!(found, sound, "{} at {at}", path.display()),
                Ok(_) => told += 1,
                Err(_) => told += 1,
            }
        }
        fs::write(&path, content).unwrap();
    }
    assert!(told > 3000, "{told}");
}

#[test]
fn a_file_that_ends_early_is_told() {
    let (_place, dir, files) = database();
    let (sound, _) = all(&dir).unwrap();
    let mut silent = 0;
    for (path, content) in files {
        for len in 0..content.len() {
            fs::write(&path, &content[..len]).unwrap();
            match all(&dir) {
                // Between two records nothing shows that more had been there, and no program can know.
                Ok((_, 0)) if is(&path, "log") => silent += 1,
                Ok((found, 0)) => assert_eq!(found, sound, "{} of {len}", path.display()),
                Ok(_) => {}
                Err(_) => {}
            }
        }
        fs::write(&path, content).unwrap();
    }
    assert!((1..40).contains(&silent), "{silent}");
}

#[test]
fn space_behind_the_last_record_is_no_damage() {
    let (_place, dir, files) = database();
    let sound = all(&dir).unwrap();
    let (path, mut content) = files.into_iter().find(|(path, _)| is(path, "log")).unwrap();
    content.resize(content.len() + 100_000, 0);
    fs::write(path, content).unwrap();
    assert_eq!(all(&dir).unwrap(), sound);
}

#[test]
fn random_files_make_no_panic() {
    let dir = tempfile::tempdir().unwrap();
    let mut seed = 1_u64;
    for round in 0..300_usize {
        let mut bytes = Vec::new();
        for _ in 0..round {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            bytes.push((seed >> 56) as u8);
        }
        fs::write(dir.path().join("CURRENT"), "MANIFEST-000001\n").unwrap();
        fs::write(dir.path().join("MANIFEST-000001"), &bytes).unwrap();
        fs::write(dir.path().join("000002.log"), &bytes).unwrap();
        if let Ok((found, _)) = all(dir.path()) {
            assert!(found.is_empty());
        }
    }
}
