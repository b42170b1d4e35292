//! A gateway from plain TCP on this machine to a TLS server elsewhere, over the times when that is away.
//!
//! ```text
//! cargo run --release --features tls --example gateway -- HOST:PORT --ca ca.pem --token FILE
//! ```

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use leads_comm::crossbeam_channel::{RecvTimeoutError, bounded};
use leads_comm::transport::tls::{Authorities, ClientConfig};
use leads_comm::{Client, Connection, DEFAULT_PORT, Delivery, Reconnect, Server, SlowConsumer, callback};
use lexopt::prelude::*;
use support::{Arguments, Failure, complain, fail, on_stop, run, say, usage};

const HELP: &str = "\
Takes messages over plain TCP on 127.0.0.1 and passes them on to a server, over
TLS and in order. What comes while that is away is kept, what is too much lost.
Tells where it listens, and every second how many messages were passed on, with
those under way when a connection broke, are kept and are lost. Ctrl-C ends it.

Usage: gateway HOST[:PORT] --ca FILE --token FILE [--port P] [--keep N]

      --ca FILE     the authorities that certify the server, in PEM
      --token FILE  the token that lets this client in
      --port P      the port to listen on, 0 for a free one (default 16900)
      --keep N      how many messages are kept, of up to 64 KiB (default 1000)
  -h, --help        print this
";

type Options = (String, OsString, OsString, u16, usize);

fn main() -> ExitCode {
    run("gateway", HELP, parse_options, pass_on)
}

/// `None` when only help is wanted.
fn parse_options(mut arguments: Arguments) -> Result<Option<Options>, Failure> {
    let (mut server, mut authorities, mut token, mut port, mut keep) = (None, None, None, DEFAULT_PORT, 1000);
    while let Some(argument) = arguments.next_argument()? {
        match argument {
            Value(address) if server.is_none() => server = Some(address.string()?),
            Long("ca") => authorities = Some(arguments.value()?),
            Long("token") => token = Some(arguments.value()?),
            Long("port") => port = arguments.number(0..=65535)?,
            Long("keep") => keep = arguments.number(0..=1_000_000)?,
            Short('h') | Long("help") => return Ok(None),
            _ => return Err(argument.unexpected().into()),
        }
    }
    match (server, authorities, token) {
        (Some(server), Some(authorities), Some(token)) => Ok(Some((server, authorities, token, port, keep))),
        _ => Err(usage("HOST, --ca and --token are needed")),
    }
}

/// What is between the vehicle and the server, which gets it in order: what comes back goes in front.
#[derive(Default)]
struct Passing {
    server: Option<Connection>,
    kept: VecDeque<Vec<u8>>,
    lost: usize,
}

fn pass_on((address, authorities, token, port, keep): Options) -> Result<(), Failure> {
    let token = fs::read_to_string(token).map_err(|error| fail(format!("cannot read the token: {error}")))?;
    let passing = Arc::<Mutex<Passing>>::default();
    let [entering, leaving, taking] = [0; 3].map(|_| Arc::clone(&passing));
    let callback = callback::closures()
        .on_connect(move |_, server| {
            complain(format_args!("connected to {server}"));
            let mut passing = entering.lock().unwrap();
            while passing.kept.front().is_some_and(|message| server.send(message).is_ok()) {
                passing.kept.pop_front();
            }
            passing.server = Some(server.clone());
        })
        .on_disconnect(move |_, server, reason| {
            complain(format_args!("disconnected from {server}: {reason:#}"));
            let mut passing = leaving.lock().unwrap();
            server.take_unsent().into_iter().rev().for_each(|message| passing.kept.push_front(message));
            passing.server = None;
        })
        .on_fail(|_, error| complain(format_args!("{error:#}")));
    let server = Client::builder()
        .tls(ClientConfig::new(Authorities::from_pem_file(authorities).map_err(|error| fail(format!("{error:#}")))?))
        .token(token.trim_end())
        .reconnect(Reconnect::new().longest_delay(Duration::from_secs(2)).at_start(true))
        .keep_unsent(true)
        .delivery(Delivery::new().max_unsent_bytes(16 * 1024)) // What the system holds does not come back.
        .slow_consumer(SlowConsumer::Block(Duration::from_secs(5))) // So the vehicle is slowed down.
        .callback(callback)
        .build()?;
    let take = callback::on_receive(move |_, message| {
        let mut passing = taking.lock().unwrap();
        let is_passed = passing.server.as_ref().is_some_and(|server| server.send(message).is_ok());
        match passing.kept.len() < keep {
            _ if is_passed => {}
            true => passing.kept.push_back(message.to_vec()),
            false => passing.lost += 1,
        }
    });
    let vehicle = Server::builder().port(port).max_received_len(64 * 1024).callback(take).build()?;
    vehicle.start(true)?;
    say(format_args!("listening on 127.0.0.1:{}", vehicle.port()));
    server.start(&address, true)?;

    let (stop, stopped) = bounded::<()>(1);
    on_stop(move || drop(stop))?;
    let now = || {
        let (passing, traffic) = (passing.lock().unwrap(), server.stats().traffic);
        let kept = passing.kept.len() as u64 + traffic.waiting.messages;
        format!("passed {}, kept {kept}, lost {}", traffic.written.messages, passing.lost)
    };
    while stopped.recv_timeout(Duration::from_secs(1)) == Err(RecvTimeoutError::Timeout) {
        say(now());
    }
    vehicle.close();
    server.close();
    say(now());
    Ok(())
}
