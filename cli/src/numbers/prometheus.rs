//! The numbers of services as Prometheus collects them: its text format, version 0.0.4, see
//! <https://prometheus.io/docs/instrumenting/exposition_formats/>. The names are those of the library's exporter
//! (`leads_comm::metrics`), so that a dashboard fits both.

use std::fmt::Write;

use leads_comm::stats::{Counts, Kind, ServiceStats, Traffic, Volume};

/// What the answer to a scrape is called: its `Content-Type`.
pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

type Volumes = (&'static str, &'static str, fn(&Traffic) -> Volume);

/// What only grows: behind `leads_comm_messages_` and `leads_comm_bytes_`.
const COUNTED: [Volumes; 9] = [
    ("received", "received", |traffic| traffic.received),
    ("accepted", "accepted to be sent", |traffic| traffic.accepted),
    ("written", "handed to the system", |traffic| traffic.written),
    ("unsent", "lost with their connection", |traffic| traffic.unsent),
    ("dropped", "dropped for want of room", |traffic| traffic.dropped),
    ("rejected", "dropped, never accepted", |traffic| traffic.rejected),
    ("conflated", "replaced by a newer one of their key", |traffic| traffic.conflated),
    ("expired", "that waited for too long", |traffic| traffic.expired),
    ("filtered", "kept back by a filter, never accepted", |traffic| traffic.filtered),
];

/// The numbers of these services, each with the name that it has in the label `service`. A service that is there in one
/// scrape should be there in the next.
pub(crate) fn prometheus(services: &[(&str, ServiceStats)]) -> String {
    let mut page = Page { text: String::new(), services };
    for (name, description, volume) in COUNTED {
        let counter = |unit: &str| format!("leads_comm_{unit}_{name}_total");
        page.add(&counter("messages"), "counter", &format!("Messages {description}"), |stats| {
            volume(&stats.traffic).messages
        });
        page.add(&counter("bytes"), "counter", &format!("Bytes of messages {description}"), |stats| {
            volume(&stats.traffic).bytes
        });
    }
    page.add("leads_comm_writes_total", "counter", "Writes that the system took bytes in", |stats| {
        stats.traffic.writes
    });
    page.add("leads_comm_connections_opened_total", "counter", "Connections opened", |stats| stats.opened);
    page.add_counts("leads_comm_connections_ended_total", "Connections ended, by cause", |stats| causes(&stats.ended));
    page.add_counts("leads_comm_callers_refused_total", "Callers refused, by cause", |stats| {
        causes(&stats.callers_refused)
    });
    page.add("leads_comm_messages_waiting", "gauge", "Messages that wait to be written", |stats| {
        stats.traffic.waiting.messages
    });
    page.add("leads_comm_bytes_waiting", "gauge", "Bytes of messages that wait to be written", |stats| {
        stats.traffic.waiting.bytes
    });
    page.add("leads_comm_connections", "gauge", "Connections now", |stats| stats.connections as u64);
    page.add("leads_comm_queued_bytes", "gauge", "What waits to be written, as the limits count it", |stats| {
        stats.traffic.queued_bytes as u64
    });
    page.add(
        "leads_comm_queued_bytes_peak",
        "gauge",
        "The most that has waited for one peer, as the limits count it",
        |stats| stats.traffic.peak_queued_bytes as u64,
    );
    page.text
}

struct Page<'a> {
    text: String,
    services: &'a [(&'a str, ServiceStats)],
}

impl Page<'_> {
    fn begin(&mut self, name: &str, kind: &str, description: &str) {
        writeln!(self.text, "# HELP {name} {description}\n# TYPE {name} {kind}").expect("a String takes it");
    }

    fn add(&mut self, name: &str, kind: &str, description: &str, value: impl Fn(&ServiceStats) -> u64) {
        self.begin(name, kind, description);
        for (service, stats) in self.services {
            writeln!(self.text, "{name}{{service=\"{}\"}} {}", escaped(service), value(stats))
                .expect("a String takes it");
        }
    }

    fn add_counts(&mut self, name: &str, description: &str, counts: impl Fn(&ServiceStats) -> Vec<(String, u64)>) {
        self.begin(name, "counter", description);
        for (service, stats) in self.services {
            for (cause, number) in counts(stats) {
                writeln!(self.text, "{name}{{service=\"{}\",cause=\"{cause}\"}} {number}", escaped(service))
                    .expect("a String takes it");
            }
        }
    }
}

/// Also those that have not occurred: a series begins at 0, or its first increase is not seen.
fn causes<K: Kind>(counts: &Counts<K>) -> Vec<(String, u64)> {
    counts.iter().map(|(kind, number)| (kind.to_string().replace(' ', "_"), number)).collect()
}

fn escaped(label: &str) -> String {
    label.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;

    use leads_comm::{Client, Server};

    use super::*;

    /// Of every service that there is, at least one connection that has ended.
    fn used() -> ServiceStats {
        let server = Server::builder().port(0).build().unwrap();
        server.start(true).unwrap();
        let client = Client::connect(&format!("127.0.0.1:{}", server.port()), ()).unwrap();
        client.send(b"hello").unwrap();
        client.close();
        server.close();
        client.stats()
    }

    #[test]
    fn every_metric_is_described_once_and_has_a_value_for_each_service() {
        let stats = used();
        let text = prometheus(&[("vehicle", stats), ("a \"page\"\\\n", ServiceStats::default())]);
        let mut described = BTreeSet::new();
        let mut last = "";
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                last = rest.split(' ').next().unwrap();
                assert!(described.insert(last), "{last} is described twice");
            } else if let Some(kind) = line.strip_prefix("# TYPE ") {
                let kind = kind.strip_prefix(last).unwrap();
                assert_eq!(kind == " counter", last.ends_with("_total"), "{line}");
            } else {
                let (name, value) = line.rsplit_once("} ").unwrap();
                assert!(name.starts_with(&format!("{last}{{service=\"")), "{line}");
                value.parse::<u64>().unwrap();
            }
        }
        for line in [
            "leads_comm_messages_accepted_total{service=\"vehicle\"} 1",
            "leads_comm_bytes_accepted_total{service=\"vehicle\"} 6",
            "leads_comm_connections_ended_total{service=\"vehicle\",cause=\"service_closed\"} 1",
            "leads_comm_connections_ended_total{service=\"vehicle\",cause=\"slow_consumer\"} 0",
            "leads_comm_connections{service=\"a \\\"page\\\"\\\\\\n\"} 0",
        ] {
            assert!(text.lines().any(|other| other == line), "no {line} in {text}");
        }
    }

    #[test]
    fn the_names_are_those_of_the_exporter() {
        let source = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../src/service/metrics.rs")).unwrap();
        let table = source.lines().filter(|line| line.starts_with("//! | `"));
        let names = table.flat_map(|line| line.split('|').nth(1).unwrap().split('`').skip(1).step_by(2));
        let text = prometheus(&[("x", ServiceStats::default())]);
        let ours = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
        assert_eq!(ours.collect::<BTreeSet<_>>(), names.collect::<BTreeSet<_>>());
    }
}
