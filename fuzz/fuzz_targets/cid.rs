//! CID bytes and text: no panic, and what is accepted comes back as the same bytes and the same text.
#![no_main]
use ipfs_kit_blockstore::{Cid, Multihash};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok((cid, used)) = Cid::read(data) {
        assert_eq!(cid.to_bytes(), &data[..used], "re-encoding differs");
        assert_eq!(cid.encoded_len(), used);
        let text = cid.to_string();
        assert_eq!(
            text.parse::<Cid>().as_ref(),
            Ok(&cid),
            "text {text} does not come back"
        );
    }
    assert_eq!(
        Cid::try_from(data).is_ok(),
        Cid::read(data).is_ok_and(|(_, used)| used == data.len()),
        "the exact reader takes trailing bytes"
    );
    if let Ok((hash, used)) = Multihash::read(data) {
        assert_eq!(hash.to_bytes(), &data[..used]);
    }
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(cid) = text.parse::<Cid>()
    {
        assert_eq!(Cid::try_from(cid.to_bytes().as_slice()).as_ref(), Ok(&cid));
    }
});
