//! A vehicle for a browser: the page beside this file shows its speed, and has a button that the vehicle obeys.
//!
//! ```text
//! cargo run -p leads-comm-websocket --example browser
//! python3 -m http.server --bind 127.0.0.1 8000 --directory websocket/examples/browser
//! ```
//!
//! Then open <http://127.0.0.1:8000/page.html>, in as many tabs as you like.

use std::net::{IpAddr, SocketAddr};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use leads_comm::codec::Framing;
use leads_comm::{Callback, Connection, Delivery, DisconnectReason, Error, Server, Service, key};
use leads_comm_websocket::{Access, WebSocketListener};
use lexopt::prelude::*;
use support::{Arguments, Failure, complain, fail, on_stop, run, say};

const HELP: &str = "\
Sends states to the pages of browsers, 20 a second, and obeys what they send.

Usage: browser [options]

      --port N       where it listens on this machine (default 8765)
      --origin O     the pages that may connect, as a browser writes it; may be
                     given several times (default http://127.0.0.1:8000 and
                     http://localhost:8000)
  -h, --help         print this

Stdout carries what pages send; stderr tells who comes and goes.
";

/// The time between two states.
const INTERVAL: Duration = Duration::from_millis(50);

/// How long a lap takes, in seconds.
const LAP: f64 = 20.0;

struct Options {
    port: u16,
    origins: Vec<String>,
}

struct Vehicle {
    hazard: Arc<AtomicBool>,
}

impl Callback for Vehicle {
    fn on_connect(&self, _: &dyn Service, connection: &Connection) {
        complain(format_args!("browser: {connection} is here"));
    }

    fn on_receive(&self, _: &dyn Service, connection: &Connection, message: &[u8]) {
        // Any program can connect, and say anything.
        say(format_args!("{connection}: {}", message.escape_ascii()));
        if message == b"hazard" {
            self.hazard.fetch_xor(true, Ordering::Relaxed);
        }
    }

    fn on_disconnect(&self, _: &dyn Service, connection: &Connection, reason: &DisconnectReason) {
        complain(format_args!("browser: {connection} has left: {reason:#}"));
    }

    fn on_fail(&self, _: &dyn Service, error: &Error) {
        complain(format_args!("browser: {error:#}"));
    }
}

fn main() -> ExitCode {
    run("browser", HELP, parse_options, drive)
}

/// `None` when only help is wanted.
fn parse_options(mut arguments: Arguments) -> Result<Option<Options>, Failure> {
    let mut options = Options { port: 8765, origins: Vec::new() };
    while let Some(argument) = arguments.next_argument()? {
        match argument {
            Long("port") => options.port = arguments.number(0..=u16::MAX)?,
            Long("origin") => options.origins.push(arguments.text()?),
            Short('h') | Long("help") => return Ok(None),
            _ => return Err(argument.unexpected().into()),
        }
    }
    if options.origins.is_empty() {
        options.origins = ["http://127.0.0.1:8000", "http://localhost:8000"].map(str::to_owned).into();
    }
    Ok(Some(options))
}

fn drive(options: Options) -> Result<(), Failure> {
    let address = SocketAddr::new(IpAddr::from([127, 0, 0, 1]), options.port);
    let access = options.origins.into_iter().fold(Access::new(), Access::origin);
    let listener = WebSocketListener::bind(address).map_err(|error| fail(format!("{address}: {error}")))?;
    let hazard = Arc::new(AtomicBool::new(false));
    let server = Server::builder()
        .transport(listener.access(access))
        .framing(Framing::Length)
        // Every state replaces the one before: a tab that is behind gets the newest.
        .key(key::all())
        .delivery(Delivery::new().conflate(true))
        .callback(Vehicle { hazard: Arc::clone(&hazard) })
        .build()
        .map_err(|error| fail(format!("{error:#}")))?;
    server.start(true).map_err(|error| fail(format!("{error:#}")))?;
    complain(format_args!("browser: pages connect to ws://127.0.0.1:{}/", server.port()));

    let (stop, stopped) = mpsc::channel::<()>();
    on_stop(move || drop(stop))?;
    let began = Instant::now();
    // An error says that the other end has been dropped.
    while stopped.recv_timeout(INTERVAL) == Err(mpsc::RecvTimeoutError::Timeout) {
        let seconds = began.elapsed().as_secs_f64();
        let speed = 60.0 + 25.0 * (seconds * std::f64::consts::TAU / LAP).sin();
        let hazard = hazard.load(Ordering::Relaxed);
        let state = format!("{{\"seconds\": {seconds:.2}, \"speed\": {speed:.1}, \"hazard\": {hazard}}}");
        server.broadcast(state.as_bytes()).map_err(|error| fail(format!("{error:#}")))?;
    }
    server.close();
    Ok(())
}
