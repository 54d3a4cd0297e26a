//! dag-json: no panic, encoding is a fixed point, and values cross over to dag-cbor and back.
#![no_main]
use ipfs_kit_blockstore::codec::dag_json::JsonError;
use ipfs_kit_blockstore::codec::{dag_cbor, dag_json};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let _ = dag_json::decode_plain(data);
    let Ok(value) = dag_json::decode(data) else {
        return;
    };
    let Ok(bytes) = dag_json::encode(&value) else {
        return;
    };
    let again = match dag_json::decode(&bytes) {
        Ok(again) => again,
        // A whole float beyond 64 bits is written without an exponent, as Kubo writes it (and, like
        // Kubo, not read back).
        Err(JsonError::NumberRange(_)) => return,
        Err(error) => panic!("own encoding is refused: {error}"),
    };
    // A whole float comes back as an integer, so the text settles with the second writing.
    let settled = dag_json::encode(&again).expect("again");
    let read = dag_json::decode(&settled).expect("own encoding");
    assert_eq!(dag_json::encode(&read).expect("settled"), settled);
    if let Ok(cbor) = dag_cbor::encode(&value) {
        let back = dag_cbor::decode(&cbor).expect("own encoding");
        assert_eq!(dag_cbor::encode(&back).expect("again"), cbor);
    }
});
