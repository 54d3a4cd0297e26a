//! CAR v1 and v2: no panic, memory bounded by the limits, and what is read can be written and read again.
#![no_main]
use ipfs_kit_blockstore::car::{CarLimits, CarReader, CarWriter, read_frame};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(Some(frame)) = read_frame(data) {
        assert!(frame.len() <= data.len());
    }
    let Ok(mut reader) = CarReader::new(data, CarLimits::default()) else {
        return;
    };
    let roots = reader.roots().to_vec();
    let blocks: Vec<_> = reader.by_ref().map_while(Result::ok).collect();
    let Ok(mut writer) = CarWriter::new(Vec::new(), &roots) else {
        return;
    };
    for block in &blocks {
        writer.put_block(block).expect("writing to memory");
    }
    let bytes = writer.finish().expect("writing to memory");
    let again = CarReader::new(bytes.as_slice(), CarLimits::default()).expect("own header");
    let again: Vec<_> = again.map(|block| block.expect("own section")).collect();
    assert_eq!(again, blocks);
});
