//! Multibases by name and prefix, with Kubo's error text.

use ipfs_kit_node::cid::{self, Base};

use crate::failure::Failure;

/// The multibase of that name.
///
/// # Errors
/// When there is none.
pub fn by_name(name: &str) -> Result<Base, Failure> {
    cid::base_from_name(name).ok_or_else(|| {
        Failure::failed(format_args!(
            "unsupported multibase encoding: {name}; 'ipfs-kit multibase list' shows the names"
        ))
    })
}

/// The multibase whose texts start with `prefix`.
pub fn by_prefix(prefix: char) -> Option<Base> {
    Base::from_code(prefix).ok()
}
