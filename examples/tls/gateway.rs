//! A gateway: what a vehicle sends in over plain TCP on this machine, it passes to a server elsewhere, over TLS and with
//! a token, and goes on when that has been away.
//!
//! ```text
//! cargo run --release --features tls --example gateway -- HOST:PORT --ca ca.pem --token FILE
//! ```

use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use leads_comm::crossbeam_channel::{RecvTimeoutError, bounded};
use leads_comm::transport::tls::{Authorities, ClientConfig};
use leads_comm::{Client, DEFAULT_PORT, Error, Reconnect, Server, callback};
use lexopt::prelude::*;
use support::{Arguments, Failure, complain, fail, on_stop, read_token, run, say, show, stop_when_unread, usage};

const HELP: &str = "\
Takes messages over plain TCP on 127.0.0.1 and passes them to a server over TLS.
What comes while that is away is kept for it, and what is too much is lost.

Usage: gateway HOST[:PORT] --ca FILE --token FILE [--port P] [--keep BYTES]

      --ca FILE     the authorities that certify the server, in PEM
      --token FILE  the token that lets this client in
      --port P      the port to listen on, 0 for a free one (default 16900)
      --keep BYTES  how much is kept at most, 64 more for each message (default
                    1048576)
  -h, --help        print this

The first line of stdout is `listening on IP:PORT`. Then come, once a second if
they change, and at the end: how many messages were passed on, are kept, and are
lost. What was under way when a connection broke counts as passed on. Ctrl-C,
SIGTERM and SIGHUP end it, with 2 s for what is kept. RUST_LOG=debug shows more.
";

struct Options {
    server: String,
    authorities: OsString,
    token: OsString,
    port: u16,
    keep: usize,
}

fn main() -> ExitCode {
    run("gateway", HELP, parse_options, pass_on)
}

/// `None` when only help is wanted.
fn parse_options(mut arguments: Arguments) -> Result<Option<Options>, Failure> {
    let (mut server, mut authorities, mut token, mut port, mut keep) = (None, None, None, DEFAULT_PORT, 1 << 20);
    while let Some(argument) = arguments.next_argument()? {
        match argument {
            Value(address) if server.is_none() => server = Some(address.string()?),
            Long("ca") => authorities = Some(arguments.value()?),
            Long("token") => token = Some(arguments.value()?),
            Long("port") => port = arguments.number(0..=65535)?,
            Long("keep") => keep = arguments.number(0..=4 << 20)?,
            Short('h') | Long("help") => return Ok(None),
            _ => return Err(argument.unexpected().into()),
        }
    }
    match (server, authorities, token) {
        (Some(server), Some(authorities), Some(token)) => Ok(Some(Options { server, authorities, token, port, keep })),
        _ => Err(usage("HOST, --ca and --token are needed")),
    }
}

/// What has become of the messages that have come.
#[derive(Default)]
struct Counts {
    taken: AtomicU64,
    lost: AtomicU64,
}

fn pass_on(options: Options) -> Result<(), Failure> {
    let authorities = Authorities::from_pem_file(&options.authorities).map_err(|error| fail(format!("{error:#}")))?;
    let reconnect = Reconnect::new().longest_delay(Duration::from_secs(2)).at_start(true).keep_bytes(options.keep);
    let server = Client::builder()
        .tls(ClientConfig::new(authorities))
        .token(read_token(&options.token)?)
        .reconnect(reconnect)
        .build()?;
    let counts = Arc::new(Counts::default());
    let (again, losing) = (server.clone(), Arc::clone(&counts));
    let pass = move |message: &[u8]| {
        if again.send(message).is_err() {
            losing.lost.fetch_add(1, Relaxed);
        }
    };
    let unsent = Arc::clone(&counts);
    server.set_callback(
        callback::closures()
            .on_connect(|_, server| complain(format_args!("connected to {server}")))
            .on_disconnect(|_, server, reason| complain(format_args!("disconnected from {server}: {reason:#}")))
            .on_fail(move |_, error| match error {
                Error::Unsent { messages, .. } => drop(unsent.lost.fetch_add(*messages, Relaxed)),
                error => complain(format_args!("{error:#}")),
            }),
    );
    server.start(&options.server, true)?;
    let taking = Arc::clone(&counts);
    let vehicle = Server::builder().port(options.port).callback(callback::on_receive(move |_, message| {
        taking.taken.fetch_add(1, Relaxed);
        pass(message);
    }));
    let vehicle = vehicle.build()?;
    vehicle.start(true)?;
    say(format_args!("listening on 127.0.0.1:{}", vehicle.port()));

    let (stop, stopped) = bounded::<()>(1);
    on_stop(move || drop(stop))?;
    stop_when_unread();
    let now = || {
        let (lost, passed) = (counts.lost.load(Relaxed), server.stats().traffic.written.messages);
        format!("passed {passed}, kept {}, lost {lost}", counts.taken.load(Relaxed).saturating_sub(passed + lost))
    };
    let mut told = String::new();
    while stopped.recv_timeout(Duration::from_secs(1)) == Err(RecvTimeoutError::Timeout) {
        if told != now() {
            told = now();
            show(format_args!("{told}\n"));
        }
    }
    vehicle.close();
    let _ = server.flush(Duration::from_secs(2));
    server.close();
    say(now());
    Ok(())
}
