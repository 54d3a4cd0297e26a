//! What others ask this node to keep for the DHTs, and when that ends.

use std::time::Instant;

use libp2p::kad::InboundRequest;
use libp2p::kad::store::RecordStore;

use super::kad::Disk;
use super::task::SwarmTask;

impl SwarmTask {
    /// Keeps the DHTs' records on disk.
    pub(super) fn keep_records(&mut self, disk: Disk) {
        for (wan, side) in [true, false].into_iter().zip(disk) {
            if let Some(dht) = self.dht(wan) {
                dht.inner.store_mut().attach(side);
            }
        }
    }

    /// Moves records to and from the disk.
    pub(super) fn tend_records(&mut self, now: Instant) {
        for wan in [true, false] {
            if let Some(dht) = self.dht(wan) {
                dht.inner.store_mut().tend_disk(now);
            }
        }
    }

    /// Hands the last changes to the disk.
    pub(super) fn flush_records(&mut self) {
        for wan in [true, false] {
            if let Some(dht) = self.dht(wan) {
                dht.inner.store_mut().flush();
            }
        }
    }

    pub(super) fn handle_request(&mut self, wan: bool, request: InboundRequest) {
        match request {
            InboundRequest::AddProvider {
                record: Some(mut record),
            } => {
                if let Some(dht) = self.dht(wan) {
                    let scope = dht.scope();
                    record.addresses.retain(|address| scope.has(address));
                    // A store that is full refuses, and the publisher has nineteen others.
                    let _ = dht.inner.store_mut().add_provider(record);
                }
            }
            InboundRequest::PutRecord {
                source,
                record: Some(record),
                ..
            } => {
                let key = record.key.to_vec();
                if self.validators.validate(&key, &record.value).is_err() {
                    return;
                }
                let validators = self.validators.clone();
                if let Some(dht) = self.dht(wan) {
                    let old = dht.inner.store_mut().get(&record.key);
                    let better =
                        old.is_none_or(|old| validators.is_better(&key, &record.value, &old.value));
                    if better {
                        let _ = dht.inner.store_mut().put_from(Some(source), record);
                    }
                }
            }
            _ => {}
        }
    }
}
