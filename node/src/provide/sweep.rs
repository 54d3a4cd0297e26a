//! Announces keys in one DHT, region by region: looks up who is there, and tells each peer what is its.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt;
use libp2p::{Multiaddr, PeerId};
use parking_lot::Mutex;
use rustc_hash::FxHashSet;

use super::counters::{Counters, count};
use super::keyspace::{BITS, Key};
use super::region::{CLOSEST, Explorer, Region, Target};
use super::schedule::shares;
use super::settings::ProvideSettings;
use super::source::Item;
use crate::net::{Announced, DhtState, NetError, OneDht};

/// Keys of one batch: a peer gets a part of them over one stream.
const BATCH: usize = 1024;

/// A worker is not begun for fewer keys, as each explores regions of its own.
const SHARE_LEAST: usize = 4096;

/// So few keys of a region take a lookup each: exploring it would take as many.
const FEW: usize = 2;

/// Regions that are remembered, and for how long: a region may have more keys than are read at once.
const KNOWN_MAX: usize = 64;
const KNOWN_FOR: Duration = Duration::from_secs(300);

/// Bits of a prefix from which on a key is searched for on another thread.
const SEARCH_AWAY: u16 = 10;

/// Why announcing stopped before its end.
#[derive(Debug, thiserror::Error)]
pub enum Halt {
    /// A lookup failed.
    #[error("looking up a region: {0}")]
    Lookup(#[from] NetError),
    /// Nobody answered, or far fewer than the routing table has.
    #[error("a lookup found {0} peers only")]
    Nobody(usize),
    /// No peer of a region took anything.
    #[error("none of the {0} peers of a region took anything")]
    NotTaken(usize),
}

/// Where a peer is.
#[derive(Clone, Debug)]
struct Contact {
    peer: PeerId,
    addresses: Vec<Multiaddr>,
}

/// A region that was explored, and who of it did not take what it was told.
struct Known {
    region: Region<Contact>,
    deaf: Mutex<FxHashSet<PeerId>>,
}

/// What is kept of one DHT between sweeps.
pub struct Side {
    /// The WAN's or the LAN's.
    pub wan: bool,
    /// What was done.
    pub counters: Counters,
    known: Mutex<VecDeque<(Instant, Arc<Known>)>>,
}

impl Side {
    /// Nothing is known yet.
    pub fn new(wan: bool) -> Self {
        Self {
            wan,
            counters: Counters::default(),
            known: Mutex::default(),
        }
    }

    fn known(&self, key: Key) -> Option<Arc<Known>> {
        let mut known = self.known.lock();
        known.retain(|(when, _)| when.elapsed() < KNOWN_FOR);
        let found = known
            .iter()
            .find(|(_, known)| known.region.prefix().has(key));
        found.map(|(_, known)| Arc::clone(known))
    }

    fn remember(&self, found: &Arc<Known>) {
        let mut known = self.known.lock();
        if known.len() >= KNOWN_MAX {
            known.pop_front();
        }
        known.push_back((Instant::now(), Arc::clone(found)));
    }
}

/// One sweep over keys in one DHT.
pub struct Sweep<'a> {
    dht: OneDht,
    state: DhtState,
    provider: Announced,
    side: &'a Side,
    settings: &'a ProvideSettings,
    /// It was asked for; otherwise it is due.
    burst: bool,
}

impl<'a> Sweep<'a> {
    /// Gets ready; `None` where the DHT is off, knows nobody, or this node has no address that others could use there.
    pub async fn new(
        dht: OneDht,
        side: &'a Side,
        settings: &'a ProvideSettings,
        burst: bool,
    ) -> Result<Option<Self>, NetError> {
        let Some(state) = dht.state().await? else {
            return Ok(None);
        };
        if state.peers == 0 || state.addresses.is_empty() {
            return Ok(None);
        }
        Ok(Some(Self {
            provider: dht.provider(&state),
            dht,
            state,
            side,
            settings,
            burst,
        }))
    }

    /// Announces `items`, which are in order. Those from `due` on are not due yet and announced only as far as they lie in
    /// the region of one that is. Returns how many are done.
    pub async fn run(&self, items: &[Item], due: usize) -> (usize, Result<(), Halt>) {
        let workers = match self.burst {
            true => self
                .settings
                .workers
                .saturating_sub(self.settings.dedicated.0),
            false => self
                .settings
                .workers
                .saturating_sub(self.settings.dedicated.1),
        };
        let shares = shares(due, workers, SHARE_LEAST);
        let last = shares.len() - 1;
        let work = shares.iter().enumerate().map(|(at, share)| {
            let end = if at == last { items.len() } else { share.end };
            self.work(&items[share.start..end], share.len())
        });
        let mut done = 0;
        for (share, (count, outcome)) in shares.iter().zip(futures::future::join_all(work).await) {
            done += count;
            if outcome.is_err() || count < share.len() {
                // What others did beyond is done again.
                return (done, outcome);
            }
        }
        (done, Ok(()))
    }

    async fn work(&self, items: &[Item], due: usize) -> (usize, Result<(), Halt>) {
        let counters = &self.side.counters;
        let (workers, keys) = match self.burst {
            true => (&counters.burst, &counters.burst_keys),
            false => (&counters.periodic, &counters.periodic_keys),
        };
        let (_worker, _keys) = (workers.hold(1), keys.hold(due));
        let mut done = 0;
        while done < due {
            let known = match self.region(&items[done..]).await {
                Ok(known) => known,
                Err(halt) => return (done, Err(halt)),
            };
            let prefix = known.region.prefix();
            let inside = items[done..].partition_point(|item| prefix.has(item.key));
            let began = Instant::now();
            for batch in items[done..done + inside].chunks(BATCH) {
                if let Err(halt) = self.tell(&known, batch).await {
                    return (done, Err(halt));
                }
                done += batch.len();
            }
            let took = began.elapsed().as_millis() as usize;
            let (paced, millis) = &counters.pace[usize::from(self.burst)];
            count(paced, inside);
            count(millis, took);
            if prefix.bits() < BITS {
                count(&counters.regions, 1);
                count(&counters.region_millis, took);
                count(&counters.region_keys, inside);
                let peers = known.region.peers().len();
                count(&counters.peers, peers);
                if !self.burst {
                    let reached = peers - known.deaf.lock().len();
                    let lap = &mut counters.laps.lock().1;
                    lap.regions += 1;
                    lap.peers += peers as u64;
                    lap.reached += reached as u64;
                }
                count(&counters.bits, usize::from(prefix.bits()));
            }
        }
        (done, Ok(()))
    }

    /// The region of the first of these keys.
    async fn region(&self, items: &[Item]) -> Result<Arc<Known>, Halt> {
        let start = items[0].key;
        if let Some(known) = self.side.known(start) {
            return Ok(known);
        }
        let mut explorer = Explorer::new(start);
        let mut whole = true;
        while let Some(target) = explorer.target() {
            let (key, bytes) = match target {
                Target::Start(key) => (key, items[0].hash.to_bytes()),
                Target::Within(prefix) => {
                    let search = move || prefix.preimage(seed());
                    let found = if prefix.bits() < SEARCH_AWAY {
                        search()
                    } else {
                        tokio::task::spawn_blocking(search).await.ok().flatten()
                    };
                    let Some(bytes) = found else {
                        break;
                    };
                    (Key::of(&bytes), bytes)
                }
            };
            explorer.handle_found(key, self.closest(bytes).await?);
            let inside = explorer.prefix().map_or(0, |prefix| {
                items.partition_point(|item| prefix.has(item.key))
            });
            if !self.settings.sweep || inside <= FEW {
                whole = false;
                break;
            }
        }
        let region = if whole {
            explorer.finish()
        } else {
            explorer.finish_early()
        };
        let known = Arc::new(Known {
            region,
            deaf: Mutex::default(),
        });
        if whole {
            self.side.remember(&known);
        }
        Ok(known)
    }

    async fn closest(&self, key: Vec<u8>) -> Result<Vec<(Key, Contact)>, Halt> {
        count(&self.side.counters.lookups, 1);
        let found = self.dht.closest(key).await?;
        // Fewer than there should be are taken for all there are only where the routing table agrees.
        if found.is_empty() || (found.len() < CLOSEST && self.state.peers >= 2 * CLOSEST) {
            return Err(Halt::Nobody(found.len()));
        }
        let contact = |(peer, addresses): (PeerId, Vec<Multiaddr>)| {
            (Key::of(&peer.to_bytes()), Contact { peer, addresses })
        };
        Ok(found.into_iter().map(contact).collect())
    }

    /// Tells the peers of a region.
    async fn tell(&self, known: &Known, items: &[Item]) -> Result<(), Halt> {
        let keys: Vec<Key> = items.iter().map(|item| item.key).collect();
        let hashes: Vec<Vec<u8>> = items.iter().map(|item| item.hash.to_bytes()).collect();
        let mut batches = known.region.batches(&keys);
        {
            let deaf = known.deaf.lock();
            batches.retain(|(peer, _)| !deaf.contains(&known.region.peers()[*peer].1.peer));
        }
        let peers = batches.len();
        let tell = |(peer, keys): (usize, Vec<usize>)| {
            let contact = &known.region.peers()[peer].1;
            let told = keys.clone();
            let hashes = &hashes;
            async move {
                let told = told.into_iter().map(|key| hashes[key].as_slice());
                let addresses = contact.addresses.clone();
                let taken = self.dht.announce(
                    contact.peer,
                    addresses,
                    &self.provider,
                    told,
                    self.settings.patience,
                );
                (contact.peer, keys, taken.await)
            }
        };
        let mut told = futures::stream::iter(batches.into_iter().map(tell))
            .buffer_unordered(self.settings.connections);
        let mut taken = vec![false; items.len()];
        let mut records = 0;
        while let Some((peer, keys, outcome)) = told.next().await {
            if outcome.is_err() {
                known.deaf.lock().insert(peer);
                continue;
            }
            records += keys.len();
            keys.into_iter().for_each(|key| taken[key] = true);
        }
        let keys = taken.iter().filter(|taken| **taken).count();
        let counters = &self.side.counters;
        count(&counters.records, records);
        count(&counters.keys, keys);
        if keys == 0 {
            self.side.known.lock().clear();
            return Err(Halt::NotTaken(peers));
        }
        count(&counters.failed, items.len() - keys);
        Ok(())
    }
}

/// Where the search for a key begins: nobody can wait there.
fn seed() -> u64 {
    let mut bytes = [0; 8];
    // Without randomness it is foreseeable, which is no failure.
    let _ = getrandom::fill(&mut bytes);
    u64::from_be_bytes(bytes)
}
