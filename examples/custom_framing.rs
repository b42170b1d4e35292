//! A framing of the program's own, for peers that have one already: consistent overhead byte stuffing, as on many
//! serial lines.
//!
//! Two methods are asked for, one that makes a frame and one that finds it, in `custom_framing/cobs.rs`; everything
//! else is as with the framings of the library. Before you write one, see whether [`Framing::Length`] does.
//!
//! ```text
//! cargo run --release --example custom_framing
//! ```

use std::process::ExitCode;
use std::time::Duration;

use leads_comm::callback::{self, Event};
use leads_comm::codec::Framing;
use leads_comm::{Client, Server};
use lexopt::prelude::*;
use support::{Arguments, Failure, fail, run, say};

#[path = "custom_framing/cobs.rs"]
mod cobs;

use cobs::Cobs;

const HELP: &str = "\
Sends binary messages from a client to a server and back, both with a framing of
this example's own, COBS, and checks what arrives.

Usage: custom_framing

  -h, --help  print this

Exit code 0: everything arrived. 1: something did not; stderr says what. 2: a
wrong call. RUST_LOG=debug shows what the library does.
";

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(20);

fn main() -> ExitCode {
    run("custom_framing", HELP, parse_options, |()| show())
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
    let framing = Framing::custom(Cobs).map_err(|error| fail(format!("the framing: {error}")))?;
    let echo = callback::on_receive(|connection, message| drop(connection.send(message)));
    let server = Server::builder().port(0).framing(framing.clone()).callback(echo).build()?;
    server.start(true)?;
    let (callback, events) = callback::channel(16);
    let client = Client::builder().port(server.port()).framing(framing).callback(callback).build()?;
    client.start("127.0.0.1", true)?;
    for len in [0, 1, 254, 255, 60 * 1024] {
        // Every byte there is, the zero that ends frames among them.
        let message: Vec<u8> = (0..len).map(|at| (at % 256) as u8).collect();
        client.send(&message)?;
        loop {
            match events.recv_timeout(PATIENCE) {
                Ok(Event::Receive { message: echoed, .. }) if echoed == message => break,
                Ok(Event::Receive { .. }) => return Err(fail(format!("{len} bytes came back changed"))),
                Ok(_) => {}
                Err(_) => return Err(fail(format!("{len} bytes did not come back"))),
            }
        }
        say(format_args!("{len} bytes there and back"));
    }
    client.close();
    server.close();
    Ok(())
}
