//! Reads the blocks of a file before they are needed, on other threads: checking a block's bytes and bringing them in from
//! the disk takes as long as writing them out.

use std::thread;

use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender, bounded};
use ipfs_kit_blockstore::cid::Cid;
use ipfs_kit_unixfs::{FileReader, Steps};
use rustc_hash::{FxHashMap, FxHashSet};

use crate::error::Result;
use crate::node::Node;

/// Blocks on the way at most. They are views of the store's files and cost no memory of their own.
const WINDOW: usize = 24;

const MAX_THREADS: usize = 4;

/// Blocks on the way. The threads end when this is dropped.
pub struct Ahead {
    requests: Sender<Cid>,
    results: Receiver<(Cid, Result<Bytes>)>,
    asked: FxHashSet<Cid>,
    ready: FxHashMap<Cid, Result<Bytes>>,
    wants: Vec<Cid>,
}

impl Ahead {
    /// Starts the threads.
    pub fn new(node: &Node) -> Self {
        let (requests, queue) = bounded::<Cid>(WINDOW);
        let (done, results) = bounded(WINDOW);
        let threads = thread::available_parallelism()
            .map_or(1, usize::from)
            .min(MAX_THREADS);
        for _ in 0..threads {
            let (node, queue, done) = (node.clone(), queue.clone(), done.clone());
            thread::spawn(move || {
                for cid in queue {
                    let block = node.block(&cid);
                    if done.send((cid, block)).is_err() {
                        return;
                    }
                }
            });
        }
        Self {
            requests,
            results,
            asked: FxHashSet::default(),
            ready: FxHashMap::default(),
            wants: Vec::new(),
        }
    }

    /// Asks for what the reader will need next, as far as the window allows.
    pub fn ask(&mut self, reader: &FileReader) {
        if self.asked.len() > WINDOW / 2 {
            return;
        }
        self.wants.clear();
        reader.wants(WINDOW, &mut self.wants);
        for cid in self.wants.drain(..) {
            if self.asked.len() < WINDOW
                && !self.asked.contains(&cid)
                && self.requests.try_send(cid.clone()).is_ok()
            {
                self.asked.insert(cid);
            }
        }
    }

    /// Waits for a block that was asked for; `None` when it was not.
    pub fn take(&mut self, cid: &Cid) -> Option<Result<Bytes>> {
        if !self.asked.remove(cid) {
            return None;
        }
        loop {
            if let Some(block) = self.ready.remove(cid) {
                return Some(block);
            }
            let (got, block) = self.results.recv().ok()?;
            self.ready.insert(got, block);
        }
    }
}
