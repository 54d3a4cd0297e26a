//! dag-pb: no panic, one reading of every block, and the two decoders agree.
#![no_main]
use bytes::Bytes;
use ipfs_kit_blockstore::codec::{self, dag_pb};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let bytes = Bytes::copy_from_slice(data);
    let mut visited = Vec::new();
    let by_links = codec::links(codec::DAG_PB, data, &mut |cid| visited.push(cid));
    match dag_pb::PbNode::decode(&bytes) {
        Ok(node) => {
            by_links.expect("the link iterator refuses what the decoder takes");
            let links: Vec<_> = node.links.iter().map(|link| link.cid.clone()).collect();
            assert_eq!(links, visited);
            assert_eq!(dag_pb::data(data).expect("data"), node.data.as_deref());
            let again = Bytes::from(node.encode());
            let decoded = dag_pb::PbNode::decode(&again).expect("own encoding");
            assert_eq!(decoded.encode(), again, "encoding is not a fixed point");
        }
        Err(_) => assert!(
            by_links.is_err(),
            "the link iterator takes what the decoder refuses"
        ),
    }
});
