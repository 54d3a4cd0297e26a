//! Where memory comes from: mimalloc, which takes no locks between threads. With glibc's allocator small calls spend an
//! eighth of their time there, and what a burst of uploads needed is never given back.

#![allow(unsafe_code)]

use std::ffi::c_int;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// `mi_option_purge_delay` in mimalloc.h, which the crate has no name for.
const PURGE_DELAY: c_int = 15;

/// Gives freed memory back to the system at once. By default that waits for the next allocations, and a daemon that has
/// nothing to do makes none.
pub fn give_back_at_once() {
    // SAFETY: mimalloc.h lets any thread set an option at any time.
    unsafe { libmimalloc_sys::mi_option_set(PURGE_DELAY, 0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The place of an option in a list may change with the library.
    #[test]
    fn the_option_is_the_one_that_is_meant() {
        const HEADER_DEFAULT: i64 = 1_000;
        // SAFETY: as above.
        assert_eq!(
            unsafe { libmimalloc_sys::mi_option_get(PURGE_DELAY) },
            HEADER_DEFAULT
        );
        give_back_at_once();
        // SAFETY: as above.
        assert_eq!(unsafe { libmimalloc_sys::mi_option_get(PURGE_DELAY) }, 0);
    }
}
