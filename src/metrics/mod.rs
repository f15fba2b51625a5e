//! What is counted, as text for Prometheus and what speaks its format (OpenMetrics).
//!
//! The numbers are the loops' and the store's own (`counters`); they are looked at when somebody asks, and nobody waits for that. What the
//! system knows better (open files, sizes of files) is asked of it then.

mod exporter;
mod families;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

pub use exporter::Exporter;

use crate::counters::{LoopCounters, StoreCounters};

/// Jobs that wait in each of the store's queues, by the queue's name.
pub type Queues = [(&'static str, usize); 3];

/// What a server has counted, from any thread, for as long as somebody wants to know it.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let config = loiter::Config {
/// #     listen: vec!["127.0.0.1:0".parse()?],
/// #     database: folder.path().join("chat.db"),
/// #     ..loiter::Config::default()
/// # };
///
/// let server = loiter::Server::bind(config)?;
/// let metrics = server.metrics();
/// // By whatever way the host has for it, and from any thread.
/// let text = metrics.encode();
/// assert!(text.contains("\nloiter_connections{event_loop=\"0\"} 0\n"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Metrics(Arc<Sources>);

/// Where the numbers are.
pub(crate) struct Sources {
    /// By the loops' numbers.
    pub(crate) loops: Vec<Arc<LoopCounters>>,
    pub(crate) store: Arc<StoreCounters>,
    pub(crate) queues: Box<dyn Fn() -> Queues + Send + Sync>,
    pub(crate) database: PathBuf,
}

impl Metrics {
    pub(crate) fn new(sources: Sources) -> Self {
        Self(Arc::new(sources))
    }

    /// All of it as text, in the format of OpenMetrics 1.0 (`application/openmetrics-text; version=1.0.0; charset=utf-8`).
    pub fn encode(&self) -> String {
        let mut registry = Registry::with_prefix("loiter");
        registry.register_collector(Box::new(self.clone()));
        let mut text = String::new();
        encode(&mut text, &registry).expect("a String takes all");
        text
    }
}

impl Collector for Metrics {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        families::encode(&self.0, &mut encoder)
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}
