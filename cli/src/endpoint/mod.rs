//! How to speak with the other side: the options that every verb with an address has, and the client or the server of
//! the library that they make.

mod secrets;
mod side;
mod status;
mod telling;
mod tls;
mod watch;

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, Command};
use leads_comm::codec::{Framing, Separator};
use leads_comm::transport::tls::ClientConfig;
use leads_comm::{
    Client, ClientBuilder, Closing, DEFAULT_PORT, DEFAULT_SEPARATOR, MemoryLimits, Reconnect, Server, ServerBuilder,
    Service,
};
use leads_comm_serial::{Identity, SerialConnector};

use crate::address::{Address, SerialLine};
use crate::console::{Failure, usage};
use crate::units::size;
use secrets::BROKER;
pub(crate) use secrets::{FROM, Names, ONLY, TO};
pub(crate) use side::Side;
use status::Hints;
pub(crate) use status::Status;
pub(crate) use telling::Telling;
use tls::TlsFiles;
use watch::Watch;

/// What an address may be.
const ADDRESSES: &str = "\
Addresses:
  HOST[:PORT], :PORT      TCP, with port 16900 unless told otherwise; [::1]:PORT
  tls://HOST[:PORT]       TLS; a client needs --tls-ca, a server --tls-cert and
                          --tls-key
  unix:PATH               a Unix socket; unix:@NAME on Linux
";

/// The same, for those who speak with devices.
const SERIAL_ADDRESSES: &str = "  serial:PORT?baud=9600   a serial line
  serial:auto?tag=VeC     the port whose device says so; also &tag=, &question=,
                          &settle=SECONDS, &baud=
";

/// What the options do not tell.
const NOTES: &str = "
A token is in --token-file or in LEADS_COMM_TOKEN. It is a client's first
message, also to a LEADS vehicle, which knows no tokens and takes it for one.";

/// The same, of two sides.
const NOTES_OF_TWO: &str = "
A token is in --from-token-file or --to-token-file, or in LEADS_COMM_FROM_TOKEN
or LEADS_COMM_TO_TOKEN. It is a client's first message, also to a LEADS vehicle,
which knows no tokens and takes it for one.";

/// The same, of the side that messages come from.
const NOTES_OF_SOURCE: &str = "
A token is in --from-token-file or in LEADS_COMM_FROM_TOKEN. It is a client's
first message, also to a LEADS vehicle, which knows no tokens and takes it for
one.";

/// The same, of all.
const SEPARATORS: &str = "
Separators know the escapes \\n \\r \\t \\0 \\\\ \\xHH.";

/// The port and the separator of LEADS's pictures.
const VIDEO: (u16, &[u8]) = (16901, b"end;");

/// The longest message unless told otherwise, in bytes: LEADS has no limit, and a picture of 1920x1080 takes 1.4 MB.
const LONGEST_MESSAGE: usize = 16 << 20;

/// The longest message of a monitor, in bytes, and more than one may have.
const LONGEST_NUMBERS: usize = 2 << 20;

/// The longest that is waited before connecting again.
const LONGEST_DELAY: Duration = Duration::from_secs(5);

/// How long the other side is given to answer our goodbye.
const GOODBYE: Duration = Duration::from_millis(500);

/// How much may wait for a peer beside the longest message, in bytes.
const ROOM: usize = 4 << 20;

/// The other side, and how to speak with it.
#[derive(Debug)]
pub(crate) struct Endpoint {
    pub(crate) address: Address,
    port: u16,
    /// Empty where messages begin with their length instead.
    pub(crate) separator: Vec<u8>,
    pub(crate) max_message_len: usize,
    token: Option<Vec<u8>>,
    tls: TlsFiles,
    /// What lines about it begin with.
    label: &'static str,
}

/// Gives a verb the options that say how to speak.
pub(crate) fn with_options(command: Command) -> Command {
    with(command, SERIAL_ADDRESSES)
}

/// Gives them to a verb that is never a client.
pub(crate) fn with_server_options(command: Command) -> Command {
    with(command, "")
}

fn with(command: Command, serial: &str) -> Command {
    with_framing(command, serial, NOTES).args(secrets::options(&ONLY))
}

/// Gives a verb that stands between two sides the options that say how to speak with each.
pub(crate) fn with_options_of_two(command: Command) -> Command {
    with_framing(command, SERIAL_ADDRESSES, NOTES_OF_TWO).args(secrets::options(&FROM)).args(secrets::options(&TO))
}

/// Gives a verb that takes messages elsewhere the options that say how to speak with where they come from.
pub(crate) fn with_options_of_source(command: Command) -> Command {
    with_framing(command, SERIAL_ADDRESSES, NOTES_OF_SOURCE).args(secrets::options(&FROM))
}

/// Those by which one believes a broker, and is believed.
pub(crate) fn broker_options() -> [Arg; 4] {
    secrets::tls_options(&BROKER)
}

/// Gives it those that say what messages look like.
fn with_framing(command: Command, serial: &str, of_secrets: &str) -> Command {
    let notes = command.get_after_help().map(|notes| format!("\n\n{notes}")).unwrap_or_default();
    command
        .after_help(format!("{ADDRESSES}{serial}{of_secrets}{SEPARATORS}{notes}"))
        .next_help_heading("Connection")
        .args([
            Arg::new("leads")
                .long("leads")
                .action(ArgAction::SetTrue)
                .conflicts_with_all(["leads-video", "separator"])
                .help("A LEADS vehicle's state: port 16900, separator ;"),
            Arg::new("leads-video")
                .long("leads-video")
                .action(ArgAction::SetTrue)
                .conflicts_with("separator")
                .help("Its pictures: port 16901, separator end;"),
            Arg::new("separator")
                .short('s')
                .long("separator")
                .value_name("BYTES")
                .value_parser(unescape)
                .help("What ends a message (default ;), as in '\\r\\n'"),
            Arg::new("length-prefix")
                .long("length-prefix")
                .action(ArgAction::SetTrue)
                .conflicts_with_all(["leads", "leads-video", "separator"])
                .help("Messages begin with their length, in 4 bytes"),
            Arg::new("max-message-len")
                .long("max-message-len")
                .value_name("SIZE")
                .value_parser(size)
                .help("The longest message, as in 64k (default 16M)"),
        ])
}

/// Gives them to a verb that speaks with monitors, whose messages are always the same.
pub(crate) fn with_monitor_options(command: Command) -> Command {
    command.args(secrets::options(&ONLY))
}

/// The longest message that may be, in bytes.
pub(crate) fn longest_message(matches: &ArgMatches) -> usize {
    matches.get_one("max-message-len").copied().unwrap_or(LONGEST_MESSAGE)
}

/// How to speak TLS with a broker at this address; `None` where it is not spoken.
pub(crate) fn tls_of_broker(matches: &ArgMatches, address: &Address) -> Result<Option<ClientConfig>, Failure> {
    let files = TlsFiles::of(matches, &BROKER, address)?;
    matches!(address, Address::Tcp { tls: true, .. }).then(|| files.client_config()).transpose()
}

/// The argument that says where.
pub(crate) fn address_argument() -> Arg {
    Arg::new("address")
        .value_name("ADDRESS")
        .value_parser(str::parse::<Address>)
        .help("HOST[:PORT], tls://HOST, unix:PATH, serial:PORT; see below")
}

/// How a client connects again that stays with its server: soon, since somebody waits.
pub(crate) fn reconnect() -> Reconnect {
    Reconnect::new().longest_delay(LONGEST_DELAY).at_start(true)
}

/// How a verb that nobody wants to wait for says goodbye: the other side has half a second to answer, also one that
/// talks on and never does.
pub(crate) fn closing() -> Closing {
    Closing::new().flush_timeout(GOODBYE).drain_timeout(GOODBYE).close_timeout(GOODBYE)
}

impl Endpoint {
    /// What was typed; `default` where no address was.
    pub(crate) fn of(matches: &ArgMatches, default: Option<Address>) -> Result<Self, Failure> {
        // Some verbs take it in another way.
        let typed = matches.try_get_one::<Address>("address").ok().flatten();
        let address = typed.cloned().or(default);
        let address = address.ok_or_else(|| usage("the address is missing"))?;
        Self::at(matches, address, &ONLY)
    }

    /// One side, at this address, whose secrets are in the options of these names.
    pub(crate) fn at(matches: &ArgMatches, address: Address, names: &'static Names) -> Result<Self, Failure> {
        let (port, separator) = match matches.get_flag("leads-video") {
            true => VIDEO,
            false => (DEFAULT_PORT, DEFAULT_SEPARATOR),
        };
        let separator = match matches.get_flag("length-prefix") {
            true => Vec::new(),
            false => matches.get_one::<Vec<u8>>("separator").cloned().unwrap_or_else(|| separator.to_vec()),
        };
        let max_message_len = longest_message(matches);
        let token = secrets::token(matches, names)?;
        let tls = TlsFiles::of(matches, names, &address)?;
        Ok(Self { address, port, separator, max_message_len, token, tls, label: names.label })
    }

    /// The monitor of a service: where that was typed, or on this machine at the usual port.
    pub(crate) fn of_monitor(matches: &ArgMatches) -> Result<Self, Failure> {
        let here = Address::Tcp { host: Some("127.0.0.1".into()), port: None, tls: false };
        let address = matches.get_one::<Address>("address").cloned().unwrap_or(here);
        if matches!(address, Address::Serial(_)) {
            return Err(usage("a serial line has no monitor"));
        }
        let tls = TlsFiles::of(matches, &ONLY, &address)?;
        Ok(Self {
            address,
            port: DEFAULT_PORT + leads_comm::Monitor::PORT_OFFSET,
            separator: b"\n".to_vec(),
            max_message_len: LONGEST_NUMBERS,
            token: secrets::token(matches, &ONLY)?,
            tls,
            label: ONLY.label,
        })
    }

    /// Where it is, with its port, for people.
    pub(crate) fn monitored(&self) -> String {
        match &self.address {
            Address::Tcp { host, port, tls } => {
                let (host, port) = (host.clone().or(Some("localhost".into())), port.or(Some(self.port)));
                Address::Tcp { host, port, tls: *tls }.to_string()
            }
            other => other.to_string(),
        }
    }

    /// The token that lets one in.
    pub(crate) fn token(&self) -> Option<&[u8]> {
        self.token.as_deref()
    }

    /// Says where a server of it listens, once it does, and who is let in.
    pub(crate) fn tell_listening(&self, service: &dyn Service) {
        status::tell_listening(self.label, &self.address, self.is_open(), service);
    }

    /// Whether a server of it lets in everybody who reaches it.
    fn is_open(&self) -> bool {
        self.token.is_none() && !self.tls.asks_clients()
    }

    fn framing(&self) -> Result<Framing, Failure> {
        Ok(match self.separator.as_slice() {
            [] => Framing::Length,
            separator => Separator::new(separator).map_err(leads_comm::Error::from)?.into(),
        })
    }

    /// How much may wait for a peer: one message of any length, and what the library allows otherwise.
    pub(crate) fn room(&self) -> usize {
        self.max_message_len.saturating_add(ROOM)
    }

    /// How much may wait for all of them, or of what they have not finished.
    fn memory(&self) -> MemoryLimits {
        let bytes = self.room().saturating_mul(4);
        MemoryLimits::new().max_total_queued_bytes(bytes).max_total_unfinished_bytes(bytes)
    }

    /// What says how a client of it fares.
    pub(crate) fn status(&self) -> Status {
        let is_plain = matches!(self.address, Address::Tcp { tls: false, .. });
        Status::new(self.label, Hints { has_token: self.token.is_some(), is_plain })
    }

    /// What says that its separator may be the wrong one.
    pub(crate) fn watch(&self) -> Watch {
        Watch::new(match self.separator.as_slice() {
            [] => "do its messages begin with their length?".into(),
            separator => format!(
                "is the separator {} right? (a LEADS vehicle's is ; and that of its pictures end;)",
                separator.escape_ascii()
            ),
        })
    }

    /// The address, with the port that it stands for.
    pub(crate) fn place(&self) -> Address {
        match self.address.clone() {
            Address::Tcp { host, port, tls } => Address::Tcp { host, port: port.or(Some(self.port)), tls },
            other => other,
        }
    }

    /// Where a LEADS vehicle has its pictures: at the port behind that of its state. It knows no tokens.
    pub(crate) fn pictures(&self) -> Option<Self> {
        let Address::Tcp { host, port: Some(port), tls: false } = self.place() else { return None };
        let (_, separator) = VIDEO;
        Some(Self {
            address: Address::Tcp { host, port: Some(port.checked_add(1)?), tls: false },
            port: self.port,
            separator: separator.to_vec(),
            max_message_len: self.max_message_len,
            token: None,
            tls: TlsFiles::none(),
            label: self.label,
        })
    }

    /// Whether a device is at the other end, and not a program.
    pub(crate) fn is_serial(&self) -> bool {
        matches!(self.address, Address::Serial(_))
    }

    /// A client of it, and what its `start` is given.
    pub(crate) fn client(&self) -> Result<(ClientBuilder, String), Failure> {
        let mut builder = Client::builder()
            .port(self.port)
            .framing(self.framing()?)
            .max_received_len(self.max_message_len)
            .max_sent_len(self.max_message_len)
            .max_queued_bytes(self.room())
            .memory_limits(self.memory());
        if let Some(token) = &self.token {
            builder = builder.token(token);
        }
        Ok(match &self.address {
            Address::Tcp { host, port, tls } => {
                let host = host.as_deref().unwrap_or("localhost");
                let builder = match port {
                    Some(0) => return Err(usage("port 0 is for a server, which is given a free one")),
                    Some(port) => builder.port(*port),
                    None => builder,
                };
                (if *tls { self.tls.connect(builder)? } else { builder }, host.into())
            }
            Address::Unix(path) => (unix_client(builder)?, path.clone()),
            Address::Serial(line) => (builder.transport(connector(line)), line.port.clone()),
        })
    }

    /// A server at it.
    pub(crate) fn server(&self) -> Result<ServerBuilder, Failure> {
        let mut builder = Server::builder()
            .port(self.port)
            .framing(self.framing()?)
            .max_received_len(self.max_message_len)
            .max_sent_len(self.max_message_len)
            .max_queued_bytes(self.room())
            .memory_limits(self.memory());
        if let Some(token) = &self.token {
            builder = builder.token(token);
        }
        match &self.address {
            Address::Tcp { host, port, tls } => {
                builder = match host.as_deref() {
                    None => builder.bind(Ipv6Addr::UNSPECIFIED),
                    Some("localhost") => builder.bind(Ipv4Addr::LOCALHOST),
                    // The builder knows what it takes.
                    Some(host) if Server::builder().bind(host).build().is_err() => {
                        return Err(usage(format!(
                            "{host} is no IP address to listen on; :PORT is all of this machine's"
                        )));
                    }
                    Some(host) => builder.bind(host),
                };
                if let Some(port) = port {
                    builder = builder.port(*port);
                }
                if *tls { self.tls.serve(builder) } else { Ok(builder) }
            }
            Address::Unix(path) => unix_server(builder, path),
            Address::Serial(_) => Err(usage("a serial line has a device at its other end, not clients")),
        }
    }
}

#[cfg(unix)]
fn unix_client(builder: ClientBuilder) -> Result<ClientBuilder, Failure> {
    Ok(builder.unix())
}

#[cfg(not(unix))]
fn unix_client(_: ClientBuilder) -> Result<ClientBuilder, Failure> {
    Err(usage(crate::address::NO_UNIX_SOCKETS))
}

#[cfg(unix)]
fn unix_server(builder: ServerBuilder, path: &str) -> Result<ServerBuilder, Failure> {
    Ok(builder.unix(path))
}

#[cfg(not(unix))]
fn unix_server(_: ServerBuilder, _: &str) -> Result<ServerBuilder, Failure> {
    Err(usage(crate::address::NO_UNIX_SOCKETS))
}

fn connector(line: &SerialLine) -> SerialConnector {
    let connector = SerialConnector::new().baud_rate(line.baud);
    let Some((tag, more)) = line.tags.split_first() else { return connector };
    let mut identity = more.iter().fold(Identity::new(tag), Identity::or);
    if let Some(question) = &line.question {
        identity = identity.question(question);
    }
    if let Some(time) = line.settle {
        identity = identity.settle(time);
    }
    connector.identity(identity)
}

/// The bytes that a text with escapes stands for; they have to be a separator.
pub(crate) fn unescape(text: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match (byte, byte == b'\\') {
            (byte, false) => byte,
            _ => match rest.next() {
                Some(b'n') => b'\n',
                Some(b'r') => b'\r',
                Some(b't') => b'\t',
                Some(b'0') => 0,
                Some(b'\\') => b'\\',
                Some(b'x') => {
                    let mut digit = || rest.next().and_then(|byte| char::from(byte).to_digit(16));
                    let byte = digit().zip(digit()).and_then(|(high, low)| u8::try_from(high << 4 | low).ok());
                    byte.ok_or("\\x needs two hexadecimal digits")?
                }
                _ => return Err("\\ needs n, r, t, 0, \\ or xHH behind it".into()),
            },
        });
    }
    Separator::new(&bytes).map_err(|error| error.to_string())?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::unescape;

    #[test]
    fn separators_have_escapes() {
        for (text, expected) in
            [(";", &b";"[..]), ("end;", b"end;"), (r"\r\n", b"\r\n"), (r"\t\0\\\x7F\xfe", b"\t\0\\\x7f\xfe")]
        {
            assert_eq!(unescape(text).as_deref(), Ok(expected), "{text}");
        }
        for wrong in ["", "t", r"\", r"\x", r"\x4", r"\xzz", r"\x+1", r"\q", &";".repeat(65)] {
            assert!(unescape(wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn no_text_is_too_much(text: String) {
            let _ = unescape(&text);
            let _ = unescape(&format!("\\x{text}"));
        }
    }
}
