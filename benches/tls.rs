//! What TLS costs, held against rustls in the hands of somebody who wrote the loops for this and nothing else: two
//! threads, blocking sockets, no messages. Both are measured in turn, in one process; the ratio is what counts.
//!
//! `cargo bench --features tls --bench tls`

#[path = "../tests/support/certificates.rs"]
#[allow(dead_code, unreachable_pub, reason = "the tests use the rest")]
mod certificates;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use leads_comm::transport::tls::rustls::pki_types::ServerName;
use leads_comm::transport::tls::rustls::{ClientConnection, Connection, ServerConnection, version};
use leads_comm::{Client, Server, SlowConsumer, callback};

use certificates::Pki;

/// How often each is measured.
const ROUNDS: usize = 7;

const MESSAGE: usize = 1024 * 1024;
const MESSAGES: usize = 256;

const PING: usize = 64;
const PINGS: usize = 10_000;

fn main() {
    let pki = Pki::new();
    compare(
        "1 MiB messages",
        "MiB/s",
        || MESSAGES as f64 / ours_one_way(&pki).as_secs_f64(),
        || MESSAGES as f64 / rustls_one_way(&pki).as_secs_f64(),
    );
    compare(
        "64 byte ping-pong",
        "round trips/s",
        || PINGS as f64 / ours_back_and_forth(&pki).as_secs_f64(),
        || PINGS as f64 / rustls_back_and_forth(&pki).as_secs_f64(),
    );
}

fn compare(what: &str, unit: &str, ours: impl Fn() -> f64, rustls: impl Fn() -> f64) {
    let (mut our_rates, mut rustls_rates) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        our_rates.push(ours());
        rustls_rates.push(rustls());
    }
    let (ours, rustls) = (median(our_rates), median(rustls_rates));
    println!("TLS, {what}: {ours:.0} {unit}, rustls alone {rustls:.0}, ratio {:.2}", ours / rustls);
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
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

fn ours_back_and_forth(pki: &Pki) -> Duration {
    let echo = callback::on_receive(|connection, message| connection.send(message).unwrap());
    let server = Server::builder().port(0).tls(pki.server()).callback(echo).build().unwrap();
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
    let client = Client::builder().port(server.port()).tls(pki.client()).callback(again).build().unwrap();
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

fn rustls_one_way(pki: &Pki) -> Duration {
    let (mut server, mut client) = Raw::pair(pki);
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

fn rustls_back_and_forth(pki: &Pki) -> Duration {
    let (mut server, mut client) = Raw::pair(pki);
    let ping = [b'a'; PING];
    let begun = Instant::now();
    thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..PINGS {
                server.read_exact(PING, &mut [0; PING]);
                server.write_all(&ping);
            }
        });
        for _ in 0..PINGS {
            client.write_all(&ping);
            client.read_exact(PING, &mut [0; PING]);
        }
    });
    begun.elapsed()
}
