//! Announces what a node has, again and again at an even pace, and at once what it is asked to.

use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures::FutureExt;
use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore, watch};
use tokio::time::Instant;

use super::counters::Counts;
use super::keyspace::Key;
use super::schedule::{Position, Schedule};
use super::settings::ProvideSettings;
use super::source::{self, Item, Page, Source};
use super::sweep::{Halt, Side, Sweep};
use super::table;
use crate::error::Result;
use crate::net::{Net, NetError, OneDht};
use crate::node::Node;
use crate::online::Background;

/// Jobs that were asked for and run at the same time.
const JOBS_MAX: usize = 4;

/// While nobody is known.
const OFFLINE_LOOK: Duration = Duration::from_secs(5);

/// After a failure, doubling, and how often a place is tried before it is left to the next lap.
const RETRY: Duration = Duration::from_secs(30);
const RETRY_MAX: Duration = Duration::from_secs(600);
const TRIES: u32 = 4;

/// Between two looks whether there is anything to announce, and after a failure of the repo.
const IDLE_LOOK: Duration = Duration::from_secs(600);

/// Keys that were read so long ago are read again.
const PAGE_AGE: Duration = Duration::from_secs(900);

/// What announcing is doing.
#[derive(Clone, Debug, PartialEq)]
pub struct ProvideStat {
    /// Peers known in the DHT.
    pub peers: usize,
    /// Counts of the DHT that was asked about.
    pub counts: Counts,
    /// Keys that are announced again and again, as the last pass over the repo counted them.
    pub keys: u64,
    /// The next key as bits, so many as a region's prefix has, and when it is due, in seconds since 1970.
    pub next: Option<(String, u64)>,
    /// When this lap began, in seconds since 1970.
    pub began: Option<u64>,
    /// How long this node has been announcing.
    pub uptime: Duration,
    /// Roots that wait to be announced at once.
    pub waiting: usize,
    /// Workers at most; those for what is due only, for what was asked for only; peers told by one at the same time.
    pub workers: usize,
    /// See [`ProvideStat::workers`].
    pub dedicated: (usize, usize),
    /// See [`ProvideStat::workers`].
    pub connections: usize,
    /// The interval.
    pub interval: Duration,
    /// By region; otherwise key by key.
    pub sweep: bool,
}

/// What was announced at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Announcement {
    /// Keys that peers took.
    pub keys: u64,
}

/// Announces for one node.
pub struct Provider {
    net: Weak<Net>,
    settings: ProvideSettings,
    strategy: String,
    sides: [Side; 2],
    position: Mutex<Option<Position>>,
    keys: Mutex<u64>,
    started: Instant,
    /// Asks for a lap at once.
    hurry: Notify,
    /// Laps that ended.
    laps: watch::Sender<u64>,
    jobs: Semaphore,
}

impl Provider {
    /// Does nothing by itself; see [`Provider::run`].
    pub fn new(net: &Arc<Net>, settings: ProvideSettings, strategy: &str) -> Arc<Self> {
        Arc::new(Self {
            net: Arc::downgrade(net),
            settings,
            strategy: strategy.to_owned(),
            sides: [Side::new(true), Side::new(false)],
            position: Mutex::default(),
            keys: Mutex::default(),
            started: Instant::now(),
            hurry: Notify::new(),
            laps: watch::Sender::new(0),
            jobs: Semaphore::new(JOBS_MAX),
        })
    }

    /// The settings.
    pub fn settings(&self) -> &ProvideSettings {
        &self.settings
    }

    /// Where the lap is.
    #[cfg(test)]
    pub fn position(&self) -> Option<Position> {
        *self.position.lock()
    }

    /// The DHTs in which there is somebody to tell.
    async fn sweeps(&self, burst: bool) -> Result<Vec<Sweep<'_>>, NetError> {
        let mut sweeps = Vec::new();
        for side in &self.sides {
            let net = self.net.upgrade().ok_or(NetError::Stopped)?;
            if !net.provides(side.wan) {
                continue;
            }
            let dht = OneDht::new(net, side.wan);
            sweeps.extend(Sweep::new(dht, side, &self.settings, burst).await?);
        }
        Ok(sweeps)
    }

    /// Announces what a source has, now, and waits for it.
    ///
    /// # Errors
    /// [`NetError::NotStored`] when there is nobody to tell or a region took nothing; whatever the repo fails with.
    pub(crate) async fn announce(
        &self,
        background: &Background,
        source: Source,
    ) -> Result<Announcement> {
        let _job = self.jobs.acquire().await.map_err(|_| NetError::Stopped)?;
        let source = Arc::new(source);
        let (mut from, mut done) = (Some(Key::ZERO), Announcement::default());
        while let Some(first) = from {
            let (source, limit) = (Arc::clone(&source), self.settings.page);
            let page = background.work(move |node| source::page(node, &source, first, limit));
            let page = page.await.ok_or(NetError::Stopped)??;
            let Some(last) = page.items.last() else {
                break;
            };
            let sweeps = self.sweeps(true).await?;
            if sweeps.is_empty() {
                let reason = "no peers in the routing tables, or no address that they could use";
                return Err(NetError::NotStored(reason.to_owned()).into());
            }
            // As in a lap, the first decides.
            for (at, sweep) in sweeps.iter().enumerate() {
                let (_, outcome) = sweep.run(&page.items, page.items.len()).await;
                if at == 0 {
                    outcome.map_err(|halt| NetError::NotStored(halt.to_string()))?;
                }
            }
            done.keys += page.items.len() as u64;
            from = last.key.next().filter(|_| !page.last);
        }
        Ok(done)
    }

    /// Begins a lap over everything at once; the answer tells when it has ended.
    pub async fn announce_all(&self) {
        let mut laps = self.laps.subscribe();
        let before = *laps.borrow_and_update();
        self.hurry.notify_one();
        // The sender lives as long as this.
        let _ = laps.wait_for(|laps| *laps > before).await;
    }

    /// What it is doing in one of the DHTs.
    ///
    /// # Errors
    /// [`NetError::Stopped`].
    pub async fn stat(&self, wan: bool, waiting: usize) -> Result<ProvideStat, NetError> {
        let net = self.net.upgrade().ok_or(NetError::Stopped)?;
        let state = OneDht::new(net, wan).state().await?.unwrap_or_default();
        let side = &self.sides[usize::from(!wan)];
        let counts = side.counters.counts();
        let position = *self.position.lock();
        let bits = counts.bits.map_or(0, |bits| bits.round() as u16);
        let next = position.map(|position| {
            let bits = (0..bits).map(|bit| if position.next.bit(bit) { '1' } else { '0' });
            (bits.collect(), position.due)
        });
        Ok(ProvideStat {
            peers: state.peers,
            counts,
            keys: *self.keys.lock(),
            next,
            began: position.map(|position| position.began),
            uptime: self.started.elapsed(),
            waiting,
            workers: self.settings.workers,
            dedicated: self.settings.dedicated,
            connections: self.settings.connections,
            interval: self.settings.interval,
            sweep: self.settings.sweep,
        })
    }

    /// Announces everything again and again, until the node is gone.
    pub(crate) async fn run(self: Arc<Self>, background: Background, first: Duration) {
        let kept = {
            let (strategy, resume) = (self.strategy.clone(), self.settings.resume);
            let read = move |node: &Node| match resume {
                true => table::get(node.database(), &strategy),
                false => Ok(None),
            };
            match background.work(read).await {
                None => return,
                // A repo whose state is damaged tells so elsewhere; announcing begins anew.
                Some(kept) => kept.unwrap_or_default(),
            }
        };
        let mut lap = Lap {
            schedule: Schedule::new(self.settings.interval, kept, now()),
            provider: &self,
            background: &background,
            page: None,
            tries: 0,
        };
        lap.publish();
        if lap.wait(first).await.is_none() {
            return;
        }
        while lap.step().await.is_some() {}
    }
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

/// Keys that were read, and how many of them are done.
struct Loaded {
    page: Page,
    done: usize,
    when: Instant,
}

/// The lap under way.
struct Lap<'a> {
    provider: &'a Provider,
    background: &'a Background,
    schedule: Schedule,
    page: Option<Loaded>,
    /// Failures at this place.
    tries: u32,
}

impl Lap<'_> {
    /// One look at what is due. `None` when the task is to end.
    async fn step(&mut self) -> Option<()> {
        if self.provider.hurry.notified().now_or_never().is_some() {
            self.rush();
        }
        if !self.load().await? {
            return self.wait(IDLE_LOOK).await;
        }
        let left = self.left();
        let Some(first) = left.first() else {
            return self.end_of_page().await;
        };
        let now = now();
        let due = self.schedule.due_now(left.iter().map(|item| item.key), now);
        if due == 0 {
            let wait = Duration::from_secs(self.schedule.due(first.key).saturating_sub(now));
            if wait >= PAGE_AGE {
                self.page = None;
            }
            return self.wait(wait).await;
        }
        let Ok(sweeps) = self.provider.sweeps(false).await else {
            return None;
        };
        if sweeps.is_empty() {
            return self.wait(OFFLINE_LOOK).await;
        }
        let (done, outcome) = self.sweep(&sweeps, due).await;
        self.handle_swept(done, outcome).await
    }

    /// The keys that were read and are not done.
    fn left(&self) -> &[Item] {
        self.page
            .as_ref()
            .map_or(&[], |loaded| &loaded.page.items[loaded.done..])
    }

    /// Reads the keys that are next; `false` where there is nothing to announce at all.
    async fn load(&mut self) -> Option<bool> {
        let fresh = self
            .page
            .as_ref()
            .is_some_and(|loaded| loaded.when.elapsed() < PAGE_AGE);
        if !fresh {
            let source = Source::Strategy(self.provider.settings.strategy);
            let (from, limit) = (self.schedule.position().next, self.provider.settings.page);
            let page = self
                .background
                .work(move |node| source::page(node, &source, from, limit));
            // A repo that cannot be read tells so elsewhere.
            let Ok(page) = page.await? else {
                return Some(false);
            };
            *self.provider.keys.lock() = page.seen;
            if page.items.is_empty() && from == Key::ZERO {
                self.page = None;
                if self.schedule.position().rush {
                    // Whoever asked for it need not wait for the first block.
                    self.provider.laps.send_modify(|laps| *laps += 1);
                }
                return Some(false);
            }
            self.page = Some(Loaded {
                page,
                done: 0,
                when: Instant::now(),
            });
        }
        Some(true)
    }

    async fn end_of_page(&mut self) -> Option<()> {
        let last = self.page.take().is_some_and(|loaded| loaded.page.last);
        if last {
            self.schedule.handle_end(now());
            for side in &self.provider.sides {
                side.counters.handle_lap();
            }
            self.save().await?;
            self.provider.laps.send_modify(|laps| *laps += 1);
        }
        Some(())
    }

    /// The first DHT, the WAN's where there is one, decides how far it goes and how it ends; the other follows as far as it
    /// can: peers of a local network come and go.
    async fn sweep(&self, sweeps: &[Sweep<'_>], due: usize) -> (usize, Result<(), Halt>) {
        let left = self.left();
        let Some((first, others)) = sweeps.split_first() else {
            return (0, Ok(()));
        };
        let (done, outcome) = first.run(left, due).await;
        for other in others {
            let _ = other.run(&left[..done], done).await;
        }
        (done, outcome)
    }

    async fn handle_swept(&mut self, done: usize, outcome: Result<(), Halt>) -> Option<()> {
        if done > 0 {
            self.handle_done(done);
            self.tries = 0;
            self.save().await?;
        }
        if outcome.is_ok() {
            return Some(());
        }
        self.tries += 1;
        let wait = RETRY_MAX.min(RETRY * 2_u32.pow(self.tries.min(8) - 1));
        if self.tries >= TRIES {
            // It is in the way of all others.
            self.handle_done(1);
            self.tries = 0;
        }
        self.wait(wait).await
    }

    fn handle_done(&mut self, count: usize) {
        let Some(loaded) = &mut self.page else {
            return;
        };
        loaded.done += count;
        let last = loaded.page.items[loaded.done - 1].key;
        let now = now();
        if last == Key::MAX {
            loaded.page.last = true;
        } else {
            self.schedule.handle_done(last, now);
        }
    }

    fn publish(&self) {
        *self.provider.position.lock() = Some(self.schedule.position());
    }

    /// Keeps where it is; without that a restart only announces more.
    async fn save(&self) -> Option<()> {
        self.publish();
        let (strategy, position) = (self.provider.strategy.clone(), self.schedule.position());
        let save = move |node: &Node| table::put(node.database(), &strategy, position);
        self.background.work(save).await.map(drop)
    }

    /// Waits, unless a lap is asked for.
    async fn wait(&mut self, span: Duration) -> Option<()> {
        let hurry = self.provider.hurry.notified();
        let hurried = tokio::select! {
            slept = self.background.sleep(span) => {
                if !slept {
                    return None;
                }
                false
            }
            () = hurry => true,
        };
        if hurried {
            self.rush();
        }
        Some(())
    }

    fn rush(&mut self) {
        self.schedule.rush(now());
        self.page = None;
        self.tries = 0;
        self.publish();
    }
}
