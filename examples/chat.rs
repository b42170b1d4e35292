//! A chat server: a name for each connection, and broadcasts to everyone else.
//!
//! One thread does it all, by waiting for events instead of being called: so the names are a plain map, without a
//! lock.
//!
//! ```text
//! cargo run --release --example chat
//! cargo run --release --example client -- 127.0.0.1
//! ```

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::process::ExitCode;

use leads_comm::callback::{self, Event};
use leads_comm::crossbeam_channel::{Receiver, bounded, select};
use leads_comm::{BindAddress, Connection, ConnectionId, DEFAULT_PORT, DEFAULT_SEPARATOR, Server};
use lexopt::prelude::*;
use support::{Arguments, Failure, complain, on_stop, run, show, stop_when_unread};

#[path = "chat/text.rs"]
mod text;

use text::{GUEST, LONGEST_NAME};

const HELP: &str = "\
A chat server: whatever one client says, all others read.

Usage: chat [--bind A] [--port P] [--separator S]

      --bind A       the IP address to listen on: 0.0.0.0 for all IPv4, :: for
                     all (default 127.0.0.1)
      --port P       the port, 0 for a free one (default 16900)
      --separator S  the bytes that end each message (default ;)
  -h, --help         print this

Clients say `/name NAME` to be called something, `/who` to learn who is there,
and anything else to talk. Try it in two more terminals, with the example
`client` or any LEADS client:

  cargo run --release --example client -- 127.0.0.1

or with netcat, which sends lines: `chat --separator $'\\n'` (bash), then
`nc 127.0.0.1 16900`.

Stdout carries `listening on IP:PORT`, then the conversation, as far as somebody
reads it. Ctrl-C, SIGTERM, SIGHUP, and nobody reading stdout any more, end it
with a goodbye to every client and exit code 0. A failure is exit code 1, a
wrong call 2. RUST_LOG=debug shows what the library does.
";

/// How many events may wait; a client that talks faster than they are handled is slowed down by its own stream.
const WAITING_EVENTS: usize = 1024;

struct Options {
    bind: BindAddress,
    port: u16,
    separator: Vec<u8>,
}

struct Chat {
    server: Server,
    names: HashMap<ConnectionId, String>,
}

fn main() -> ExitCode {
    run("chat", HELP, parse_options, serve)
}

/// `None` when only help is wanted.
fn parse_options(mut arguments: Arguments) -> Result<Option<Options>, Failure> {
    let mut options =
        Options { bind: Ipv4Addr::LOCALHOST.into(), port: DEFAULT_PORT, separator: DEFAULT_SEPARATOR.into() };
    while let Some(argument) = arguments.next_argument()? {
        match argument {
            Long("bind") => options.bind = arguments.ip()?,
            Long("port") => options.port = arguments.number(0..=65535)?,
            Long("separator") => options.separator = arguments.separator()?,
            Short('h') | Long("help") => return Ok(None),
            _ => return Err(argument.unexpected().into()),
        }
    }
    Ok(Some(options))
}

fn serve(options: Options) -> Result<(), Failure> {
    let Options { bind, port, separator } = options;
    let (callback, events) = callback::channel(WAITING_EVENTS);
    let server = Server::builder().bind(bind).port(port).separator(separator).callback(callback).build()?;
    let (interrupt, interrupted) = bounded(1);
    on_stop(move || {
        let _ = interrupt.send(());
    })?;
    stop_when_unread();
    server.start(true)?;
    let mut chat = Chat { server: server.clone(), names: HashMap::new() };
    chat.run(&events, &interrupted);
    // Nobody receives events any more, and the end must not wait for somebody who does.
    drop(events);
    server.close();
    Ok(())
}

impl Chat {
    /// Handles events until the program has to end.
    fn run(&mut self, events: &Receiver<Event>, interrupted: &Receiver<()>) {
        if let Some(address) = self.server.local_addr() {
            say(&format!("listening on {address}"));
        }
        loop {
            select! {
                recv(events) -> event => match event {
                    Ok(event) => self.handle(event),
                    Err(_) => return,
                },
                recv(interrupted) -> _ => return,
            }
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Connect { connection } => {
                // Nobody else can be called that.
                let name = format!("{GUEST}{}", connection.id());
                self.names.insert(connection.id(), name.clone());
                send(&connection, &format!("welcome, {name}. Say /name NAME to be called something else"));
                self.tell_others(&connection, &format!("{name} joins"));
            }
            Event::Receive { connection, message } => self.hear(&connection, &message),
            Event::Disconnect { connection, reason } => {
                let name = self.names.remove(&connection.id()).unwrap_or_default();
                complain(format_args!("{connection} {name} disconnected: {reason:#}"));
                self.tell_others(&connection, &format!("{name} leaves"));
            }
            Event::Fail { error } => complain(format_args!("chat: {error:#}")),
            _ => {}
        }
    }

    fn hear(&mut self, connection: &Connection, message: &[u8]) {
        // Connected before it could say anything.
        let name = self.names[&connection.id()].clone();
        let text = String::from_utf8_lossy(message);
        let text = text.trim_matches([' ', '\t', '\r', '\n']);
        match text.split_once(' ').unwrap_or((text, "")) {
            ("", _) => {}
            // As it was written: nothing is left out of a name.
            ("/name", wanted) => self.rename(connection, &name, wanted.trim_matches(' ')),
            ("/who", _) => {
                let names: Vec<&str> = self.names.values().map(String::as_str).collect();
                send(connection, &names.join(", "));
            }
            _ => self.tell_others(connection, &format!("{name}: {}", text::printable(text))),
        }
    }

    fn rename(&mut self, connection: &Connection, name: &str, wanted: &str) {
        let lower = wanted.to_lowercase();
        let is_taken = |(id, name): (&ConnectionId, &String)| *id != connection.id() && name.to_lowercase() == lower;
        if !text::is_name(wanted) || self.names.iter().any(is_taken) {
            let rule =
                format!("a name has 1 to {LONGEST_NAME} characters that can be seen, and belongs to nobody else");
            send(connection, &rule);
            return;
        }
        self.names.insert(connection.id(), wanted.to_owned());
        send(connection, &format!("you are {wanted} now"));
        self.tell_others(connection, &format!("{name} is {wanted} now"));
    }

    fn tell_others(&self, speaker: &Connection, text: &str) {
        // Whoever has not been welcomed yet is told nothing either.
        let is_other = |peer: &Connection| peer != speaker && self.names.contains_key(&peer.id());
        if let Err(error) = self.server.broadcast_where(text.as_bytes(), is_other) {
            // For instance with a separator that occurs in our own words.
            complain(format_args!("chat: not passed on: {error:#}"));
        }
        say(text);
    }
}

fn send(connection: &Connection, text: &str) {
    if let Err(error) = connection.send(text.as_bytes()) {
        complain(format_args!("chat: {connection} was not answered: {error:#}"));
    }
}

/// Nobody has to read the conversation: it goes on.
fn say(text: &str) {
    show(format_args!("{text}\n"));
}
