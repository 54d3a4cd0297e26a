//! IPNS over the DHTs.

use std::cmp::Ordering;
use std::future::Future;
use std::ops::ControlFlow;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use libp2p::PeerId;
use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use crate::cancel::CancelToken;
use crate::names::record::{Record, better};
use crate::names::{NameRouting, RecordQuery, RoutingError};
use crate::net::{NetError, RecordValidator, Routing};

const NAMESPACE: &[u8] = b"/ipns/";

/// Between two looks at the cancel token while waiting.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// The key of a name's record in a DHT.
pub(super) fn key_of(name: &PeerId) -> Vec<u8> {
    [NAMESPACE, &name.to_bytes()].concat()
}

/// The name of a record's key.
pub(super) fn name_of(key: &[u8]) -> Option<PeerId> {
    PeerId::from_bytes(key.strip_prefix(NAMESPACE)?).ok()
}

/// Judges the records of `/ipns/`: what is signed by its name and has not expired is taken.
pub struct IpnsRecords;

impl IpnsRecords {
    fn read(key: &[u8], value: &[u8]) -> Result<Record, String> {
        let name = key.strip_prefix(NAMESPACE).unwrap_or_default();
        let name = PeerId::from_bytes(name).map_err(|error| error.to_string())?;
        let value = Bytes::copy_from_slice(value);
        Record::validate(value, &name, SystemTime::now()).map_err(|error| error.to_string())
    }
}

impl RecordValidator for IpnsRecords {
    fn validate(&self, key: &[u8], value: &[u8]) -> Result<(), String> {
        Self::read(key, value).map(drop)
    }

    fn is_better(&self, key: &[u8], new: &[u8], old: &[u8]) -> bool {
        match (Self::read(key, new), Self::read(key, old)) {
            (Ok(new), Ok(old)) => better(&new, &old) == Ordering::Greater,
            // What was kept may have expired since.
            (Ok(_), Err(_)) => true,
            (Err(_), _) => false,
        }
    }
}

/// [`NameRouting`] over a node's DHTs. The calls block; the lookups run on the network's runtime, so a call does no harm
/// inside of an async task but to hold its thread.
pub struct DhtNames {
    routing: Routing,
    runtime: Handle,
}

impl DhtNames {
    /// `runtime` is the one that the network runs on.
    pub fn new(routing: Routing, runtime: Handle) -> Self {
        Self { routing, runtime }
    }

    /// Runs a lookup that sends what it finds; it is given up when the answers are dropped.
    fn spawn<T: Send + 'static, F>(&self, lookup: impl FnOnce(mpsc::Sender<T>) -> F) -> Answers<T>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (sender, answers) = mpsc::channel();
        let task = self.runtime.spawn(lookup(sender)).abort_handle();
        Answers { answers, task }
    }
}

/// What a lookup sends to a thread that waits.
struct Answers<T> {
    answers: mpsc::Receiver<T>,
    task: AbortHandle,
}

impl<T> Answers<T> {
    /// The next answer; `None` at the end of the lookup and when the time is up.
    fn next(
        &self,
        deadline: Option<Instant>,
        cancel: &CancelToken,
    ) -> Result<Option<T>, RoutingError> {
        loop {
            cancel.check()?;
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return Ok(None);
            }
            match self.answers.recv_timeout(LOOK_EVERY) {
                Ok(answer) => return Ok(Some(answer)),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(None),
            }
        }
    }
}

impl<T> Drop for Answers<T> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl NameRouting for DhtNames {
    fn put(&self, name: &PeerId, record: &Bytes, cancel: &CancelToken) -> Result<(), RoutingError> {
        let (routing, key, value) = (self.routing.clone(), key_of(name), record.to_vec());
        let answers = self.spawn(|answer| async move {
            // Whoever waited may have been cancelled.
            let _ = answer.send(routing.put(key, value).await);
        });
        match answers.next(None, cancel)? {
            Some(stored) => Ok(stored?),
            None => Err(NetError::Stopped.into()),
        }
    }

    fn get(
        &self,
        name: &PeerId,
        query: &RecordQuery,
        found: &mut dyn FnMut(Bytes) -> ControlFlow<()>,
    ) -> Result<(), RoutingError> {
        let (routing, key) = (self.routing.clone(), key_of(name));
        let answers = self.spawn(|answer| async move {
            let mut records = match routing.find_records(key).await {
                Ok(records) => records,
                Err(error) => {
                    let _ = answer.send(Err(error));
                    return;
                }
            };
            while let Some(record) = records.recv().await {
                if answer.send(Ok(record)).is_err() {
                    return;
                }
            }
        });
        while let Some(record) = answers.next(query.deadline, &query.cancel)? {
            if found(record?.into()).is_break() {
                break;
            }
        }
        Ok(())
    }
}
