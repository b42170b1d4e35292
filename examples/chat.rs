//! A chat server: a name for each connection, and broadcasts to everyone else.
//!
//! What somebody is called is kept with the connection, so there is no map of names, and nothing to be cleared up when
//! somebody leaves.
//!
//! ```text
//! cargo run --release --example chat
//! cargo run --release --example client
//! ```

use std::net::Ipv4Addr;
use std::process::ExitCode;
use std::sync::{Mutex, MutexGuard, PoisonError};

use leads_comm::{
    BindAddress, Callback, Connection, DEFAULT_PORT, DEFAULT_SEPARATOR, DisconnectKind, DisconnectReason, Error,
    Server, Service,
};
use lexopt::prelude::*;
use support::{Arguments, Failure, complain, on_stop, run, say};

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

  cargo run --release --example client

or with netcat, which sends lines: `chat --separator $'\\n'` (bash), then
`nc 127.0.0.1 16900`.

Stdout carries `listening on IP:PORT`, then the conversation. Ctrl-C ends it,
with a goodbye to every client.
";

struct Options {
    bind: BindAddress,
    port: u16,
    separator: Vec<u8>,
}

/// What somebody is called, from the welcome on.
struct Name(String);

#[derive(Default)]
struct Chat {
    /// Held by who gets a name, so that no two get the same, and who is welcomed hears all that is said from then on;
    /// and by who says something.
    turn: Mutex<()>,
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
    let server = Server::builder().bind(bind).port(port).separator(separator).callback(Chat::default()).build()?;
    let stopped = server.clone();
    on_stop(move || stopped.close())?;
    match server.start(false) {
        // Closed before the start, when Ctrl-C came that early.
        Ok(()) | Err(Error::Closed) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

impl Callback for Chat {
    fn on_initialize(&self, service: &dyn Service) {
        if let Some(address) = service.local_addr() {
            say(format_args!("listening on {address}"));
        }
    }

    fn on_connect(&self, service: &dyn Service, connection: &Connection) {
        // Nobody else can be called that.
        let name = format!("{GUEST}{}", connection.id());
        let turn = self.turn();
        send(connection, &format!("welcome, {name}. Say /name NAME to be called something else"));
        connection.insert(Name(name.clone()));
        tell_others(&turn, service, connection, &format!("{name} joins"));
    }

    fn on_receive(&self, service: &dyn Service, connection: &Connection, message: &[u8]) {
        let Some(name) = name_of(connection) else { return };
        let text = String::from_utf8_lossy(message);
        let text = text.trim_matches([' ', '\t', '\r', '\n']);
        match text.split_once(' ').unwrap_or((text, "")) {
            ("", _) => {}
            // As it was written: nothing is left out of a name.
            ("/name", wanted) => self.rename(service, connection, &name, wanted.trim_matches(' ')),
            ("/who", _) => {
                let names: Vec<String> = service.connections().iter().filter_map(name_of).collect();
                send(connection, &names.join(", "));
            }
            _ => tell_others(&self.turn(), service, connection, &format!("{name}: {}", text::printable(text))),
        }
    }

    fn on_disconnect(&self, service: &dyn Service, connection: &Connection, reason: &DisconnectReason) {
        let name = name_of(connection).unwrap_or_default();
        complain(format_args!("{connection} {name} disconnected: {reason:#}"));
        // At the end of the chat everybody does.
        if reason.kind() != DisconnectKind::ServiceClosed {
            tell_others(&self.turn(), service, connection, &format!("{name} leaves"));
        }
    }

    fn on_fail(&self, _: &dyn Service, error: &Error) {
        complain(format_args!("chat: {error:#}"));
    }
}

impl Chat {
    fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn rename(&self, service: &dyn Service, connection: &Connection, name: &str, wanted: &str) {
        let turn = self.turn();
        let lower = wanted.to_lowercase();
        let is_taken =
            |peer: &Connection| peer != connection && name_of(peer).is_some_and(|name| name.to_lowercase() == lower);
        let is_free = text::is_name(wanted) && !service.connections().iter().any(is_taken);
        if is_free {
            connection.insert(Name(wanted.to_owned()));
            // Who comes next has missed nothing.
            send(connection, &format!("you are {wanted} now"));
            tell_others(&turn, service, connection, &format!("{name} is {wanted} now"));
        } else {
            let rule =
                format!("a name has 1 to {LONGEST_NAME} characters that can be seen, and belongs to nobody else");
            send(connection, &rule);
        }
    }
}

fn tell_others(_turn: &MutexGuard<'_, ()>, service: &dyn Service, speaker: &Connection, text: &str) {
    // Before anybody can answer it.
    say(text);
    // A guest who has not been welcomed yet is told nothing either.
    let mut is_other = |peer: &Connection| peer != speaker && peer.get::<Name>().is_some();
    if let Err(error) = service.broadcast_where(text.as_bytes(), &mut is_other) {
        // For instance with a separator that occurs in our own words.
        complain(format_args!("chat: not passed on: {error:#}"));
    }
}

fn name_of(connection: &Connection) -> Option<String> {
    Some(connection.get::<Name>()?.0.clone())
}

fn send(connection: &Connection, text: &str) {
    if let Err(error) = connection.send(text.as_bytes()) {
        complain(format_args!("chat: {connection} was not answered: {error:#}"));
    }
}
