//! A server with sessions: what it knows of a client lies with the connection, and goes with it.
//!
//! A session has a name, an allowance of commands, and a sequence number. There is no map of sessions, and nothing to
//! be cleared up when somebody leaves.
//!
//! ```text
//! cargo run --release --example sessions
//! cargo run --release --example client
//! ```

use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use leads_comm::{Callback, Connection, DEFAULT_PORT, DisconnectReason, Error, Server, Service};
use lexopt::prelude::*;
use support::{Arguments, Failure, complain, on_stop, run, say};

const HELP: &str = "\
A server that tells its clients apart: each has a name, so many commands a
second, and a number for each command.

Usage: sessions [--port P] [--rate R] [--burst N]

      --port P   the port on 127.0.0.1, 0 for a free one (default 16900)
      --rate R   how many commands a second each client may send (default 2)
      --burst N  how many it may send at once after a pause (default 5)
  -h, --help     print this

Clients say `hello NAME`, and from then on anything is a command. Try it in
another terminal: cargo run --release --example client
";

/// What is known of a client, from its hello on.
struct Session {
    name: String,
    state: Mutex<State>,
}

/// What changes. Locked by the reader of the connection, and by every other thread that looks.
struct State {
    /// How many commands it may send now.
    allowance: f64,
    /// When that was true.
    since: Instant,
    /// The number of its last command.
    sequence: u64,
    refused: u64,
}

struct Sessions {
    rate: f64,
    burst: f64,
}

fn main() -> ExitCode {
    run("sessions", HELP, parse_options, |(port, sessions)| {
        let server = Server::builder().port(port).callback(sessions).build()?;
        let stopped = server.clone();
        on_stop(move || stopped.close())?;
        match server.start(false) {
            // Closed before the start, when Ctrl-C came that early.
            Ok(()) | Err(Error::Closed) => Ok(()),
            Err(error) => Err(error.into()),
        }
    })
}

/// `None` when only help is wanted.
fn parse_options(mut arguments: Arguments) -> Result<Option<(u16, Sessions)>, Failure> {
    let (mut port, mut sessions) = (DEFAULT_PORT, Sessions { rate: 2.0, burst: 5.0 });
    while let Some(argument) = arguments.next_argument()? {
        match argument {
            Long("port") => port = arguments.number(0..=65535)?,
            Long("rate") => sessions.rate = arguments.number(0.001..=1e6)?,
            Long("burst") => sessions.burst = f64::from(arguments.number(1..=1_000_000)?),
            Short('h') | Long("help") => return Ok(None),
            _ => return Err(argument.unexpected().into()),
        }
    }
    Ok(Some((port, sessions)))
}

impl Callback for Sessions {
    fn on_initialize(&self, service: &dyn Service) {
        service.local_addr().into_iter().for_each(|address| say(format_args!("listening on {address}")));
    }

    fn on_receive(&self, _: &dyn Service, connection: &Connection, message: &[u8]) {
        let text = String::from_utf8_lossy(message);
        let answer = match (connection.get::<Session>(), text.strip_prefix("hello ")) {
            (Some(session), _) => self.obey(&session, &text),
            (None, Some(name)) if is_name(name) => {
                let state = State { allowance: self.burst, since: Instant::now(), sequence: 0, refused: 0 };
                connection.insert(Session { name: name.to_owned(), state: Mutex::new(state) });
                say(format_args!("{name} is here"));
                format!("welcome, {name}")
            }
            (None, _) => "refused: say `hello NAME` first, 1 to 24 letters and digits".to_owned(),
        };
        if let Err(error) = connection.send(answer.as_bytes()) {
            complain(format_args!("sessions: {connection} was not answered: {error:#}"));
        }
    }

    fn on_disconnect(&self, _: &dyn Service, connection: &Connection, reason: &DisconnectReason) {
        // Who has never said hello has left nothing.
        let Some(session) = connection.get::<Session>() else { return };
        let State { sequence, refused, .. } = *session.state.lock().unwrap_or_else(PoisonError::into_inner);
        say(format_args!("{} leaves after {sequence} commands, {refused} refused: {reason}", session.name));
    }
}

impl Sessions {
    /// Does what a client wants, as far as it may; what it is answered.
    fn obey(&self, session: &Session, command: &str) -> String {
        let mut state = session.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let earned = self.rate * now.duration_since(state.since).as_secs_f64();
        (state.allowance, state.since) = ((state.allowance + earned).min(self.burst), now);
        if state.allowance < 1.0 {
            state.refused += 1;
            return format!("refused: more than {} commands a second", self.rate);
        }
        state.allowance -= 1.0;
        state.sequence += 1;
        say(format_args!("{} {}: {}", session.name, state.sequence, command.escape_debug()));
        format!("{} done", state.sequence)
    }
}

fn is_name(name: &str) -> bool {
    (1..=24).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric())
}
