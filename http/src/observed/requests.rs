//! Counts of calls, by method and status.

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// Upper ends of the classes of durations, in seconds.
const CLASSES: [f64; 12] = [
    0.000_1, 0.000_5, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0, 300.0,
];

/// What is not a method of the table. One name for all: others than ours must not make labels.
pub const UNKNOWN: &str = "unknown";

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Answered {
    method: Arc<str>,
    status: u16,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Named {
    method: Arc<str>,
}

/// The counts.
#[derive(Debug)]
pub struct Requests {
    answered: Family<Answered, Counter>,
    durations: Family<Named, Histogram, fn() -> Histogram>,
    running: Gauge,
}

impl Default for Requests {
    fn default() -> Requests {
        Requests {
            answered: Family::default(),
            durations: Family::new_with_constructor(|| Histogram::new(CLASSES)),
            running: Gauge::default(),
        }
    }
}

impl Requests {
    /// A call begins.
    pub fn begin(&self) {
        self.running.inc();
    }

    /// A call has ended that had begun.
    pub fn end(&self, method: Arc<str>, time: Duration) {
        self.running.dec();
        self.durations
            .get_or_create(&Named { method })
            .observe(time.as_secs_f64());
    }

    /// A call that had begun did not.
    pub fn forget(&self) {
        self.running.dec();
    }

    /// A request was answered.
    pub fn answered(&self, method: Arc<str>, status: u16) {
        self.answered
            .get_or_create(&Answered { method, status })
            .inc();
    }

    /// Makes them known to a registry.
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "rpc_requests",
            "Requests answered, by method and status",
            self.answered.clone(),
        );
        registry.register_with_unit(
            "rpc_request_duration",
            "Time from the request to the end of the answer",
            Unit::Seconds,
            self.durations.clone(),
        );
        registry.register("rpc_running", "Calls that run", self.running.clone());
    }
}
