//! A transport from outside the crate, used by a server and its client: run-length encoding, over TCP.
//!
//! Whatever carries bytes both ways can carry messages. Three traits are asked for: a stream, a listener where streams
//! arrive, and a connector that opens them. Those of `custom_transport/packed.rs` are a layer over any others, and pass
//! on what these can do: writing without blocking, being polled, being stopped. A test holds them against
//! `leads_comm_conformance`, as it should any transport.
//!
//! ```text
//! cargo run --release --example custom_transport
//! ```

use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::Duration;

use leads_comm::callback::{self, Closures};
use leads_comm::transport::tcp::{TcpConnector, TcpListener};
use leads_comm::{Client, Error, Server};
use lexopt::prelude::*;
use support::{Arguments, Failure, fail, run, say};

#[path = "custom_transport/packed.rs"]
mod packed;

use packed::{PackedConnector, PackedListener, Traffic};

const HELP: &str = "\
Connects a server and a client over a transport of this example's own, TCP with
runs of equal bytes packed; lets both send to each other at the same time,
checks what arrives, and closes the server.

Usage: custom_transport

  -h, --help  print this

Exit code 0: everything arrived, and both sides ended as they should. 1:
something did not; stderr says what. 2: a wrong call. RUST_LOG=debug shows what
the library does.
";

/// How many messages each side sends.
const MESSAGES: usize = 2_000;

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(20);

fn main() -> ExitCode {
    run("custom_transport", HELP, parse_options, |()| show())
}

/// `None` when only help is wanted.
fn parse_options(mut arguments: Arguments) -> Result<Option<()>, Failure> {
    match arguments.next_argument()? {
        None => Ok(Some(())),
        Some(Short('h') | Long("help")) => Ok(None),
        Some(argument) => Err(argument.unexpected().into()),
    }
}

fn show() -> Result<(), Failure> {
    let traffic = Arc::new(Traffic::default());
    let (tell, checked) = mpsc::channel();

    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let listener =
        TcpListener::bind(address).map_err(|error| fail(format!("cannot listen on {address}: {error:#}")))?;
    let listener = PackedListener { listener, traffic: Arc::clone(&traffic) };
    let callback = check("server", tell.clone()).on_connect(|_, connection| {
        // On a thread of its own, so that the server receives at the same time.
        let connection = connection.clone();
        thread::spawn(move || send_bars(|bar| connection.send(bar)));
    });
    let server = Server::builder().transport(listener).callback(callback).build()?;
    server.start(true)?;
    let address = format!("127.0.0.1:{}", server.port());
    say(format_args!("the server listens on {address}"));

    let connector = TcpConnector::new(server.port(), Duration::from_secs(5));
    let connector = PackedConnector { connector, traffic: Arc::clone(&traffic) };
    let client = Client::builder().transport(connector).callback(check("client", tell)).build()?;
    client.start(&address, true)?;
    let connection = client.connection();
    send_bars(|bar| client.send(bar));
    wait_for(&checked)?;
    wait_for(&checked)?;
    say(format_args!("{MESSAGES} messages each way at the same time, all whole and in order"));
    let (plain, packed) = (traffic.plain.load(Relaxed), traffic.packed.load(Relaxed));
    say(format_args!("{plain} bytes travelled as {packed}"));

    // Wakes the server's accept, and both readers, which are blocked.
    server.close();
    if !client.wait_timeout(PATIENCE) || server.num_connections() > 0 {
        return Err(fail("the end of the server did not reach the client"));
    }
    let reason = connection.as_ref().and_then(|connection| connection.disconnect_reason());
    let reason = reason.map(|reason| format!("{reason:#}")).unwrap_or_default();
    say(format_args!("the server has closed; the client knows why: {reason:#}"));
    Ok(())
}

/// Message `number`: the bar of a bar chart, which packs well.
fn bar(number: usize) -> Vec<u8> {
    format!("{number} {}", "#".repeat(number % 500)).into()
}

fn send_bars(send: impl Fn(&[u8]) -> Result<(), Error>) {
    // What was not sent is missed by the receiver, who counts what arrives.
    let _ = (0..MESSAGES).try_for_each(|number| send(&bar(number)));
}

/// Checks that all bars arrive, in order, and tells the outcome.
fn check(side: &'static str, tell: Sender<Result<(), String>>) -> Closures {
    let received = AtomicUsize::new(0);
    callback::on_receive(move |_, message| {
        let number = received.fetch_add(1, Relaxed);
        if message != bar(number) {
            let _ = tell.send(Err(format!("the {side} received something else than message {number}")));
        } else if number + 1 == MESSAGES {
            let _ = tell.send(Ok(()));
        }
    })
}

fn wait_for(checked: &Receiver<Result<(), String>>) -> Result<(), Failure> {
    let outcome = checked.recv_timeout(PATIENCE).map_err(|_| fail("not everything arrived"))?;
    outcome.map_err(Failure::Failed)
}
