//! A service's numbers, exported through the facade of the crate [`metrics`](https://docs.rs/metrics). With the feature
//! `metrics` only.
//!
//! The facade stands between libraries and whatever collects metrics: a program installs a recorder, for instance one
//! that serves them to Prometheus, and gives an [`Exporter`] its service. It calls [`publish`](Exporter::publish) as
//! often as it likes: once a second, or before each scrape. Nothing happens in between, so that sending and receiving
//! cost no more than without.
//!
//! | Counter | What it counts |
//! |---|---|
//! | `leads_comm_messages_received_total`, `leads_comm_bytes_received_total` | [`Traffic::received`] |
//! | `leads_comm_messages_accepted_total`, `leads_comm_bytes_accepted_total` | [`Traffic::accepted`] |
//! | `leads_comm_messages_written_total`, `leads_comm_bytes_written_total` | [`Traffic::written`] |
//! | `leads_comm_messages_unsent_total`, `leads_comm_bytes_unsent_total` | [`Traffic::unsent`] |
//! | `leads_comm_messages_dropped_total`, `leads_comm_bytes_dropped_total` | [`Traffic::dropped`] |
//! | `leads_comm_messages_rejected_total`, `leads_comm_bytes_rejected_total` | [`Traffic::rejected`] |
//! | `leads_comm_messages_conflated_total`, `leads_comm_bytes_conflated_total` | [`Traffic::conflated`] |
//! | `leads_comm_messages_expired_total`, `leads_comm_bytes_expired_total` | [`Traffic::expired`] |
//! | `leads_comm_messages_filtered_total`, `leads_comm_bytes_filtered_total` | [`Traffic::filtered`] |
//! | `leads_comm_writes_total` | [`Traffic::writes`] |
//! | `leads_comm_connections_opened_total` | [`ServiceStats::opened`] |
//! | `leads_comm_connections_ended_total` | [`ServiceStats::ended`], by the label `cause`: [`DisconnectKind::as_str`] |
//! | `leads_comm_callers_refused_total` | [`ServiceStats::callers_refused`], by the label `cause`: [`RefusalKind::as_str`] |
//!
//! | Gauge | What it shows |
//! |---|---|
//! | `leads_comm_connections` | [`ServiceStats::connections`] |
//! | `leads_comm_messages_waiting`, `leads_comm_bytes_waiting` | [`Traffic::waiting`] |
//! | `leads_comm_queued_bytes` | [`Traffic::queued_bytes`] |
//! | `leads_comm_queued_bytes_peak` | [`Traffic::peak_queued_bytes`] |
//!
//! Each has the label `service`: the name that the exporter was given. Counters grow by what has been added since they
//! were last published, so that what they have been given in sum is exactly what [`Service::stats`] says, and a service
//! that takes the place of another under its name goes on from there.
//!
//! [`DisconnectKind::as_str`]: crate::DisconnectKind::as_str
//! [`RefusalKind::as_str`]: crate::RefusalKind::as_str
//! [`Traffic::received`]: crate::stats::Traffic::received
//! [`Traffic::accepted`]: crate::stats::Traffic::accepted
//! [`Traffic::written`]: crate::stats::Traffic::written
//! [`Traffic::unsent`]: crate::stats::Traffic::unsent
//! [`Traffic::conflated`]: crate::stats::Traffic::conflated
//! [`Traffic::dropped`]: crate::stats::Traffic::dropped
//! [`Traffic::expired`]: crate::stats::Traffic::expired
//! [`Traffic::filtered`]: crate::stats::Traffic::filtered
//! [`Traffic::rejected`]: crate::stats::Traffic::rejected
//! [`Traffic::writes`]: crate::stats::Traffic::writes
//! [`Traffic::waiting`]: crate::stats::Traffic::waiting
//! [`Traffic::queued_bytes`]: crate::stats::Traffic::queued_bytes
//! [`Traffic::peak_queued_bytes`]: crate::stats::Traffic::peak_queued_bytes

use std::fmt;

use ::metrics::{SharedString, Unit, counter, describe_counter, describe_gauge, gauge};

use crate::service::Service;
use crate::stats::ServiceStats;

/// Publishes the numbers of one service: see the [module](self).
///
/// # Examples
///
/// ```
/// use leads_comm::{Server, metrics::Exporter};
///
/// // A program installs its recorder first, for instance with `PrometheusBuilder::new().install()`.
/// let server = Server::builder().port(0).build()?;
/// server.start(true)?;
/// let mut exporter = Exporter::new("vehicle", server.clone());
/// for _second in 0..3 {
///     exporter.publish();
/// }
/// server.close();
/// // Once more, for what the end has added.
/// exporter.publish();
/// # Ok::<(), leads_comm::Error>(())
/// ```
pub struct Exporter<S> {
    name: SharedString,
    service: S,
    /// What has been published.
    published: ServiceStats,
    /// Whether the recorder has been told what the metrics are.
    described: bool,
}

/// A metric's name, its unit, what it is, and where it comes from.
struct Metric {
    name: &'static str,
    unit: Unit,
    description: &'static str,
    value: fn(&ServiceStats) -> u64,
}

/// Messages and bytes of one [`Volume`](crate::stats::Volume).
macro_rules! volume {
    ($field:ident, $messages:literal, $bytes:literal, $description:literal) => {
        [
            Metric {
                name: $messages,
                unit: Unit::Count,
                description: concat!("Messages ", $description),
                value: |stats| stats.traffic.$field.messages,
            },
            Metric {
                name: $bytes,
                unit: Unit::Bytes,
                description: concat!("Bytes of messages ", $description),
                value: |stats| stats.traffic.$field.bytes,
            },
        ]
    };
}

const TRAFFIC: [[Metric; 2]; 9] = [
    volume!(received, "leads_comm_messages_received_total", "leads_comm_bytes_received_total", "received"),
    volume!(accepted, "leads_comm_messages_accepted_total", "leads_comm_bytes_accepted_total", "accepted to be sent"),
    volume!(written, "leads_comm_messages_written_total", "leads_comm_bytes_written_total", "handed to the system"),
    volume!(unsent, "leads_comm_messages_unsent_total", "leads_comm_bytes_unsent_total", "lost with their connection"),
    volume!(dropped, "leads_comm_messages_dropped_total", "leads_comm_bytes_dropped_total", "dropped for want of room"),
    volume!(
        rejected,
        "leads_comm_messages_rejected_total",
        "leads_comm_bytes_rejected_total",
        "dropped, never accepted"
    ),
    volume!(
        conflated,
        "leads_comm_messages_conflated_total",
        "leads_comm_bytes_conflated_total",
        "replaced by a newer one of their key"
    ),
    volume!(expired, "leads_comm_messages_expired_total", "leads_comm_bytes_expired_total", "that waited for too long"),
    volume!(
        filtered,
        "leads_comm_messages_filtered_total",
        "leads_comm_bytes_filtered_total",
        "kept back by a filter, never accepted"
    ),
];

const OTHERS: [Metric; 2] = [
    Metric {
        name: "leads_comm_writes_total",
        unit: Unit::Count,
        description: "Writes that the system took bytes in",
        value: |stats| stats.traffic.writes,
    },
    Metric {
        name: "leads_comm_connections_opened_total",
        unit: Unit::Count,
        description: "Connections opened",
        value: |stats| stats.opened,
    },
];

const ENDED: &str = "leads_comm_connections_ended_total";

const CALLERS_REFUSED: &str = "leads_comm_callers_refused_total";

const WAITING: [Metric; 2] =
    volume!(waiting, "leads_comm_messages_waiting", "leads_comm_bytes_waiting", "that wait to be written");

const GAUGES: [Metric; 3] = [
    Metric {
        name: "leads_comm_connections",
        unit: Unit::Count,
        description: "Connections now",
        value: |stats| stats.connections as u64,
    },
    Metric {
        name: "leads_comm_queued_bytes",
        unit: Unit::Bytes,
        description: "What waits to be written, as the limits count it",
        value: |stats| stats.traffic.queued_bytes as u64,
    },
    Metric {
        name: "leads_comm_queued_bytes_peak",
        unit: Unit::Bytes,
        description: "The most that has waited for one peer, as the limits count it",
        value: |stats| stats.traffic.peak_queued_bytes as u64,
    },
];

fn counters() -> impl Iterator<Item = &'static Metric> {
    TRAFFIC.as_flattened().iter().chain(&OTHERS)
}

fn gauges() -> impl Iterator<Item = &'static Metric> {
    WAITING.iter().chain(&GAUGES)
}

impl<S: Service> Exporter<S> {
    /// Prepares to publish the numbers of `service` under `name`. A service is given to one exporter, or its numbers
    /// are counted twice.
    pub fn new(name: impl Into<String>, service: S) -> Self {
        let name = SharedString::from_shared(name.into().into());
        Self { name, service, published: ServiceStats::default(), described: false }
    }

    /// Publishes what has been added since the last time. Takes a snapshot of the service, and about 50 calls of the
    /// recorder, which must be there by then: without one, what is published is gone.
    pub fn publish(&mut self) {
        if !self.described {
            describe();
            self.described = true;
        }
        let stats = self.service.stats();
        for Metric { name, value, .. } in counters() {
            let more = value(&stats).saturating_sub(value(&self.published));
            counter!(*name, "service" => self.name.clone()).increment(more);
        }
        for (kind, number) in stats.ended.iter() {
            self.add(ENDED, kind.as_str(), number - self.published.ended.get(kind));
        }
        for (kind, number) in stats.callers_refused.iter() {
            self.add(CALLERS_REFUSED, kind.as_str(), number - self.published.callers_refused.get(kind));
        }
        for Metric { name, value, .. } in gauges() {
            gauge!(*name, "service" => self.name.clone()).set(value(&stats) as f64);
        }
        self.published = stats;
    }

    /// Adds to the counter of one cause.
    fn add(&self, name: &'static str, cause: &'static str, more: u64) {
        counter!(name, "service" => self.name.clone(), "cause" => cause).increment(more);
    }
}

fn describe() {
    for Metric { name, unit, description, .. } in counters() {
        describe_counter!(*name, *unit, *description);
    }
    describe_counter!(ENDED, Unit::Count, "Connections ended, by cause");
    describe_counter!(CALLERS_REFUSED, Unit::Count, "Callers refused, by cause");
    for Metric { name, unit, description, .. } in gauges() {
        describe_gauge!(*name, *unit, *description);
    }
}

impl<S> fmt::Debug for Exporter<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exporter").field("name", &self.name).finish_non_exhaustive()
    }
}
