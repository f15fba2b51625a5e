//! What is counted, for whoever watches: number by number, or as text.
//!
//! The numbers are the loops' and the store's own (`counters`); they are looked at when somebody asks, and nobody waits for that. What the
//! system knows better (open files, sizes of files) is asked of it then. `families` says once what there is; who asks gets it by a
//! callback ([`Metrics::visit`]), and with the feature `metrics` also as text, at an address of its own too.

#[cfg(feature = "metrics")]
mod exporter;
mod families;
#[cfg(feature = "metrics")]
mod prometheus;
mod samples;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

#[cfg(feature = "metrics")]
pub use exporter::Exporter;
pub use samples::{MetricKind, Sample};

use crate::counters::{LoopCounters, StoreCounters};

/// What all names begin with.
const PREFIX: &str = "loiter";

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
/// let server = loiter::Server::bind(config)?;
/// let metrics = server.metrics();
/// let mut parked = None;
/// metrics.visit(|sample| {
///     if sample.name == "loiter_polls_parked" {
///         assert_eq!(sample.labels, [("event_loop", "0")]);
///         parked = Some(sample.value);
///     }
/// });
/// assert_eq!(parked, Some(0.0));
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

    /// Calls back with every number there is, under the names and labels that the text has.
    pub fn visit(&self, visitor: impl FnMut(&Sample<'_>)) {
        samples::each(&families::all(&self.0), visitor);
    }

    /// All of it as text, in the format of OpenMetrics 1.0 (`application/openmetrics-text; version=1.0.0; charset=utf-8`).
    #[cfg(feature = "metrics")]
    pub fn encode(&self) -> String {
        prometheus::text(self)
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}
