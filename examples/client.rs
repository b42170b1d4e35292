//! A client for the command line: sends every line typed, and prints every message that arrives.
//!
//! `cargo run --release --example client -- 127.0.0.1` talks to the example `server`.

use std::ffi::OsString;
use std::io;
use std::process::ExitCode;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use leads_comm::{
    Attempt, Callback, Client, Closing, Connection, DEFAULT_PORT, DEFAULT_SEPARATOR, DisconnectCause, DisconnectReason,
    Error, Reconnect, Service, SlowConsumer, Timeouts,
};
use lexopt::prelude::*;
use support::{Arguments, Failure, Lines, complain, fail, on_stop, print, read_token, run, stop_when_unread, usage};

mod tls_files;

use tls_files::TlsFiles;

const HELP: &str = "\
Sends every line of stdin to a server, and prints every message that the server
sends as a line.

Usage: client HOST [--port P] [options]
       client --unix PATH [options]

  HOST               the server's name or IP address, which may name a port:
                     10.0.0.7, [::1]:16901
      --port P       the port where HOST names none (default 16900)
      --unix PATH    the path of the server's Unix socket instead; on Linux also
                     @NAME, which is no file
      --separator S  the bytes that end each message, the same as the server's
                     (default ;)
      --token FILE   send the token in this file first, to a server that asks
                     for it
      --tls-ca FILE  speak TLS, with a server that has a certificate of one of
                     the authorities in this PEM file (built with
                     `--features tls`)
      --tls-cert FILE, --tls-key FILE
                     have a certificate oneself, for a server that asks for it
      --tls-name N   whom the server's certificate has to be for (default HOST;
                     with --unix there is none)
      --wait         at the end of stdin go on receiving, until the server says
                     goodbye
      --reconnect    connect again whenever the connection ends, and also if
                     there is no server yet; go on so until the end of stdin,
                     with --wait until Ctrl-C. Stderr tells of each attempt
  -h, --help         print this

Stdout carries the messages and nothing else; who reads it slowly slows down the
server. Without --wait, answers may come too late. A line ends with \\n or
\\r\\n, which is not sent, and has up to 1 MiB. A server that reads slowly is
waited for, up to 10 minutes.

Exit code 0: all of stdin was sent, and (with --wait) the server said goodbye;
or nobody reads stdout any more; or Ctrl-C, SIGTERM or SIGHUP, and the server
answered our goodbye in 3 s. 1: it could not be reached, did not let the client
in, or left before that, or a line could not be sent, for instance because it
contains the separator; stderr says which. With --reconnect: 1 if a line had not
been written when its connection ended, or was thrown away by a server that did
not let the client in. 2: a wrong call. RUST_LOG=debug shows what the library
does.
";

/// How long a server that reads slowly is waited for: rather long than lose a line of a large file.
const PATIENCE: Duration = Duration::from_secs(600);

/// How long the server is given to read the rest and to answer our goodbye, if nothing comes from it meanwhile.
const DRAIN: Duration = Duration::from_secs(5);

/// How long all of that may take after Ctrl-C.
const LAST_WORDS: Duration = Duration::from_secs(3);

struct Options {
    /// With `is_path` a path.
    host: String,
    is_path: bool,
    port: u16,
    separator: Vec<u8>,
    token: Option<OsString>,
    tls: TlsFiles,
    tls_name: Option<String>,
    wait: bool,
    reconnect: bool,
}

/// What the main thread waits for.
enum News {
    /// No more of stdin is sent: because all was read, or because the connection ends; and how many lines were not.
    InputEnded(bool, usize),
    /// Stdin cannot be read; the connection is ending for it.
    Broken(Failure),
    Disconnected(DisconnectReason),
    /// There is no connection, or no hope for it.
    Failed(Failure),
    /// The client has ended, and does not connect again.
    Ended,
}

/// What happens with the connection, or with one after the other.
struct Terminal {
    wait: bool,
    reconnect: bool,
    news: Sender<News>,
    /// Gives the thread that reads stdin each connection.
    input: OnceLock<Sender<Connection>>,
    /// Why there is no connection.
    cause: Mutex<String>,
}

impl Callback for Terminal {
    fn on_connect(&self, _: &dyn Service, connection: &Connection) {
        let input = self.input.get_or_init(|| {
            let (tell, connections) = mpsc::channel();
            let (wait, reconnect, news) = (self.wait, self.reconnect, self.news.clone());
            // A thread that nobody waits for, because it may be blocked in reading when the program ends.
            thread::spawn(move || read_input(&connections, wait, reconnect, &news));
            tell
        });
        let _ = input.send(connection.clone());
    }

    fn on_receive(&self, _: &dyn Service, _: &Connection, message: &[u8]) {
        print(&[message, b"\n"]);
    }

    fn on_disconnect(&self, _: &dyn Service, _: &Connection, reason: &DisconnectReason) {
        self.note(format!("{reason:#}"));
        let _ = self.news.send(News::Disconnected(reason.clone()));
    }

    fn on_reconnect(&self, _: &dyn Service, attempt: &Attempt) {
        let cause = self.cause.lock().unwrap_or_else(PoisonError::into_inner);
        let (number, seconds) = (attempt.number, attempt.delay.as_secs_f64());
        complain(format_args!("client: {cause}; reconnecting, attempt {number} in {seconds:.1} s"));
    }

    fn on_fail(&self, _: &dyn Service, error: &Error) {
        self.note(format!("{error:#}"));
    }
}

impl Terminal {
    fn note(&self, cause: String) {
        *self.cause.lock().unwrap_or_else(PoisonError::into_inner) = cause;
    }
}

fn main() -> ExitCode {
    run("client", HELP, parse_options, talk)
}

/// `None` when only help is wanted.
fn parse_options(mut arguments: Arguments) -> Result<Option<Options>, Failure> {
    let (mut host, mut path, mut port, mut separator) = (None, None, None, DEFAULT_SEPARATOR.to_vec());
    let (mut token, mut wait, mut reconnect) = (None, false, false);
    let (mut tls, mut tls_name) = (TlsFiles::default(), None);
    while let Some(argument) = arguments.next_argument()? {
        match argument {
            Long("port") => port = Some(arguments.number(1..=65535)?),
            Long("unix") if cfg!(unix) => path = Some(arguments.text()?),
            Long("separator") => separator = arguments.separator()?,
            Long("token") => token = Some(arguments.value()?),
            Long("tls-ca") => tls.authorities = Some(arguments.value()?),
            Long("tls-cert") => tls.certificates = Some(arguments.value()?),
            Long("tls-key") => tls.key = Some(arguments.value()?),
            Long("tls-name") => tls_name = Some(arguments.text()?),
            Long("wait") => wait = true,
            Long("reconnect") => reconnect = true,
            Short('h') | Long("help") => return Ok(None),
            Value(value) if host.is_none() => host = Some(value.string()?),
            _ => return Err(argument.unexpected().into()),
        }
    }
    if path.is_some() && (host.is_some() || port.is_some()) {
        return Err(usage("--unix goes without HOST and --port"));
    }
    let is_path = path.is_some();
    if is_path && tls.authorities.is_some() && tls_name.is_none() {
        return Err(usage("--tls-ca with --unix needs --tls-name"));
    }
    let host = path.or(host).ok_or_else(|| usage("HOST is missing"))?;
    let port = port.unwrap_or(DEFAULT_PORT);
    Ok(Some(Options { host, is_path, port, separator, token, tls, tls_name, wait, reconnect }))
}

fn talk(options: Options) -> Result<(), Failure> {
    let Options { host, is_path, port, separator, token, tls, tls_name, wait, reconnect } = options;
    let (tell, news) = mpsc::channel();
    let (input, cause) = (OnceLock::new(), Mutex::default());
    let mut builder = Client::builder()
        .port(port)
        .separator(separator)
        .slow_consumer(SlowConsumer::Block(PATIENCE))
        .timeouts(Timeouts::new().stall_timeout(PATIENCE))
        .closing(Closing::new().flush_timeout(PATIENCE).close_timeout(PATIENCE).drain_timeout(DRAIN))
        .callback(Terminal { wait, reconnect, news: tell.clone(), input, cause });
    if is_path {
        #[cfg(unix)]
        {
            builder = builder.unix();
        }
    }
    if let Some(file) = token {
        builder = builder.token(read_token(&file)?);
    }
    builder = tls.connect(builder, tls_name.as_deref())?;
    if reconnect {
        builder = builder.reconnect(Reconnect::new().at_start(true));
    }
    let client = builder.build()?;
    let (stopping, interrupted) = (client.clone(), tell.clone());
    on_stop(move || {
        if reconnect {
            close_aside(&stopping);
            if stopping.wait_timeout(LAST_WORDS) {
                return;
            }
        } else if let Some(connection) = stopping.connection() {
            connection.close();
            stopping.wait_timeout(LAST_WORDS);
        }
        // Too late to be heard if the regular end came in time.
        let _ = interrupted.send(News::Failed(fail("interrupted before the server said goodbye")));
    })?;
    // Not on this thread, which has to hear of Ctrl-C also while it connects.
    let starting = client.clone();
    thread::spawn(move || {
        let _ = tell.send(match starting.start(&host, false) {
            Ok(()) => News::Ended,
            Err(error) => News::Failed(error.into()),
        });
    });
    if reconnect { outlive_connections(&client, wait, &news) } else { live_with_connection(wait, &news) }
}

/// Until the one connection has ended.
fn live_with_connection(wait: bool, news: &Receiver<News>) -> Result<(), Failure> {
    let (mut all_read, mut unsent, mut broken) = (false, 0, None);
    while let Ok(news) = news.recv_timeout(if broken.is_none() { Duration::MAX } else { LAST_WORDS }) {
        match news {
            News::InputEnded(all, lines) => (all_read, unsent) = (all, lines),
            News::Broken(failure) => broken = Some(failure),
            News::Failed(failure) => return Err(failure),
            News::Disconnected(_) | News::Ended if broken.is_some() => break,
            News::Ended => {}
            News::Disconnected(reason) => {
                let expected = match reason.cause {
                    DisconnectCause::LocalClose => true,
                    DisconnectCause::PeerGoodbye => wait || all_read,
                    _ => false,
                };
                return match unsent {
                    _ if !expected || reason.undelivered.unsent.messages > 0 => {
                        Err(fail(format!("disconnected: {reason:#}")))
                    }
                    0 => Ok(()),
                    lines => Err(fail(format!("lines that were not sent: {lines}"))),
                };
            }
        }
    }
    broken.map_or(Ok(()), Err)
}

/// Until the client has ended, whatever becomes of its connections.
fn outlive_connections(client: &Client, wait: bool, news: &Receiver<News>) -> Result<(), Failure> {
    let (mut unsent, mut lost, mut broken) = (0, 0, None);
    while let Ok(news) = news.recv_timeout(if broken.is_none() { Duration::MAX } else { LAST_WORDS }) {
        match news {
            News::InputEnded(_, lines) => {
                unsent = lines;
                if !wait {
                    close_aside(client);
                }
            }
            News::Broken(failure) => {
                broken = Some(failure);
                close_aside(client);
            }
            News::Disconnected(reason) => lost += reason.undelivered.unsent.messages,
            News::Failed(failure) => return Err(failure),
            News::Ended => break,
        }
    }
    match (broken, lost, unsent) {
        (Some(failure), _, _) => Err(failure),
        (None, 0, 0) => Ok(()),
        (None, 0, lines) => Err(fail(format!("lines that were not sent: {lines}"))),
        (None, lost, _) => Err(fail(format!("lines that were lost: {lost}"))),
    }
}

/// Begins the client's end; not here, because it lasts until everything is sent.
fn close_aside(client: &Client) {
    let client = client.clone();
    thread::spawn(move || client.close());
}

/// Sends what is read from stdin, and tells when that is done.
fn read_input(connections: &Receiver<Connection>, wait: bool, reconnect: bool, news: &Sender<News>) {
    let Ok(mut connection) = connections.recv() else { return };
    let input = send_lines(&mut connection, || if reconnect { connections.recv().ok() } else { None });
    let broken = input.is_err();
    let _ = news.send(input.unwrap_or_else(|error| News::Broken(fail(format!("cannot read stdin: {error}")))));
    if wait {
        // There is nothing left to do but to print.
        stop_when_unread();
    }
    if !reconnect && (broken || !wait) {
        // Begins the end; `on_disconnect` follows when everything is sent.
        connection.close();
    }
}

/// Sends the lines of stdin, as far as there is a connection, or a next one.
fn send_lines(connection: &mut Connection, mut next: impl FnMut() -> Option<Connection>) -> io::Result<News> {
    let mut lines = Lines::of_stdin();
    let (mut number, mut unsent) = (0, 0);
    let mut pass_over = |number, why: String| {
        complain(format_args!("client: line {number} was not sent: {why}"));
        unsent += 1;
    };
    while let Some(line) = lines.next_line()? {
        number += 1;
        let line = match line {
            Ok(line) => line,
            Err(too_long) => {
                pass_over(number, too_long.to_string());
                continue;
            }
        };
        loop {
            match connection.send(line) {
                Ok(()) => break,
                // Concerns this line only.
                Err(error @ (Error::InvalidMessage(_) | Error::MessageTooLong { .. })) => {
                    pass_over(number, format!("{error:#}"));
                    break;
                }
                // Why the connection has ended is told by `on_disconnect`.
                Err(_) => match next() {
                    Some(next) => *connection = next,
                    None => return Ok(News::InputEnded(false, unsent + 1)),
                },
            }
        }
    }
    Ok(News::InputEnded(true, unsent))
}
