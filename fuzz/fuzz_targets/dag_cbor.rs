//! dag-cbor: no panic, and the strict decoder takes exactly the bytes that the encoder writes.
#![no_main]
use ipfs_kit_blockstore::codec::{self, dag_cbor};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let _ = dag_cbor::decode_plain(data);
    let mut visited = 0_usize;
    let by_links = codec::links(codec::DAG_CBOR, data, &mut |_| visited += 1);
    if let Ok(value) = dag_cbor::decode(data) {
        by_links.expect("the link walk refuses what the decoder takes");
        let mut links = 0;
        value.for_each_link(&mut |_| links += 1);
        assert_eq!(links, visited);
        let bytes = dag_cbor::encode(&value).expect("decoded values encode");
        let again = dag_cbor::decode(&bytes).expect("own encoding");
        assert_eq!(dag_cbor::encode(&again).expect("again"), bytes);
    }
    if let Ok(value) = dag_cbor::decode_canonical(data) {
        assert_eq!(
            dag_cbor::encode(&value).expect("canonical"),
            data,
            "two encodings of one value"
        );
    }
});
