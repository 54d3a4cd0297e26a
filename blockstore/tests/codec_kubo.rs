//! What Kubo 0.43.0 wrote for the same input: `dag put`, `dag get` and `block get`, by hand.

// The functions that tests share are tests too.
#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use ipfs_kit_blockstore::cid::{Base, Cid};
use ipfs_kit_blockstore::codec::{
    self, CBOR, CodecError, DAG_CBOR, DAG_JSON, DAG_PB, JSON, Value, Walk, dag_json,
};
use ipfs_kit_blockstore::hash::HashSpec;

fn put(input: u64, store: u64, data: &'static str) -> Result<(Cid, Bytes), CodecError> {
    let made = codec::transcode(input, store, &Bytes::from_static(data.as_bytes()))?;
    let cid = Cid::v1(store, HashSpec::default().digest(&made).unwrap());
    Ok((cid, made.into()))
}

fn hex(bytes: &[u8]) -> String {
    Base::Base16Lower.encode(bytes)
}

fn text(codec: u64, value: &Value) -> String {
    String::from_utf8(codec::encode(codec, value).unwrap()).unwrap()
}

const INPUT: &str = "{\"b\":1,\"a\":[1.0,1e21,1e-7,0.000001,\"\\u2028\\u0007\u{e9}\"],\
                     \"l\":{\"/\":\"bafkqaaa\"},\"x\":{\"/\":{\"bytes\":\"AQID\"}}}";
const OUTPUT: &str = "{\"a\":[1,1e+21,1e-7,0.000001,\"\\u2028\\u0007\u{e9}\"],\"b\":1,\
                      \"l\":{\"/\":\"bafkqaaa\"},\"x\":{\"/\":{\"bytes\":\"AQID\"}}}";

#[test]
fn dag_put_and_get_give_the_cids_and_bytes_of_kubo() {
    let (cid, data) = put(DAG_JSON, DAG_CBOR, INPUT).unwrap();
    assert_eq!(
        cid.to_string(),
        "bafyreigt3umotk4v73jv3xbc2vowlxfsgbdurjf36qjzatqvxujqeq7fne"
    );
    assert_eq!(
        hex(&data),
        "a4616185fb3ff0000000000000fb444b1ae4d6e2ef50fb3e7ad7f29abcaf48fb3eb0c6f7a0b5ed8d66e280a807\
         c3a9616201616cd82a450001550000617843010203"
    );
    assert_eq!(
        codec::transcode(DAG_CBOR, DAG_JSON, &data).unwrap(),
        OUTPUT.as_bytes()
    );

    let (cid, data) = put(DAG_JSON, DAG_JSON, INPUT).unwrap();
    assert_eq!(
        cid.to_string(),
        "baguqeeragg4p6cxetaeberolrlzoqdgkeps7j3kwfboot7tfbtcrqi7cyctq"
    );
    assert_eq!(data, OUTPUT.as_bytes());
    assert_eq!(
        hex(&codec::transcode(DAG_JSON, DAG_CBOR, &data).unwrap()),
        "a461618501fb444b1ae4d6e2ef50fb3e7ad7f29abcaf48fb3eb0c6f7a0b5ed8d66e280a807c3a9616201616cd8\
         2a450001550000617843010203"
    );
}

#[test]
fn plain_json_and_cbor_are_written_as_kubo_does() {
    const PLAIN: &str = r#"{"b":1,"a":[1.0,[],{},{"z":1,"c":[2]}]}"#;
    let (cid, data) = put(JSON, JSON, PLAIN).unwrap();
    assert_eq!(
        cid.to_string(),
        "bagaaiera5axdck6wxus65cgudmbuhdajhadqqrhiazapcifc7touxxpqeaoa"
    );
    let lines = "{\n\t\"b\": 1,\n\t\"a\": [\n\t\t1,\n\t\t[],\n\t\t{},\n\t\t{\n\t\t\t\"z\": 1,\n\
                 \t\t\t\"c\": [\n\t\t\t\t2\n\t\t\t]\n\t\t}\n\t]\n}\n";
    assert_eq!(data, lines);
    assert_eq!(put(JSON, JSON, "[]").unwrap().1, "[]\n");
    assert_eq!(put(JSON, JSON, "5").unwrap().1, "5");
    let cbor = put(JSON, CBOR, PLAIN).unwrap().1;
    assert_eq!(
        hex(&cbor),
        "a2616201616184fb3ff000000000000080a0a2617a0161638102"
    );
    // Links and bytes have no form there.
    assert!(put(DAG_JSON, JSON, r#"{"/":"bafkqaaa"}"#).is_err());
    assert!(put(DAG_JSON, JSON, r#"{"/":{"bytes":"AQID"}}"#).is_err());
    assert!(put(DAG_JSON, CBOR, r#"{"/":"bafkqaaa"}"#).is_err());
}

/// A directory with the files `a.txt` and `\xff\xfeb`.
fn directory() -> Bytes {
    const HEX: &str = "122d0a221220e2fecf4b8df282c8848ae9f70ad6e97069b435f5b5907c3fffe14a6bf5bef0da\
                       1205612e747874180a122b0a2212205910a635e5b44201ae883796c2c1c90d81049741c26f36\
                       aadc58e53a533a94151203fffe6218090a020801";
    Base::Base16Lower.decode(HEX).unwrap().into()
}

#[test]
fn names_that_are_not_text_are_replaced_in_json_and_refused_in_cbor() {
    let data = directory();
    let cid = Cid::v0(HashSpec::default().digest(&data).unwrap()).unwrap();
    assert_eq!(
        cid.to_string(),
        "QmdNHnADce5nhPJ3MY8k2PAbbUH2yw75H5yyDSAQ8rtsfE"
    );
    let json = codec::transcode(DAG_PB, DAG_JSON, &data).unwrap();
    let expected = r#"{"Data":{"/":{"bytes":"CAE"}},"Links":[{"Hash":{"/":"QmdckCoPuhEtiNzREtqpYn8dBgY8ifcG82Q4eyEdGCLEiu"},"Name":"a.txt","Tsize":10},{"Hash":{"/":"QmULKig5Fxrs2sC4qt9nNduucXfb92AFYQ6Hi3YRqDmrYC"},"Name":"??b","Tsize":9}]}"#;
    assert_eq!(
        String::from_utf8(json).unwrap(),
        expected.replace('?', "\u{fffd}")
    );
    assert_eq!(codec::transcode(DAG_PB, DAG_PB, &data).unwrap(), data);
    // Kubo writes text that is not UTF-8 here, which is no dag-cbor.
    assert_eq!(
        codec::transcode(DAG_PB, DAG_CBOR, &data),
        Err(CodecError::NameNotText)
    );
}

#[test]
fn json_reads_what_kubo_reads() {
    for (input, output) in [
        (r#"{"/":1}"#, r#"{"/":1}"#),
        (r#"{"/":"bafkqaaa","a":1}"#, r#"{"/":"bafkqaaa","a":1}"#),
        (r#"{"/":{"bytes":5}}"#, r#"{"/":{"bytes":5}}"#),
        (r#"{"/":{"bytes":"AQI="}}"#, r#"{"/":{"bytes":"AQI"}}"#),
        (" -0 ", "0"),
        ("[ 1.0 , 5e-1 ]", "[1,0.5]"),
        (r#""\ud83d\ude80\/\b""#, "\"\u{1f680}/\\u0008\""),
        ("-9223372036854775808", "-9223372036854775808"),
    ] {
        let value = dag_json::decode(input.as_bytes()).unwrap_or_else(|e| panic!("{input}: {e}"));
        assert_eq!(text(DAG_JSON, &value), output, "{input}");
    }
    for input in [
        "",
        "-",
        "1x",
        "nul",
        r#"{"a":1,"a":2}"#,
        "1e999",
        r#"{"/":"notacid"}"#,
        "\"a\tb\"",
        " 1 x",
        r#"{"a" 1}"#,
        "[1 2]",
        "\"\\x\"",
        r#"{1:2}"#,
        // Kubo reads these; here one value has one text, and text is text.
        "[1,]",
        "01",
        "1.",
        r#""\ud800""#,
        r#"{"/":{"bytes":"AQJ"}}"#,
        "1\0",
    ] {
        assert!(dag_json::decode(input.as_bytes()).is_err(), "{input}");
    }
    assert!(dag_json::decode(b"\"\xff\"").is_err());
}

#[test]
fn json_writes_floats_as_kubo() {
    for (float, written) in [
        (0.0, "0"),
        (-0.0, "-0"),
        (1.0, "1"),
        (5.629_989_769_026_081_6e19, "56299897690260816000"),
        (1e21, "1e+21"),
        (-1.5e300, "-1.5e+300"),
        (1e-6, "0.000001"),
        (1e-7, "1e-7"),
        (5e-324, "5e-324"),
        (0.1, "0.1"),
    ] {
        assert_eq!(text(DAG_JSON, &Value::Float(float)), written);
    }
    assert!(codec::encode(DAG_JSON, &Value::Float(f64::NAN)).is_err());
    assert!(codec::encode(DAG_CBOR, &Value::Float(f64::INFINITY)).is_err());
}

#[test]
fn a_map_that_looks_like_a_link_is_not_written_as_one() {
    let map = |key: &str, value| Value::Map(vec![(key.to_owned(), value)]);
    let fake_link = map("/", Value::String("bafkqaaa".to_owned()));
    let fake_bytes = map("/", map("bytes", Value::String("AQID".to_owned())));
    for fake in [fake_link, fake_bytes] {
        assert!(codec::encode(DAG_JSON, &fake).is_err());
        assert!(codec::encode(DAG_CBOR, &fake).is_ok());
        assert!(codec::encode(JSON, &fake).is_ok());
    }
}

#[test]
fn paths_end_at_values_and_links() {
    let value = dag_json::decode(br#"{"a":[{"b":5},{"/":"bafkqaaa"}]}"#).unwrap();
    let segments = |path: &str| path.split('/').map(str::to_owned).collect::<Vec<_>>();
    let five = Walk {
        value: &Value::Int(5),
        used: 3,
    };
    assert_eq!(codec::walk(&value, &segments("a/0/b")), Ok(five));
    let link = Value::link("bafkqaaa".parse().unwrap());
    let at_link = Walk {
        value: &link,
        used: 2,
    };
    assert_eq!(codec::walk(&value, &segments("a/1/x/y")), Ok(at_link));
    assert_eq!(codec::walk(&value, &segments("a/1")), Ok(at_link));
    for missing in ["x", "a/2", "a/-1", "a/0/b/c", "a/b"] {
        let error = codec::walk(&value, &segments(missing));
        assert!(
            matches!(error, Err(CodecError::NoSegment { .. })),
            "{missing}"
        );
    }
}
