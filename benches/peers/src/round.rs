//! A round of a peer in a scenario, and what its figures are computed of.

use crate::measure::Spread;
use crate::runner::Outcome;
use crate::stage::Report;
use crate::task::Task;

/// What was to be done, and what came of it.
pub(crate) struct Round {
    pub(crate) tasks: Vec<Task>,
    /// Of each task that was done in time.
    pub(crate) outcomes: Vec<Outcome>,
}

impl Round {
    fn server(&self, index: usize) -> Option<&Report> {
        self.outcomes.get(index).map(|outcome| &outcome.server)
    }

    pub(crate) fn seconds(&self, index: usize) -> Option<f64> {
        self.outcomes.get(index).map(Outcome::seconds)
    }

    /// How many messages were handled in the first run.
    fn messages(&self) -> f64 {
        self.tasks[0].handled() as f64
    }

    /// So many messages a second.
    pub(crate) fn rate(&self) -> Option<f64> {
        Some(self.messages() / self.seconds(0)?)
    }

    /// Bytes of payload a second.
    pub(crate) fn throughput(&self) -> Option<f64> {
        let task = &self.tasks[0];
        let bytes = task.payload(task.count) * (task.handled() / task.count);
        Some(bytes as f64 / self.seconds(0)?)
    }

    pub(crate) fn cpu_per_million(&self) -> Option<f64> {
        Some(self.outcomes.first()?.cpu_seconds() / self.messages() * 1e6)
    }

    pub(crate) fn servers_cpu_per_million(&self) -> Option<f64> {
        Some(self.server(0)?.cpu_seconds() / self.messages() * 1e6)
    }

    /// How much memory the server used at most, beyond what it had at the beginning; in bytes.
    pub(crate) fn held(&self, index: usize) -> Option<f64> {
        let server = self.server(index)?;
        Some(server.end.peak.saturating_sub(server.begin.resident) as f64)
    }

    pub(crate) fn memory_per_connection(&self) -> Option<f64> {
        let server = self.server(0)?;
        Some(server.end.resident.saturating_sub(server.first.resident) as f64 / self.messages())
    }

    pub(crate) fn threads_per_connection(&self) -> Option<f64> {
        let server = self.server(0)?;
        Some(server.end.threads.saturating_sub(server.first.threads) as f64 / self.messages())
    }

    pub(crate) fn ended_connections(&self, index: usize) -> Option<f64> {
        Some(self.server(index)?.ended_connections as f64)
    }

    pub(crate) fn slowest_call(&self, index: usize) -> Option<f64> {
        Some(self.server(index)?.slowest_call as f64)
    }

    /// From the side that measured any.
    pub(crate) fn latency(&self, index: usize, of: fn(&Spread) -> u64) -> Option<f64> {
        let outcome = self.outcomes.get(index)?;
        let spread = outcome.client.latency.as_ref().or(outcome.server.latency.as_ref())?;
        Some(of(spread) as f64)
    }
}
