//! Limits of the server, from `API.Limits` of the configuration.

use std::time::Duration;

use ipfs_kit_node::config::Config;
use rustix::process::{Resource, getrlimit};

/// What clients may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Time for a whole head.
    pub header: Duration,
    /// Time for the next KiB of a body.
    pub body: Duration,
    /// Time for taking the next piece of a reply.
    pub reply: Duration,
    /// Time between two requests.
    pub idle: Duration,
    /// Connections at a time. A new one above takes the place of the one that has been idle longest.
    pub connections: usize,
    /// Commands at a time; more are answered with 429.
    pub commands: usize,
}

/// Commands at a time, if nothing else is configured.
pub const MAX_COMMANDS: usize = 512;

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            header: Duration::from_secs(10),
            body: Duration::from_secs(60),
            reply: Duration::from_secs(60),
            idle: Duration::from_secs(120),
            connections: 4096,
            commands: MAX_COMMANDS,
        }
    }
}

impl Limits {
    /// What the configuration says. Connections leave half of the files that may be open to others.
    pub fn of(config: &Config) -> Limits {
        let usual = Limits::default();
        let time = |key: &str, usual: Duration| {
            let given = config.duration(&format!("API.Limits.{key}"));
            given.filter(|time| !time.is_zero()).unwrap_or(usual)
        };
        let count = |key: &str, usual: usize| {
            let given = config.integer(&format!("API.Limits.{key}"));
            let given = given.filter(|&count| count > 0);
            given.map_or(usual, |count| usize::try_from(count).unwrap_or(usize::MAX))
        };
        let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        let room = usize::try_from(files / 2).unwrap_or(usize::MAX).max(16);
        Limits {
            header: time("HeaderTimeout", usual.header),
            body: time("BodyTimeout", usual.body),
            reply: time("ReplyTimeout", usual.reply),
            idle: time("IdleTimeout", usual.idle),
            connections: count("MaxConnections", usual.connections).min(room),
            // Each has a thread.
            commands: count("MaxConcurrentRequests", usual.commands).min(8192),
        }
    }

    /// How long a client may be waited for while others find no room.
    pub fn pressed(&self) -> Duration {
        (self.body.min(self.reply) / 12).min(Duration::from_millis(500))
    }
}
