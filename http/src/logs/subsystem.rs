//! Which subsystem an event belongs to, and the level that each has.

use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

use tracing::level_filters::LevelFilter;

use super::level::Level;

/// Modules, and the subsystem they belong to; the longest that fits decides. The names are Kubo's where it has
/// such a thing.
const MODULES: &[(&str, &str)] = &[
    ("ipfs_kit", "cmd/ipfs"),
    ("ipfs_kit_http", "cmds/http"),
    ("ipfs_kit_blockstore", "blockstore"),
    ("ipfs_kit_bitswap", "bitswap"),
    ("ipfs_kit_node", "core"),
    ("ipfs_kit_node::delegated", "routing"),
    ("ipfs_kit_node::fetch", "fetcher"),
    ("ipfs_kit_node::gc", "gc"),
    ("ipfs_kit_node::jobs", "jobs"),
    ("ipfs_kit_node::mfs", "mfs"),
    ("ipfs_kit_node::names", "namesys"),
    ("ipfs_kit_node::net", "net"),
    ("ipfs_kit_node::pins", "pin"),
    ("ipfs_kit_node::provide", "provider"),
    ("ipfs_kit_node::retrieval", "fetcher"),
    ("libp2p", "swarm2"),
    ("libp2p_autonat", "autonat"),
    ("libp2p_dcutr", "p2p-holepunch"),
    ("libp2p_gossipsub", "pubsub"),
    ("libp2p_identify", "net/identify"),
    ("libp2p_kad", "dht"),
    ("libp2p_mdns", "mdns"),
    ("libp2p_relay", "relay"),
    ("libp2p_upnp", "nat"),
    ("hickory", "dns"),
    ("hyper", "http"),
    ("h2", "http"),
    ("quinn", "quic"),
    ("rustls", "tls"),
    ("yamux", "yamux"),
];

/// What belongs to nothing else.
const OTHER: &str = "other";

/// A level that says: as the default.
const INHERITED: u8 = u8::MAX;

/// There is no subsystem of that name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no such subsystem: {0:?}: 'ipfs-kit log ls' lists them")]
pub struct NoSubsystem(String);

/// Names of all subsystems, in order.
pub fn names() -> Vec<&'static str> {
    let mut names: Vec<&str> = MODULES
        .iter()
        .map(|(_, name)| *name)
        .chain([OTHER])
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// The subsystem of a module.
pub fn of(target: &str) -> &'static str {
    let fits = |module: &str| {
        target.strip_prefix(module).is_some_and(|rest| {
            // The crates of one family have one name before the first underscore.
            rest.is_empty() || rest.starts_with("::") || rest.starts_with('_')
        })
    };
    let fitting = MODULES.iter().filter(|(module, _)| fits(module));
    let longest = fitting.max_by_key(|(module, _)| module.len());
    longest.map_or(OTHER, |(_, name)| *name)
}

/// The levels. Reading one costs two loads.
#[derive(Debug)]
pub struct Levels {
    names: Vec<&'static str>,
    levels: Vec<AtomicU8>,
    default: AtomicU8,
}

impl Default for Levels {
    fn default() -> Levels {
        let names = names();
        Levels {
            levels: names.iter().map(|_| AtomicU8::new(INHERITED)).collect(),
            names,
            default: AtomicU8::new(Level::default() as u8),
        }
    }
}

impl Levels {
    /// Reads `error,bitswap=debug`; tells what of it is wrong.
    pub fn read(&self, text: &str) -> Option<String> {
        let mut wrong = None;
        for part in text
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
        {
            let (name, level) = match part.split_once('=') {
                Some((name, level)) => (Some(name), level),
                None => (None, part),
            };
            let outcome = match (name, level.parse::<Level>()) {
                (_, Err(error)) => Err(error.to_string()),
                (None | Some("*" | "all"), Ok(level)) => {
                    self.default.store(level as u8, Relaxed);
                    Ok(())
                }
                (Some(name), Ok(level)) => self.set(name, level).map_err(|error| error.to_string()),
            };
            wrong = wrong.or(outcome.err());
        }
        wrong
    }

    fn place(&self, name: &str) -> Result<&AtomicU8, NoSubsystem> {
        let place = self.names.binary_search(&name);
        place
            .map(|at| &self.levels[at])
            .map_err(|_| NoSubsystem(name.to_owned()))
    }

    /// The level that subsystems have which were given none.
    pub fn default_level(&self) -> Level {
        Level::from_number(self.default.load(Relaxed))
    }

    /// The level of a subsystem.
    pub fn level(&self, name: &str) -> Result<Level, NoSubsystem> {
        Ok(match self.place(name)?.load(Relaxed) {
            INHERITED => self.default_level(),
            number => Level::from_number(number),
        })
    }

    /// Changes it.
    pub fn set(&self, name: &str, level: Level) -> Result<(), NoSubsystem> {
        self.place(name)?.store(level as u8, Relaxed);
        Ok(())
    }

    /// Changes all, the default too.
    pub fn set_all(&self, level: Level) {
        self.default.store(level as u8, Relaxed);
        self.levels
            .iter()
            .for_each(|place| place.store(INHERITED, Relaxed));
    }

    /// Whether an event of that level and module is let through.
    pub fn lets_through(&self, target: &str, level: tracing::Level) -> bool {
        let set = self.level(of(target)).unwrap_or_default();
        Level::of(level) >= set && set <= Level::Error
    }

    /// The finest level of all.
    pub fn finest(&self) -> LevelFilter {
        let own = self.levels.iter().map(|place| place.load(Relaxed));
        let finest = own
            .filter(|number| *number != INHERITED)
            .chain([self.default.load(Relaxed)])
            .min();
        match Level::from_number(finest.unwrap_or(0)) {
            Level::Debug => LevelFilter::TRACE,
            level => level.filter(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_have_subsystems() {
        for (target, name) in [
            ("ipfs_kit::commands::daemon", "cmd/ipfs"),
            ("ipfs_kit_http::server", "cmds/http"),
            ("ipfs_kit_node", "core"),
            ("ipfs_kit_node::gc::collect", "gc"),
            ("ipfs_kit_node::gcx", "core"),
            ("libp2p_kad::behaviour", "dht"),
            ("libp2p_swarm", "swarm2"),
            ("quinn_proto::connection", "quic"),
            ("serde", "other"),
        ] {
            assert_eq!(of(target), name, "{target}");
        }
    }

    #[test]
    fn levels_follow_the_default_until_they_are_set() {
        let levels = Levels::default();
        assert_eq!(levels.read("warn,gc=debug, dht=info"), None);
        assert_eq!(levels.level("gc"), Ok(Level::Debug));
        assert_eq!(levels.level("core"), Ok(Level::Warn));
        assert!(levels.lets_through("ipfs_kit_node::gc", tracing::Level::TRACE));
        assert!(levels.lets_through("libp2p_kad", tracing::Level::INFO));
        assert!(!levels.lets_through("libp2p_kad", tracing::Level::DEBUG));
        assert_eq!(levels.finest(), LevelFilter::TRACE);
        levels.set_all(Level::Fatal);
        assert_eq!(levels.level("gc"), Ok(Level::Fatal));
        assert!(!levels.lets_through("ipfs_kit_node::gc", tracing::Level::ERROR));
        assert_eq!(levels.finest(), LevelFilter::OFF);
        levels.set("gc", Level::Error).unwrap();
        assert!(levels.lets_through("ipfs_kit_node::gc", tracing::Level::ERROR));
        for wrong in ["loud", "gc=loud", "nosuch=info"] {
            assert!(levels.read(wrong).is_some(), "{wrong}");
        }
    }
}
