//! Reads this machine's metrics, on a thread of its own: reading takes milliseconds now and then, and must not disturb
//! the rate of publishing.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use sysinfo::{NetworkData, Networks, System};

use crate::message::Metrics;

/// How often the sensors are read; a shorter time than 200 ms says nothing about a CPU.
const INTERVAL: Duration = Duration::from_millis(250);

/// The newest metrics, kept up to date for as long as the program runs.
pub(crate) struct Sensors {
    newest: Arc<Mutex<Metrics>>,
}

impl Sensors {
    /// Blocks for a moment, since CPU and network are measured over time.
    pub(crate) fn start() -> Self {
        let mut reader = Reader::new();
        let newest = Arc::new(Mutex::new(reader.read()));
        let shared = Arc::clone(&newest);
        thread::spawn(move || {
            loop {
                let metrics = reader.read();
                *shared.lock().unwrap_or_else(PoisonError::into_inner) = metrics;
            }
        });
        Self { newest }
    }

    pub(crate) fn newest(&self) -> Metrics {
        *self.newest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Reader {
    system: System,
    networks: Networks,
    last: Instant,
}

impl Reader {
    fn new() -> Self {
        let mut system = System::new();
        system.refresh_cpu_usage();
        Self { system, networks: Networks::new_with_refreshed_list(), last: Instant::now() }
    }

    /// Measures for as long as it takes to get a meaningful value.
    fn read(&mut self) -> Metrics {
        thread::sleep(INTERVAL);
        self.system.refresh_cpu_usage();
        self.system.refresh_memory();
        self.networks.refresh(true);
        let seconds = self.last.elapsed().as_secs_f64();
        self.last = Instant::now();
        let is_loopback = |network: &NetworkData| network.ip_networks().iter().any(|ip| ip.addr.is_loopback());
        let outside = || self.networks.values().filter(|network| !is_loopback(network));
        let received: u64 = outside().map(NetworkData::received).sum();
        let sent: u64 = outside().map(NetworkData::transmitted).sum();
        Metrics {
            cpu_percent: self.system.global_cpu_usage().into(),
            memory_used: self.system.used_memory(),
            memory_total: self.system.total_memory(),
            received_per_s: (received as f64 / seconds) as u64,
            sent_per_s: (sent as f64 / seconds) as u64,
            load: System::load_average().one,
        }
    }
}
