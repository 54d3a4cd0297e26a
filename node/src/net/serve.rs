//! The node's store, as Bitswap sees it.

use std::sync::Arc;

use bytes::Bytes;
use ipfs_kit_bitswap::{Behaviour, Bitswap, Blocks, Config};
use ipfs_kit_blockstore::cid::Cid;
use ipfs_kit_blockstore::store::BlockStore;

use super::settings::Settings;

/// Bitswap over a store. Inside a tokio runtime.
pub fn bitswap(settings: &Settings, store: BlockStore) -> (Behaviour, Bitswap) {
    let config = Config {
        serving: settings.bitswap_server,
        ..Config::default()
    };
    Behaviour::new(config, Arc::new(Served(store)))
}

/// What cannot be read is as good as not there: the peer asks elsewhere, and the store has put the block into quarantine.
struct Served(BlockStore);

impl Blocks for Served {
    fn sizes(&self, cids: &[Cid]) -> Vec<Option<u32>> {
        let size = |cid: &Cid| {
            let info = self.0.info(cid.hash()).ok().flatten()?;
            (!info.quarantined).then_some(info.len)
        };
        cids.iter().map(size).collect()
    }

    fn get(&self, cids: &[Cid]) -> Vec<Option<Bytes>> {
        let get = |cid: &Cid| self.0.get(cid.hash()).ok().flatten();
        cids.iter().map(get).collect()
    }
}
