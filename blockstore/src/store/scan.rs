//! Walks over all blocks: listing, verifying, scrubbing.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::{fmt, thread, vec};

use super::types::{BlockInfo, VerifyReport};
use super::{BlockStore, StoreError};
use crate::cid::Multihash;

const PAGE: usize = 1_024;
const VERIFY_THREADS_MAX: usize = 8;

/// Iterator over the blocks of a store, see [`BlockStore::blocks`].
pub struct Blocks {
    store: BlockStore,
    page: vec::IntoIter<(Multihash, BlockInfo)>,
    last: Option<Multihash>,
    done: bool,
}

impl Blocks {
    pub(super) fn new(store: BlockStore) -> Self {
        Self {
            store,
            page: Vec::new().into_iter(),
            last: None,
            done: false,
        }
    }

    fn turn(&mut self) -> Result<(), StoreError> {
        let page = self.store.list(self.last.as_ref(), PAGE)?;
        self.done = page.len() < PAGE;
        if let Some((last, _)) = page.last() {
            self.last = Some(last.clone());
        }
        self.page = page.into_iter();
        Ok(())
    }
}

impl Iterator for Blocks {
    type Item = Result<(Multihash, BlockInfo), StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.page.len() == 0
            && !self.done
            && let Err(error) = self.turn()
        {
            self.done = true;
            return Some(Err(error));
        }
        self.page.next().map(Ok)
    }
}

impl fmt::Debug for Blocks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Blocks")
            .field("last", &self.last)
            .finish_non_exhaustive()
    }
}

/// What a step of the scrub did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScrubStep {
    /// Where to go on; `None` when the pass is complete.
    pub next: Option<Multihash>,
    /// What the step found.
    pub report: VerifyReport,
}

/// Checks every block, with a thread for each processor.
pub(super) fn verify(
    store: &BlockStore,
    on_block: &mut dyn FnMut(&Multihash, bool) -> ControlFlow<()>,
) -> Result<VerifyReport, StoreError> {
    let mut report = VerifyReport::default();
    let mut last = None;
    loop {
        let page = store.list(last.as_ref(), PAGE)?;
        for ((hash, info), sound) in page.iter().zip(check_page(store, &page)?) {
            let Some(sound) = sound else { continue };
            report.add(info, sound);
            if on_block(hash, sound).is_break() {
                return Ok(report);
            }
        }
        match page.into_iter().last() {
            Some((hash, _)) => last = Some(hash),
            None => return Ok(report),
        }
    }
}

/// Checks blocks from `after` on until `max_bytes` are read, at least one.
pub(super) fn scrub_step(
    store: &BlockStore,
    after: Option<&Multihash>,
    max_bytes: u64,
) -> Result<ScrubStep, StoreError> {
    let mut report = VerifyReport::default();
    let mut next = after.cloned();
    for (hash, info) in store.list(after, PAGE)? {
        if let Some(sound) = store.0.check(&hash)? {
            report.add(&info, sound);
        }
        next = Some(hash);
        if report.bytes >= max_bytes {
            return Ok(ScrubStep { next, report });
        }
    }
    let more = next.as_ref() != after;
    Ok(ScrubStep {
        next: next.filter(|_| more),
        report,
    })
}

pub(super) fn quarantined(store: &BlockStore) -> Result<Vec<Multihash>, StoreError> {
    if store.stats().quarantined == 0 {
        return Ok(Vec::new());
    }
    let bad = |item: &Result<(Multihash, BlockInfo), StoreError>| {
        item.as_ref().map_or(true, |(_, info)| info.quarantined)
    };
    store.blocks().filter(bad).map(|item| Ok(item?.0)).collect()
}

impl VerifyReport {
    fn add(&mut self, info: &BlockInfo, sound: bool) {
        self.blocks += 1;
        self.bytes += u64::from(info.len);
        self.bad += u64::from(!sound);
    }
}

fn check_page(
    store: &BlockStore,
    page: &[(Multihash, BlockInfo)],
) -> Result<Vec<Option<bool>>, StoreError> {
    let threads = thread::available_parallelism()
        .map_or(1, usize::from)
        .min(VERIFY_THREADS_MAX);
    let next = AtomicUsize::new(0);
    let work = || -> Result<Vec<(usize, Option<bool>)>, StoreError> {
        let mut found = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some((hash, _)) = page.get(at) else {
                return Ok(found);
            };
            found.push((at, store.0.check(hash)?));
        }
    };
    let mut answers = vec![None; page.len()];
    let parts = thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        let mut parts = vec![work()];
        for other in others {
            match other.join() {
                Ok(part) => parts.push(part),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        parts
    });
    for part in parts {
        for (at, sound) in part? {
            answers[at] = sound;
        }
    }
    Ok(answers)
}
