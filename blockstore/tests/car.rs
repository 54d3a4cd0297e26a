//! CAR files from outside, and of both versions.

// The functions that tests share are tests too.
#![allow(clippy::unwrap_used)]

use std::io::{self, Read};

use bytes::Bytes;
use ipfs_kit_blockstore::Block;
use ipfs_kit_blockstore::car::{CarError, CarLimits, CarReader, CarWriter, Section};
use ipfs_kit_blockstore::cid::{Cid, Version};
use ipfs_kit_blockstore::codec::RAW;
use ipfs_kit_blockstore::hash::HashSpec;

fn block(text: &'static str) -> Block {
    let data = Bytes::from_static(text.as_bytes());
    Block::new(Version::V1, RAW, HashSpec::default(), data).unwrap()
}

fn v1(blocks: &[Block]) -> Vec<u8> {
    let roots: Vec<Cid> = blocks
        .iter()
        .take(1)
        .map(|block| block.cid().clone())
        .collect();
    let mut writer = CarWriter::new(Vec::new(), &roots).unwrap();
    blocks
        .iter()
        .for_each(|block| writer.put_block(block).unwrap());
    writer.finish().unwrap()
}

/// A version 2 around a version 1, with padding before it and an index after it.
fn v2(payload: &[u8], padding: usize) -> Vec<u8> {
    let offset = 51 + padding as u64;
    let size = payload.len() as u64;
    let mut car = b"\x0a\xa1gversion\x02".to_vec();
    car.extend_from_slice(&[0; 16]);
    for word in [offset, size, offset + size] {
        car.extend_from_slice(&word.to_le_bytes());
    }
    car.resize(offset as usize, 0);
    car.extend_from_slice(payload);
    car.extend_from_slice(b"\x80\x08 index that nobody reads");
    car
}

fn read(car: impl Read) -> Result<Vec<Block>, CarError> {
    CarReader::new(car, CarLimits::default())?.collect()
}

/// Gives one byte at a time, and is interrupted in between.
struct Slow<'a>(&'a [u8], bool);

impl Read for Slow<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.1 = !self.1;
        if self.1 {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let len = out.len().min(1);
        self.0.read(&mut out[..len])
    }
}

#[test]
fn both_versions_hold_the_same_blocks() {
    let blocks = [block("one"), block("two"), block("")];
    let car = v1(&blocks);
    assert_eq!(read(car.as_slice()).unwrap(), blocks);
    assert_eq!(read(Slow(&car, false)).unwrap(), blocks);
    for padding in [0, 1, 5000] {
        let car = v2(&car, padding);
        let reader = CarReader::new(car.as_slice(), CarLimits::default()).unwrap();
        assert_eq!(
            (reader.version(), reader.roots()),
            (2, &[blocks[0].cid().clone()][..])
        );
        assert_eq!(read(Slow(&car, false)).unwrap(), blocks);
    }
}

#[test]
fn the_version_2_of_the_specification_is_read() {
    // The header of the example in https://ipld.io/specs/transport/car/carv2/.
    let car = v2(&v1(&[block("x")]), 0);
    assert_eq!(
        car[..11],
        [
            0x0a, 0xa1, 0x67, 0x76, 0x65, 0x72, 0x73, 0x69, 0x6f, 0x6e, 0x02
        ]
    );
    assert_eq!(car[27..35], 51_u64.to_le_bytes());
}

#[test]
fn a_file_cut_anywhere_is_truncated_or_shorter() {
    let blocks = [block("one"), block("two")];
    let whole = v1(&blocks);
    let mut shorter = 0;
    for cut in 0..whole.len() {
        match read(&whole[..cut]) {
            Ok(read) => {
                assert_eq!(read, blocks[..read.len()]);
                shorter += 1;
            }
            Err(CarError::Truncated { .. } | CarError::Empty) => {}
            Err(other) => panic!("cut at {cut}: {other}"),
        }
    }
    // After the header and after the first block: version 1 does not say how long it is.
    assert_eq!(shorter, 2);
    let end = 51 + 3 + whole.len();
    let whole = v2(&whole, 3);
    for cut in 0..end {
        let error = read(&whole[..cut]).unwrap_err();
        assert!(
            matches!(error, CarError::Truncated { .. } | CarError::Empty),
            "{cut}: {error}"
        );
    }
    assert_eq!(read(&whole[..end]).unwrap(), blocks);
}

#[test]
fn a_block_that_is_not_its_cid_is_an_error_and_the_end() {
    let mut car = v1(&[block("one"), block("two"), block("three")]);
    let at = car.windows(3).position(|window| window == b"two").unwrap();
    car[at] ^= 1;
    let mut reader = CarReader::new(car.as_slice(), CarLimits::default()).unwrap();
    assert_eq!(reader.next().unwrap().unwrap(), block("one"));
    assert!(matches!(reader.next(), Some(Err(CarError::Block { .. }))));
    assert!(reader.next().is_none());
    // Sections leave the check to the caller.
    let mut reader = CarReader::new(car.as_slice(), CarLimits::default()).unwrap();
    let mut sections = Vec::new();
    while let Some(Section { cid, data, offset }) = reader.next_section().unwrap() {
        assert_eq!(&car[offset as usize + 1..][..36], cid.to_bytes());
        sections.push(data);
    }
    assert_eq!(sections, ["one", "uwo", "three"]);
}

#[test]
fn version_2_that_points_nowhere_is_refused() {
    let good = v2(&v1(&[block("one")]), 0);
    for (at, word) in [
        (27, 0_u64),
        (27, 50),
        (27, u64::MAX),
        (35, 0),
        (35, u64::MAX),
    ] {
        let mut car = good.clone();
        car[at..at + 8].copy_from_slice(&word.to_le_bytes());
        assert!(
            matches!(read(car.as_slice()), Err(CarError::Header(_))),
            "{at} {word}"
        );
    }
    for (at, word) in [(27, 1_u64 << 40), (35, 1 << 40), (35, 70)] {
        let mut car = good.clone();
        car[at..at + 8].copy_from_slice(&word.to_le_bytes());
        assert!(
            matches!(read(car.as_slice()), Err(CarError::Truncated { .. })),
            "{at} {word}"
        );
    }
    // A version 2 inside a version 2.
    assert!(matches!(
        read(v2(&good, 0).as_slice()),
        Err(CarError::Header(_))
    ));
}

#[test]
fn limits_hold() {
    let car = v1(&[block("0123456789")]);
    let limits = |header, section, roots| CarLimits {
        header,
        section,
        roots,
    };
    let read = |limits| CarReader::new(car.as_slice(), limits)?.collect::<Result<Vec<_>, _>>();
    assert_eq!(read(limits(58, 46, 1)).unwrap().len(), 1);
    assert!(matches!(
        read(limits(57, 46, 1)),
        Err(CarError::TooLong {
            place: "header",
            ..
        })
    ));
    assert!(matches!(
        read(limits(58, 45, 1)),
        Err(CarError::TooLong {
            place: "section",
            ..
        })
    ));
    assert!(matches!(read(limits(58, 46, 0)), Err(CarError::Header(_))));
}

#[test]
fn a_reader_that_fails_is_told() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("disk on fire"))
        }
    }
    let error = read(Broken).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot read the CAR at byte 0: disk on fire"
    );
}
