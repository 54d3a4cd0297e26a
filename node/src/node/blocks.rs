//! The blocks of a node: got from the store or the network, put under a guard.

use std::sync::Arc;

use bytes::Bytes;
use ipfs_kit_blockstore::block::Block;
use ipfs_kit_blockstore::cid::Cid;
use ipfs_kit_blockstore::store::{Guard, StoreError};

use super::Node;
use crate::cancel::CancelToken;
use crate::error::{Error, Result};
use crate::fetch::{Fetch, Reach};
use crate::figures::tick;
use crate::gc;
use crate::net::{Net, NetError};

impl Node {
    /// A handle for one operation: the first block it misses starts a fetch of what it will need after that.
    pub(crate) fn fetching(&self, reach: Reach) -> Self {
        Self {
            fetch: (!self.offline).then(|| Arc::new(Fetch::new(reach))),
            ..self.clone()
        }
    }

    /// The same node for a fetch's own task, which must not keep the fetch alive.
    pub(crate) fn detached(&self) -> Self {
        Self {
            offline: true,
            at_once: None,
            fetch: None,
            cancel: CancelToken::new(),
            ..self.clone()
        }
    }

    /// The network, where missing blocks may be fetched.
    fn fetcher(&self) -> Result<Option<&Arc<Net>>> {
        if self.offline {
            return Ok(None);
        }
        match self.net() {
            Ok(net) => Ok(Some(net)),
            Err(NetError::Cancelled(cancelled)) => Err(cancelled.into()),
            Err(late @ NetError::NotStarted(_)) => Err(late.into()),
            Err(_) => Ok(None),
        }
    }

    /// The bytes of a block, from the store or from the network. Blocks the thread.
    pub(crate) fn block(&self, cid: &Cid) -> Result<Bytes> {
        let mut found = self.local_block(cid);
        if let Err(Error::NotFound(_) | Error::Damaged { .. }) = found
            && let Some(net) = self.fetcher()?
        {
            found = match &self.fetch {
                Some(fetch) => fetch.block(self, net, cid),
                None => Fetch::new(Reach::Single).block(self, net, cid),
            };
        }
        if let (Ok(data), Some(fetch)) = (&found, &self.fetch) {
            fetch.handle_read(data.len());
        }
        found
    }

    /// The bytes of a block in the store.
    pub(crate) fn local_block(&self, cid: &Cid) -> Result<Bytes> {
        if let Some(at_once) = &self.at_once {
            if at_once.takes_block()
                && let Some(data) = self.shared.store.at_hand(cid.hash())
            {
                tick(&self.shared.counters.hits);
                return Ok(data);
            }
            self.check_may_wait()?;
        }
        match self.shared.store.get(cid.hash()) {
            Ok(Some(data)) => {
                tick(&self.shared.counters.hits);
                Ok(data)
            }
            Ok(None) => {
                tick(&self.shared.counters.misses);
                Err(Error::NotFound(cid.clone()))
            }
            Err(source @ StoreError::Corrupt { .. }) => Err(Error::Damaged {
                cid: cid.clone(),
                source,
            }),
            Err(error) => Err(error.into()),
        }
    }

    /// Puts blocks under a guard; on a full store room is made once.
    pub(crate) fn put(&self, guard: &Guard, blocks: &[Block]) -> Result<()> {
        let stored = self.put_quietly(guard, blocks);
        // Somebody may be waiting for just these.
        if stored.is_ok()
            && let Some(net) = self.shared.net.get()
        {
            net.bitswap().notify_new_blocks(blocks);
        }
        stored
    }

    /// As [`Node::put`], without telling Bitswap.
    pub(crate) fn put_quietly(&self, guard: &Guard, blocks: &[Block]) -> Result<()> {
        self.shared.counters.handle_put(blocks);
        match guard.put_many(blocks) {
            Ok(_) => Ok(()),
            Err(StoreError::StorageFull { needed, .. }) => {
                let _one_at_a_time = self.shared.making_room.lock();
                match guard.put_many(blocks) {
                    Err(StoreError::StorageFull { .. }) => {
                        gc::make_room(self, needed)?;
                        guard.put_many(blocks)?;
                    }
                    done => {
                        done?;
                    }
                }
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }
}
