//! `serve`: a server that prints what it is sent, and sends what is typed.
//!
//! ```text
//!   a client ──▶ printed ──▶ --echo: back to it, --relay: to all others
//!   a line of stdin ─────────────────────────────▶ to all
//! ```

use std::io::{self, IsTerminal};
use std::mem;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread;
use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use leads_comm::{
    Callback, Connection, Delivery, DisconnectReason, Error, Server, ServerBuilder, Service, SlowConsumer, key,
};

use crate::address::Address;
use crate::console::{Failure, Lines, complain, on_stop, stop_when_unread, tell};
use crate::endpoint::{self, Endpoint};
use crate::numbers::publishing;
use crate::pace::Pace;
use crate::show::{self, End, Printer, Until};

const EXAMPLES: &str = "\
Examples:
  leads-comm serve                         for clients on this machine
  leads-comm serve :16900 --relay          for a team: each hears the others
  leads-comm serve --leads < messages      a line of a file is a message
  leads-comm serve unix:/tmp/leads --echo  answers everything with itself";

/// What the options do not tell.
const NOTES: &str = "\
A client that is behind, by more than 4 MiB and the longest message, is waited
for, at most 5 s; with --relay it loses the oldest messages. --slow says which:
wait; drop; latest, which skips to the newest message; or disconnect.

Stdin is read once the first client is there; its end does not end the server.

Exit code 0: as many messages as -c says, or silence as long as -W says, or as
long as --duration says, or Ctrl-C, or nobody reads stdout any more. 1: it
failed. 2: a wrong call. 3: silence, or the time was up, before -c was reached.";

/// How long a message waits for a client that reads slowly.
const PATIENCE: Duration = Duration::from_secs(5);

/// What becomes of a client that reads slowly.
const SLOW: [&str; 4] = ["wait", "drop", "latest", "disconnect"];

pub(crate) fn command() -> Command {
    let command = Command::new("serve")
        .about("Print what clients send, and send them each line that is typed")
        .before_help(EXAMPLES)
        .after_help(NOTES)
        .arg(endpoint::address_argument().help("IP[:PORT], :PORT for all, tls://IP, unix:PATH (default 127.0.0.1)"))
        .args([
            Arg::new("echo").long("echo").action(ArgAction::SetTrue).help("Answer each message with itself"),
            Arg::new("relay")
                .long("relay")
                .action(ArgAction::SetTrue)
                .help("Pass each message on to all other clients"),
            Arg::new("slow")
                .long("slow")
                .value_name("WHAT")
                .value_parser(SLOW)
                .hide_possible_values(true)
                .help("Who is behind: wait, drop, latest, disconnect"),
            Arg::new("max-connections")
                .long("max-connections")
                .value_name("N")
                .value_parser(value_parser!(u32).range(1..=1_000_000))
                .help("How many clients there may be (default 1024)"),
            Pace::option(),
            publishing::option(),
        ]);
    endpoint::with_server_options(show::with_options(Until::with_options(command)))
        .mut_arg("tls-ca", |argument| argument.help("Let in only whom they have certified, in PEM"))
        .mut_arg("null", |argument| argument.help("NUL instead of newlines, read or printed"))
        .mut_arg("tls-name", |argument| argument.hide(true))
}

pub(crate) fn run(matches: &ArgMatches) -> Result<(), Failure> {
    let here = Address::Tcp { host: Some("127.0.0.1".into()), port: None, tls: false };
    let endpoint = Arc::new(Endpoint::of(matches, Some(here))?);
    let (first, is_there) = mpsc::sync_channel(1);
    let terminal = Arc::new(Terminal {
        endpoint: Arc::clone(&endpoint),
        echo: matches.get_flag("echo"),
        relay: matches.get_flag("relay"),
        printer: Printer::of(matches, true)?,
        until: Until::of(matches),
        first,
    });
    let slow = matches.get_one::<String>("slow").map(String::as_str);
    let slow = slow.unwrap_or(if terminal.relay { "drop" } else { "wait" });
    let mut builder =
        served(endpoint.server()?, slow, endpoint.room()).callback((endpoint.watch(), Arc::clone(&terminal)));
    if let Some(connections) = matches.get_one::<u32>("max-connections") {
        builder = builder.max_connections(*connections as usize);
    }
    let server = builder.build()?;
    publishing::publish(matches, &server, endpoint.token())?;
    terminal.printer.begin();

    let (stopping, typed) = (server.clone(), server.clone());
    on_stop(move || stopping.close())?;
    stop_when_unread();
    let lines = Lines::of_stdin(endpoint.max_message_len);
    let lines = if matches.get_flag("null") { lines.ended_by_nul() } else { lines };
    let pace = Pace::of(matches);
    // A thread that nobody waits for, because it may be blocked in reading when the command ends.
    thread::spawn(move || broadcast_lines(&typed, &is_there, lines, pace));
    // However short the time is, it has listened.
    match server.start(true) {
        Ok(()) => {}
        // Closed before the start, when Ctrl-C came that early.
        Err(Error::Closed) => return Ok(()),
        Err(error) => return Err(error.into()),
    }
    let (served, ending) = (server.clone(), Arc::clone(&terminal));
    thread::spawn(move || {
        served.wait();
        ending.until.end();
    });
    let end = terminal.until.wait();
    server.close();
    match end {
        End::Enough | End::Told => Ok(()),
        End::Silence | End::TimeUp => terminal.until.judge(end, "messages"),
    }
}

/// Serves each client so when it is behind.
fn served(builder: ServerBuilder, slow: &str, room: usize) -> ServerBuilder {
    match slow {
        "wait" => builder.slow_consumer(SlowConsumer::Block(PATIENCE)),
        "latest" => builder.key(key::all()).delivery(Delivery::new().max_queued_bytes(room).conflate(true)),
        "drop" => builder.slow_consumer(SlowConsumer::DropOldest),
        _ => builder.slow_consumer(SlowConsumer::Disconnect),
    }
}

/// What is printed, and what becomes of a message.
struct Terminal {
    endpoint: Arc<Endpoint>,
    echo: bool,
    relay: bool,
    printer: Printer,
    until: Until,
    /// Told when somebody is there.
    first: SyncSender<()>,
}

impl Callback for Terminal {
    fn on_initialize(&self, service: &dyn Service) {
        self.endpoint.tell_listening(service);
    }

    fn on_connect(&self, _: &dyn Service, connection: &Connection) {
        tell(format_args!("#{} {connection} connected", connection.id()));
        // Nobody but the first is waited for.
        let _ = self.first.try_send(());
    }

    fn on_receive(&self, service: &dyn Service, connection: &Connection, message: &[u8]) {
        self.until.count(|| {
            self.printer.show(connection, message);
            // What was received can be sent; that somebody cannot be reached is told by `on_disconnect`.
            if self.echo {
                let _ = connection.send(message);
            }
            if self.relay {
                let _ = service.broadcast_where(message, &mut |peer| peer != connection);
            }
        });
    }

    fn on_disconnect(&self, _: &dyn Service, connection: &Connection, reason: &DisconnectReason) {
        tell(format_args!("#{} {connection} disconnected: {reason:#}", connection.id()));
    }

    fn on_fail(&self, _: &dyn Service, error: &Error) {
        tell(format_args!("{error:#}"));
    }
}

/// Sends the lines of stdin to all clients, from when there is one until the end of stdin, or the command's.
fn broadcast_lines(server: &Server, is_there: &Receiver<()>, mut lines: Lines, mut pace: Option<Pace>) {
    if is_there.recv().is_err() {
        return;
    }
    let (mut number, mut to_nobody) = (0, 0);
    loop {
        let line = match lines.next_line() {
            Ok(Some(line)) => line,
            Ok(None) => {
                tell_of_nobody(to_nobody);
                if io::stdin().is_terminal() {
                    tell("stdin has ended; clients are still served, and Ctrl-C ends that");
                }
                return;
            }
            Err(error) => return complain(format_args!("leads-comm: cannot read stdin: {error}")),
        };
        number += 1;
        if let Some(pace) = &mut pace {
            pace.wait();
        }
        let sent = line
            .map_err(|too_long| too_long.to_string())
            .and_then(|line| server.broadcast(line).map_err(|error| format!("{error:#}")));
        match sent {
            Ok(0) => to_nobody += 1,
            Ok(_) => tell_of_nobody(mem::take(&mut to_nobody)),
            Err(why) => complain(format_args!("leads-comm: line {number} was not sent: {why}")),
        }
    }
}

/// Nobody waits for clients to come back: what is typed may be worth nothing by then.
fn tell_of_nobody(lines: u64) {
    if lines > 0 {
        tell(format_args!("lines of stdin for which no client was there: {lines}"));
    }
}
