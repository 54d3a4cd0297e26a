//! The store as libp2p-kad sees it.

use std::borrow::Cow;
use std::time::Instant;

use libp2p::PeerId;
use libp2p::kad::store::{RecordStore, Result};
use libp2p::kad::{ProviderRecord, Record, RecordKey};

use super::super::disk::Change;
use super::behind::unix;
use super::{ADDRESSES_MAX, ENTRY_BYTES, Records, Value};

/// Keys that this node announced itself; the oldest makes room.
pub(super) const PROVIDED_MAX: usize = 16_384;

impl RecordStore for Records {
    type RecordsIter<'a> = Box<dyn Iterator<Item = Cow<'a, Record>> + 'a>;
    type ProvidedIter<'a> = Box<dyn Iterator<Item = Cow<'a, ProviderRecord>> + 'a>;

    fn get(&self, key: &RecordKey) -> Option<Cow<'_, Record>> {
        let value = self.values.get(&self.distance(key))?;
        Some(Cow::Owned(record(value)))
    }

    fn put(&mut self, record: Record) -> Result<()> {
        self.put_from(None, record)
    }

    fn remove(&mut self, key: &RecordKey) {
        let distance = self.distance(key);
        self.remove_value(&distance);
    }

    fn records(&self) -> Self::RecordsIter<'_> {
        Box::new(self.values.values().map(|value| Cow::Owned(record(value))))
    }

    fn add_provider(&mut self, mut record: ProviderRecord) -> Result<()> {
        if record.provider == self.local {
            record.addresses.truncate(ADDRESSES_MAX);
            if self
                .provided
                .insert(record.key.clone(), record.clone())
                .is_none()
            {
                self.provided_order.push_back(record.key);
            }
            while self.provided.len() > PROVIDED_MAX
                && let Some(oldest) = self.provided_order.pop_front()
            {
                self.provided.remove(&oldest);
            }
            return Ok(());
        }
        let expires = record
            .expires
            .unwrap_or_else(|| Instant::now() + super::super::PROVIDER_TTL);
        self.insert_provider(record.key.clone(), record.provider, expires)?;
        self.learn(record.provider, record.addresses);
        if self.disk.is_some() {
            self.change(Change::Provider {
                key: record.key.to_vec(),
                peer: record.provider,
                expires: unix(expires),
            });
        }
        Ok(())
    }

    fn providers(&self, key: &RecordKey) -> Vec<ProviderRecord> {
        let held = self.keys.get(&self.distance(key));
        let held = held.into_iter().flat_map(|held| &held.providers);
        let others = held.map(|(peer, expires)| ProviderRecord {
            key: key.clone(),
            provider: *peer,
            expires: Some(*expires),
            addresses: self
                .publishers
                .get(peer)
                .map_or_else(Vec::new, |known| known.addresses.clone()),
        });
        others.chain(self.provided.get(key).cloned()).collect()
    }

    fn provided(&self) -> Self::ProvidedIter<'_> {
        Box::new(self.provided.values().map(Cow::Borrowed))
    }

    fn remove_provider(&mut self, key: &RecordKey, provider: &PeerId) {
        if *provider == self.local {
            self.provided.remove(key);
            self.provided_order.retain(|kept| kept != key);
            return;
        }
        let distance = self.distance(key);
        let Some(held) = self.keys.get_mut(&distance) else {
            return;
        };
        let Some(at) = held.providers.iter().position(|(peer, _)| peer == provider) else {
            return;
        };
        held.providers.swap_remove(at);
        self.provider_bytes -= ENTRY_BYTES;
        if held.providers.is_empty() {
            self.provider_bytes -= ENTRY_BYTES + key.as_ref().len();
            self.keys.remove(&distance);
        }
        self.forget(provider, |peer| &mut peer.keys);
        if self.disk.is_some() {
            self.change(Change::NoProvider {
                key: key.to_vec(),
                peer: *provider,
            });
        }
    }
}

fn record(value: &Value) -> Record {
    Record {
        key: value.key.clone(),
        value: value.value.clone(),
        publisher: None,
        expires: value.expires,
    }
}
