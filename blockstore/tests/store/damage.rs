//! Flipped bits in every file: never a wrong byte, never a panic; index and journal heal.

use ipfs_kit_blockstore::Block;
use ipfs_kit_blockstore::store::disk::{Image, Recorded};
use ipfs_kit_blockstore::store::{SegmentOptions, StoreError};

use crate::support::*;

fn options() -> SegmentOptions {
    SegmentOptions {
        merge_after: 40,
        segment_size: 4_000,
        reserve: 0,
        ..tiny()
    }
}

/// A closed repo with an index and a journal that both hold something.
fn repo() -> (Image, Vec<Block>) {
    let disk = empty_disk().without_record();
    let store = open(&disk, &options()).unwrap();
    let mut random = Random::new(11);
    let mut blocks: Vec<Block> = (0..60)
        .map(|n| random_block(&mut random, 20 + n * 3))
        .collect();
    blocks.push(node(&blocks[..4]));
    for part in blocks.chunks(10) {
        store.put_many(part).unwrap();
        store.sync().unwrap();
    }
    store.close().unwrap();
    let image = disk.image();
    assert!(image.files.keys().any(|name| name == "index.redb"));
    (image, blocks)
}

/// Opens the repo with a flipped byte: everything is there with the right bytes, but for blocks
/// whose own frame was hit.
fn survives(
    image: &Image,
    blocks: &[Block],
    name: &str,
    offset: usize,
    mask: u8,
) -> (usize, usize) {
    let place = || format!("{name} byte {offset} mask {mask:#x}");
    let disk = Recorded::new(image.clone()).without_record();
    assert!(disk.flip(name, offset, mask));
    let store = open(&disk, &options()).unwrap_or_else(|error| panic!("{}: {error}", place()));
    let (mut missing, mut damaged) = (0, 0);
    for block in blocks {
        match store.get(block.cid().hash()) {
            Ok(Some(data)) => assert_eq!(&data, block.data(), "{}", place()),
            Ok(None) => missing += 1,
            Err(StoreError::Corrupt { .. }) => damaged += 1,
            Err(error) => panic!("{}: {error}", place()),
        }
    }
    assert_eq!(store.stats().quarantined, damaged as u64, "{}", place());
    // What is put again is there again.
    store.put_many(blocks).unwrap();
    store.sync().unwrap();
    for block in blocks {
        let got = store.get(block.cid().hash()).unwrap();
        assert_eq!(got.as_ref(), Some(block.data()), "{}", place());
    }
    store.close().unwrap();
    (missing, damaged)
}

#[test]
fn every_byte_of_the_index_may_flip() {
    let (image, blocks) = repo();
    let len = image.files["index.redb"].len();
    let mut random = Random::new(seed(2));
    for offset in 0..len {
        // Pages that were never written are all the same: some of their bytes are enough.
        let written = image.files["index.redb"][offset] != 0 || offset < 8_192;
        if !written && random.below(64 / effort().min(64)) != 0 {
            continue;
        }
        let mask = 1 << random.below(8);
        let outcome = survives(&image, &blocks, "index.redb", offset, mask);
        assert_eq!(outcome, (0, 0), "index.redb byte {offset} mask {mask:#x}");
    }
}

#[test]
fn every_bit_of_the_index_header_may_flip() {
    let (image, blocks) = repo();
    for offset in 4_096..4_096 + 320 {
        for bit in 0..8 {
            assert_eq!(
                survives(&image, &blocks, "index.redb", offset, 1 << bit),
                (0, 0)
            );
        }
    }
}

#[test]
fn every_byte_of_the_journal_may_flip() {
    let (image, blocks) = repo();
    let name = image
        .files
        .keys()
        .find(|name| name.starts_with("journal"))
        .unwrap();
    for offset in 0..image.files[name].len() {
        for bit in [0, 3, 7] {
            assert_eq!(survives(&image, &blocks, name, offset, 1 << bit), (0, 0));
        }
    }
}

#[test]
fn every_byte_of_a_segment_may_flip() {
    let (image, blocks) = repo();
    for (name, data) in image
        .files
        .iter()
        .filter(|(name, _)| name.starts_with("segments"))
    {
        for offset in 0..data.len() {
            let (missing, damaged) = survives(&image, &blocks, name, offset, 1 << (offset % 8));
            assert_eq!(missing, 0, "{name} byte {offset}");
            assert!(damaged <= 1, "{name} byte {offset}: {damaged} blocks");
        }
    }
}

#[test]
fn without_index_and_journal_every_block_but_the_damaged_is_found() {
    let (mut image, blocks) = repo();
    image.files.retain(|name, _| name.starts_with("segments"));
    assert_eq!(
        open(&Recorded::new(image.clone()), &options())
            .unwrap()
            .stats()
            .blocks,
        61
    );
    let mut random = Random::new(seed(5));
    let names: Vec<String> = image.files.keys().cloned().collect();
    for _ in 0..2_000 * effort() {
        let name = &names[random.below(names.len() as u64) as usize];
        let offset = random.below(image.files[name].len() as u64) as usize;
        let (missing, damaged) = survives(&image, &blocks, name, offset, 1 << random.below(8));
        assert!(
            missing <= 1 && damaged == 0,
            "{name} byte {offset}: {missing} {damaged}"
        );
    }
}

#[test]
fn missing_files_are_survived() {
    let (image, blocks) = repo();
    for missing in image
        .files
        .keys()
        .filter(|name| !name.starts_with("segments"))
    {
        let mut image = image.clone();
        image.files.remove(missing);
        let store = open(&Recorded::new(image), &options()).unwrap();
        for block in &blocks {
            assert!(store.has(block.cid().hash()).unwrap(), "without {missing}");
        }
    }
}

#[test]
fn the_index_is_rebuilt_under_a_running_store() {
    let (image, blocks) = repo();
    let disk = Recorded::new(image.clone()).without_record();
    let store = open(&disk, &options()).unwrap();
    for offset in (8_192..image.files["index.redb"].len()).step_by(64) {
        disk.flip("index.redb", offset, 0x55);
    }
    for block in &blocks {
        assert_eq!(
            store.get(block.cid().hash()).unwrap().as_ref(),
            Some(block.data())
        );
    }
    assert_eq!(store.stats().blocks, blocks.len() as u64);
    store.put_many(&[raw("goes on")]).unwrap();
    store.close().unwrap();
    assert!(
        open(&disk, &options())
            .unwrap()
            .has(raw("goes on").cid().hash())
            .unwrap()
    );
}

#[test]
fn a_newer_format_is_refused_untouched() {
    let (image, _) = repo();
    let name = image
        .files
        .keys()
        .find(|name| name.starts_with("journal"))
        .unwrap()
        .clone();
    let mut newer = image.files[&name].as_ref().clone();
    newer[8] = 9;
    let body = u32::from_le_bytes(newer[20..24].try_into().unwrap()) as usize;
    let crc = crc32c::crc32c_append(crc32c::crc32c(&newer[..24]), &newer[28..28 + body]);
    newer[24..28].copy_from_slice(&crc.to_le_bytes());
    let mut image = image;
    image.files.insert(name, newer.into());
    let disk = Recorded::new(image.clone());
    let refused = open(&disk, &options());
    assert!(matches!(
        refused,
        Err(StoreError::NewerFormat { found: 9, .. })
    ));
    assert_eq!((disk.ops(), disk.image()), (0, image));
}

#[test]
fn names_with_numbers_that_no_store_reaches_are_left_alone() {
    let (mut image, blocks) = repo();
    let segment = image.files["segments/00000001.car"].clone();
    let strange = [
        ("segments/4294967295.car", segment),
        ("journal-18446744073709551615", Default::default()),
    ];
    let strange = strange.map(|(name, data)| (name.to_owned(), data));
    image.files.extend(strange.clone());
    let disk = Recorded::new(image).without_record();
    for _ in 0..2 {
        let store = open(&disk, &options()).unwrap();
        store.put_many(&[raw("goes on")]).unwrap();
        let large = raw(vec![1; 5_000]);
        store.put_many(&[large.clone()]).unwrap();
        for block in blocks.iter().chain([&large]) {
            let got = store.get(block.cid().hash()).unwrap();
            assert_eq!(got.as_ref(), Some(block.data()));
        }
        store.close().unwrap();
    }
    let image = disk.image();
    assert!(
        strange
            .iter()
            .all(|(name, data)| image.files[name] == *data)
    );
}

#[test]
fn a_rebuild_reuses_no_number_of_a_segment_that_was_given_up() {
    let mut random = Random::new(seed(7));
    let mut large = || random_block(&mut random, 5_000);
    let disk = empty_disk().without_record();
    let store = open(&disk, &options()).unwrap();
    let kept: Vec<Block> = (0..50).map(|n| raw(format!("{n}"))).collect();
    store.put_many(&kept).unwrap();
    store.sync().unwrap();
    // In a file of its own, which goes with it.
    let dead = large();
    store.put_many(&[dead.clone()]).unwrap();
    store.delete_many(&[hash(&dead)]).unwrap();
    store.compact(0.0).unwrap();
    store.close().unwrap();
    let mut image = disk.image();
    assert_eq!(image.files.remove("segments/00000002.car"), None);
    assert!(image.files.remove("index.redb").is_some());
    let disk = Recorded::new(image).without_record();
    let store = open(&disk, &options()).unwrap();
    let new = large();
    store.put_many(&[new.clone()]).unwrap();
    store.sync().unwrap();
    let killed = Recorded::new(disk.image());
    let store = open(&killed, &options()).unwrap();
    let got = store.get(new.cid().hash()).unwrap();
    assert!(got.as_ref() == Some(new.data()), "the new block is lost");
    assert!(!store.has(dead.cid().hash()).unwrap());
}
