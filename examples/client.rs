//! A client for the command line: sends every line typed, and prints every message that arrives.
//!
//! `cargo run --release --example client -- 127.0.0.1` talks to the example `server`.

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::Duration;

use leads_comm::{
    Callback, Client, Connection, DEFAULT_PORT, DEFAULT_SEPARATOR, DisconnectReason, Error, Service, SlowConsumer,
};
use lexopt::prelude::*;

#[path = "support/cli.rs"]
mod cli;
#[path = "support/lines.rs"]
mod lines;

use cli::{Failure, complain, fail};

const HELP: &str = "\
Sends every line of stdin to a server, and prints every message that the server sends as a line.

Usage: client HOST [--port P] [--separator S] [--wait]

  HOST               the server's name or IP address, which may name a port: 10.0.0.7, [::1]:16901
      --port P       the port where HOST names none (default 16900)
      --separator S  the bytes that end each message, the same as the server's (default ;)
      --wait         at the end of stdin go on receiving, until the server says goodbye
  -h, --help         print this

Stdout carries the messages and nothing else; without --wait, answers may come too late. A line ends
with \\n or \\r\\n, which is not sent. A server that reads slowly is waited for, up to 10 minutes.
Exit code 0: all of stdin was sent, and (with --wait) the server said goodbye; or nobody reads stdout any
more; or Ctrl-C or SIGTERM, and the server answered our goodbye in 3 s. 1: it could not be reached, or
left before that, or a line could not be sent, for instance because it contains the separator; stderr
says which. 2: a wrong call. RUST_LOG=debug shows what the library does.
";

/// How long a server that reads slowly is waited for: rather long than lose a line of a large file.
const PATIENCE: Duration = Duration::from_secs(600);

/// How long the server is given to read the rest and to answer our goodbye, if nothing comes from it meanwhile.
const DRAIN: Duration = Duration::from_secs(5);

/// How long all of that may take after Ctrl-C.
const LAST_WORDS: Duration = Duration::from_secs(3);

struct Options {
    host: String,
    port: u16,
    separator: Vec<u8>,
    wait: bool,
}

/// What the main thread waits for.
enum News {
    /// No more of stdin is sent: because all was read, or because the connection ends; and how many lines were not.
    InputEnded(bool, usize),
    /// Stdin or stdout is of no use any more; the connection is ending for it.
    Broken(Failure),
    Disconnected(DisconnectReason),
    /// There is no connection, or no hope for it.
    Failed(Failure),
}

/// What happens with the connection.
struct Terminal {
    wait: bool,
    news: Sender<News>,
}

impl Callback for Terminal {
    fn on_connect(&self, _: &dyn Service, connection: &Connection) {
        let (connection, wait, news) = (connection.clone(), self.wait, self.news.clone());
        // A thread that nobody waits for, because it may be blocked in reading when the program ends.
        thread::spawn(move || {
            let input = send_lines(&connection);
            let broken = input.is_err();
            let _ = news.send(input.unwrap_or_else(|error| News::Broken(fail(format!("cannot read stdin: {error}")))));
            if broken || !wait {
                // Begins the end; `on_disconnect` follows when everything is sent.
                connection.close();
            }
        });
    }

    fn on_receive(&self, _: &dyn Service, connection: &Connection, message: &[u8]) {
        let mut stdout = io::stdout().lock();
        let printed = stdout.write_all(message).and_then(|()| stdout.write_all(b"\n")).and_then(|()| stdout.flush());
        if let Err(error) = printed {
            let _ = self.news.send(News::Broken(Failure::of_stdout(&error)));
            connection.close();
        }
    }

    fn on_disconnect(&self, _: &dyn Service, _: &Connection, reason: &DisconnectReason) {
        let _ = self.news.send(News::Disconnected(reason.clone()));
    }
}

fn main() -> ExitCode {
    cli::run("client", HELP, parse_options, talk)
}

/// `None` when only help is wanted.
fn parse_options() -> Result<Option<Options>, lexopt::Error> {
    let (mut host, mut port, mut separator, mut wait) = (None, DEFAULT_PORT, DEFAULT_SEPARATOR.to_vec(), false);
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("port") => port = arguments.value()?.parse()?,
            Long("separator") => separator = arguments.value()?.into_encoded_bytes(),
            Long("wait") => wait = true,
            Short('h') | Long("help") => return Ok(None),
            Value(value) if host.is_none() => host = Some(value.string()?),
            _ => return Err(argument.unexpected()),
        }
    }
    Ok(Some(Options { host: host.ok_or("HOST is missing")?, port, separator, wait }))
}

fn talk(options: Options) -> Result<(), Failure> {
    let Options { host, port, separator, wait } = options;
    let (tell, news) = mpsc::channel();
    let client = Client::builder()
        .port(port)
        .separator(separator)
        .slow_consumer(SlowConsumer::Block(PATIENCE))
        .stall_timeout(PATIENCE)
        .flush_timeout(PATIENCE)
        .close_timeout(PATIENCE)
        .drain_timeout(DRAIN)
        .callback(Terminal { wait, news: tell.clone() })
        .build()?;
    let (stopping, interrupted) = (client.clone(), tell.clone());
    ctrlc::set_handler(move || {
        if let Some(connection) = stopping.connection() {
            connection.close();
            stopping.wait_timeout(LAST_WORDS);
        }
        // Too late to be heard if the regular end came in time.
        let _ = interrupted.send(News::Failed(fail("interrupted before the server said goodbye")));
    })?;
    // Not on this thread, which has to hear of Ctrl-C also while it connects.
    thread::spawn(move || {
        if let Err(error) = client.start(&host, false) {
            let _ = tell.send(News::Failed(error.into()));
        }
    });

    let (mut all_read, mut unsent, mut broken) = (false, 0, None);
    while let Ok(news) = news.recv_timeout(if broken.is_none() { Duration::MAX } else { LAST_WORDS }) {
        match news {
            News::InputEnded(all, lines) => (all_read, unsent) = (all, lines),
            News::Broken(failure) => broken = Some(failure),
            News::Failed(failure) => return Err(failure),
            News::Disconnected(_) if broken.is_some() => break,
            News::Disconnected(reason) => {
                let expected = match reason {
                    DisconnectReason::LocalClose { .. } => true,
                    DisconnectReason::PeerGoodbye { .. } => wait || all_read,
                    _ => false,
                };
                return match unsent {
                    _ if !expected || reason.undelivered().unsent_messages > 0 => {
                        Err(fail(format!("disconnected: {reason}")))
                    }
                    0 => Ok(()),
                    lines => Err(fail(format!("lines that were not sent: {lines}"))),
                };
            }
        }
    }
    broken.map_or(Ok(()), Err)
}

/// Sends the lines of stdin, as far as there is a connection.
fn send_lines(connection: &Connection) -> io::Result<News> {
    let mut stdin = io::stdin().lock();
    let mut line = Vec::new();
    let (mut number, mut unsent) = (0, 0);
    while lines::read_line(&mut stdin, &mut line)? {
        number += 1;
        match connection.send(&line) {
            Ok(()) => {}
            // Concerns this line only.
            Err(error @ (Error::InvalidMessage(_) | Error::MessageTooLong { .. })) => {
                complain(format_args!("client: line {number} was not sent: {error}"));
                unsent += 1;
            }
            // Why the connection has ended is told by `on_disconnect`.
            Err(_) => return Ok(News::InputEnded(false, unsent + 1)),
        }
    }
    Ok(News::InputEnded(true, unsent))
}
