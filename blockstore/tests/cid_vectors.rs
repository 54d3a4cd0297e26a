//! The vectors of multihash and multibase, all of them, and outputs of Kubo, see
//! `vectors/README.md`.

// The functions that tests share are tests too.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use ipfs_kit_blockstore::cid::{self, Base, Cid, CidError, Multihash, decode_multibase};
use ipfs_kit_blockstore::codec::RAW;
use ipfs_kit_blockstore::hash::{self, HashError, HashFunction, HashSpec};

fn vectors(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/vectors")
        .join(file);
    fs::read_to_string(path).unwrap()
}

#[test]
fn every_multihash_vector() {
    let (mut made, mut refused) = (0, 0);
    for line in vectors("multihash/tests/values/test_cases.csv")
        .lines()
        .skip(1)
    {
        let [name, bits, input, hex]: [&str; 4] =
            line.split(',').collect::<Vec<_>>().try_into().unwrap();
        let len = bits.parse::<usize>().unwrap() / 8;
        let expected = Multihash::from_bytes(&Base::Base16Lower.decode(hex).unwrap()).unwrap();
        let function = HashFunction::from_name(name).unwrap();
        assert_eq!(
            (expected.code(), expected.digest().len()),
            (function.code(), len),
            "{line}"
        );
        // The input of the vectors is the text itself, not the bytes that it spells.
        let digest = hash::digest(function.code(), len, input.as_bytes());
        if len < 20 {
            // Ten bytes are not safe from collisions: they are read, but never made or trusted.
            assert!(matches!(digest, Err(HashError::Length { .. })), "{line}");
            assert!(
                matches!(expected.check(), Err(CidError::DigestTooSmall { .. })),
                "{line}"
            );
            let whole = hash::HashSpec::from(function)
                .digest(input.as_bytes())
                .unwrap();
            assert_eq!(whole.digest()[..len], *expected.digest(), "{line}");
            refused += 1;
        } else {
            assert_eq!(digest.unwrap(), expected, "{line}");
            expected.check().unwrap();
            made += 1;
        }
    }
    assert_eq!((made, refused), (180, 80));
}

#[test]
fn every_multibase_vector() {
    let mut counts = (0, 0);
    for (file, plain, encodes) in [
        ("basic.csv", &b"yes mani !"[..], true),
        ("leading_zero.csv", b"\x00yes mani !", true),
        ("two_leading_zeros.csv", b"\x00\x00yes mani !", true),
        ("case_insensitivity.csv", b"hello world", false),
    ] {
        for line in vectors(&format!("multibase/{file}")).lines().skip(1) {
            let (name, text) = line.split_once(',').unwrap();
            let text = text.trim().trim_matches('"');
            let (base, decoded) = decode_multibase(text).unwrap_or_else(|e| panic!("{line}: {e}"));
            assert_eq!(decoded, plain, "{file}: {line}");
            assert_eq!(cid::base_name(base), name, "{file}: {line}");
            assert_eq!(cid::base_from_name(name), Some(base));
            if encodes {
                assert_eq!(
                    format!("{}{}", base.code(), base.encode(plain)),
                    text,
                    "{line}"
                );
                counts.0 += 1;
            } else {
                counts.1 += 1;
            }
        }
    }
    assert_eq!(counts, (3 * 23, 12));
}

#[test]
fn every_hash_function_of_kubo_names_a_block_alike() {
    let lines = vectors("kubo/hashes-of-abc.txt");
    for line in lines.lines() {
        let (name, expected) = line.split_once(' ').unwrap();
        let spec = HashSpec::from(HashFunction::from_name(name).unwrap());
        let hash = spec.digest(b"abc").unwrap();
        assert_eq!(Cid::v1(RAW, hash).to_string(), expected, "{name}");
    }
    assert_eq!(lines.lines().count(), 59);
    // Kubo lists 14 more in `cid hashes` but cannot compute them: keccak-224, keccak-384 and
    // blake2s-160 to blake2s-248.
    assert_eq!(HashFunction::all().count(), 59 + 14);
    for (function, len, expected) in [
        (
            HashFunction::BLAKE3,
            64,
            "bafkr4qdeg6z2yocgkez77nr3outtvdnvjdcvqrs5phnqh7jvtrwnlpm5qup3eufoooj7lubico3f2uq2bves3\
             g5att34472m77mqb4rtos7qw",
        ),
        (
            HashFunction::SHA2_512,
            20,
            "bafkrgfg5v422de3bpk5myqltjgxcaqjrcltputq",
        ),
    ] {
        let hash = HashSpec::new(function, Some(len))
            .unwrap()
            .digest(b"abc")
            .unwrap();
        assert_eq!(Cid::v1(RAW, hash).to_string(), expected);
    }
}

#[test]
fn a_cid_in_every_base_of_kubo() {
    let cid: Cid = "QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn"
        .parse()
        .unwrap();
    let lines = vectors("kubo/cid-in-bases.txt");
    let expected: Vec<(&str, &str)> = lines
        .lines()
        .map(|line| line.split_once(' ').unwrap())
        .collect();
    let mut written = Vec::new();
    for (base, name) in cid::bases().iter().skip(1) {
        written.push((*name, cid.to_v1().to_string_of_base(*base)));
        assert_eq!(cid.to_string_of_base(*base), cid.to_string());
    }
    assert_eq!(written.len(), 20);
    for ((name, text), (written_name, written)) in expected.into_iter().zip(&written) {
        assert_eq!((name, text), (*written_name, written.as_str()));
        assert_eq!(text.parse::<Cid>().unwrap(), cid.to_v1(), "{name}");
    }
    // Text cannot hold the identity base; it must not panic either.
    assert!(
        cid.to_v1()
            .to_string_of_base(Base::Identity)
            .starts_with("\0\u{1}p")
    );
    assert_eq!(
        "\0\u{1}U\0\u{1}x".parse::<Cid>().unwrap().hash().digest(),
        b"x"
    );
}
