//! Where names led to a short while ago. Bounded; whoever was not asked for the longest time goes first.

use std::time::{Duration, SystemTime};

use rustc_hash::FxHashMap;

use super::path::NamePath;

/// Where a name leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The path.
    pub path: NamePath,
    /// Until when it may be used without asking again.
    pub fresh_until: SystemTime,
}

impl Target {
    /// For how much longer it may be used.
    pub fn remaining(&self, now: SystemTime) -> Duration {
        self.fresh_until.duration_since(now).unwrap_or_default()
    }
}

struct Entry {
    target: Target,
    since: SystemTime,
    used: u64,
}

/// The cache.
pub struct Cache {
    entries: FxHashMap<String, Entry>,
    limit: usize,
    uses: u64,
}

impl Cache {
    /// A cache of at most `limit` names.
    pub fn new(limit: usize) -> Self {
        Self {
            entries: FxHashMap::default(),
            limit,
            uses: 0,
        }
    }

    /// Where a name leads, if that is still fresh. When the clock was set back nothing is.
    pub fn get(&mut self, name: &str, now: SystemTime) -> Option<Target> {
        self.uses += 1;
        let entry = self.entries.get_mut(name)?;
        if now >= entry.target.fresh_until || now < entry.since {
            self.entries.remove(name);
            return None;
        }
        entry.used = self.uses;
        Some(entry.target.clone())
    }

    /// Keeps where a name leads.
    pub fn put(&mut self, name: &str, target: Target, now: SystemTime) {
        if self.limit == 0 || target.fresh_until <= now {
            self.entries.remove(name);
            return;
        }
        if self.entries.len() >= self.limit && !self.entries.contains_key(name) {
            let oldest = self.entries.iter().min_by_key(|(_, entry)| entry.used);
            if let Some(oldest) = oldest.map(|(name, _)| name.clone()) {
                self.entries.remove(&oldest);
            }
        }
        self.uses += 1;
        let entry = Entry {
            target,
            since: now,
            used: self.uses,
        };
        self.entries.insert(name.to_owned(), entry);
    }

    /// Forgets a name.
    pub fn remove(&mut self, name: &str) {
        self.entries.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(name: &str, until: SystemTime) -> Target {
        Target {
            path: NamePath::parse(&format!("/ipns/{name}")).unwrap(),
            fresh_until: until,
        }
    }

    #[test]
    fn entries_end_and_the_least_used_goes() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000);
        let second = Duration::from_secs(1);
        let mut cache = Cache::new(2);
        cache.put("a", target("x", now + 10 * second), now);
        cache.put("b", target("y", now + 20 * second), now);
        assert_eq!(cache.get("a", now).unwrap().remaining(now), 10 * second);
        cache.put("c", target("z", now + 10 * second), now);
        assert!(
            cache.get("b", now).is_none(),
            "b was not asked for the longest time"
        );
        assert!(cache.get("a", now + 9 * second).is_some());
        assert!(cache.get("a", now + 10 * second).is_none());
        assert!(
            cache.get("c", now - second).is_none(),
            "the clock was set back"
        );
        cache.put("d", target("x", now), now);
        assert!(cache.get("d", now).is_none(), "nothing to keep");
        cache.put("e", target("x", now + second), now);
        cache.remove("e");
        assert!(cache.get("e", now).is_none());
    }
}
