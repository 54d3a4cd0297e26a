//! Opening a store whose files were damaged, cut, lost, exchanged, or written by somebody else: no panic, no
//! wrong byte, the counts right, every block that stands where it stood whole is served, and the store goes on.
#![no_main]
use arbitrary::Arbitrary;
use bytes::Bytes;
use ipfs_kit_blockstore::car::frame_prefix;
use ipfs_kit_blockstore::store::disk::{Image, Recorded, Survives};
use ipfs_kit_blockstore::store::{BlockStore, Deletion, SegmentOptions, StoreError};
use ipfs_kit_blockstore::{Block, Cid, HashSpec, Multihash, codec, hash};
use ipfs_kit_fuzz::{let_redb_panic, node, open, options, raw};
use libfuzzer_sys::fuzz_target;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

/// Edits of one input.
const EDITS_MAX: usize = 12;
/// How long an edit may make a file, in bytes.
const FILE_MAX: usize = 4 << 20;

#[derive(Arbitrary, Debug)]
struct Input {
    base: u8,
    /// Journals are given sound checksums again: what they say may then be anything, and only panics and
    /// endless runs are looked for.
    forged: bool,
    aligned: bool,
    merge_after: u8,
    edits: Vec<Edit>,
    victims: u64,
}

#[derive(Arbitrary, Debug)]
enum Edit {
    /// Of a journal or the index only in forged inputs: elsewhere it could forge a checksum.
    Overwrite {
        file: u8,
        at: Place,
        bytes: Vec<u8>,
    },
    Flip {
        file: u8,
        at: Place,
        mask: u8,
    },
    Fill {
        file: u8,
        at: Place,
        len: u16,
        byte: u8,
    },
    Truncate {
        file: u8,
        at: Place,
    },
    Extend {
        file: u8,
        len: u16,
        byte: u8,
    },
    Remove {
        file: u8,
    },
    Rename {
        file: u8,
        to: Name,
    },
    Copy {
        file: u8,
        to: Name,
    },
    Swap {
        one: u8,
        other: u8,
    },
    /// A file with these bytes.
    Raw {
        name: Name,
        header: bool,
        bytes: Vec<u8>,
    },
    /// A segment with frames that may say more than they hold.
    Frames {
        name: Name,
        frames: Vec<Section>,
    },
}

/// A byte of a file, counted from its start or its end.
#[derive(Arbitrary, Debug, Clone, Copy)]
enum Place {
    Start(u16),
    Page(u16, u16),
    End(u16),
}

#[derive(Arbitrary, Debug, Clone, Copy)]
enum Name {
    Segment(u8),
    LastSegment(u8),
    Journal(u8),
    LastJournal(u8),
    Index,
    Reserve,
    Other,
}

#[derive(Arbitrary, Debug)]
struct Section {
    codec: u8,
    data: Vec<u8>,
    /// Added to the length.
    lie: u8,
    /// Changes the last byte of the data.
    damage: u8,
}

/// A store as it was left once.
struct Base {
    image: Image,
    /// What is stored: the block, its file, and where in it.
    blocks: Vec<(Block, String, usize)>,
}

const HEADER: &[u8] = b"\x11\xa2eroots\x80gversion\x01";

fuzz_target!(init: let_redb_panic(), |input: Input| {
    let base = &bases()[usize::from(input.base) % bases().len()];
    let mut image = base.image.clone();
    for edit in input.edits.into_iter().take(EDITS_MAX) {
        apply(&mut image, edit, input.forged);
    }
    if input.forged {
        image.files.iter_mut().for_each(|(name, data)| {
            if name.starts_with("journal-") {
                let data: &mut Vec<u8> = Arc::make_mut(data);
                reseal(data);
            }
        });
    }
    let whole: Vec<&Block> = base.blocks.iter().filter(|block| stands(&image, block)).map(|(block, ..)| block).collect();
    let disk = Recorded::new(image).with_alignment(if input.aligned { 512 } else { 1 });
    // Most inputs merge nothing, which takes more time than all else.
    let options = SegmentOptions {
        merge_after: 10 + 8 * usize::from(input.merge_after),
        ..options()
    };
    if input.forged {
        // Errors are answers too.
        drop(open(&disk, &options).and_then(|store| go_on_forged(&store, base, input.victims)));
        drop(open(&disk, &options).and_then(|store| go_on_forged(&store, base, !input.victims)));
    } else {
        go_on(&disk, &options, base, &whole, input.victims);
    }
});

/// Everything a store does, on damaged files: none of it may fail, and nothing may be wrong.
fn go_on(disk: &Recorded, options: &SegmentOptions, base: &Base, whole: &[&Block], victims: u64) {
    let store = open(disk, options).expect("open");
    let mut there = audit(&store);
    for block in whole {
        assert!(
            there.contains_key(&block.cid().hash().to_bytes()),
            "lost {}",
            block.cid()
        );
    }
    let fresh: Vec<Block> = (100..104).map(|n| raw(n, 200)).collect();
    let mut blocks: Vec<Block> = base
        .blocks
        .iter()
        .map(|(block, ..)| block.clone())
        .collect();
    blocks.extend(fresh);
    store.put_many(&blocks).expect("put");
    store.sync().expect("sync");
    there.extend(
        blocks
            .iter()
            .map(|block| (block.cid().hash().to_bytes(), block.data().clone())),
    );
    assert_eq!(audit(&store), there);
    lose_power(disk, options, &blocks);
    let (kept, dead): (Vec<_>, Vec<_>) = blocks
        .iter()
        .enumerate()
        .partition(|(at, _)| victims >> (at % 64) & 1 == 0);
    let dead: Vec<Multihash> = dead
        .into_iter()
        .map(|(_, block)| block.cid().hash().clone())
        .collect();
    let deletions = store.delete_many(&dead).expect("delete");
    assert!(deletions.iter().all(|it| *it == Deletion::Deleted));
    dead.iter()
        .for_each(|hash| drop(there.remove(&hash.to_bytes())));
    store.compact(0.4).expect("compact");
    assert_eq!(audit(&store), there);
    let sweep = store.sweep();
    let listed: Vec<_> = store.blocks().map(|item| item.expect("list")).collect();
    let swept: Vec<_> = listed
        .into_iter()
        .step_by(3)
        .map(|(hash, info)| (hash, info.position))
        .collect();
    let deletions = sweep.delete(&swept).expect("sweep");
    assert!(deletions.iter().all(|it| *it == Deletion::Deleted));
    swept
        .iter()
        .for_each(|(hash, _)| drop(there.remove(&hash.to_bytes())));
    sweep.finish().expect("finish");
    kept.iter()
        .for_each(|(_, block)| drop(store.parents(block.cid().hash()).expect("parents")));
    store.scrub_step(None, u64::MAX).expect("scrub");
    store.close().expect("close");
    let store = open(disk, options).expect("open again");
    assert_eq!(audit(&store), there);
}

/// What was synced is there after a crash that takes everything else.
fn lose_power(disk: &Recorded, options: &SegmentOptions, blocks: &[Block]) {
    let record = disk.record();
    let pending = record.pending(record.len());
    let image = record.crash(record.len(), &pending, |_| Survives::Lost);
    let store = open(&Recorded::new(image), options).expect("open after a crash");
    let there = audit(&store);
    for block in blocks {
        let hash = block.cid().hash().to_bytes();
        assert!(there.contains_key(&hash), "lost in a crash {}", block.cid());
    }
}

/// Reads all that is listed: everything that is served, which is what its hash says.
fn audit(store: &BlockStore) -> BTreeMap<Vec<u8>, Bytes> {
    let (mut there, mut listed, mut bytes) = (BTreeMap::new(), 0, 0);
    for item in store.blocks() {
        let (hash, info) = item.expect("list");
        listed += 1;
        bytes += u64::from(info.len);
        match store.get(&hash) {
            Ok(Some(data)) => {
                assert_eq!(data.len(), info.len as usize);
                hash::verify(&Cid::v1(codec::RAW, hash.clone()), &data).expect("the right bytes");
                there.insert(hash.to_bytes(), data);
            }
            Err(StoreError::Corrupt { .. }) => {
                let info = store.info(&hash).expect("info").expect("still listed");
                assert!(info.quarantined);
            }
            other => panic!("{hash:?}: {other:?}"),
        }
    }
    let stats = store.stats();
    assert_eq!((stats.blocks, stats.bytes), (listed, bytes));
    assert_eq!(stats.quarantined, listed - there.len() as u64);
    there
}

fn go_on_forged(store: &BlockStore, base: &Base, victims: u64) -> Result<(), StoreError> {
    let walk = || {
        for (hash, _) in store.blocks().flatten() {
            drop((store.get(&hash), store.parents(&hash)));
        }
        store.stats()
    };
    walk();
    let blocks: Vec<Block> = base
        .blocks
        .iter()
        .map(|(block, ..)| block.clone())
        .collect();
    store.put_many(&blocks)?;
    store.put_many(&[raw(100, 200), raw(101, 900)])?;
    store.sync()?;
    walk();
    let dead = blocks
        .iter()
        .enumerate()
        .filter(|(at, _)| victims >> (at % 64) & 1 == 1);
    let dead: Vec<Multihash> = dead.map(|(_, block)| block.cid().hash().clone()).collect();
    store.delete_many(&dead)?;
    store.compact(0.4)?;
    store.scrub_step(None, u64::MAX)?;
    walk();
    store.close()
}

/// Whether the frame is where it was, with the same bytes.
fn stands(image: &Image, (block, name, at): &(Block, String, usize)) -> bool {
    let mut frame = Vec::new();
    frame_prefix(block.cid(), block.data().len(), &mut frame);
    frame.extend_from_slice(block.data());
    let file = image.files.get(name);
    file.and_then(|file| file.get(*at..at + frame.len())) == Some(&frame[..])
}

fn apply(image: &mut Image, edit: Edit, forged: bool) {
    let names: Vec<String> = image.files.keys().cloned().collect();
    let pick = |file: u8| names.get(usize::from(file) % names.len().max(1)).cloned();
    match edit {
        Edit::Overwrite { file, at, bytes } => {
            let free = |name: &String| forged || name.starts_with("segments/");
            change(image, pick(file).filter(free), |data| {
                write(data, at.of(data.len()), &bytes)
            });
        }
        Edit::Flip { file, at, mask } => change(image, pick(file), |data| {
            let at = at.of(data.len());
            data[at..].iter_mut().take(1).for_each(|byte| *byte ^= mask);
        }),
        Edit::Fill {
            file,
            at,
            len,
            byte,
        } => change(image, pick(file), |data| {
            let at = at.of(data.len());
            data[at..]
                .iter_mut()
                .take(len.into())
                .for_each(|it| *it = byte);
        }),
        Edit::Truncate { file, at } => {
            change(image, pick(file), |data| data.truncate(at.of(data.len())))
        }
        Edit::Extend { file, len, byte } => change(image, pick(file), |data| {
            data.resize(
                (data.len() + usize::from(len)).min(FILE_MAX.max(data.len())),
                byte,
            );
        }),
        Edit::Remove { file } => {
            pick(file).and_then(|name| image.files.remove(&name));
        }
        Edit::Rename { file, to } => {
            if let Some(data) = pick(file).and_then(|name| image.files.remove(&name)) {
                image.files.insert(to.text(), data);
            }
        }
        Edit::Copy { file, to } => {
            if let Some(data) = pick(file).and_then(|name| image.files.get(&name).cloned()) {
                image.files.insert(to.text(), data);
            }
        }
        Edit::Swap { one, other } => {
            if let (Some(one), Some(other)) = (pick(one), pick(other)) {
                let (first, second) = (image.files[&one].clone(), image.files[&other].clone());
                image.files.extend([(one, second), (other, first)]);
            }
        }
        Edit::Raw {
            name,
            header,
            bytes,
        } => {
            let header = if header { HEADER } else { &[] };
            image
                .files
                .insert(name.text(), Arc::new([header, &bytes].concat()));
        }
        Edit::Frames { name, frames } => {
            let mut data = HEADER.to_vec();
            frames.iter().for_each(|frame| frame.write_to(&mut data));
            image.files.insert(name.text(), Arc::new(data));
        }
    }
}

fn change(image: &mut Image, name: Option<String>, change: impl FnOnce(&mut Vec<u8>)) {
    if let Some(data) = name.and_then(|name| image.files.get_mut(&name)) {
        change(Arc::make_mut(data));
    }
}

fn write(data: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    data.resize(data.len().max(at + bytes.len()), 0);
    data[at..at + bytes.len()].copy_from_slice(bytes);
}

impl Place {
    fn of(self, len: usize) -> usize {
        let at = match self {
            Self::Start(at) => usize::from(at),
            Self::Page(page, at) => usize::from(page) * 4_096 + usize::from(at),
            Self::End(at) => len.saturating_sub(at.into()),
        };
        at.min(len)
    }
}

impl Name {
    fn text(self) -> String {
        match self {
            Self::Segment(id) => format!("segments/{:08}.car", id % 8),
            Self::LastSegment(id) => format!("segments/{:08}.car", u32::MAX - u32::from(id)),
            Self::Journal(seq) => format!("journal-{:08}", seq % 8),
            Self::LastJournal(seq) => format!("journal-{:08}", u64::MAX - u64::from(seq)),
            Self::Index => "index.redb".into(),
            Self::Reserve => "reserve".into(),
            Self::Other => "segments/1.car".into(),
        }
    }
}

impl Section {
    fn write_to(&self, out: &mut Vec<u8>) {
        let codecs = [
            codec::RAW,
            codec::DAG_PB,
            codec::DAG_CBOR,
            codec::DAG_JSON,
            0,
            0x300000,
        ];
        let codec = codecs[usize::from(self.codec) % codecs.len()];
        let digest = HashSpec::SHA2_256.digest(&self.data).expect("sha2-256");
        frame_prefix(
            &Cid::v1(codec, digest),
            self.data.len() + usize::from(self.lie),
            out,
        );
        out.extend_from_slice(&self.data);
        if let Some(last) = out.last_mut() {
            *last ^= self.damage;
        }
    }
}

/// Makes the checksums of a journal right, as far as it has the form of one.
fn reseal(data: &mut [u8]) {
    let word = |data: &[u8], at: usize| {
        data.get(at..at + 4)
            .and_then(|it| it.first_chunk().copied())
            .map(u32::from_le_bytes)
    };
    let Some(end) = word(data, 20)
        .and_then(|len| 28_usize.checked_add(len as usize))
        .filter(|end| *end <= data.len())
    else {
        return;
    };
    let mut crc = crc32c::crc32c_append(crc32c::crc32c(&data[..24]), &data[28..end]);
    data[24..28].copy_from_slice(&crc.to_le_bytes());
    let mut at = end;
    while let Some(len) = word(data, at).filter(|len| *len > 0) {
        let Some(end) = (at + 8)
            .checked_add(len as usize)
            .filter(|end| *end <= data.len())
        else {
            return;
        };
        crc = crc32c::crc32c_append(
            crc32c::crc32c_append(crc, &data[at..at + 4]),
            &data[at + 8..end],
        );
        data[at + 4..at + 8].copy_from_slice(&crc.to_le_bytes());
        at = end;
    }
}

/// The stores that inputs start from: empty; closed and killed, without and with an index; and killed while
/// a merge runs, so that two journals are needed.
fn bases() -> &'static [Base] {
    static BASES: OnceLock<Vec<Base>> = OnceLock::new();
    BASES.get_or_init(|| {
        let small = SegmentOptions {
            segment_size: 900,
            merge_after: 1_000,
            ..options()
        };
        let merging = SegmentOptions {
            segment_size: 900,
            merge_after: 14,
            ..options()
        };
        let mut bases = vec![Base {
            image: Image::default(),
            blocks: Vec::new(),
        }];
        for options in [&small, &merging] {
            for (alignment, closed) in [(1, true), (1, false), (512, false)] {
                let disk = Recorded::new(Image::default()).with_alignment(alignment);
                bases.push(base(&disk, options, closed));
            }
        }
        let disk = Recorded::new(Image::default());
        base(&disk, &merging, true);
        let record = disk.record();
        let rotated = |image: &Image| {
            image
                .files
                .keys()
                .filter(|name| name.starts_with("journal-"))
                .count()
                > 1
        };
        let images = (0..record.len())
            .map(|at| record.crash(at, &[], |_| unreachable!("nothing is pending")));
        let image = images.filter(rotated).last().expect("a merge");
        let blocks = stored(&Recorded::new(image.clone()), &merging);
        bases.push(Base { image, blocks });
        bases
    })
}

/// Puts, deletes, puts again and compacts.
fn base(disk: &Recorded, options: &SegmentOptions, closed: bool) -> Base {
    let store = open(disk, options).expect("a new store");
    let mut blocks: Vec<Block> = (0..24)
        .map(|n| raw(n, 20 + 17 * (n as usize % 9)))
        .collect();
    blocks.push(node(&blocks[..3]));
    blocks.push(node(&blocks[5..7]));
    for part in blocks.chunks(6) {
        store.put_many(part).expect("put");
        store.sync().expect("sync");
    }
    let dead: Vec<Multihash> = blocks
        .iter()
        .step_by(5)
        .map(|block| block.cid().hash().clone())
        .collect();
    store.delete_many(&dead).expect("delete");
    store.compact(0.2).expect("compact");
    store.put_many(&blocks[5..6]).expect("put");
    store.sync().expect("sync");
    if closed {
        store.close().expect("close");
    }
    let image = disk.image();
    drop(store);
    let blocks = stored(&Recorded::new(image.clone()), options);
    Base { image, blocks }
}

fn stored(disk: &Recorded, options: &SegmentOptions) -> Vec<(Block, String, usize)> {
    let store = open(disk, options).expect("open");
    let blocks = store.blocks().map(|item| {
        let (hash, info) = item.expect("list");
        let data = store.get(&hash).expect("get").expect("listed");
        let position = info.position.to_string();
        let (id, at) = position.split_once(':').expect("segment and offset");
        let name = format!("segments/{:08}.car", id.parse::<u32>().expect("a number"));
        // Both kinds have CIDs of one length, and nodes are known by their links.
        let codec = if info.leaf { codec::RAW } else { codec::DAG_PB };
        (
            Block::trusted(Cid::v1(codec, hash), data),
            name,
            at.parse().expect("a number"),
        )
    });
    blocks.collect()
}
