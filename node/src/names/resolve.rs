//! Resolving: names to paths, over records, DNSLink and fixed entries, as deep as names point to names.

use std::cmp::Ordering;
use std::ops::ControlFlow;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use libp2p::PeerId;

use super::cache::Target;
use super::path::{NamePath, NameSpace};
use super::publisher::routing_error;
use super::record::{Record, better};
use super::routing::RecordQuery;
use super::settings::UNSAID_TTL;
use super::{NameError, Names, dnslink, table};
use crate::error::{Error, Result};
use crate::figures::tick;
use crate::keys::{IdBase, SELF, format_peer_id, parse_peer_id};

/// Most names that one name may lead through.
pub const MAX_DEPTH: usize = 32;

/// Entries of the name map have no time to live; Kubo's answers say nothing either.
const FIXED_TTL: Duration = Duration::ZERO;

/// Options of [`Names::resolve`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolveOptions {
    /// Go on until the path is an `/ipfs` one; else one step.
    pub recursive: bool,
    /// Ask anew, whatever is still fresh.
    pub no_cache: bool,
    /// How many records of a name are enough.
    pub record_count: usize,
    /// How long to look for records of one name; `None` is for ever.
    pub timeout: Option<Duration>,
}

impl Default for ResolveOptions {
    fn default() -> Self {
        Self {
            recursive: true,
            no_cache: false,
            record_count: 16,
            timeout: Some(Duration::from_secs(60)),
        }
    }
}

/// Answer of [`Names::resolve`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameResolved {
    /// The path.
    pub path: NamePath,
    /// For how long the answer may be used: the shortest time to live on the way, and no record outlives its end of
    /// life. Zero when it is not known.
    pub ttl: Duration,
}

impl Names<'_> {
    /// Resolves `/ipns/NAME/path`, `ipns://NAME/path` or a bare `NAME`, where `NAME` is a key id, the name of a key of
    /// this node, or a domain.
    ///
    /// # Errors
    /// [`NameError`]; [`Error::NeedsNetwork`] for a name of others when the node is on no network.
    pub fn resolve(&self, name: &str, options: &ResolveOptions) -> Result<NameResolved> {
        self.resolve_streaming(name, options, &mut |_| Ok(()))
    }

    /// As [`Names::resolve`]; `emit` gets every path that is better than those before while records come in.
    ///
    /// # Errors
    /// As [`Names::resolve`], and [`Error::Output`].
    pub fn resolve_streaming(
        &self,
        name: &str,
        options: &ResolveOptions,
        emit: crate::error::Emit<'_, NamePath>,
    ) -> Result<NameResolved> {
        let text = match name.starts_with('/') || NamePath::is_name(name) {
            true => name.to_owned(),
            false => format!("/ipns/{name}"),
        };
        let start = NamePath::parse(&text).map_err(|reason| Error::BadPath {
            path: name.to_owned(),
            reason,
        })?;
        let mut path = start.clone();
        let mut ttl: Option<Duration> = None;
        for _ in 0..MAX_DEPTH {
            if path.namespace == NameSpace::Ipfs {
                return Ok(NameResolved {
                    path,
                    ttl: ttl.unwrap_or_default(),
                });
            }
            self.node.cancel().check()?;
            let below = path.rest.clone();
            let mut any = false;
            let mut told = |target: &NamePath| {
                any = true;
                emit(target.join(&below)).map_err(Error::Output)
            };
            let now = SystemTime::now();
            let target = self.step(&path.root, options, now, &mut told)?;
            // What is known already is told once, without a search.
            if !any {
                emit(target.path.join(&below)).map_err(Error::Output)?;
            }
            let remaining = target.remaining(now);
            ttl = Some(ttl.map_or(remaining, |ttl| ttl.min(remaining)));
            path = target.path.join(&path.rest);
            if !options.recursive {
                return Ok(NameResolved {
                    path,
                    ttl: ttl.unwrap_or_default(),
                });
            }
        }
        match path.namespace {
            NameSpace::Ipfs => Ok(NameResolved {
                path,
                ttl: ttl.unwrap_or_default(),
            }),
            NameSpace::Ipns => Err(NameError::TooDeep(start.to_string()).into()),
        }
    }

    /// The best record of a name, as `ipfs name get`.
    ///
    /// # Errors
    /// [`NameError::NotFound`], [`Error::NeedsNetwork`].
    pub fn get(&self, name: &str) -> Result<Bytes> {
        let id = super::parse_name(name)?;
        let options = ResolveOptions::default();
        let record = self.best_record(&id, &options, SystemTime::now(), &mut |_| Ok(()))?;
        Ok(record.bytes().clone())
    }

    /// Where one name leads.
    fn step(
        &self,
        root: &str,
        options: &ResolveOptions,
        now: SystemTime,
        emit: &mut dyn FnMut(&NamePath) -> Result<()>,
    ) -> Result<Target> {
        let state = self.node.names_state();
        let lower = root.trim_end_matches('.').to_ascii_lowercase();
        if let Some(path) = state.fixed.get(&lower) {
            return Ok(Target {
                path: path.clone(),
                fresh_until: now + FIXED_TTL,
            });
        }
        let id = self.key_of(root)?;
        let cached_as = match &id {
            Some(id) => format_peer_id(id, IdBase::default()),
            None => lower.clone(),
        };
        if !options.no_cache {
            let counters = self.node.counters();
            if let Some(target) = state.cache.lock().get(&cached_as, now) {
                tick(&counters.name_hits);
                return Ok(target);
            }
            tick(&counters.name_misses);
        }
        let cap = self.settings()?.max_cache_ttl;
        let capped = |ttl: Duration| cap.map_or(ttl, |cap| ttl.min(cap));
        let target = match id {
            Some(id) => {
                let record = self.best_record(&id, options, now, emit)?;
                let until = now + capped(record.ttl().unwrap_or(UNSAID_TTL)).min(LONGEST_TTL);
                Target {
                    path: path_of(&record, &cached_as)?,
                    fresh_until: until.min(record.eol()),
                }
            }
            None => {
                let dns = self.dns()?;
                let (path, ttl) = dnslink::lookup(&*dns, &lower, self.node.cancel())?;
                Target {
                    path,
                    fresh_until: now + capped(ttl).min(LONGEST_TTL),
                }
            }
        };
        state.cache.lock().put(&cached_as, target.clone(), now);
        Ok(target)
    }

    /// The key that a text means: an id in any form, or a key of this node by name. Domains have a dot.
    fn key_of(&self, root: &str) -> Result<Option<PeerId>> {
        if let Ok(id) = parse_peer_id(root) {
            return Ok(Some(id));
        }
        if root.contains('.') {
            return Ok(None);
        }
        match self.node.keys().find(root) {
            Ok((key, _)) => Ok(Some(key.id)),
            Err(Error::Key(crate::keys::KeyError::Unknown(_))) if root != SELF => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The best valid record that this node and the network have.
    fn best_record(
        &self,
        name: &PeerId,
        options: &ResolveOptions,
        now: SystemTime,
        emit: &mut dyn FnMut(&NamePath) -> Result<()>,
    ) -> Result<Record> {
        let text = || format_peer_id(name, IdBase::default());
        let local = table::get(self.node.database(), name)?.best();
        let expired = local.clone().filter(|record| record.is_expired(now));
        let mut best = local.filter(|record| !record.is_expired(now));
        let Some(routing) = self.awaited_routing()? else {
            return best.ok_or_else(|| Error::NeedsNetwork(format!("/ipns/{}", text())));
        };
        let mut told: Result<()> = Ok(());
        let mut seen = 0;
        let query = RecordQuery {
            deadline: options
                .timeout
                .and_then(|timeout| Instant::now().checked_add(timeout)),
            cancel: self.node.cancel().clone(),
        };
        let asked = routing.get(name, &query, &mut |bytes| {
            let Ok(record) = Record::validate(bytes, name, now) else {
                return ControlFlow::Continue(());
            };
            seen += 1;
            // What this node knows to be out of date is not given because the newer one has expired.
            let is_old = |newer: &Record| record.sequence() < newer.sequence();
            if expired.as_ref().is_some_and(is_old) {
                return ControlFlow::Continue(());
            }
            if best
                .as_ref()
                .is_none_or(|best| better(&record, best) == Ordering::Greater)
            {
                if let Ok(path) = path_of(&record, "") {
                    told = emit(&path);
                }
                best = Some(record);
            }
            match told.is_err() || seen >= options.record_count.max(1) {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        });
        told?;
        self.node.cancel().check()?;
        match (best, asked) {
            (Some(best), _) => Ok(best),
            (None, Err(error)) => Err(routing_error("looking up", name, &*error).into()),
            (None, Ok(())) if let Some(expired) = &expired => Err(NameError::Expired {
                name: text(),
                sequence: expired.sequence(),
            }
            .into()),
            (None, Ok(())) => Err(NameError::NotFound {
                name: text(),
                asked: " in the repo and in the network",
            }
            .into()),
        }
    }
}

/// Longer times to live are of no use and would overflow the clock.
const LONGEST_TTL: Duration = Duration::from_secs(365 * 86_400);

fn path_of(record: &Record, name: &str) -> Result<NamePath, NameError> {
    let value = record.value();
    let rooted = value.starts_with("/ipfs/") || value.starts_with("/ipns/");
    NamePath::parse(value)
        .ok()
        .filter(|_| rooted)
        .ok_or_else(|| NameError::BadValue {
            name: name.to_owned(),
            value: value.chars().take(200).collect(),
        })
}
