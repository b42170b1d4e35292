//! Sends everyone onto the stage, watches, and reports.

use std::error::Error;
use std::fs;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use leads_comm::Server;
use leads_comm_testing::account::adds_up;
use leads_comm_testing::seed::Random;
use leads_comm_testing::vitals::Vitals;

use crate::client::Resident;
use crate::options::Options;
use crate::report::Report;
use crate::server::Hall;
use crate::settings::{MEMORY, PATIENCE};
use crate::tally::{Stop, Tally};
use crate::words::Role;
use crate::{client, process, raw};

/// How many processes there are at a time.
const PROCESSES: usize = 5;

/// How often a part is played: so many times in the sum of all of them.
const PARTS: [(Role, usize); 16] = [
    (Role::Healthy, 20),
    (Role::Viewer, 25),
    (Role::Guest, 15),
    (Role::Process, 2),
    (Role::Paused, 2),
    (Role::Killed, 3),
    (Role::Stopped, 1),
    (Role::Vanish, 15),
    (Role::Reset, 12),
    (Role::HalfClose, 12),
    (Role::Flood, 4),
    (Role::Drip, 4),
    (Role::Garbage, 10),
    (Role::TooLong, 6),
    (Role::Stall, 3),
    (Role::Panic, 6),
];

/// So many healthy clients are always there, as long as there is room for as many others.
const HEALTHY: usize = 6;

/// So many are there from the beginning until the server closes, besides.
const RESIDENTS: u64 = 4;

/// How many broadcasts come right before the close.
const LAST_WORDS: usize = 200;

/// How long a progress report is waited for.
const PROGRESS: Duration = Duration::from_secs(30);

pub fn main(options: &Options) -> ExitCode {
    println!("soak: {:.0} s, seed {}", options.time.as_secs_f64(), options.seed);
    let tally = Arc::new(Tally::default());
    silence_expected_panics(&tally);
    let stop = Arc::new(Stop::default());
    let interrupted = Arc::clone(&stop);
    if let Err(error) = ctrlc::set_handler(move || interrupted.stop()) {
        eprintln!("soak: Ctrl-C cannot be handled: {error}");
    }
    warm_up();
    let start = Vitals::now();
    let begun = Instant::now();
    if let Err(error) = soak(options, &tally, &stop) {
        tally.violation(error.to_string());
    }
    let end = settled(start, &tally);
    let report = Report::new(&tally, begun.elapsed(), options.seed, start, end);
    println!("{report}");
    if let Some(path) = &options.report {
        if let Err(error) = fs::write(path, report.markdown()) {
            eprintln!("soak: {}: {error}", path.display());
            return ExitCode::FAILURE;
        }
    }
    if tally.violations() == 0 {
        return ExitCode::SUCCESS;
    }
    eprintln!("soak: failed; --seed {} makes the same choices again", options.seed);
    ExitCode::FAILURE
}

/// The parts panic on purpose in one callback only; any other panic is a violation.
fn silence_expected_panics(tally: &Arc<Tally>) {
    let tally = Arc::clone(tally);
    std::panic::set_hook(Box::new(move |panic| {
        let is_expected = panic.payload().downcast_ref::<&str>() == Some(&"asked for");
        if !is_expected {
            tally.violation(format!("{panic}"));
        }
    }));
}

/// So that what is there once and for all is there before it is counted: the thread that waits for Ctrl-C, and what the
/// first service makes.
fn warm_up() {
    let server = Server::builder().port(0).build().expect("the defaults fit together");
    server.start(true).expect("a port is free");
    server.close();
}

fn soak(options: &Options, tally: &Arc<Tally>, stop: &Arc<Stop>) -> Result<(), Box<dyn Error>> {
    let hall = Hall::new(Arc::clone(tally), Random::new(options.seed).part(1));
    let server = hall.start_server()?;
    let address = server.local_addr().ok_or("the server has no address")?;
    let (monitor_stop, broadcast_stop) = (Arc::new(Stop::default()), Arc::new(Stop::default()));
    let broadcasting = hall.start_broadcasting(&server, &broadcast_stop);
    let probing = {
        let (tally, stop) = (Arc::clone(tally), Arc::clone(&broadcast_stop));
        thread::spawn(move || client::probe(address, &tally, &stop))
    };
    let monitoring = {
        let (hall, server, tally, stop) =
            (Arc::clone(&hall), server.clone(), Arc::clone(tally), Arc::clone(&monitor_stop));
        thread::spawn(move || monitor(&hall, &server, &tally, &stop))
    };

    let residents_stop = Arc::new(Stop::default());
    let random = Random::new(options.seed).part(3);
    let residents: Vec<_> =
        (0..RESIDENTS).map(|nth| Resident::start(address, tally, &residents_stop, random.part(nth))).collect();

    let mut stage = Stage {
        address,
        tally: Arc::clone(tally),
        stop: Arc::clone(stop),
        random: Random::new(options.seed).part(2),
        clients: options.clients,
        on_stage: Arc::default(),
        processes: Arc::default(),
        healthy: Arc::default(),
    };
    stage.play(options.time);
    stop.stop();
    stage.clear();
    broadcast_stop.stop();
    join("broadcasting", broadcasting, tally);
    join("the probe", [probing], tally);
    residents_stop.stop();
    residents.iter().for_each(Resident::wait);
    monitor_stop.stop();
    join("the monitor", [monitoring], tally);

    // What has been accepted before the close arrives.
    hall.broadcast_many(&server, LAST_WORDS);
    let closing = Instant::now();
    let closed = server.clone();
    join("closing the server", [thread::spawn(move || closed.close())], tally);
    let time = closing.elapsed();
    tally.check(time < PATIENCE, || format!("closing took {time:?}"));
    residents.into_iter().for_each(|resident| resident.part(&hall.broadcasts()));
    let (opened, ended) = (tally.opened.load(Ordering::SeqCst), tally.ended.load(Ordering::SeqCst));
    tally.check(opened == ended, || format!("{opened} on_connect, {ended} on_disconnect"));
    let counted = (server.num_connections(), hall.num_open());
    tally.check(counted == (0, 0), || format!("{counted:?} connections are left"));
    let traffic = server.stats().traffic;
    tally.check(adds_up(&traffic), || format!("the messages do not add up: {traffic:?}"));
    tally.note_traffic(traffic);
    Ok(())
}

/// Waits for threads that should end soon.
fn join(what: &str, threads: impl IntoIterator<Item = JoinHandle<()>>, tally: &Tally) {
    let deadline = Instant::now() + 2 * PATIENCE;
    for thread in threads {
        while !thread.is_finished() {
            if Instant::now() >= deadline {
                return tally.violation(format!("{what} does not end"));
            }
            thread::sleep(Duration::from_millis(5));
        }
        // A panic has been told by the hook.
        let _ = thread.join();
    }
}

/// Who is on, and who comes next.
struct Stage {
    address: SocketAddr,
    tally: Arc<Tally>,
    stop: Arc<Stop>,
    random: Random,
    clients: usize,
    on_stage: Arc<AtomicUsize>,
    processes: Arc<AtomicUsize>,
    healthy: Arc<AtomicUsize>,
}

impl Stage {
    /// Lets clients come, sometimes few and sometimes many, until the time is over.
    fn play(&mut self, time: Duration) {
        let end = Instant::now() + time;
        let mut told = Instant::now();
        let mut wave = (Instant::now(), 0);
        while Instant::now() < end {
            if Instant::now() >= wave.0 {
                let next = Instant::now() + Duration::from_millis(self.random.within(1000..=5000) as u64);
                wave = (next, self.random.within(self.clients / 4..=self.clients).max(1));
            }
            if self.on_stage.load(Ordering::SeqCst) < wave.1 {
                self.send_on();
            }
            if told.elapsed() >= PROGRESS {
                told = Instant::now();
                let left = end.saturating_duration_since(told).as_secs();
                let (opened, violations) = (self.tally.opened.load(Ordering::Relaxed), self.tally.violations());
                println!("soak: {left} s left, {opened} connections so far, {violations} violations");
            }
            let pause = Duration::from_millis(self.random.within(1..=30) as u64);
            if self.stop.sleep(pause) {
                return;
            }
        }
    }

    fn send_on(&mut self) {
        let role = self.choose();
        let life = Duration::from_millis(200 + self.random.skewed(20_000) as u64);
        let mut counters = vec![Arc::clone(&self.on_stage)];
        counters.extend(role.is_process().then(|| Arc::clone(&self.processes)));
        counters.extend((role == Role::Healthy).then(|| Arc::clone(&self.healthy)));
        let presence = Presence::new(counters);
        let (address, tally, stop) = (self.address, Arc::clone(&self.tally), Arc::clone(&self.stop));
        let random = Random::new(self.random.number());
        thread::spawn(move || {
            let _presence = presence;
            match role {
                _ if role.is_process() => process::run(role, address, &tally, &stop, life, random),
                Role::Healthy | Role::Viewer | Role::Guest => {
                    client::run(role, address, &tally, &stop, life, random, || {});
                }
                _ => raw::run(role, address, &tally, random),
            }
        });
    }

    fn choose(&mut self) -> Role {
        if self.healthy.load(Ordering::SeqCst) < HEALTHY.min(self.clients / 2) {
            return Role::Healthy;
        }
        let sum: usize = PARTS.iter().map(|(_, times)| times).sum();
        let mut at = self.random.within(0..=sum - 1);
        let mut parts = PARTS.iter();
        let role = loop {
            let (role, times) = parts.next().expect("it is less than the sum");
            if at < *times {
                break *role;
            }
            at -= times;
        };
        // A process is dear.
        if role.is_process() && self.processes.load(Ordering::SeqCst) >= PROCESSES { Role::Vanish } else { role }
    }

    /// Waits until everyone has left.
    fn clear(&self) {
        let deadline = Instant::now() + 3 * PATIENCE;
        while self.on_stage.load(Ordering::SeqCst) > 0 {
            if Instant::now() >= deadline {
                let left = self.on_stage.load(Ordering::SeqCst);
                return self.tally.violation(format!("{left} clients do not come to their end"));
            }
            thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Counts one client as long as it is there.
struct Presence(Vec<Arc<AtomicUsize>>);

impl Presence {
    fn new(counters: Vec<Arc<AtomicUsize>>) -> Self {
        for counter in &counters {
            counter.fetch_add(1, Ordering::SeqCst);
        }
        Self(counters)
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        for counter in &self.0 {
            counter.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

/// Looks at the process, and at the count of connections, again and again.
fn monitor(hall: &Hall, server: &Server, tally: &Tally, stop: &Stop) {
    let start = Vitals::now().memory;
    let mut equal = Instant::now();
    let mut is_told = false;
    while !stop.sleep(Duration::from_millis(50)) {
        let vitals = Vitals::now();
        tally.note_vitals(vitals);
        if vitals.memory > start + MEMORY && !is_told {
            is_told = true;
            tally.violation(format!("{} MB of memory", vitals.memory / 1_000_000));
        }
        // They differ for a moment whenever somebody comes or goes, but not for long.
        let before = (tally.opened.load(Ordering::SeqCst), tally.ended.load(Ordering::SeqCst));
        let counted = (hall.num_open(), server.num_connections());
        let after = (tally.opened.load(Ordering::SeqCst), tally.ended.load(Ordering::SeqCst));
        if before != after || counted.0 == counted.1 {
            equal = Instant::now();
        }
        if equal.elapsed() > PATIENCE {
            equal = Instant::now();
            tally.violation(format!("{} connections are open, and {} are counted", counted.0, counted.1));
        }
    }
}

/// Waits until threads and descriptors are what they were; what they are then.
fn settled(start: Vitals, tally: &Tally) -> Vitals {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let now = Vitals::now();
        // There may be fewer: at the start one may have been about to end.
        if now.threads <= start.threads && now.descriptors <= start.descriptors {
            return now;
        }
        if Instant::now() >= deadline {
            tally.violation(format!(
                "{} threads and {} descriptors at the end, and {} and {} at the start",
                now.threads, now.descriptors, start.threads, start.descriptors
            ));
            return now;
        }
        thread::sleep(Duration::from_millis(10));
    }
}
