//! UnixFS messages: no panic, and encoding is a fixed point.
#![no_main]
use bytes::Bytes;
use ipfs_kit_unixfs::UnixFs;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(node) = UnixFs::decode(&Bytes::copy_from_slice(data)) {
        let bytes = Bytes::from(node.encode());
        let again = UnixFs::decode(&bytes).expect("own encoding");
        assert_eq!(again.encode(), bytes);
    }
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(chunker) = text.parse::<ipfs_kit_unixfs::Chunker>()
    {
        assert_eq!(
            chunker.to_string().parse::<ipfs_kit_unixfs::Chunker>(),
            Ok(chunker)
        );
    }
});
