//! A server for the command line: prints every message that arrives, and broadcasts every line typed.
//!
//! ```text
//! cargo run --release --example server
//! cargo run --release --example client -- 127.0.0.1
//! ```

use std::ffi::OsString;
use std::net::Ipv4Addr;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use leads_comm::{
    BindAddress, Callback, Connection, DEFAULT_PORT, DEFAULT_SEPARATOR, Delivery, DisconnectReason, Error, Server,
    Service, SlowConsumer,
};
use lexopt::prelude::*;
use support::{Arguments, Failure, Lines, complain, on_stop, print, read_token, run, say, stop_when_unread, usage};

mod tls_files;

use tls_files::TlsFiles;

const HELP: &str = "\
Prints every message that its clients send, and sends every line of stdin to all
of them.

Usage: server [--bind A] [--port P] [options]
       server --unix PATH [options]

      --bind A             the IP address to listen on: 0.0.0.0 for all IPv4,
                           :: for all (default 127.0.0.1)
      --port P             the port, 0 for a free one (default 16900)
      --unix PATH          listen on a Unix socket instead; on Linux also @NAME,
                           which is no file
      --separator S        the bytes that end each message (default ;)
      --token FILE         let in only who sends the token in this file first,
                           as `client --token` does
      --tls-cert FILE      speak TLS, with the certificates in this PEM file,
                           the server's own first, and
      --tls-key FILE       the private key in this one (built with
                           `--features tls`)
      --tls-ca FILE        let in only who has a certificate of one of the
                           authorities in this PEM file
      --max-connections N  how many clients there may be; others get a goodbye
                           at once (default 1024)
      --echo               answer each message with itself
      --relay              pass each message on to all other clients, except
                           `want everything`, see below
  -h, --help               print this

The first line of stdout is `listening on IP:PORT`, or `listening on PATH`;
every other one is `ip:port message`, or on a Unix socket
`pid N uid N message`, a message's bytes as they came. Who reads stdout slowly
slows down the clients that send. Who connects and disconnects is told on
stderr, as far as somebody reads it. A line typed ends with \\n or \\r\\n, which
is not sent, and has up to 1 MiB.

A relay waits for nobody: a client that does not read loses the oldest of what
it is behind with, 16 MiB, and what it has lost is told when it leaves. One that
has sent `want everything` loses nothing as long as it reads: when all others
have been served it is waited for, up to 5 s, and so whoever speaks waits, too.
Without --relay, everyone is waited for like that.

The end of stdin does not end the server: Ctrl-C does, SIGTERM, SIGHUP, and
nobody reading stdout any more, with a goodbye to every client and exit code 0.
A failure is exit code 1, a wrong call 2. RUST_LOG=debug shows what the library
does.

Try it with the example `client`, with a LEADS client, or with
`nc 127.0.0.1 16900`, where each message ends with a `;`.
";

/// How long a message waits for a client that reads slowly: an echo then slows down whoever it is for, and is not lost.
const PATIENCE: Duration = Duration::from_secs(5);

/// By how much a relay's client may be behind before it loses the oldest, or is waited for: room for a burst.
const BEHIND: usize = 16 * 1024 * 1024;

/// What a relay is told by a client that must lose nothing.
const WANT_EVERYTHING: &[u8] = b"want everything";

struct Options {
    bind: Option<BindAddress>,
    port: Option<u16>,
    unix: Option<String>,
    separator: Vec<u8>,
    token: Option<OsString>,
    tls: TlsFiles,
    max_connections: Option<usize>,
    echo: bool,
    relay: bool,
}

/// What the server's terminal shows, and what becomes of a message.
struct Terminal {
    /// Where the server listens, if that is no address.
    path: Option<String>,
    echo: bool,
    relay: bool,
}

impl Callback for Terminal {
    fn on_initialize(&self, service: &dyn Service) {
        // Nobody is accepted before this returns, so it is the first line.
        let address = service.local_addr().map(|address| address.to_string());
        if let Some(place) = address.as_ref().or(self.path.as_ref()) {
            say(format_args!("listening on {place}"));
        }
    }

    fn on_connect(&self, _: &dyn Service, connection: &Connection) {
        complain(format_args!("{connection} connected"));
    }

    fn on_receive(&self, service: &dyn Service, connection: &Connection, message: &[u8]) {
        print(&[format!("{connection} ").as_bytes(), message, b"\n"]);
        if self.relay && message == WANT_EVERYTHING {
            connection.set_delivery(waiting().max_queued_bytes(BEHIND)).expect("as long as the one before");
            return complain(format_args!("{connection} wants everything, and is waited for"));
        }
        // What was received can be sent; the peers that cannot be reached are told of by `on_disconnect`.
        if self.echo {
            let _ = connection.send(message);
        }
        if self.relay {
            let _ = service.broadcast_where(message, &mut |peer| peer != connection);
        }
    }

    fn on_disconnect(&self, _: &dyn Service, connection: &Connection, reason: &DisconnectReason) {
        complain(format_args!("{connection} disconnected: {reason:#}"));
    }

    fn on_fail(&self, _: &dyn Service, error: &Error) {
        complain(format_args!("server: {error:#}"));
    }
}

/// For whom everything counts.
fn waiting() -> Delivery {
    Delivery::new().slow_consumer(SlowConsumer::Block(PATIENCE))
}

fn main() -> ExitCode {
    run("server", HELP, parse_options, serve)
}

/// `None` when only help is wanted.
fn parse_options(mut arguments: Arguments) -> Result<Option<Options>, Failure> {
    let mut options = Options {
        bind: None,
        port: None,
        unix: None,
        separator: DEFAULT_SEPARATOR.into(),
        token: None,
        tls: TlsFiles::default(),
        max_connections: None,
        echo: false,
        relay: false,
    };
    while let Some(argument) = arguments.next_argument()? {
        match argument {
            Long("bind") => options.bind = Some(arguments.ip()?),
            Long("port") => options.port = Some(arguments.number(0..=65535)?),
            Long("unix") if cfg!(unix) => options.unix = Some(arguments.text()?),
            Long("separator") => options.separator = arguments.separator()?,
            Long("token") => options.token = Some(arguments.value()?),
            Long("tls-cert") => options.tls.certificates = Some(arguments.value()?),
            Long("tls-key") => options.tls.key = Some(arguments.value()?),
            Long("tls-ca") => options.tls.authorities = Some(arguments.value()?),
            Long("max-connections") => options.max_connections = Some(arguments.number(1..=1_000_000)?),
            Long("echo") => options.echo = true,
            Long("relay") => options.relay = true,
            Short('h') | Long("help") => return Ok(None),
            _ => return Err(argument.unexpected().into()),
        }
    }
    if options.unix.is_some() && (options.bind.is_some() || options.port.is_some()) {
        return Err(usage("--unix goes without --bind and --port"));
    }
    Ok(Some(options))
}

fn serve(options: Options) -> Result<(), Failure> {
    let Options { bind, port, unix, separator, token, tls, max_connections, echo, relay } = options;
    let terminal = Terminal { path: unix.clone(), echo, relay };
    let bind = bind.unwrap_or(Ipv4Addr::LOCALHOST.into());
    let mut builder = Server::builder().bind(bind).port(port.unwrap_or(DEFAULT_PORT)).separator(separator);
    #[cfg(unix)]
    if let Some(path) = unix {
        builder = builder.unix(path);
    }
    if let Some(file) = token {
        builder = builder.token(read_token(&file)?);
    }
    builder = tls.serve(builder)?;
    if let Some(connections) = max_connections {
        builder = builder.max_connections(connections);
    }
    let delivery = match relay {
        true => Delivery::new().slow_consumer(SlowConsumer::DropOldest).max_queued_bytes(BEHIND),
        false => waiting(),
    };
    let server = builder.delivery(delivery).callback(terminal).build()?;

    let (stopped, typed) = (server.clone(), server.clone());
    on_stop(move || stopped.close())?;
    stop_when_unread();
    // A thread that nobody waits for, because it may be blocked in reading when the program ends.
    thread::spawn(move || broadcast_lines(&typed));

    match server.start(false) {
        // Closed before the start, when Ctrl-C came that early.
        Ok(()) | Err(Error::Closed) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Sends the lines of stdin to all clients, until its end or the program's.
fn broadcast_lines(server: &Server) {
    let mut lines = Lines::of_stdin();
    loop {
        let line = match lines.next_line() {
            Ok(Some(line)) => line,
            Ok(None) => return,
            Err(error) => return complain(format_args!("server: cannot read stdin: {error}")),
        };
        let sent = line
            .map_err(|too_long| too_long.to_string())
            .and_then(|line| server.broadcast(line).map_err(|error| format!("{error:#}")));
        if let Err(why) = sent {
            complain(format_args!("server: a line was not sent: {why}"));
        }
    }
}
