//! Large buffers that are used again, so that adding a terabyte does not fault in a terabyte of fresh pages.

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

/// Buffers of one size.
pub struct BufferPool {
    size: usize,
    free: Mutex<Vec<Vec<u8>>>,
    keep: usize,
}

/// A buffer on loan; it goes back to its pool when dropped.
pub struct Buffer {
    bytes: Vec<u8>,
    pool: Arc<BufferPool>,
}

impl BufferPool {
    /// A pool that keeps at most `keep` unused buffers of `size` bytes.
    pub fn new(size: usize, keep: usize) -> Arc<Self> {
        Arc::new(Self {
            size,
            free: Mutex::new(Vec::new()),
            keep,
        })
    }

    /// A buffer of the pool's size, or of `at_least` if that is more; its content is arbitrary.
    pub fn take(self: &Arc<Self>, at_least: usize) -> Buffer {
        let used = if at_least <= self.size {
            self.free.lock().pop()
        } else {
            None
        };
        let bytes = used.unwrap_or_else(|| vec![0; at_least.max(self.size)]);
        Buffer {
            bytes,
            pool: Arc::clone(self),
        }
    }
}

impl Buffer {
    /// Freezes the buffer; it returns to the pool when the last slice of it is gone.
    pub fn freeze(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl std::ops::Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl std::ops::DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let mut free = self.pool.free.lock();
        if self.bytes.len() == self.pool.size && free.len() < self.pool.keep {
            free.push(std::mem::take(&mut self.bytes));
        }
    }
}
