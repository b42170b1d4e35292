//! How long a message takes there and back, through the public API in one process, against bare sockets.
//!
//! ```sh
//! cargo bench --bench echo
//! ```
//!
//! One iteration is 100 round trips, one after the other; the items are round trips. The client sends the next message
//! from the callback that is given the answer.
//!
//! - `sockets`: `std::net` with two blocking threads, whole messages of a known length and no framing. The yardstick of
//!   `tcp`.
//! - `tcp`: a server and a client over loopback.
//! - `memory`: a server and a client over `transport::memory`.
//!
//! Two threads that wake each other in turn are several times faster while the scheduler keeps them on one core, and on
//! few cores it changes its mind in the course of a run. So compare the fastest with the fastest, and the medians of
//! several runs.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

use divan::Bencher;
use divan::counter::ItemsCount;
use leads_comm::transport::memory;
use leads_comm::{Client, ClientBuilder, Server, ServerBuilder, callback};

const ROUND_TRIPS: usize = 100;
const LENS: [usize; 2] = [64, 16 * 1024];

fn main() {
    divan::main();
}

#[divan::bench(args = LENS, sample_count = 1000, max_time = 3)]
fn sockets(bencher: Bencher<'_, '_>, len: usize) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (mut server, _) = listener.accept().unwrap();
    client.set_nodelay(true).unwrap();
    server.set_nodelay(true).unwrap();
    let echo = thread::spawn(move || {
        let mut message = vec![0; len];
        while server.read_exact(&mut message).is_ok() {
            server.write_all(&message).unwrap();
        }
    });
    let mut message = b"x".repeat(len);
    bencher.counter(ItemsCount::new(ROUND_TRIPS)).bench_local(|| {
        for _ in 0..ROUND_TRIPS {
            client.write_all(&message).unwrap();
            client.read_exact(&mut message).unwrap();
        }
    });
    drop(client);
    echo.join().unwrap();
}

#[divan::bench(args = LENS, sample_count = 1000, max_time = 3)]
fn tcp(bencher: Bencher<'_, '_>, len: usize) {
    measure(bencher, len, Server::builder().port(0), Client::builder());
}

#[divan::bench(args = LENS, sample_count = 1000, max_time = 3)]
fn memory(bencher: Bencher<'_, '_>, len: usize) {
    let (listener, connector) = memory::listener();
    measure(bencher, len, Server::builder().transport(listener), Client::builder().transport(connector));
}

fn measure(bencher: Bencher<'_, '_>, len: usize, server: ServerBuilder, client: ClientBuilder) {
    let echo = callback::on_receive(|connection, message| connection.send(message).unwrap());
    let server = server.callback(echo).build().unwrap();
    server.start(true).unwrap();

    let (done, is_done) = mpsc::channel();
    let answers = AtomicUsize::new(0);
    let ping = callback::on_receive(move |connection, message| {
        if (answers.fetch_add(1, Ordering::Relaxed) + 1) % ROUND_TRIPS == 0 {
            done.send(()).unwrap();
        } else {
            connection.send(message).unwrap();
        }
    });
    let client = client.port(server.port()).callback(ping).build().unwrap();
    client.start("127.0.0.1", true).unwrap();

    let message = b"x".repeat(len);
    bencher.counter(ItemsCount::new(ROUND_TRIPS)).bench_local(|| {
        client.send(&message).unwrap();
        is_done.recv().unwrap();
    });
    client.close();
    server.close();
}
