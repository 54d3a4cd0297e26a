//! Publishing: a record is durable in the repo before any network sees it, so its sequence never goes back.

use std::cmp::Ordering;
use std::ops::ControlFlow;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use libp2p::PeerId;

use super::path::NamePath;
use super::record::{NewRecord, Record, Unverified, better};
use super::routing::RecordQuery;
use super::settings::{DEFAULT_TTL, NameSettings};
use super::table::{self, Known, Own};
use super::{NameError, Names, seconds};
use crate::error::{Error, Result};
use crate::keys::{IdBase, KeyInfo, PrivateKey, SELF, format_peer_id};

/// How long the network is asked for an earlier record before a new one is made.
const LOOK_BEFORE_PUBLISH: Duration = Duration::from_secs(60);
/// Enough to know the latest.
const ENOUGH_RECORDS: usize = 16;
/// Records that are signed anew in one transaction.
const BATCH: usize = 64;
/// When to try again what failed.
const RETRY_AFTER: Duration = Duration::from_secs(5 * 60);

/// Options of [`Names::publish`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishOptions {
    /// The key's name or id.
    pub key: String,
    /// Check first that the path leads to something.
    pub resolve: bool,
    /// How long the record is valid; `Ipns.RecordLifetime` by default.
    pub lifetime: Option<Duration>,
    /// How long it may be cached; 5 min by default, and never longer than it is valid.
    pub ttl: Option<Duration>,
    /// A sequence number above the current one, instead of the next.
    pub sequence: Option<u64>,
    /// Go on without a network: the record is put there when there is one.
    pub allow_offline: bool,
    /// Repeat the record's content for readers of version 1.
    pub v1_compatible: bool,
}

impl Default for PublishOptions {
    fn default() -> Self {
        Self {
            key: SELF.to_owned(),
            resolve: true,
            lifetime: None,
            ttl: None,
            sequence: None,
            allow_offline: false,
            v1_compatible: true,
        }
    }
}

/// Answer of [`Names::publish`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// The key, whose id is the name.
    pub key: KeyInfo,
    /// The path that was published.
    pub value: String,
    /// The record.
    pub record: Record,
    /// Why no network took it, when that was allowed.
    pub not_sent: Option<String>,
}

/// Options of [`Names::put`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PutOptions {
    /// Leave out the checks, also that the sequence is above the one that is there.
    pub force: bool,
    /// Go on without a network.
    pub allow_offline: bool,
}

/// Answer of [`Names::republish`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RepublishReport {
    /// Names whose record was put again.
    pub published: Vec<PeerId>,
    /// Names whose record no peer took, and why.
    pub failed: Vec<(PeerId, String)>,
    /// When to call again.
    pub next: Duration,
}

impl Names<'_> {
    /// Publishes a path under a key's name, as `ipfs name publish`.
    ///
    /// The sequence is kept while the value stays the same and the new record outlives the old one, else it goes up by
    /// one.
    ///
    /// # Errors
    /// [`NameError`]; a record that was made and not sent is kept and republished.
    pub fn publish(&self, path: &str, options: &PublishOptions) -> Result<Published> {
        self.publish_at(path, options, SystemTime::now())
    }

    pub(crate) fn publish_at(
        &self,
        path: &str,
        options: &PublishOptions,
        now: SystemTime,
    ) -> Result<Published> {
        let (lifetime, ttl) = spans(options, &self.settings()?)?;
        let value = NamePath::parse(path)
            .map_err(|reason| Error::BadPath {
                path: path.to_owned(),
                reason,
            })?
            .to_string();
        let (key_info, key) = self.node.keys().find(&options.key)?;
        if self.awaited_routing()?.is_none() && !options.allow_offline {
            return Err(NameError::Offline.into());
        }
        self.node.check_writable()?;
        if options.resolve {
            self.node.resolve_partial(&value)?;
        }
        let latest = match self.latest_in_network(&key_info.id, now) {
            Err(_) if options.allow_offline => None,
            latest => latest?,
        };
        let wanted = NewRecord {
            value: value.clone(),
            sequence: 0,
            eol: now + lifetime,
            ttl,
            v1_compatible: options.v1_compatible,
        };
        let record = self.make_durable(&key, wanted, options.sequence, latest)?;
        self.forget(&key_info.id);
        let not_sent = match self.send(&key_info.id, &record, now) {
            Err(error) if options.allow_offline => Some(error.to_string()),
            sent => sent.map(|sent| (!sent).then(|| NameError::Offline.to_string()))?,
        };
        Ok(Published {
            key: key_info,
            value,
            record,
            not_sent,
        })
    }

    /// Chooses the sequence, signs and commits in one transaction: nobody can choose the same number meanwhile.
    fn make_durable(
        &self,
        key: &PrivateKey,
        mut wanted: NewRecord,
        asked: Option<u64>,
        latest: Option<Record>,
    ) -> Result<Record> {
        let name = key.peer_id();
        self.node.database().write::<_, Error>(|transaction| {
            let known = table::get_within(transaction, &name)?.best();
            let current = known.into_iter().chain(latest).max_by(better);
            wanted.sequence = next_sequence(&wanted, asked, current.as_ref())?;
            let record = Record::create(key, &wanted).map_err(NameError::from)?;
            let own = Own {
                record: record.clone(),
                put_at: 0,
            };
            table::set_own(transaction, &name, &own)?;
            Ok(record)
        })
    }

    /// The best valid record that the network has; an expired one is known from the own table.
    fn latest_in_network(&self, name: &PeerId, now: SystemTime) -> Result<Option<Record>> {
        let Some(routing) = self.routing() else {
            return Ok(None);
        };
        let mut best: Option<Record> = None;
        let mut seen = 0;
        let query = RecordQuery {
            deadline: Instant::now().checked_add(LOOK_BEFORE_PUBLISH),
            cancel: self.node.cancel().clone(),
        };
        let asked = routing.get(name, &query, &mut |bytes| {
            if let Ok(record) = Record::validate(bytes, name, now) {
                seen += 1;
                if best
                    .as_ref()
                    .is_none_or(|best| better(&record, best) == Ordering::Greater)
                {
                    best = Some(record);
                }
            }
            match seen >= ENOUGH_RECORDS {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        });
        self.node.cancel().check()?;
        match (best, asked) {
            (None, Err(error)) => Err(routing_error("looking up", name, &*error).into()),
            (best, _) => Ok(best),
        }
    }

    /// Gives a durable record to the network and notes that it did. `false`: there is no network.
    fn send(&self, name: &PeerId, record: &Record, now: SystemTime) -> Result<bool> {
        let Some(routing) = self.routing() else {
            return Ok(false);
        };
        routing
            .put(name, record.bytes(), self.node.cancel())
            .map_err(|error| routing_error("publishing", name, &*error))?;
        self.note_sent(&[(*name, record.clone())], now)?;
        Ok(true)
    }

    fn note_sent(&self, sent: &[(PeerId, Record)], now: SystemTime) -> Result<()> {
        if sent.is_empty() {
            return Ok(());
        }
        self.node.database().write::<_, Error>(|transaction| {
            for (name, record) in sent {
                // Another record may have been published meanwhile.
                let own = table::get_within(transaction, name)?.own;
                if own.is_some_and(|own| own.record == *record) {
                    let own = Own {
                        record: record.clone(),
                        put_at: seconds(now),
                    };
                    table::set_own(transaction, name, &own)?;
                }
            }
            Ok(())
        })
    }

    /// Stores a record that somebody signed, as `ipfs name put`.
    ///
    /// # Errors
    /// [`NameError::Record`] when it is not valid, [`NameError::NotAbove`] when one with its sequence or a higher one is
    /// there; with `force` an invalid record is given to the network as it is and never stored here.
    /// [`NameError::OwnNameBack`] also with `force`. [`NameError::Offline`].
    pub fn put(&self, name: &str, bytes: Bytes, options: PutOptions) -> Result<PeerId> {
        let now = SystemTime::now();
        let name = super::parse_name(name)?;
        if self.awaited_routing()?.is_none() && !options.allow_offline {
            return Err(NameError::Offline.into());
        }
        self.node.check_writable()?;
        match Record::validate(bytes.clone(), &name, now) {
            Ok(record) => self.keep_put(&name, &record, options)?,
            Err(error) if options.force && self.routing().is_some() => drop(error),
            Err(error) => return Err(NameError::Record(error).into()),
        }
        self.forget(&name);
        let Some(routing) = self.routing() else {
            return Ok(name);
        };
        match routing.put(&name, &bytes, self.node.cancel()) {
            Err(error) if !options.allow_offline => {
                Err(routing_error("putting", &name, &*error).into())
            }
            _ => Ok(name),
        }
    }

    fn keep_put(&self, name: &PeerId, record: &Record, options: PutOptions) -> Result<()> {
        self.node.database().write::<_, Error>(|transaction| {
            let Known { own, other } = table::get_within(transaction, name)?;
            let new = record.sequence();
            let is_own = own.is_some();
            let current = own.map(|own| own.record).into_iter().chain(other);
            if let Some(current) = current.max_by(better) {
                let existing = current.sequence();
                let same = current.bytes() == record.bytes();
                if is_own && new < existing {
                    return Err(NameError::OwnNameBack { existing, new }.into());
                }
                if existing >= new && !same && !options.force {
                    return Err(NameError::NotAbove { existing, new }.into());
                }
                if same {
                    return Ok(());
                }
            }
            if is_own {
                let own = Own {
                    record: record.clone(),
                    put_at: 0,
                };
                table::set_own(transaction, name, &own)
            } else {
                table::set_other(transaction, name, record)
            }
        })
    }

    /// Puts every own record again that is due, signed anew for a full lifetime. Records that no network took yet are
    /// due at once. Call it a minute after the start, and then whenever [`RepublishReport::next`] has passed.
    ///
    /// # Errors
    /// What fails for the whole: the repo, the keystore, a cancelled node. A record that no peer took is in the report.
    pub fn republish(&self) -> Result<RepublishReport> {
        self.republish_at(SystemTime::now())
    }

    pub(crate) fn republish_at(&self, now: SystemTime) -> Result<RepublishReport> {
        let settings = self.settings()?;
        let mut report = RepublishReport {
            next: settings.republish_period,
            ..RepublishReport::default()
        };
        let Some(routing) = self.routing() else {
            return Ok(report);
        };
        let mut after = None;
        loop {
            let rows = table::own_after(self.node.database(), after.as_ref(), BATCH)?;
            let Some((last, _)) = rows.last() else {
                break;
            };
            after = Some(*last);
            let mut due = Vec::new();
            for (name, own) in rows {
                let wait = until_due(own.put_at, settings.republish_period, now);
                if wait.is_zero() {
                    due.push(name);
                } else {
                    report.next = report.next.min(wait);
                }
            }
            let mut sent = Vec::new();
            for (name, record) in self.renew(&due, &settings, now)? {
                self.node.cancel().check()?;
                match routing.put(&name, record.bytes(), self.node.cancel()) {
                    Ok(()) => sent.push((name, record)),
                    Err(error) => report.failed.push((name, error.to_string())),
                }
            }
            self.note_sent(&sent, now)?;
            report.published.extend(sent.iter().map(|(name, _)| *name));
        }
        if !report.failed.is_empty() {
            report.next = report.next.min(RETRY_AFTER);
        }
        Ok(report)
    }

    /// Signs records anew with their value, sequence and TTL; durable on return. Names whose key is gone are left out.
    fn renew(
        &self,
        names: &[PeerId],
        settings: &NameSettings,
        now: SystemTime,
    ) -> Result<Vec<(PeerId, Record)>> {
        let mut keys = Vec::new();
        for name in names {
            keys.extend(self.node.keys().find_id(name)?.map(|(_, key)| (*name, key)));
        }
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        self.node.database().write::<_, Error>(|transaction| {
            let mut renewed = Vec::new();
            for (name, key) in keys {
                let Some(own) = table::get_within(transaction, &name)?.own else {
                    continue;
                };
                let record = renew_one(&key, &own.record, now + settings.record_lifetime)?;
                let own = Own {
                    record: record.clone(),
                    ..own
                };
                table::set_own(transaction, &name, &own)?;
                renewed.push((name, record));
            }
            Ok(renewed)
        })
    }
}

/// A record that was published to live longer keeps its end of life.
fn renew_one(key: &PrivateKey, old: &Record, eol: SystemTime) -> Result<Record, NameError> {
    if old.eol() >= eol {
        return Ok(old.clone());
    }
    let new = NewRecord {
        value: old.value().to_owned(),
        sequence: old.sequence(),
        eol,
        ttl: old.ttl().unwrap_or(DEFAULT_TTL),
        v1_compatible: old.v1_compatible(),
    };
    Ok(Record::create(key, &new)?)
}

/// Zero when a record is due; a clock that was set back makes it due too.
pub(super) fn until_due(put_at: u64, period: Duration, now: SystemTime) -> Duration {
    let now = seconds(now);
    if put_at == 0 || put_at > now {
        return Duration::ZERO;
    }
    period.saturating_sub(Duration::from_secs(now - put_at))
}

fn next_sequence(
    wanted: &NewRecord,
    asked: Option<u64>,
    current: Option<&Record>,
) -> Result<u64, NameError> {
    let Some(record) = current else {
        return Ok(asked.unwrap_or(0));
    };
    let current = record.sequence();
    match asked {
        Some(asked) if asked <= current => Err(NameError::SequenceNotAbove { asked, current }),
        Some(asked) => Ok(asked),
        // With the same number only a record that lives longer takes the place of the old one.
        None if record.value() == wanted.value && wanted.eol > record.eol() => Ok(current),
        None => current.checked_add(1).ok_or(NameError::SequenceExhausted),
    }
}

/// The lifetime and TTL that are meant.
fn spans(
    options: &PublishOptions,
    settings: &NameSettings,
) -> Result<(Duration, Duration), NameError> {
    /// The times of records have four digits for the year.
    const LONGEST: Duration = Duration::from_secs(100 * 366 * 86_400);
    let lifetime = options.lifetime.unwrap_or(settings.record_lifetime);
    if lifetime.is_zero() || lifetime > LONGEST {
        return Err(NameError::BadSpan {
            option: "lifetime",
            reason: "it must be greater than zero and at most 100 years".to_owned(),
        });
    }
    let ttl = options.ttl.unwrap_or(DEFAULT_TTL.min(lifetime));
    if ttl > lifetime {
        return Err(NameError::BadSpan {
            option: "ttl",
            reason: format!("{ttl:?} must not be greater than lifetime ({lifetime:?})"),
        });
    }
    Ok((lifetime, ttl))
}

pub(super) fn routing_error(
    action: &'static str,
    name: &PeerId,
    error: &(dyn std::error::Error + Send + Sync),
) -> NameError {
    NameError::Routing {
        action,
        name: format_peer_id(name, IdBase::default()),
        reason: error.to_string(),
    }
}

/// What `name inspect` tells about the bytes of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspected {
    /// What the record says.
    pub fields: super::record::RecordFields,
    /// Whether it is a valid record of a name, when that was asked; the text says why not.
    pub verified: Option<Result<(), String>>,
}

/// Reads a record, and checks it against a name when one is given.
///
/// # Errors
/// [`NameError::Record`] for bytes that are no record, [`NameError::BadName`].
pub fn inspect(bytes: Bytes, verify: Option<&str>) -> Result<Inspected> {
    let record = Unverified::decode(bytes).map_err(NameError::from)?;
    let fields = record.fields().map_err(NameError::from)?;
    let name = verify.map(super::parse_name).transpose()?;
    let verified = name.map(|name| {
        let verified = record.verify(&name, Some(SystemTime::now()));
        verified.map(drop).map_err(|error| error.to_string())
    });
    Ok(Inspected { fields, verified })
}
