//! Properties of the decoders: what is written is read back, what is read in canonical form is
//! written as it was, and no bytes make a decoder panic.

// The functions that tests share are tests too.
#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use ipfs_kit_blockstore::car::{CarLimits, CarReader, CarWriter, frame_prefix, read_frame};
use ipfs_kit_blockstore::cid::{Base, Cid, Multihash};
use ipfs_kit_blockstore::codec::dag_json::JsonError;
use ipfs_kit_blockstore::codec::dag_pb::{PbLink, PbNode};
use ipfs_kit_blockstore::codec::{
    self, CBOR, CodecError, DAG_CBOR, DAG_JSON, DAG_PB, JSON, RAW, Value, dag_cbor, dag_json,
};
use ipfs_kit_blockstore::hash::HashSpec;
use ipfs_kit_blockstore::{Block, HashFunction, Version};
use proptest::prelude::*;

fn any_hash() -> impl Strategy<Value = Multihash> {
    let functions: Vec<HashFunction> = HashFunction::all().collect();
    (
        prop::sample::select(functions),
        prop::collection::vec(any::<u8>(), 0..40),
    )
        .prop_map(|(function, data)| HashSpec::from(function).digest(&data).unwrap())
}

fn any_cid() -> impl Strategy<Value = Cid> {
    let codecs = prop::sample::select(vec![RAW, DAG_PB, DAG_CBOR, DAG_JSON, 0x1234, 1 << 40]);
    (codecs, any_hash(), any::<bool>()).prop_map(|(codec, hash, v0)| {
        let cid = Cid::v1(codec, hash);
        if v0 { cid.to_v0().unwrap_or(cid) } else { cid }
    })
}

fn any_value() -> impl Strategy<Value = Value> {
    // Whole floats from 2^64 to 10^21 are written in json as integers that no reader takes, as in
    // Kubo: the test of that is `json_writes_floats_as_kubo`.
    let float = any::<f64>().prop_filter("finite and readable", |float| {
        float.is_finite() && !(2_f64.powi(64)..1e21).contains(&float.abs())
    });
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        (-(1_i128 << 64)..(1_i128 << 64)).prop_map(Value::Int),
        (-30_i128..30).prop_map(Value::Int),
        float.prop_map(Value::Float),
        ".{0,12}".prop_map(Value::String),
        prop::collection::vec(any::<u8>(), 0..40).prop_map(Value::Bytes),
        any_cid().prop_map(Value::link),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        let map = prop::collection::btree_map(".{0,6}", inner.clone(), 0..6);
        prop_oneof![
            prop::collection::vec(inner, 0..6).prop_map(Value::List),
            map.prop_map(|map| Value::Map(map.into_iter().collect())),
        ]
    })
}

fn any_node() -> impl Strategy<Value = PbNode> {
    let bytes = |max| prop::collection::vec(any::<u8>(), 0..max).prop_map(Bytes::from);
    let link = (
        any_cid(),
        prop::option::of(bytes(8)),
        prop::option::of(any::<u64>()),
    )
        .prop_map(|(cid, name, tsize)| PbLink { cid, name, tsize });
    (
        prop::collection::vec(link, 0..6),
        prop::option::of(bytes(40)),
    )
        .prop_map(|(links, data)| PbNode { links, data })
}

/// The maps of a value in the order in which dag-json writes them.
fn sorted(value: Value) -> Value {
    match value {
        Value::List(values) => Value::List(values.into_iter().map(sorted).collect()),
        Value::Map(mut entries) => {
            entries.sort_by(|a, b| a.0.cmp(&b.0));
            Value::Map(
                entries
                    .into_iter()
                    .map(|(key, value)| (key, sorted(value)))
                    .collect(),
            )
        }
        other => other,
    }
}

/// Whole floats are written without a point in json and read back as integers, as in Kubo.
fn whole_floats_as_ints(value: Value) -> Value {
    match value {
        Value::Float(float) if float.fract() == 0.0 && float.abs() < 1e21 => {
            Value::Int(float.to_string().parse().unwrap())
        }
        Value::List(values) => Value::List(values.into_iter().map(whole_floats_as_ints).collect()),
        Value::Map(entries) => Value::Map(
            entries
                .into_iter()
                .map(|(key, value)| (key, whole_floats_as_ints(value)))
                .collect(),
        ),
        other => other,
    }
}

/// Bytes that are nearly right: some are changed, some taken out, some put in.
fn mutate(mut bytes: Vec<u8>, changes: &[(u16, u8, u8)]) -> Vec<u8> {
    for &(at, byte, how) in changes {
        let at = usize::from(at) % (bytes.len() + 1);
        match how % 4 {
            0 => bytes.insert(at, byte),
            1 if at < bytes.len() => drop(bytes.remove(at)),
            2 => bytes.truncate(at),
            _ if at < bytes.len() => bytes[at] = byte,
            _ => {}
        }
    }
    bytes
}

fn any_changes() -> impl Strategy<Value = Vec<(u16, u8, u8)>> {
    prop::collection::vec(any::<(u16, u8, u8)>(), 0..4)
}

/// The canonical form is written as it was read. In json that is true after a second reading: a
/// whole float is read back as an integer, -0 as 0, and from 2^64 on not at all, as in Kubo.
fn check_fixed_point(codec: u64, mut canonical: Bytes) -> Result<(), TestCaseError> {
    if matches!(codec, DAG_JSON | JSON) {
        canonical = match codec::transcode(codec, codec, &canonical) {
            Ok(again) => again.into(),
            Err(CodecError::Json(JsonError::NumberRange(_))) => return Ok(()),
            Err(error) => return Err(TestCaseError::fail(error.to_string())),
        };
    }
    prop_assert_eq!(
        codec::transcode(codec, codec, &canonical).unwrap(),
        canonical
    );
    Ok(())
}

/// What must hold for any bytes at all.
fn check_decoders(data: &[u8]) -> Result<(), TestCaseError> {
    let bytes = Bytes::copy_from_slice(data);
    for codec in [RAW, DAG_PB, DAG_CBOR, DAG_JSON, CBOR, JSON] {
        let mut visited = Vec::new();
        let links = codec::links(codec, data, &mut |cid| visited.push(cid));
        if let Ok(value) = codec::decode(codec, &bytes) {
            let mut held = Vec::new();
            value.for_each_link(&mut |cid| held.push(cid.clone()));
            prop_assert!(links.is_ok());
            prop_assert_eq!(visited, held);
            if let Ok(canonical) = codec::transcode(codec, codec, &bytes) {
                check_fixed_point(codec, canonical.into())?;
            }
        }
    }
    if let Ok(value) = dag_cbor::decode_canonical(data) {
        prop_assert_eq!(dag_cbor::encode(&value).unwrap(), data);
        prop_assert_eq!(dag_cbor::decode(data).unwrap(), value);
    }
    if let Ok((cid, len)) = Cid::read(data) {
        prop_assert_eq!(cid.to_bytes(), &data[..len]);
        prop_assert_eq!(cid.to_string().parse::<Cid>().unwrap(), cid);
    }
    if let Ok(Some(frame)) = read_frame(data) {
        let mut again = Vec::new();
        frame_prefix(&frame.cid, frame.data.len(), &mut again);
        prop_assert_eq!(&again, &data[..frame.data.start]);
    }
    if let Ok(reader) = CarReader::new(data, CarLimits::default()) {
        prop_assert!(reader.take(1000).count() < 1000);
    }
    Ok(())
}

proptest! {
    // A failure prints its smallest input: that becomes a test by name.
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..Default::default() })]

    #[test]
    fn cids_are_read_back(cid in any_cid()) {
        let bytes = cid.to_bytes();
        prop_assert_eq!(bytes.len(), cid.encoded_len());
        prop_assert_eq!(Cid::try_from(bytes.as_slice()).unwrap(), cid.clone());
        prop_assert_eq!(cid.to_string().parse::<Cid>().unwrap(), cid.clone());
        for base in [Base::Base2, Base::Base10, Base::Base36Lower, Base::Base58Btc, Base::Base64Url]
        {
            let text = cid.to_v1().to_string_of_base(base);
            prop_assert_eq!(Cid::parse_with_base(&text).unwrap(), (cid.to_v1(), base));
        }
    }

    #[test]
    fn dag_cbor_is_read_back(value in any_value()) {
        let bytes = dag_cbor::encode(&value).unwrap();
        let read = dag_cbor::decode_canonical(&bytes).unwrap();
        prop_assert_eq!(sorted(read), sorted(value));
    }

    #[test]
    fn dag_json_is_read_back(value in any_value()) {
        if let Ok(bytes) = dag_json::encode(&value) {
            let read = dag_json::decode(&bytes).unwrap();
            prop_assert_eq!(read, sorted(whole_floats_as_ints(value)));
        }
    }

    #[test]
    fn dag_pb_is_read_back(node in any_node()) {
        let bytes = Bytes::from(node.encode());
        let read = PbNode::decode(&bytes).unwrap();
        let mut links = node.links;
        links.sort_by(|a, b| {
            a.name.as_deref().unwrap_or_default().cmp(b.name.as_deref().unwrap_or_default())
        });
        prop_assert_eq!(&read.links, &links);
        prop_assert_eq!(&read.data, &node.data);
        prop_assert_eq!(read.encode(), bytes);
    }

    #[test]
    fn cars_are_read_back(
        contents in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..8),
        roots in prop::collection::vec(any_cid(), 0..4),
    ) {
        let blocks: Vec<Block> = contents
            .into_iter()
            .map(|data| Block::new(Version::V1, RAW, HashSpec::default(), data.into()).unwrap())
            .collect();
        let mut writer = CarWriter::new(Vec::new(), &roots).unwrap();
        blocks.iter().for_each(|block| writer.put_block(block).unwrap());
        let car = writer.finish().unwrap();
        let reader = CarReader::new(car.as_slice(), CarLimits::default()).unwrap();
        prop_assert_eq!(reader.roots(), roots);
        let read: Vec<Block> = reader.collect::<Result<_, _>>().unwrap();
        prop_assert_eq!(read, blocks);
    }

    #[test]
    fn any_bytes_are_refused_or_read(data in prop::collection::vec(any::<u8>(), 0..200)) {
        check_decoders(&data)?;
    }

    #[test]
    fn mutated_cbor_is_refused_or_read(value in any_value(), changes in any_changes()) {
        check_decoders(&mutate(dag_cbor::encode(&value).unwrap(), &changes))?;
    }

    #[test]
    fn mutated_json_is_refused_or_read(value in any_value(), changes in any_changes()) {
        if let Ok(bytes) = dag_json::encode(&value) {
            check_decoders(&mutate(bytes, &changes))?;
        }
    }

    #[test]
    fn mutated_dag_pb_is_refused_or_read(node in any_node(), changes in any_changes()) {
        check_decoders(&mutate(node.encode(), &changes))?;
    }

    #[test]
    fn mutated_cars_are_refused_or_read(node in any_node(), changes in any_changes()) {
        let data = Bytes::from(node.encode());
        let block = Block::new(Version::V0, DAG_PB, HashSpec::default(), data).unwrap();
        let mut writer = CarWriter::new(Vec::new(), &[block.cid().clone()]).unwrap();
        writer.put_block(&block).unwrap();
        writer.put_block(&block).unwrap();
        check_decoders(&mutate(writer.finish().unwrap(), &changes))?;
    }

    #[test]
    fn any_text_is_a_cid_or_not(text in ".{0,80}") {
        if let Ok((cid, base)) = Cid::parse_with_base(&text) {
            let again = cid.to_string_of_base(base);
            prop_assert_eq!(again.parse::<Cid>().unwrap(), cid);
        }
    }
}
