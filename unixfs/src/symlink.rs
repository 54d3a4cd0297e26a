//! Symbolic links.

use ipfs_kit_blockstore::Block;
use ipfs_kit_blockstore::hash::HashError;

use crate::links::{Root, seal};
use crate::node::{Kind, Mtime, attributes_len, put_attributes};
use crate::options::CidSpec;
use crate::proto::{bytes_field_len, put_bytes_header, put_varint_field};

/// The node of a symbolic link to `target`. There is no block if it is inlined into its CID.
/// As in Kubo a link carries a modification time but never a mode.
///
/// # Errors
/// [`HashError`] if the hash function is identity and the block is longer than a CID may hold.
pub fn symlink(
    target: &[u8],
    mtime: Option<Mtime>,
    spec: &CidSpec,
) -> Result<(Root, Option<Block>), HashError> {
    let message_len = 2 + bytes_field_len(target.len()) + attributes_len(None, mtime);
    let mut bytes = Vec::with_capacity(message_len + 6);
    put_bytes_header(&mut bytes, 1, message_len);
    put_varint_field(&mut bytes, 1, Kind::Symlink as u64);
    put_bytes_header(&mut bytes, 2, target.len());
    bytes.extend_from_slice(target);
    put_attributes(&mut bytes, None, mtime);

    let mut stored = None;
    let root = seal(bytes, 0, 0, spec, &mut |block| stored = Some(block))?;
    Ok((root, stored))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ipfs_kit_blockstore::{HashSpec, Version};

    /// CIDs that Kubo 0.43.0 gave for a link to `target/of/link`.
    #[test]
    fn links_are_those_of_kubo() {
        let late = Some(Mtime {
            seconds: 1_700_000_000,
            nanos: 7,
        });
        let inlined = CidSpec::new(Version::V1, HashSpec::SHA2_256, Some(32)).unwrap();
        for (mtime, spec, cid) in [
            (
                None,
                CidSpec::V0,
                "QmTAXzUkwimYHn7i2UUEnNDS7tMNMS4aicr32k3qfb7D5b",
            ),
            (
                late,
                CidSpec::V0,
                "QmWWVmz2NS8b6YC8kYsMVKwoQiixre3ZwVjiB8q76McPbz",
            ),
            (None, inlined, "bafyaafakcieaieqoorqxez3foqxw6zrpnruw42y"),
        ] {
            let (root, block) = symlink(b"target/of/link", mtime, &spec).unwrap();
            assert_eq!(root.cid.to_string(), cid);
            assert_eq!(block.is_none(), root.cid.hash().is_identity());
        }
    }
}
