//! What a WebSocket costs, held against the same messages over plain TCP, framed by their length: a server of the
//! library sends, a raw peer reads bytes and looks at none, and both are measured in turn, in one process. The ratio is
//! what counts.
//!
//! `cargo bench -p leads-comm-websocket`

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use leads_comm::codec::Framing;
use leads_comm::{Connection, Server, SlowConsumer, callback};
#[cfg(target_os = "linux")]
use leads_comm_testing::vitals;
use leads_comm_websocket::WebSocketListener;

/// How often each is measured.
const ROUNDS: usize = 9;

/// Length and number of the messages: states, and pictures.
const MESSAGES: [(usize, usize); 3] = [(30, 500_000), (300, 300_000), (100 * 1024, 10_000)];

/// How many silent connections the memory of one is taken from.
#[cfg(target_os = "linux")]
const SILENT: usize = 500;

const REQUEST: &str = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                       Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Tcp,
    WebSocket,
}

fn main() {
    for (len, number) in MESSAGES {
        let mut rates = [Kind::Tcp, Kind::WebSocket].map(|kind| (kind, Vec::new()));
        for _ in 0..ROUNDS {
            for (kind, rates) in &mut rates {
                rates.push(number as f64 / send(*kind, len, number).as_secs_f64());
            }
        }
        let [tcp, websocket] = rates.map(|(_, rates)| median(rates));
        println!(
            "{len} bytes: {websocket:.0} messages/s ({:.0} MiB/s), plain TCP {tcp:.0}, ratio {:.2}",
            websocket * len as f64 / f64::from(1 << 20),
            websocket / tcp
        );
    }
    #[cfg(target_os = "linux")]
    {
        let [tcp, websocket] = [Kind::Tcp, Kind::WebSocket].map(memory);
        println!("a silent connection: {websocket:.1} KiB, plain TCP {tcp:.1}");
    }
}

/// Sends, and waits until all of it has been read.
fn send(kind: Kind, len: usize, number: usize) -> Duration {
    let (server, connected) = server(kind);
    let mut peer = peer(kind, server.port());
    let connection = connected.recv().unwrap();
    let message = vec![b'x'; len];
    let head = if kind == Kind::Tcp || len >= 126 { 4 } else { 2 };
    let mut left = (len + if len > 65_535 && kind == Kind::WebSocket { 10 } else { head }) * number;
    let began = Instant::now();
    let reading = std::thread::spawn(move || {
        let mut chunk = vec![0; 256 * 1024];
        while left > 0 {
            left -= peer.read(&mut chunk).unwrap();
        }
        peer
    });
    for _ in 0..number {
        connection.send(&message).unwrap();
    }
    let _peer = reading.join().unwrap();
    let time = began.elapsed();
    connection.abort();
    server.close();
    time
}

fn server(kind: Kind) -> (Server, std::sync::mpsc::Receiver<Connection>) {
    let (tell, connected) = std::sync::mpsc::channel();
    let builder = Server::builder()
        .framing(Framing::Length)
        .port(0)
        .slow_consumer(SlowConsumer::Block(Duration::from_secs(60)))
        .callback(callback::closures().on_connect(move |_, connection| tell.send(connection.clone()).unwrap()));
    let builder = match kind {
        Kind::Tcp => builder,
        Kind::WebSocket => builder.transport(WebSocketListener::bind(([127, 0, 0, 1], 0).into()).unwrap()),
    };
    let server = builder.build().unwrap();
    server.start(true).unwrap();
    (server, connected)
}

fn peer(kind: Kind, port: u16) -> TcpStream {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).unwrap();
    if kind == Kind::WebSocket {
        socket.write_all(REQUEST.as_bytes()).unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            socket.read_exact(&mut byte).unwrap();
            answer.extend(byte);
        }
    }
    socket
}

/// What one connection takes of which nothing is heard, in KiB.
#[cfg(target_os = "linux")]
fn memory(kind: Kind) -> f64 {
    let (server, connected) = server(kind);
    // What the first one needs is not asked for again.
    let mut peers = vec![peer(kind, server.port())];
    connected.recv().unwrap();
    let before = vitals::memory();
    for _ in 0..SILENT {
        peers.push(peer(kind, server.port()));
        connected.recv().unwrap();
    }
    let taken = vitals::memory() - before;
    server.close();
    taken as f64 / SILENT as f64 / 1024.0
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}
