//! What this node keeps for a DHT: records and providers of others, and what it announced itself. Reads are from memory, in
//! which everything has a limit; changes go to the disk behind ([`super::disk`]).
//!
//! When it is full, what lies farthest from this node goes first: others look for it elsewhere.

mod behind;
mod interface;

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use libp2p::kad::store::{Error, RecordStore, Result};
use libp2p::kad::{ProviderRecord, Record, RecordKey};
use libp2p::{Multiaddr, PeerId};
use rustc_hash::FxHashMap;

use super::disk::{Change, Side};
use crate::provide::Key as Place;
use behind::unix;

/// Bytes of one value: an IPNS record has at most 10 KiB.
const VALUE_MAX: usize = 10 << 10;

/// Bytes of a key: `/ipns/` and a peer id, or a multihash of at most 128 bytes.
const KEY_MAX: usize = 192;

/// Providers of one key. When they are full, the one that expires first goes: whoever came first cannot keep others out.
const PROVIDERS_MAX: usize = 20;

/// Addresses kept of one publisher, and bytes of them.
const ADDRESSES_MAX: usize = 16;
const ADDRESS_BYTES_MAX: usize = 1024;

/// What an entry costs beside its key and value.
const ENTRY_BYTES: usize = 96;

/// How much is kept.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of values, and of keys with their providers.
    pub value_bytes: usize,
    /// See above.
    pub provider_bytes: usize,
    /// Bytes of addresses of publishers. Beyond, a peer has to be looked for.
    pub address_bytes: usize,
    /// Values that one peer may put, and keys that one may announce.
    pub values_per_peer: usize,
    /// See above.
    pub keys_per_peer: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            value_bytes: 16 << 20,
            provider_bytes: 32 << 20,
            address_bytes: 16 << 20,
            values_per_peer: 1024,
            keys_per_peer: 65_536,
        }
    }
}

/// Where a key lies, seen from this node.
type Distance = [u8; 32];

struct Value {
    key: RecordKey,
    value: Vec<u8>,
    /// Who put it; nobody, where this node did.
    source: Option<PeerId>,
    expires: Option<Instant>,
}

struct Held {
    key: RecordKey,
    providers: Vec<(PeerId, Instant)>,
}

#[derive(Default)]
struct Publisher {
    keys: usize,
    values: usize,
    addresses: Vec<Multiaddr>,
}

impl Publisher {
    fn address_bytes(&self) -> usize {
        self.addresses.iter().map(Multiaddr::len).sum()
    }
}

/// The record store of one DHT.
pub struct Records {
    local: PeerId,
    here: Place,
    limits: Limits,
    values: BTreeMap<Distance, Value>,
    keys: BTreeMap<Distance, Held>,
    publishers: FxHashMap<PeerId, Publisher>,
    value_bytes: usize,
    provider_bytes: usize,
    address_bytes: usize,
    provided: FxHashMap<RecordKey, ProviderRecord>,
    provided_order: VecDeque<RecordKey>,
    disk: Option<Side>,
    changes: Vec<Change>,
    change_bytes: usize,
    changed: Option<Instant>,
}

impl Records {
    /// An empty store of this node.
    pub fn new(local: PeerId, limits: Limits) -> Self {
        Self {
            here: Place::of(&local.to_bytes()),
            local,
            limits,
            values: BTreeMap::new(),
            keys: BTreeMap::new(),
            publishers: FxHashMap::default(),
            value_bytes: 0,
            provider_bytes: 0,
            address_bytes: 0,
            provided: FxHashMap::default(),
            provided_order: VecDeque::new(),
            disk: None,
            changes: Vec::new(),
            change_bytes: 0,
            changed: None,
        }
    }

    /// Keeps what it has on disk too, and takes what is there.
    pub fn attach(&mut self, disk: Side) {
        self.disk = Some(disk);
    }

    /// Numbers of records, of keys with providers, and of keys announced by this node.
    pub fn counts(&self) -> (usize, usize, usize) {
        (self.values.len(), self.keys.len(), self.provided.len())
    }

    fn distance(&self, key: &RecordKey) -> Distance {
        self.here.distance(Place::of(key.as_ref()))
    }

    /// Keeps a valid value that a peer put.
    pub fn put_from(&mut self, source: Option<PeerId>, record: Record) -> Result<()> {
        self.insert_value(source, record)?;
        Ok(())
    }

    fn insert_value(&mut self, source: Option<PeerId>, record: Record) -> Result<()> {
        if record.value.len() > VALUE_MAX || record.key.as_ref().len() > KEY_MAX {
            return Err(Error::ValueTooLarge);
        }
        let distance = self.distance(&record.key);
        let old = self.values.get(&distance);
        let same_source = old.is_some_and(|old| old.source == source);
        if let Some(source) = source.filter(|_| !same_source) {
            let put = self.publishers.get(&source).map_or(0, |peer| peer.values);
            if put >= self.limits.values_per_peer {
                return Err(Error::MaxRecords);
            }
        }
        self.drop_value(&distance);
        let bytes = ENTRY_BYTES + record.key.as_ref().len() + record.value.len();
        while self.value_bytes + bytes > self.limits.value_bytes {
            match self.values.last_key_value() {
                Some((last, _)) if *last > distance => {
                    let last = *last;
                    self.remove_value(&last);
                }
                _ => return Err(Error::MaxRecords),
            }
        }
        self.value_bytes += bytes;
        if let Some(source) = source {
            self.publishers.entry(source).or_default().values += 1;
        }
        if self.disk.is_some() {
            self.change(Change::Value {
                key: record.key.to_vec(),
                value: record.value.clone(),
                source,
                expires: record.expires.map(unix),
            });
        }
        let value = Value {
            key: record.key,
            value: record.value,
            source,
            expires: record.expires,
        };
        self.values.insert(distance, value);
        Ok(())
    }

    fn remove_value(&mut self, distance: &Distance) {
        if let Some(key) = self.drop_value(distance)
            && self.disk.is_some()
        {
            self.change(Change::NoValue { key: key.to_vec() });
        }
    }

    fn drop_value(&mut self, distance: &Distance) -> Option<RecordKey> {
        let old = self.values.remove(distance)?;
        self.value_bytes -= ENTRY_BYTES + old.key.as_ref().len() + old.value.len();
        if let Some(source) = old.source {
            self.forget(&source, |peer| &mut peer.values);
        }
        Some(old.key)
    }

    /// Keeps that a peer provides a key.
    fn insert_provider(
        &mut self,
        key: RecordKey,
        provider: PeerId,
        expires: Instant,
    ) -> Result<()> {
        if key.as_ref().len() > KEY_MAX {
            return Err(Error::ValueTooLarge);
        }
        let distance = self.distance(&key);
        if let Some(held) = self.keys.get_mut(&distance)
            && let Some(old) = held
                .providers
                .iter_mut()
                .find(|(peer, _)| *peer == provider)
        {
            old.1 = expires;
            return Ok(());
        }
        let announced = self.publishers.get(&provider).map_or(0, |peer| peer.keys);
        if announced >= self.limits.keys_per_peer {
            return Err(Error::MaxProvidedKeys);
        }
        let held = self.keys.get(&distance);
        if held.is_some_and(|held| held.providers.len() >= PROVIDERS_MAX)
            && let Some(first) = held.and_then(|held| {
                let first = held.providers.iter().min_by_key(|(_, expires)| *expires);
                first.map(|(peer, _)| *peer)
            })
        {
            self.remove_provider(&key, &first);
        }
        let new_key = !self.keys.contains_key(&distance);
        let bytes = ENTRY_BYTES
            + if new_key {
                ENTRY_BYTES + key.as_ref().len()
            } else {
                0
            };
        while self.provider_bytes + bytes > self.limits.provider_bytes {
            match self.keys.last_key_value() {
                Some((last, held)) if *last > distance => {
                    let (key, peers) = (held.key.clone(), held.providers.clone());
                    for (peer, _) in peers {
                        self.remove_provider(&key, &peer);
                    }
                }
                _ => return Err(Error::MaxProvidedKeys),
            }
        }
        self.provider_bytes += bytes;
        self.publishers.entry(provider).or_default().keys += 1;
        let held = self.keys.entry(distance).or_insert_with(|| Held {
            key,
            providers: Vec::new(),
        });
        held.providers.push((provider, expires));
        Ok(())
    }

    /// Where a publisher is; it tells so with each key.
    fn learn(&mut self, provider: PeerId, addresses: Vec<Multiaddr>) {
        let Some(known) = self.publishers.get_mut(&provider) else {
            return;
        };
        if known.addresses == addresses {
            return;
        }
        self.address_bytes -= known.address_bytes();
        let (mut left, room) = (ADDRESS_BYTES_MAX, self.limits.address_bytes);
        let mut kept = Vec::new();
        for address in addresses.into_iter().take(ADDRESSES_MAX) {
            if address.len() <= left && self.address_bytes + address.len() <= room {
                left -= address.len();
                self.address_bytes += address.len();
                kept.push(address);
            }
        }
        if known.addresses != kept && self.disk.is_some() {
            let addresses = kept.clone();
            known.addresses = kept;
            self.change(Change::Publisher {
                peer: provider,
                addresses,
            });
        } else {
            known.addresses = kept;
        }
    }

    /// A peer has one key or value less here.
    fn forget(&mut self, peer: &PeerId, count: impl Fn(&mut Publisher) -> &mut usize) {
        let Some(known) = self.publishers.get_mut(peer) else {
            return;
        };
        *count(known) -= 1;
        if known.keys == 0 && known.values == 0 {
            self.address_bytes -= known.address_bytes();
            self.publishers.remove(peer);
        }
    }

    /// Drops what has expired. Linear; to be called now and then.
    pub fn expire(&mut self, now: Instant) {
        let gone = self.values.iter();
        let gone = gone.filter(|(_, value)| value.expires.is_some_and(|expires| now >= expires));
        let gone: Vec<Distance> = gone.map(|(distance, _)| *distance).collect();
        for distance in gone {
            self.remove_value(&distance);
        }
        let mut gone = Vec::new();
        for held in self.keys.values() {
            let expired = held.providers.iter().filter(|(_, expires)| now >= *expires);
            gone.extend(expired.map(|(peer, _)| (held.key.clone(), *peer)));
        }
        for (key, peer) in gone {
            self.remove_provider(&key, &peer);
        }
    }
}

#[cfg(test)]
mod tests;
