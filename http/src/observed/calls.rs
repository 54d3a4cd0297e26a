//! The calls that run and ran, for `diag cmds`. Bounded in time, in number and in what is kept of each.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant, SystemTime};

use parking_lot::Mutex;

use crate::request::Request;
use crate::value::Value;

/// How long an ended call is kept, unless that is changed (Kubo's value).
const KEEP: Duration = Duration::from_secs(3600);
/// Ended calls at most.
const KEPT_MAX: usize = 1024;
/// Longest argument or option that is kept whole, in bytes.
const WORD_MAX: usize = 128;
/// Arguments and options of a call at most.
const WORDS_MAX: usize = 16;
/// What stands for something that is nobody's business.
const HIDDEN: &str = "***";

/// One call.
#[derive(Debug, Clone)]
pub struct Call {
    /// Its number.
    pub number: u64,
    /// The command, as `files/ls`.
    pub command: String,
    /// Its arguments, cut and without secrets.
    pub arguments: Vec<String>,
    /// Its options.
    pub options: Vec<(&'static str, String)>,
    /// When it began.
    pub began: SystemTime,
    started: Instant,
    /// When it ended, and after how long.
    pub ended: Option<(SystemTime, Duration)>,
}

impl Call {
    /// How long it runs or ran.
    pub fn time(&self) -> Duration {
        self.ended
            .map_or_else(|| self.started.elapsed(), |(_, time)| time)
    }
}

/// All of them.
#[derive(Debug)]
pub struct Calls(Mutex<State>);

#[derive(Debug)]
struct State {
    next: u64,
    running: BTreeMap<u64, Call>,
    ended: VecDeque<Call>,
    keep: Duration,
}

impl Default for Calls {
    fn default() -> Calls {
        Calls(Mutex::new(State {
            next: 0,
            running: BTreeMap::new(),
            ended: VecDeque::new(),
            keep: KEEP,
        }))
    }
}

impl Calls {
    /// A call begins; the number ends it.
    pub fn begin(&self, request: &Request) -> u64 {
        let command = request.name();
        let mut call = Call {
            number: 0,
            arguments: arguments(&command, request),
            options: request
                .options
                .iter()
                .take(WORDS_MAX)
                .map(|(name, value)| (*name, cut(&shown(value))))
                .collect(),
            command,
            began: SystemTime::now(),
            started: Instant::now(),
            ended: None,
        };
        let mut state = self.0.lock();
        call.number = state.next;
        state.next += 1;
        let number = call.number;
        state.running.insert(number, call);
        number
    }

    /// A call has ended.
    pub fn end(&self, number: u64) {
        let mut state = self.0.lock();
        let Some(mut call) = state.running.remove(&number) else {
            return;
        };
        call.ended = Some((SystemTime::now(), call.started.elapsed()));
        state.ended.push_back(call);
        state.forget();
    }

    /// A call that only was tried did not begin.
    pub fn forget(&self, number: u64) {
        self.0.lock().running.remove(&number);
    }

    /// All, in the order in which they began.
    pub fn list(&self) -> Vec<Call> {
        let mut state = self.0.lock();
        state.forget();
        let mut all: Vec<Call> = state
            .ended
            .iter()
            .chain(state.running.values())
            .cloned()
            .collect();
        drop(state);
        all.sort_by_key(|call| call.number);
        all
    }

    /// How many run.
    pub fn running(&self) -> usize {
        self.0.lock().running.len()
    }

    /// Forgets the ones that have ended.
    pub fn clear(&self) {
        self.0.lock().ended.clear();
    }

    /// Changes how long ended ones are kept.
    pub fn keep(&self, time: Duration) {
        let mut state = self.0.lock();
        state.keep = time;
        state.forget();
    }
}

impl State {
    fn forget(&mut self) {
        while let Some((_, time)) = self.ended.front().and_then(|call| call.ended) {
            let old = self
                .ended
                .front()
                .is_some_and(|call| call.started.elapsed() >= self.keep + time);
            if self.ended.len() <= KEPT_MAX && !old {
                break;
            }
            self.ended.pop_front();
        }
    }
}

/// Arguments without what may be secret: values of the configuration, keys of services.
fn arguments(command: &str, request: &Request) -> Vec<String> {
    let open = match command {
        "config" => 1,
        "pin/remote/service/add" => 2,
        _ => usize::MAX,
    };
    let words = request.words.iter().take(WORDS_MAX).enumerate();
    words
        .map(|(at, word)| match at < open {
            true => cut(&word.to_string_lossy()),
            false => HIDDEN.to_owned(),
        })
        .collect()
}

fn shown(value: &Value) -> String {
    match value {
        Value::Bool(flag) => flag.to_string(),
        Value::Int(number) => number.to_string(),
        Value::Uint(number) => number.to_string(),
        Value::Text(text) => text.clone(),
        Value::Path(path) => path.to_string_lossy().into_owned(),
        Value::List(list) => list.join(","),
    }
}

fn cut(text: &str) -> String {
    let mut end = text.len().min(WORD_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    match end == text.len() {
        true => text.to_owned(),
        false => format!("{}…", &text[..end]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::methods::ROOT;

    fn request(path: &[&str], words: &[&str]) -> Request {
        let mut found = vec![&ROOT];
        for name in path {
            let below = found[found.len() - 1].subcommand(name).unwrap();
            found.push(below);
        }
        Request {
            path: found,
            options: crate::value::Values::new(),
            words: words.iter().map(Into::into).collect(),
            common: crate::request::Common::default(),
        }
    }

    #[test]
    fn what_is_secret_or_long_is_not_kept() {
        let calls = Calls::default();
        calls.begin(&request(&["config"], &["Identity.PrivKey", "canary"]));
        let long = "ä".repeat(1000);
        calls.begin(&request(&["cat"], &[&long]));
        let list = calls.list();
        assert_eq!(list[0].arguments, ["Identity.PrivKey", HIDDEN]);
        assert!(list[1].arguments[0].len() < 140);
        assert_eq!(list[1].command, "cat");
    }

    #[test]
    fn ended_ones_are_forgotten_and_running_ones_are_not() {
        let calls = Calls::default();
        let running = calls.begin(&request(&["id"], &[]));
        for _ in 0..KEPT_MAX * 2 {
            let number = calls.begin(&request(&["files", "ls"], &[]));
            calls.end(number);
        }
        assert_eq!(calls.list().len(), KEPT_MAX + 1);
        assert_eq!(calls.list()[0].number, running);
        assert_eq!(calls.running(), 1);
        calls.keep(Duration::ZERO);
        assert_eq!(calls.list().len(), 1);
        calls.end(running);
        calls.clear();
        assert!(calls.list().is_empty());
    }
}
