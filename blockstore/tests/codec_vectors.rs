//! The codec fixtures of the IPLD project, all of them, see `vectors/README.md`.

// The functions that tests share are tests too.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use ipfs_kit_blockstore::cid::Cid;
use ipfs_kit_blockstore::codec::{self, DAG_CBOR, DAG_JSON, DAG_PB, Value, dag_cbor};
use ipfs_kit_blockstore::hash;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/vectors/codec-fixtures")
        .join(name)
}

struct Fixture {
    place: String,
    codec: u64,
    cid: Cid,
    data: Bytes,
}

/// Every fixture under the name of its folder, which holds the same value in several codecs.
fn fixtures() -> BTreeMap<String, Vec<Fixture>> {
    let mut found: BTreeMap<String, Vec<Fixture>> = BTreeMap::new();
    for entry in fs::read_dir(folder("fixtures")).unwrap() {
        let dir = entry.unwrap().path();
        if !dir.is_dir() {
            continue;
        }
        let name = dir.file_name().unwrap().to_str().unwrap().to_owned();
        for entry in fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            let codec = codec::code(path.extension().unwrap().to_str().unwrap()).unwrap();
            let cid: Cid = path.file_stem().unwrap().to_str().unwrap().parse().unwrap();
            let data = Bytes::from(fs::read(&path).unwrap());
            let place = path.display().to_string();
            found.entry(name.clone()).or_default().push(Fixture {
                place,
                codec,
                cid,
                data,
            });
        }
    }
    found
}

#[test]
fn every_fixture_has_its_cid_and_is_written_as_it_was_read() {
    let mut counts = BTreeMap::new();
    for Fixture {
        place,
        codec,
        cid,
        data,
    } in fixtures().into_values().flatten()
    {
        assert_eq!(cid.codec(), codec, "{place}");
        hash::verify(&cid, &data).unwrap();
        let value = codec::decode(codec, &data).unwrap_or_else(|e| panic!("{place}: {e}"));
        assert_eq!(codec::encode(codec, &value).unwrap(), data, "{place}");
        assert_eq!(
            codec::transcode(codec, codec, &data).unwrap(),
            data,
            "{place}"
        );
        if codec == DAG_CBOR {
            assert_eq!(dag_cbor::decode_canonical(&data).unwrap(), value, "{place}");
        }
        let (mut visited, mut held) = (Vec::new(), Vec::new());
        codec::links(codec, &data, &mut |cid| visited.push(cid)).unwrap();
        value.for_each_link(&mut |cid| held.push(cid.clone()));
        assert_eq!(visited, held, "{place}");
        *counts.entry(codec).or_insert(0) += 1;
    }
    assert_eq!(
        counts,
        BTreeMap::from([(DAG_CBOR, 128), (DAG_JSON, 128), (DAG_PB, 17)])
    );
}

#[test]
fn every_fixture_converts_to_the_other_codecs() {
    let mut conversions = 0;
    for forms in fixtures().into_values() {
        for from in &forms {
            for to in &forms {
                let made = codec::transcode(from.codec, to.codec, &from.data);
                assert_eq!(made.unwrap(), to.data, "{} to {}", from.place, to.place);
                conversions += 1;
            }
        }
    }
    // 111 values in two codecs and 17 in three.
    assert_eq!(conversions, 111 * 4 + 17 * 9);
}

fn negatives(file: &str) -> Vec<Value> {
    let text = fs::read(folder("negative-fixtures").join(file)).unwrap();
    match codec::decode(DAG_JSON, &Bytes::from(text)).unwrap() {
        Value::List(cases) => cases,
        other => panic!("{file} holds a {}", other.kind()),
    }
}

fn text<'a>(case: &'a Value, key: &str) -> &'a str {
    match case.get(key) {
        Some(Value::String(text)) => text,
        other => panic!("{key}: {other:?}"),
    }
}

#[test]
fn every_negative_decode_fixture_is_refused() {
    for (codec, file, count) in [
        (DAG_CBOR, "dag-cbor/decode/duplicate-keys.json", 1),
        (DAG_JSON, "dag-json/decode/duplicate-keys.json", 1),
        (DAG_PB, "dag-pb/decode/edges.json", 9),
    ] {
        let cases = negatives(file);
        assert_eq!(cases.len(), count, "{file}");
        for case in &cases {
            let hex = text(case, "hex");
            let data = Bytes::from(
                ipfs_kit_blockstore::cid::Base::Base16Lower
                    .decode(hex)
                    .unwrap(),
            );
            let name = text(case, "name");
            assert!(codec::decode(codec, &data).is_err(), "{name}");
            if codec != DAG_CBOR {
                assert!(codec::links(codec, &data, &mut |_| ()).is_err(), "{name}");
            }
        }
    }
}

#[test]
fn every_negative_encode_fixture_is_refused() {
    let mut counts = (0, 0);
    for file in [
        "dag-pb/encode/basic-datamodel-kinds.json",
        "dag-pb/encode/invalid-forms.json",
    ] {
        for case in negatives(file) {
            let (name, value) = (text(&case, "name"), case.get("dag-json").unwrap());
            let made = codec::encode(DAG_PB, value);
            if name.starts_with("bad sort") {
                // Go, and so Kubo, sorts the links instead of refusing them.
                let sorted = codec::decode(DAG_PB, &made.unwrap().into()).unwrap();
                assert_ne!(&sorted, value, "{name}");
                counts.1 += 1;
            } else {
                assert!(made.is_err(), "{name}");
                counts.0 += 1;
            }
        }
    }
    assert_eq!(counts, (11 + 65, 2));
}
