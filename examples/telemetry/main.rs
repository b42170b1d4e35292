//! The main job: a server publishes this machine's metrics, and viewers receive and check every message.
//!
//! ```text
//! cargo run --release --example telemetry
//! ```
//!
//! One process plays both parts unless told otherwise: the server runs in the background, and the viewers connect to
//! it over TCP as they would from elsewhere. `publisher.rs` is the server, `viewer.rs` the client.

use std::net::Ipv4Addr;
use std::process::ExitCode;
use std::time::Duration;

use leads_comm::{BindAddress, DEFAULT_PORT, DisconnectReason};
use lexopt::prelude::*;
use support::{Arguments, Failure, run, usage};

mod message;
mod modes;
mod publisher;
mod screen;
mod sensors;
mod viewer;
mod want;
mod watch;

use want::Want;

const HELP: &str = "\
Publishes this machine's CPU, memory, network and load as JSON messages, and
checks what arrives.

Usage: telemetry [--rate HZ] [--viewers N] [--seconds S]
       telemetry --serve [--bind A] [--port P] [--no-monitor] [--rate HZ]
                 [--seconds S]
       telemetry --connect HOST[:PORT] [--want W] [--seconds S]

Without --serve and --connect, a server and its viewers run in this process and
talk over TCP. Each viewer checks every message; the end is a summary.

      --rate HZ       messages per second (default 20)
      --viewers N     how many viewers (default 3)
      --seconds S     for how long (default 10; with --serve and --connect,
                      until Ctrl-C)
      --serve         publish to viewers elsewhere
      --bind A        the IP address to listen on: 0.0.0.0 for all IPv4, :: for
                      all (default 127.0.0.1)
      --port P        the port to listen on, 0 for a free one (default 16900)
      --no-monitor    publish no numbers: who is connected, how fast, and who is
                      slow. They are for this machine only, at the port that is
                      9 above the other, and `leads-comm top` shows them
      --connect HOST  be a viewer of a publisher elsewhere; the lines of stdin
                      are sent as commands
      --want W        be served in another way than every state once: `newest`
                      leaves out what is old before it can be sent, `everything`
                      is waited for, `events` are all there is; the first two
                      bring the events as well
  -h, --help          print this

Viewers may send the commands `time_lap` and `hazard`, which the publisher obeys
by printing what it does, and tells as an event; two of its own viewers do. What
they want they send as well: `want newest`. With --connect, the jitter
is shown instead of the latency, since the clocks of two machines cannot be
compared.

Exit code 0: nothing was lost. 1: something was, or it could not be done; stderr
says what. 2: a wrong call. Ctrl-C ends it early, with the summary.
RUST_LOG=debug shows what the library does.
";

/// What is asked for.
pub(crate) enum Options {
    Demo { rate: f64, viewers: usize, seconds: Duration },
    Serve { bind: BindAddress, port: u16, monitor: bool, rate: f64, seconds: Option<Duration> },
    Connect { address: String, want: Option<Want>, seconds: Option<Duration> },
}

/// What the threads of the library, of stdin and of Ctrl-C tell the main thread, which shows it.
pub(crate) enum Note {
    Connected(String),
    Disconnected(DisconnectReason),
    Line(String),
    /// Like `Line`, and the outcome of something typed on this terminal.
    Typed(String),
    Interrupted,
}

fn main() -> ExitCode {
    run("telemetry", HELP, parse_options, |options| match options {
        Options::Demo { rate, viewers, seconds } => modes::demo(rate, viewers, seconds),
        Options::Serve { bind, port, monitor, rate, seconds } => modes::serve(bind, port, monitor, rate, seconds),
        Options::Connect { address, want, seconds } => modes::connect(&address, want, seconds),
    })
}

/// `None` when only help is wanted.
fn parse_options(mut arguments: Arguments) -> Result<Option<Options>, Failure> {
    let (mut rate, mut viewers, mut seconds, mut bind, mut port) = (None, None, None, None, None);
    let (mut serve, mut address, mut want, mut monitor) = (false, None, None, true);
    while let Some(argument) = arguments.next_argument()? {
        match argument {
            Long("rate") => rate = Some(arguments.number(0.001..=100_000.0)?),
            Long("viewers") => viewers = Some(arguments.number(1..=1000)?),
            Long("seconds") => seconds = Some(Duration::from_secs_f64(arguments.number(0.001..=1e9)?)),
            Long("bind") => bind = Some(arguments.ip()?),
            Long("port") => port = Some(arguments.number(0..=65535)?),
            Long("serve") => serve = true,
            Long("no-monitor") => monitor = false,
            Long("connect") => address = Some(arguments.text()?),
            Long("want") => want = Some(arguments.parsed("newest, everything or events", Want::named)?),
            Short('h') | Long("help") => return Ok(None),
            _ => return Err(argument.unexpected().into()),
        }
    }
    let wrong = |is_wrong: bool, text: &str| if is_wrong { Err(usage(text)) } else { Ok(()) };
    wrong(serve && address.is_some(), "--serve goes without --connect")?;
    wrong(address.is_some() && rate.is_some(), "--rate goes without --connect")?;
    wrong((serve || address.is_some()) && viewers.is_some(), "--viewers goes without --serve and --connect")?;
    wrong(address.is_none() && want.is_some(), "--want goes with --connect")?;
    wrong(!serve && bind.is_some(), "--bind goes with --serve")?;
    wrong(!serve && port.is_some(), "--port goes with --serve")?;
    wrong(!serve && !monitor, "--no-monitor goes with --serve")?;
    let rate = rate.unwrap_or(20.0);
    Ok(Some(match address {
        Some(address) => Options::Connect { address, want, seconds },
        None if serve => Options::Serve {
            bind: bind.unwrap_or(Ipv4Addr::LOCALHOST.into()),
            port: port.unwrap_or(DEFAULT_PORT),
            monitor,
            rate,
            seconds,
        },
        None => {
            let seconds = seconds.unwrap_or(Duration::from_secs(10));
            Options::Demo { rate, viewers: viewers.unwrap_or(3), seconds }
        }
    }))
}
