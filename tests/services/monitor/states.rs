//! How a peer is doing: live, slow, or stopped.

use std::io::{self, Read};
use std::net::TcpStream;
#[cfg(unix)]
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use leads_comm::{Delivery, Server, SlowConsumer, key};
use leads_comm_testing::*;

use super::{Looker, connections, watched};

/// How long a reader waits before it looks whether it is to end.
const TURN: Duration = Duration::from_millis(50);

/// A socket of either kind.
trait Socket: Read + Send + 'static {
    fn set_read_timeout(&self, time: Option<Duration>) -> io::Result<()>;
}

impl Socket for TcpStream {
    fn set_read_timeout(&self, time: Option<Duration>) -> io::Result<()> {
        TcpStream::set_read_timeout(self, time)
    }
}

#[cfg(unix)]
impl Socket for UnixStream {
    fn set_read_timeout(&self, time: Option<Duration>) -> io::Result<()> {
        UnixStream::set_read_timeout(self, time)
    }
}

/// Does something again and again, until this is dropped.
struct Busy {
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Busy {
    fn with(mut work: impl FnMut() + Send + 'static) -> Self {
        let ends = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&ends);
        let thread = thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                work();
            }
        });
        Self { ends, thread: Some(thread) }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap();
    }
}

/// Reads all that comes.
fn reading(mut socket: Box<dyn Socket>) -> Busy {
    socket.set_read_timeout(Some(TURN)).unwrap();
    let mut buffer = vec![0; 256 * 1024];
    Busy::with(move || drop(socket.read(&mut buffer)))
}

/// For each delivery a peer that reads and one that does not, who are sent `len` bytes so many times a second.
fn judge(server: &Server, connect: &dyn Fn() -> Box<dyn Socket>, deliveries: &[Delivery], len: usize, hz: u32) {
    let (mut readers, mut stopped) = (Vec::new(), Vec::new());
    for delivery in deliveries {
        for is_stopped in [false, true] {
            let before = server.num_connections();
            let socket = connect();
            until("it is connected", || server.num_connections() > before);
            server.connections().last().unwrap().set_delivery(delivery.clone()).unwrap();
            match is_stopped {
                true => stopped.push(socket),
                false => readers.push(reading(socket)),
            }
        }
    }
    let monitor = watched(server);
    let looker = Looker::at(&monitor);
    let sending = {
        let (server, message) = (server.clone(), vec![b'x'; len]);
        Busy::with(move || {
            server.broadcast(&message).unwrap();
            thread::sleep(Duration::from_secs(1) / hz);
        })
    };
    let begin = Instant::now();
    let states = |numbers: &serde_json::Value| -> Vec<String> {
        connections(numbers).iter().map(|one| one["state"].as_str().unwrap().to_owned()).collect()
    };
    let expected: Vec<&str> = deliveries.iter().flat_map(|_| ["live", "stopped"]).collect();
    looker.until(&format!("{expected:?}"), |numbers| states(numbers) == expected);
    println!("{hz} Hz x {len} B: told after {:.1} s", begin.elapsed().as_secs_f64());
    // They go on, with what has waited for them meanwhile.
    readers.extend(stopped.into_iter().map(reading));
    drop(sending);
    looker.until("all live", |numbers| states(numbers).iter().all(|state| state == "live"));
    drop(readers);
    server.close();
}

const DROPS: SlowConsumer = SlowConsumer::DropOldest;

/// Those that keep the peer, however much it is sent.
fn lossy() -> Vec<Delivery> {
    let mut all = vec![
        Delivery::new().slow_consumer(DROPS),
        Delivery::new().slow_consumer(SlowConsumer::DropNewest),
        Delivery::new().slow_consumer(DROPS).conflate(true),
        Delivery::new().slow_consumer(DROPS).lifespan(Duration::from_millis(500)),
    ];
    // What waits for its interval tells nothing of the peer, where the system does not tell of it either.
    if cfg!(all(target_os = "linux", not(leads_comm_emulated))) {
        all.push(Delivery::new().slow_consumer(DROPS).conflate(true).min_interval(Duration::from_millis(100)));
    }
    all
}

fn tcp(deliveries: &[Delivery], len: usize, hz: u32) {
    let server = Server::builder().port(0).key(key::all()).build().unwrap();
    server.start(true).unwrap();
    let address = server.local_addr().unwrap();
    judge(&server, &move || Box::new(TcpStream::connect(address).unwrap()), deliveries, len, hz);
}

#[cfg(unix)]
fn unix(deliveries: &[Delivery], len: usize, hz: u32) {
    let path = net::unix::free_path();
    let server = Server::builder().unix(&path).key(key::all()).build().unwrap();
    server.start(true).unwrap();
    judge(&server, &move || Box::new(UnixStream::connect(&path).unwrap()), deliveries, len, hz);
}

/// What a system tells of its peers is known on Linux only.
#[cfg(target_os = "linux")]
mod on_linux {
    use super::*;

    fn all() -> Vec<Delivery> {
        let others = [SlowConsumer::Disconnect, SlowConsumer::Block(Duration::from_secs(60))];
        lossy().into_iter().chain(others.map(|policy| Delivery::new().slow_consumer(policy))).collect()
    }

    #[test]
    #[cfg_attr(leads_comm_emulated, ignore = "qemu passes no questions on to NETLINK_SOCK_DIAG")]
    fn tcp_peers_that_do_not_read_are_stopped_at_a_low_rate() {
        tcp(&all(), 200, 20);
    }

    #[test]
    #[cfg_attr(leads_comm_emulated, ignore = "qemu passes no questions on to NETLINK_SOCK_DIAG")]
    fn unix_peers_that_do_not_read_are_stopped_at_a_low_rate() {
        unix(&all(), 200, 20);
    }
}

#[test]
fn tcp_peers_that_do_not_read_are_stopped_at_a_high_rate() {
    tcp(&lossy(), 100_000, 100);
}

#[cfg(unix)]
#[test]
fn unix_peers_that_do_not_read_are_stopped_at_a_high_rate() {
    unix(&lossy(), 2000, 500);
}

/// Ten times less than it is sent.
#[test]
fn one_that_reads_too_little_is_slow() {
    let server = Server::builder().port(0).key(key::all()).build().unwrap();
    server.start(true).unwrap();
    let mut socket = TcpStream::connect(server.local_addr().unwrap()).unwrap();
    until("it is connected", || server.num_connections() == 1);
    let delivery = Delivery::new().slow_consumer(DROPS).max_queued_bytes(2 << 20);
    server.connections()[0].set_delivery(delivery).unwrap();
    let monitor = watched(&server);
    let looker = Looker::at(&monitor);
    let mut buffer = vec![0; 64 * 1024];
    socket.set_nonblocking(true).unwrap();
    let _reader = Busy::with(move || {
        let _ = socket.read(&mut buffer);
        thread::sleep(Duration::from_millis(10));
    });
    let sender = server.clone();
    let _sending = Busy::with(move || {
        sender.broadcast(&[b'x'; 600_000]).unwrap();
        thread::sleep(Duration::from_millis(5));
    });
    let slow = looker.until("slow", |numbers| connections(numbers)[0]["state"] == "slow");
    assert!(connections(&slow)[0]["traffic"]["queued_bytes"].as_u64().unwrap() > 0);
    server.close();
}
