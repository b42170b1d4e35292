//! That what is exported through the facade of the crate `metrics` is what the service counts.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use leads_comm::metrics::Exporter;
use leads_comm::stats::ServiceStats;
use leads_comm::{Caller, Delivery, DisconnectKind, RefusalKind, SlowConsumer, key};
use leads_comm_testing::*;
use metrics::{Counter, CounterFn, Gauge, GaugeFn, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};

/// A metric by name and labels.
type Series = String;

#[derive(Default)]
struct Recording {
    counters: BTreeMap<Series, u64>,
    gauges: BTreeMap<Series, f64>,
    described: BTreeMap<String, Unit>,
}

/// Adds up what it is given.
#[derive(Clone, Default)]
struct Adding(Arc<Mutex<Recording>>);

struct One {
    recording: Arc<Mutex<Recording>>,
    series: Series,
}

impl Adding {
    fn one(&self, key: &Key) -> Arc<One> {
        let labels: Vec<_> = key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
        let series = format!("{}{{{}}}", key.name(), labels.join(","));
        Arc::new(One { recording: Arc::clone(&self.0), series })
    }
}

impl CounterFn for One {
    fn increment(&self, value: u64) {
        *self.recording.lock().unwrap().counters.entry(self.series.clone()).or_default() += value;
    }

    fn absolute(&self, _value: u64) {
        panic!("{} is not incremented", self.series);
    }
}

impl GaugeFn for One {
    fn increment(&self, _value: f64) {
        panic!("{} is not set", self.series);
    }

    fn decrement(&self, _value: f64) {
        panic!("{} is not set", self.series);
    }

    fn set(&self, value: f64) {
        self.recording.lock().unwrap().gauges.insert(self.series.clone(), value);
    }
}

impl Recorder for Adding {
    fn describe_counter(&self, key: KeyName, unit: Option<Unit>, _description: SharedString) {
        self.0.lock().unwrap().described.insert(key.as_str().to_owned(), unit.unwrap());
    }

    fn describe_gauge(&self, key: KeyName, unit: Option<Unit>, _description: SharedString) {
        self.0.lock().unwrap().described.insert(key.as_str().to_owned(), unit.unwrap());
    }

    fn describe_histogram(&self, key: KeyName, _unit: Option<Unit>, _description: SharedString) {
        panic!("{key:?}");
    }

    fn register_counter(&self, key: &Key, _metadata: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.one(key))
    }

    fn register_gauge(&self, key: &Key, _metadata: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.one(key))
    }

    fn register_histogram(&self, key: &Key, _metadata: &Metadata<'_>) -> Histogram {
        panic!("{key:?}");
    }
}

/// What the counters of a service should have been given in sum.
fn expected(stats: &ServiceStats) -> BTreeMap<Series, u64> {
    let traffic = stats.traffic;
    let volumes = [
        ("received", traffic.received),
        ("accepted", traffic.accepted),
        ("written", traffic.written),
        ("unsent", traffic.unsent),
        ("dropped", traffic.dropped),
        ("rejected", traffic.rejected),
        ("conflated", traffic.conflated),
        ("expired", traffic.expired),
        ("filtered", traffic.filtered),
    ];
    let mut counters = BTreeMap::new();
    let mut insert = |name: String, value| assert_eq!(counters.insert(name, value), None);
    for (name, volume) in volumes {
        insert(format!("leads_comm_messages_{name}_total{{service=vehicle}}"), volume.messages);
        insert(format!("leads_comm_bytes_{name}_total{{service=vehicle}}"), volume.bytes);
    }
    insert("leads_comm_writes_total{service=vehicle}".to_owned(), traffic.writes);
    insert("leads_comm_connections_opened_total{service=vehicle}".to_owned(), stats.opened);
    for (kind, count) in stats.ended.iter() {
        insert(format!("leads_comm_connections_ended_total{{service=vehicle,cause={}}}", kind.as_str()), count);
    }
    for (kind, count) in stats.callers_refused.iter() {
        insert(format!("leads_comm_callers_refused_total{{service=vehicle,cause={}}}", kind.as_str()), count);
    }
    counters
}

#[test]
fn the_sum_of_what_is_published_is_what_is_counted() {
    alone!();
    let adding = Adding::default();
    let publish = |exporter: &mut Exporter<_>| metrics::with_local_recorder(&adding, || exporter.publish());
    let started = Net::Memory.start_server(|builder| {
        builder.max_sent_len(1000).max_queued_bytes(10_000).slow_consumer(SlowConsumer::DropNewest).max_connections(1)
    });
    let mut exporter = Exporter::new("vehicle", started.server.clone());
    publish(&mut exporter);
    assert_eq!(adding.0.lock().unwrap().counters, expected(&ServiceStats::default()));

    let (client, client_events) = started.start_client();
    let connection = connected(&started.events);
    for number in 0..50 {
        client.send(&numbered(number, 10 + number)).unwrap();
        received(&started.events);
        started.server.broadcast(&numbered(number, 20)).unwrap();
        received(&client_events);
        publish(&mut exporter);
    }
    client.close();
    disconnected(&started.events);
    assert_eq!(connection.stats().traffic, started.server.stats().traffic);
    publish(&mut exporter);

    // One that reads nothing, so that messages wait, and are dropped, and unsent in the end.
    let _stalled = started.raw();
    let stalled = connected(&started.events);
    // And one more than there may be.
    started.raw().read_to_end().1.unwrap();
    let dropped = (0..200).filter(|number| stalled.send(&numbered(*number, 1000)).is_err()).count();
    publish(&mut exporter);
    let stats = started.server.stats();
    {
        let recording = adding.0.lock().unwrap();
        let gauges = [
            ("leads_comm_connections", 1),
            ("leads_comm_messages_waiting", stats.traffic.waiting.messages),
            ("leads_comm_bytes_waiting", stats.traffic.waiting.bytes),
            ("leads_comm_queued_bytes", stats.traffic.queued_bytes as u64),
            ("leads_comm_queued_bytes_peak", stats.traffic.peak_queued_bytes as u64),
        ];
        let gauges: BTreeMap<_, _> =
            gauges.iter().map(|(name, value)| (format!("{name}{{service=vehicle}}"), *value as f64)).collect();
        assert_eq!(recording.gauges, gauges);
        assert!(gauges.values().all(|value| *value > 0.0), "{gauges:?}");
        // Each metric is described, without its labels.
        let published = recording.counters.keys().chain(recording.gauges.keys());
        let mut names: Vec<_> = published.map(|series| series.split('{').next().unwrap().to_owned()).collect();
        names.dedup();
        names.sort();
        assert_eq!(recording.described.keys().cloned().collect::<Vec<_>>(), names);
    }
    stalled.abort();
    disconnected(&started.events);
    started.server.close();
    publish(&mut exporter);
    publish(&mut exporter);

    let stats = started.server.stats();
    assert_eq!(stats.traffic.dropped.messages, dropped as u64);
    assert!(dropped > 0 && stats.traffic.unsent.messages > 0, "{dropped} {stats:?}");
    assert_eq!((stats.ended.get(DisconnectKind::LocalAbort), stats.ended.total()), (1, 2));
    assert_eq!((stats.callers_refused.get(RefusalKind::MaxConnections), stats.callers_refused.total()), (1, 1));
    assert_eq!(adding.0.lock().unwrap().counters, expected(&stats));
}

/// Three viewers that read nothing, each served in another way.
#[test]
fn what_viewers_are_spared_is_published() {
    alone!();
    let adding = Adding::default();
    let started = Net::Memory.start_server(|builder| {
        builder.key(key::all()).delivery_for(|caller: &Caller<'_>| match caller.num_connections() {
            0 => Delivery::new().conflate(true),
            1 => Delivery::new().lifespan(Duration::from_millis(1)),
            _ => Delivery::new().filter(|_, message| message.len() < 50),
        })
    });
    let _viewers: Vec<_> = (0..3)
        .map(|_| {
            let raw = started.raw();
            connected(&started.events);
            raw
        })
        .collect();
    let traffic = || started.server.stats().traffic;
    until("messages are conflated, expire, and are filtered", || {
        started.server.broadcast(&numbered(0, 1000)).unwrap();
        let traffic = traffic();
        [traffic.conflated, traffic.expired, traffic.filtered].iter().all(|volume| volume.messages > 0)
    });
    started.server.close();
    metrics::with_local_recorder(&adding, || Exporter::new("vehicle", started.server.clone()).publish());
    assert_eq!(adding.0.lock().unwrap().counters, expected(&started.server.stats()));
    assert_eq!(adding.0.lock().unwrap().counters["leads_comm_bytes_filtered_total{service=vehicle}"] % 1001, 0);
}

#[test]
fn a_service_goes_on_where_another_of_its_name_has_ended() {
    alone!();
    let adding = Adding::default();
    for _ in 0..2 {
        let started = Net::Memory.start_server(|builder| builder);
        started.raw().write(b"m1;");
        received(&started.events);
        started.server.close();
        metrics::with_local_recorder(&adding, || Exporter::new("vehicle", started.server.clone()).publish());
    }
    let recording = adding.0.lock().unwrap();
    assert_eq!(recording.counters["leads_comm_messages_received_total{service=vehicle}"], 2);
    assert_eq!(recording.counters["leads_comm_connections_opened_total{service=vehicle}"], 2);
}
