//! The records of the DHTs on disk: a thread that reads what was kept and writes what changes, in batches. The swarm never
//! waits for it.
//!
//! What is in `dht.redb` belongs to others, who announce it again and again. So a file that cannot be read is replaced by an
//! empty one, and what a kill loses are the changes of the last seconds.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use libp2p::{Multiaddr, PeerId};
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction};
use rustc_hash::FxHashSet;

use super::Validators;

/// Batches on their way, each way.
const BATCHES_MAX: usize = 2;

/// Records read at once.
const READ_AT_ONCE: usize = 4096;

/// Between two looks for what has expired.
const PRUNE_EVERY: Duration = Duration::from_secs(6 * 3600);

const CACHE_BYTES: usize = 4 << 20;

/// A change of what is kept.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// A peer provides a key, until then in seconds since 1970.
    Provider {
        /// The key.
        key: Vec<u8>,
        /// The peer.
        peer: PeerId,
        /// Until then.
        expires: u64,
    },
    /// It does no longer.
    NoProvider {
        /// The key.
        key: Vec<u8>,
        /// The peer.
        peer: PeerId,
    },
    /// Where a peer is.
    Publisher {
        /// The peer.
        peer: PeerId,
        /// There.
        addresses: Vec<Multiaddr>,
    },
    /// A value stands under a key.
    Value {
        /// The key.
        key: Vec<u8>,
        /// The value.
        value: Vec<u8>,
        /// Who put it.
        source: Option<PeerId>,
        /// Until then.
        expires: Option<u64>,
    },
    /// It does no longer.
    NoValue {
        /// The key.
        key: Vec<u8>,
    },
}

impl Change {
    /// Bytes that it brings along.
    pub fn payload(&self) -> usize {
        match self {
            Self::Provider { key, .. } | Self::NoProvider { key, .. } | Self::NoValue { key } => {
                key.len()
            }
            Self::Publisher { addresses, .. } => addresses.iter().map(Multiaddr::len).sum(),
            Self::Value { key, value, .. } => key.len() + value.len(),
        }
    }
}

/// A key, its value, who put it, and until when it stands.
pub type LoadedValue = (Vec<u8>, Vec<u8>, Option<PeerId>, Option<u64>);

/// What was read.
#[derive(Debug, Default)]
pub struct Loaded {
    /// Keys, who provides them, and until when.
    pub providers: Vec<(Vec<u8>, PeerId, u64)>,
    /// Where they are.
    pub publishers: Vec<(PeerId, Vec<Multiaddr>)>,
    /// Values that are valid.
    pub values: Vec<LoadedValue>,
}

/// The end that a record store has.
pub struct Side {
    wan: bool,
    changes: SyncSender<(bool, Vec<Change>)>,
    loaded: Receiver<Loaded>,
}

impl Side {
    /// The next part of what was kept.
    pub fn poll_loaded(&self) -> Option<Loaded> {
        self.loaded.try_recv().ok()
    }

    /// Hands changes over; gives them back when the disk does not keep up.
    pub fn write(&self, changes: Vec<Change>) -> Vec<Change> {
        match self.changes.try_send((self.wan, changes)) {
            Ok(()) => Vec::new(),
            Err(TrySendError::Full((_, changes))) => changes,
            // There is nobody to write them.
            Err(TrySendError::Disconnected(_)) => Vec::new(),
        }
    }
}

/// The sides of both DHTs, WAN first, and the thread, which ends when both are gone and everything is written.
pub struct Started {
    /// WAN and LAN.
    pub sides: [Side; 2],
    /// To wait for.
    pub thread: JoinHandle<()>,
}

/// Starts the thread; `None` when there can be none.
pub fn start(path: PathBuf, validators: Validators) -> Option<Started> {
    let (changes, received) = sync_channel(BATCHES_MAX);
    let (to_wan, wan) = sync_channel(BATCHES_MAX);
    let (to_lan, lan) = sync_channel(BATCHES_MAX);
    let thread = std::thread::Builder::new().name("dht-records".to_owned());
    let thread = thread.spawn(move || run(&path, &validators, [to_wan, to_lan], &received));
    let side = |wan, loaded, changes| Side {
        wan,
        changes,
        loaded,
    };
    Some(Started {
        sides: [side(true, wan, changes.clone()), side(false, lan, changes)],
        thread: thread.ok()?,
    })
}

type Changes = Receiver<(bool, Vec<Change>)>;

fn run(path: &Path, validators: &Validators, loaded: [SyncSender<Loaded>; 2], changes: &Changes) {
    let database = open(path).or_else(|_| {
        // Nothing in it is this node's own.
        drop(fs::remove_file(path));
        open(path)
    });
    let Ok(database) = database else {
        // Without a disk to keep it everything is in memory only.
        while changes.recv().is_ok() {}
        return;
    };
    for (wan, to) in [true, false].into_iter().zip(loaded) {
        // What is damaged is left out.
        let _ = load(&database, wan, validators, &to);
    }
    let mut pruned = Instant::now();
    loop {
        match changes.recv_timeout(PRUNE_EVERY) {
            Ok((wan, batch)) => {
                // What could not be written is announced again, and written then.
                let _ = write(&database, wan, &batch);
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        if pruned.elapsed() >= PRUNE_EVERY {
            pruned = Instant::now();
            let _ = prune(&database);
        }
    }
}

fn open(path: &Path) -> Result<Database, redb::Error> {
    // A damaged header may make it panic.
    let opened = std::panic::catch_unwind(|| {
        let mut builder = Database::builder();
        builder.set_cache_size(CACHE_BYTES);
        builder.create(path)
    });
    let panicked = || redb::Error::Corrupted("redb gave up".to_owned());
    let database = opened.map_err(|_| panicked())??;
    prune(&database)?;
    Ok(database)
}

/// Key and peer to the end of the record, in seconds since 1970.
type Providers = TableDefinition<'static, (&'static [u8], &'static [u8]), u64>;
/// Peer to its addresses.
type Publishers = TableDefinition<'static, &'static [u8], Vec<&'static [u8]>>;
/// Key to the end of the record (0: none), who put it (empty: this node), and the value.
type Values = TableDefinition<'static, &'static [u8], (u64, &'static [u8], &'static [u8])>;

struct Tables {
    providers: Providers,
    publishers: Publishers,
    values: Values,
}

fn tables(wan: bool) -> Tables {
    let [providers, publishers, values] = match wan {
        true => ["wan-providers", "wan-publishers", "wan-values"],
        false => ["lan-providers", "lan-publishers", "lan-values"],
    };
    Tables {
        providers: TableDefinition::new(providers),
        publishers: TableDefinition::new(publishers),
        values: TableDefinition::new(values),
    }
}

fn write(database: &Database, wan: bool, batch: &[Change]) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    apply(&transaction, &tables(wan), batch)?;
    transaction.commit()?;
    Ok(())
}

fn apply(
    transaction: &WriteTransaction,
    tables: &Tables,
    batch: &[Change],
) -> Result<(), redb::Error> {
    let mut providers = transaction.open_table(tables.providers)?;
    let mut publishers = transaction.open_table(tables.publishers)?;
    let mut values = transaction.open_table(tables.values)?;
    for change in batch {
        match change {
            Change::Provider { key, peer, expires } => {
                providers.insert((key.as_slice(), peer.to_bytes().as_slice()), expires)?;
            }
            Change::NoProvider { key, peer } => {
                providers.remove((key.as_slice(), peer.to_bytes().as_slice()))?;
            }
            Change::Publisher { peer, addresses } => {
                let addresses: Vec<&[u8]> = addresses.iter().map(AsRef::as_ref).collect();
                publishers.insert(peer.to_bytes().as_slice(), addresses)?;
            }
            Change::Value {
                key,
                value,
                source,
                expires,
            } => {
                let source = source.map(PeerId::to_bytes).unwrap_or_default();
                let row = (expires.unwrap_or(0), source.as_slice(), value.as_slice());
                values.insert(key.as_slice(), row)?;
            }
            Change::NoValue { key } => {
                values.remove(key.as_slice())?;
            }
        }
    }
    Ok(())
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_secs()
}

/// Removes what has expired, and publishers of nothing.
fn prune(database: &Database) -> Result<(), redb::Error> {
    let now = now();
    let transaction = database.begin_write()?;
    for wan in [true, false] {
        let tables = tables(wan);
        let mut providers = transaction.open_table(tables.providers)?;
        let mut live = FxHashSet::default();
        providers.retain(|(_, peer), expires| {
            let keep = expires > now;
            if keep && !live.contains(peer) {
                live.insert(peer.to_vec());
            }
            keep
        })?;
        let mut publishers = transaction.open_table(tables.publishers)?;
        publishers.retain(|peer, _| live.contains(peer))?;
        let mut values = transaction.open_table(tables.values)?;
        values.retain(|_, (expires, _, _)| expires == 0 || expires > now)?;
    }
    transaction.commit()?;
    Ok(())
}

/// Tells everything that is kept, in parts. Providers come before where they are.
fn load(
    database: &Database,
    wan: bool,
    validators: &Validators,
    to: &SyncSender<Loaded>,
) -> Result<(), redb::Error> {
    let tables = tables(wan);
    let read = database.begin_read()?;
    let mut part = Loaded::default();
    // A store that is gone needs nothing.
    let tell = |part: &mut Loaded, least: usize| {
        let full = part.providers.len() + part.publishers.len() + part.values.len() >= least;
        !full || to.send(std::mem::take(part)).is_ok()
    };
    for row in read.open_table(tables.providers)?.iter()? {
        let (key, expires) = row?;
        let (key, peer) = key.value();
        if let Ok(peer) = PeerId::from_bytes(peer) {
            part.providers.push((key.to_vec(), peer, expires.value()));
        }
        if !tell(&mut part, READ_AT_ONCE) {
            return Ok(());
        }
    }
    for row in read.open_table(tables.publishers)?.iter()? {
        let (peer, addresses) = row?;
        let addresses = addresses.value();
        let addresses = addresses.into_iter();
        let addresses = addresses.filter_map(|address| Multiaddr::try_from(address.to_vec()).ok());
        if let Ok(peer) = PeerId::from_bytes(peer.value()) {
            part.publishers.push((peer, addresses.collect()));
        }
        if !tell(&mut part, READ_AT_ONCE) {
            return Ok(());
        }
    }
    for row in read.open_table(tables.values)?.iter()? {
        let (key, row) = row?;
        let (key, (expires, source, value)) = (key.value(), row.value());
        if validators.validate(key, value).is_ok() {
            let source = PeerId::from_bytes(source).ok();
            let expires = (expires != 0).then_some(expires);
            part.values
                .push((key.to_vec(), value.to_vec(), source, expires));
        }
        if !tell(&mut part, READ_AT_ONCE / 16) {
            return Ok(());
        }
    }
    tell(&mut part, 1);
    Ok(())
}
