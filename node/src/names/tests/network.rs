//! A network and a DNS that do what a test says.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use libp2p::PeerId;
use parking_lot::Mutex;

use crate::names::{Dns, DnsError, NameRouting, RecordQuery, RoutingError, TxtAnswer};
use crate::{CancelToken, Node};

#[derive(Default)]
pub struct Network {
    /// In the order in which they are found.
    pub records: Mutex<BTreeMap<Vec<u8>, Vec<Bytes>>>,
    pub puts: Mutex<Vec<Bytes>>,
    pub gets: Mutex<usize>,
    pub broken: Mutex<bool>,
}

impl Network {
    pub fn of(node: &Node) -> Arc<Self> {
        let network = Arc::new(Self::default());
        node.names().set_routing(Some(network.clone()));
        network
    }

    pub fn add(&self, name: &PeerId, record: Bytes) {
        self.records
            .lock()
            .entry(name.to_bytes())
            .or_default()
            .push(record);
    }
}

impl NameRouting for Network {
    fn put(&self, name: &PeerId, record: &Bytes, _: &CancelToken) -> Result<(), RoutingError> {
        if *self.broken.lock() {
            return Err("no peers".into());
        }
        self.puts.lock().push(record.clone());
        self.add(name, record.clone());
        Ok(())
    }

    fn get(
        &self,
        name: &PeerId,
        _: &RecordQuery,
        found: &mut dyn FnMut(Bytes) -> ControlFlow<()>,
    ) -> Result<(), RoutingError> {
        *self.gets.lock() += 1;
        if *self.broken.lock() {
            return Err("no peers".into());
        }
        let records = self.records.lock().get(&name.to_bytes()).cloned();
        for record in records.unwrap_or_default() {
            if found(record).is_break() {
                break;
            }
        }
        Ok(())
    }
}

/// Domain to texts; every answer is good for a minute.
#[derive(Default)]
pub struct Zone(pub BTreeMap<String, Vec<String>>);

impl Dns for Zone {
    fn txt(&self, domain: &str, _: &CancelToken) -> Result<TxtAnswer, DnsError> {
        if domain.contains("broken") {
            return Err(DnsError::Failed("server failure".to_owned()));
        }
        let texts = self.0.get(domain).cloned().ok_or(DnsError::NoRecords)?;
        let ttl = Duration::from_secs(60);
        Ok(TxtAnswer { texts, ttl })
    }
}
