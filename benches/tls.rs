//! What TLS costs, held against rustls in the hands of somebody who wrote the loops for this and nothing else: two
//! threads, blocking sockets, no messages. Both are measured in turn, in one process; the ratio is what counts.
//!
//! A round trip costs several times as much when the two threads run on different cores as on one, because each has to
//! wake the other's core. Where they run is the scheduler's choice, and it changes its mind; so on Linux round trips
//! are also measured with both ends on one core, and with a core for each.
//!
//! `cargo bench --features tls --bench tls`

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use leads_comm::transport::tls::rustls::pki_types::ServerName;
use leads_comm::transport::tls::rustls::{ClientConnection, Connection, ServerConnection, version};
use leads_comm::{Callback, Client, Server, Service, SlowConsumer, callback};

use leads_comm_testing::certificates::Pki;

/// How often each is measured. The scheduler makes rounds differ by a factor of two.
const ROUNDS: usize = 21;

const MESSAGE: usize = 1024 * 1024;
const MESSAGES: usize = 256;

/// How much this library has rustls encrypt at once, in bytes. On a loopback device that makes rustls alone some 1.5
/// times as fast as the 64 KiB that are its default.
const OUR_BUFFER: usize = 48 * 1024;

const PING: usize = 64;
const PINGS: usize = 10_000;

/// The cores of the server's and the client's thread; `None` where the scheduler would have them.
type Cores = Option<[usize; 2]>;

fn main() {
    let pki = Pki::new();
    for (what, buffer) in [("1 MiB messages", None), ("1 MiB messages, buffers as ours", Some(OUR_BUFFER))] {
        compare(
            what,
            "MiB/s",
            || MESSAGES as f64 / ours_one_way(&pki).as_secs_f64(),
            || MESSAGES as f64 / rustls_one_way(&pki, buffer).as_secs_f64(),
        );
    }
    for (what, cores) in [
        ("64 byte ping-pong", None),
        ("64 byte ping-pong on one core", Some([0, 0])),
        ("64 byte ping-pong on two cores", Some([0, 1])),
    ] {
        if !can_pin(cores) {
            println!("TLS, {what}: threads cannot be given these cores here");
            continue;
        }
        compare(
            what,
            "round trips/s",
            || PINGS as f64 / ours_back_and_forth(&pki, cores).as_secs_f64(),
            || PINGS as f64 / rustls_back_and_forth(&pki, cores).as_secs_f64(),
        );
    }
}

fn compare(what: &str, unit: &str, ours: impl Fn() -> f64, rustls: impl Fn() -> f64) {
    let (mut our_rates, mut rustls_rates) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        our_rates.push(ours());
        rustls_rates.push(rustls());
    }
    let [ours, rustls] = [our_rates, rustls_rates].map(quartiles);
    println!(
        "TLS, {what}: {:.0} {unit} (quartiles {:.0} to {:.0}), rustls alone {:.0} ({:.0} to {:.0}), ratio {:.2}",
        ours[1],
        ours[0],
        ours[2],
        rustls[1],
        rustls[0],
        rustls[2],
        ours[1] / rustls[1]
    );
}

fn quartiles(mut rates: Vec<f64>) -> [f64; 3] {
    rates.sort_by(f64::total_cmp);
    [1, 2, 3].map(|quarter| rates[rates.len() * quarter / 4])
}

/// Whether [`pin`] gives threads these cores.
fn can_pin(cores: Cores) -> bool {
    cores.is_none_or(|cores| thread::spawn(move || cores.into_iter().all(pin)).join().unwrap())
}

/// Has the calling thread run on this core and no other; whether that can be.
#[cfg(target_os = "linux")]
fn pin(core: usize) -> bool {
    use rustix::thread::{CpuSet, sched_setaffinity};

    let mut only = CpuSet::new();
    only.set(core);
    sched_setaffinity(None, &only).is_ok()
}

#[cfg(not(target_os = "linux"))]
fn pin(_: usize) -> bool {
    false
}

/// Pins the reader thread of each connection.
struct Pinned(Option<usize>);

impl Callback for Pinned {
    fn on_connect(&self, _: &dyn Service, _: &leads_comm::Connection) {
        self.0.map(pin);
    }
}

fn ours_one_way(pki: &Pki) -> Duration {
    let (done, all_there) = mpsc::channel();
    let mut left = MESSAGES;
    let count = std::sync::Mutex::new(move || {
        left -= 1;
        left == 0
    });
    let callback = callback::on_receive(move |_, message| {
        assert_eq!(message.len(), MESSAGE);
        if count.lock().unwrap()() {
            done.send(()).unwrap();
        }
    });
    let server = Server::builder().port(0).tls(pki.server()).callback(callback).build().unwrap();
    server.start(true).unwrap();
    let patient = SlowConsumer::Block(Duration::from_secs(60));
    let client = Client::builder().port(server.port()).tls(pki.client()).slow_consumer(patient).build().unwrap();
    client.start("127.0.0.1", true).unwrap();
    let message = vec![b'a'; MESSAGE];
    let begun = Instant::now();
    for _ in 0..MESSAGES {
        client.send(&message).unwrap();
    }
    all_there.recv().unwrap();
    let time = begun.elapsed();
    client.close();
    server.close();
    time
}

fn ours_back_and_forth(pki: &Pki, cores: Cores) -> Duration {
    let pinned = |end: usize| Pinned(cores.map(|cores| cores[end]));
    let echo = callback::on_receive(|connection, message| connection.send(message).unwrap());
    let server = Server::builder().port(0).tls(pki.server()).callback((pinned(0), echo)).build().unwrap();
    server.start(true).unwrap();
    let (done, all_there) = mpsc::channel();
    let left = std::sync::atomic::AtomicUsize::new(PINGS);
    let again = callback::on_receive(move |connection, message| {
        if left.fetch_sub(1, std::sync::atomic::Ordering::Relaxed) == 1 {
            done.send(()).unwrap();
        } else {
            connection.send(message).unwrap();
        }
    });
    let client = Client::builder().port(server.port()).tls(pki.client()).callback((pinned(1), again)).build().unwrap();
    client.start("127.0.0.1", true).unwrap();
    let begun = Instant::now();
    client.send(&[b'a'; PING]).unwrap();
    all_there.recv().unwrap();
    let time = begun.elapsed();
    client.close();
    server.close();
    time
}

/// A socket with TLS on it, read and written by one thread.
struct Raw {
    connection: Connection,
    socket: TcpStream,
}

impl Raw {
    fn pair(pki: &Pki) -> (Self, Self) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let config = pki.rustls_client(&version::TLS13, None);
        let client = ClientConnection::new(config, ServerName::try_from("localhost").unwrap()).unwrap();
        let mut client = Self { connection: client.into(), socket };
        let (socket, _) = listener.accept().unwrap();
        let mut server =
            Self { connection: ServerConnection::new(pki.rustls_server(&version::TLS13)).unwrap().into(), socket };
        for raw in [&client, &server] {
            raw.socket.set_nodelay(true).unwrap();
        }
        thread::scope(|scope| {
            scope.spawn(|| server.shake_hands());
            client.shake_hands();
        });
        (server, client)
    }

    fn shake_hands(&mut self) {
        while self.connection.is_handshaking() {
            self.write_out();
            if self.connection.is_handshaking() {
                self.receive();
            }
        }
        self.write_out();
    }

    fn write_out(&mut self) {
        while self.connection.wants_write() {
            self.connection.write_tls(&mut self.socket).unwrap();
        }
    }

    fn receive(&mut self) {
        assert!(self.connection.read_tls(&mut self.socket).unwrap() > 0);
        self.connection.process_new_packets().unwrap();
    }

    fn write_all(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let count = self.connection.writer().write(bytes).unwrap();
            self.write_out();
            bytes = &bytes[count..];
        }
    }

    fn read_some(&mut self, buffer: &mut [u8]) -> usize {
        loop {
            match self.connection.reader().read(buffer) {
                Ok(count) => return count,
                Err(_) => self.receive(),
            }
        }
    }

    fn read_exact(&mut self, mut len: usize, buffer: &mut [u8]) {
        while len > 0 {
            len -= self.read_some(buffer);
        }
    }
}

/// With this limit of what is encrypted at once, or with the default of rustls.
fn rustls_one_way(pki: &Pki, buffer: Option<usize>) -> Duration {
    let (mut server, mut client) = Raw::pair(pki);
    if buffer.is_some() {
        client.connection.set_buffer_limit(buffer);
    }
    let message = vec![b'a'; MESSAGE];
    let begun = Instant::now();
    thread::scope(|scope| {
        scope.spawn(|| server.read_exact(MESSAGE * MESSAGES, &mut vec![0; 128 * 1024]));
        for _ in 0..MESSAGES {
            client.write_all(&message);
        }
    });
    begun.elapsed()
}

fn rustls_back_and_forth(pki: &Pki, cores: Cores) -> Duration {
    let (mut server, mut client) = Raw::pair(pki);
    let ping = [b'a'; PING];
    let begun = Instant::now();
    thread::scope(|scope| {
        scope.spawn(|| {
            cores.map(|cores| pin(cores[0]));
            for _ in 0..PINGS {
                server.read_exact(PING, &mut [0; PING]);
                server.write_all(&ping);
            }
        });
        scope.spawn(|| {
            cores.map(|cores| pin(cores[1]));
            for _ in 0..PINGS {
                client.write_all(&ping);
                client.read_exact(PING, &mut [0; PING]);
            }
        });
    });
    begun.elapsed()
}
