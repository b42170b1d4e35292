//! How long a server takes to get messages to all of its clients, over TCP loopback and in one process.
//!
//! ```sh
//! cargo bench --bench broadcast
//! ```
//!
//! One iteration broadcasts 1,000 messages of 256 bytes and waits until every client's callback has been given all of
//! them; the items are deliveries. Nothing is lost: senders wait for slow clients (`SlowConsumer::Block`).

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use divan::Bencher;
use divan::counter::ItemsCount;
use leads_comm::{Client, Server, SlowConsumer, callback};

const MESSAGES: usize = 1000;
const MESSAGE_LEN: usize = 256;

fn main() {
    divan::main();
}

#[divan::bench(args = [1, 16, 64], sample_size = 1, sample_count = 20, max_time = 10)]
fn broadcast(bencher: Bencher<'_, '_>, clients: usize) {
    let (arrived, arrivals) = mpsc::channel();
    let server = Server::builder()
        .port(0)
        .callback(callback::closures().on_connect(move |_, _| arrived.send(()).unwrap()))
        .slow_consumer(SlowConsumer::Block(Duration::from_secs(10)))
        .build()
        .unwrap();
    server.start(true).unwrap();

    let (done, is_done) = mpsc::channel();
    let clients: Vec<Client> = (0..clients)
        .map(|_| {
            let (done, received) = (done.clone(), AtomicUsize::new(0));
            let count = callback::on_receive(move |_, _| {
                if (received.fetch_add(1, Ordering::Relaxed) + 1) % MESSAGES == 0 {
                    done.send(()).unwrap();
                }
            });
            let client = Client::builder().port(server.port()).callback(count).build().unwrap();
            client.start("127.0.0.1", true).unwrap();
            client
        })
        .collect();
    arrivals.iter().take(clients.len()).for_each(drop);

    let message = b"x".repeat(MESSAGE_LEN);
    bencher.counter(ItemsCount::new(MESSAGES * clients.len())).bench_local(|| {
        for _ in 0..MESSAGES {
            assert_eq!(server.broadcast(&message).unwrap(), clients.len());
        }
        is_done.iter().take(clients.len()).for_each(drop);
    });
    clients.iter().for_each(Client::close);
    server.close();
}
