//! Every block of a DAG, depth first: for pins, exports, references and statistics.

mod seen;

use std::sync::Arc;

use bytes::Bytes;
use ipfs_kit_blockstore::cid::Cid;
use ipfs_kit_blockstore::codec::{self, dag_pb};

use crate::read_error::Limit;
use crate::{Limits, ReadError, Step, Steps};

use seen::Seen;

/// What a walk visits and what it remembers.
#[derive(Clone, Debug)]
pub struct WalkOptions {
    /// Visit each block once, however many links lead to it. Without it a small DAG can take
    /// forever, so that only the limit on blocks ends the walk.
    pub unique: bool,
    /// How many levels below the roots to visit; `None` is all of them.
    pub max_depth: Option<u64>,
    /// Need the bytes of raw blocks too. Without it they are visited without being read, which is
    /// most of the work for a walk that only wants to know the CIDs.
    pub load_leaves: bool,
    /// Tell for each visit which link led to it. Roots are then not remembered as visited, so that
    /// a link to one root from below another is told too.
    pub edges: bool,
    /// Where to stop: blocks visited, and links waiting.
    pub limits: Limits,
}

impl Default for WalkOptions {
    fn default() -> Self {
        Self {
            unique: true,
            max_depth: None,
            load_leaves: true,
            edges: false,
            limits: Limits::default(),
        }
    }
}

/// One block of the DAG.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Visit {
    /// The block.
    pub cid: Cid,
    /// Links between it and its root.
    pub depth: u64,
    /// Its bytes; `None` for a raw block of a walk that does not load leaves, and for a block that
    /// was skipped.
    pub block: Option<Bytes>,
    /// The link that led to it; `None` for a root, or when edges were not asked for.
    pub edge: Option<Edge>,
}

/// A link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edge {
    /// The block that holds the link.
    pub from: Arc<Cid>,
    /// The name of a dag-pb link, empty in other codecs.
    pub name: Bytes,
}

/// Walks DAGs depth first, each node before its children and children in the order of the links.
///
/// Nothing recurses: the depth of the DAG costs no stack.
#[derive(Debug)]
pub struct DagWalk {
    options: WalkOptions,
    /// What is still to visit, the next one last.
    pending: Vec<Pending>,
    want: Option<Pending>,
    /// A visit that was just supplied.
    visit: Option<Visit>,
    seen: Seen,
    visited: u64,
}

#[derive(Debug)]
struct Pending {
    cid: Cid,
    depth: u64,
    edge: Option<Edge>,
    /// Visited before, but too deep for its children to be: only they are of interest now.
    again: bool,
}

impl DagWalk {
    /// A walk that visits every block below `root` once.
    pub fn new(root: Cid) -> Self {
        Self::with_options(root, WalkOptions::default())
    }

    /// A walk as `options` say.
    pub fn with_options(root: Cid, options: WalkOptions) -> Self {
        let mut walk = Self {
            options,
            pending: Vec::new(),
            want: None,
            visit: None,
            seen: Seen::default(),
            visited: 0,
        };
        walk.add_root(root);
        walk
    }

    /// Goes on with another DAG after those before. Blocks seen there are not visited again when
    /// the walk is unique.
    pub fn add_root(&mut self, root: Cid) {
        self.pending.insert(
            0,
            Pending {
                cid: root,
                depth: 0,
                edge: None,
                again: false,
            },
        );
    }

    /// Goes on without the block that is needed, because it cannot be had. Gives the visit that
    /// could not be made; nothing below it is visited on its account.
    pub fn skip(&mut self) -> Option<Visit> {
        let Pending {
            cid, depth, edge, ..
        } = self.want.take()?;
        Some(Visit {
            cid,
            depth,
            block: None,
            edge,
        })
    }

    /// Visits so far.
    pub const fn visited(&self) -> u64 {
        self.visited
    }

    /// Takes the next pending block that has to be visited.
    fn next(&mut self) -> Option<Pending> {
        while let Some(mut next) = self.pending.pop() {
            let root_of_edges = next.depth == 0 && self.options.edges;
            if self.options.unique && !root_of_edges {
                let limited = self.options.max_depth.is_some();
                match self.seen.visit(&next.cid, next.depth) {
                    None => {}
                    Some(before) if limited && before > next.depth => next.again = true,
                    Some(_) => continue,
                }
            }
            return Some(next);
        }
        None
    }

    fn is_loaded(&self, cid: &Cid) -> bool {
        self.options.load_leaves || cid.codec() != codec::RAW
    }

    fn count(&mut self, cid: &Cid) -> Result<(), ReadError> {
        self.visited += 1;
        Limits::check(cid, Limit::Blocks, self.visited, self.options.limits.blocks)
    }

    fn push_links(&mut self, parent: &Pending, data: &Bytes) -> Result<(), ReadError> {
        let depth = parent.depth + 1;
        if self.options.max_depth.is_some_and(|max| depth > max) {
            return Ok(());
        }
        let first = self.pending.len();
        let cid = &parent.cid;
        if self.options.edges && cid.codec() == codec::DAG_PB {
            let from = Arc::new(cid.clone());
            for link in dag_pb::links(data) {
                let link = link.map_err(|source| ReadError::codec(cid, source))?;
                let name = link
                    .name
                    .map_or_else(Bytes::new, |name| data.slice_ref(name));
                let edge = Some(Edge {
                    from: from.clone(),
                    name,
                });
                self.pending.push(Pending {
                    cid: link.cid,
                    depth,
                    edge,
                    again: false,
                });
            }
        } else {
            let edge = self.options.edges.then(|| {
                let (from, name) = (Arc::new(cid.clone()), Bytes::new());
                Edge { from, name }
            });
            let pending = &mut self.pending;
            codec::links(cid.codec(), data, &mut |cid| {
                pending.push(Pending {
                    cid,
                    depth,
                    edge: edge.clone(),
                    again: false,
                });
            })
            .map_err(|source| ReadError::codec(cid, source))?;
        }
        self.pending[first..].reverse();
        let waiting = self.pending.len() as u64;
        Limits::check(
            cid,
            Limit::PendingLinks,
            waiting,
            self.options.limits.pending_links,
        )
    }
}

impl Steps for DagWalk {
    type Item = Visit;

    fn step(&mut self) -> Result<Step<Visit>, ReadError> {
        if let Some(want) = &self.want {
            return Ok(Step::Need(want.cid.clone()));
        }
        if let Some(visit) = self.visit.take() {
            return Ok(Step::Item(visit));
        }
        loop {
            let Some(next) = self.next() else {
                return Ok(Step::Done);
            };
            self.count(&next.cid)?;
            if self.is_loaded(&next.cid) {
                let cid = next.cid.clone();
                self.want = Some(next);
                return Ok(Step::Need(cid));
            }
            if !next.again {
                let Pending {
                    cid, depth, edge, ..
                } = next;
                return Ok(Step::Item(Visit {
                    cid,
                    depth,
                    block: None,
                    edge,
                }));
            }
        }
    }

    fn supply(&mut self, cid: &Cid, data: Bytes) -> Result<(), ReadError> {
        let want = match self.want.take() {
            Some(want) if want.cid == *cid => want,
            other => {
                self.want = other;
                return Err(ReadError::NotNeeded { cid: cid.clone() });
            }
        };
        self.push_links(&want, &data)?;
        if !want.again {
            let Pending {
                cid, depth, edge, ..
            } = want;
            self.visit = Some(Visit {
                cid,
                depth,
                block: Some(data),
                edge,
            });
        }
        Ok(())
    }

    fn wants(&self, max: usize, out: &mut Vec<Cid>) {
        let unique = self.options.unique;
        let new = |cid: &&Cid| self.is_loaded(cid) && !(unique && self.seen.contains(cid));
        let later = self.pending.iter().rev().map(|next| &next.cid).filter(new);
        let next = self.want.iter().map(|want| &want.cid);
        out.extend(next.chain(later).take(max).cloned());
    }
}

#[cfg(test)]
mod tests;
