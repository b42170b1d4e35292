//! `view`: a page in the browser that shows a vehicle, or a recording.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use leads_comm::{Client, Error};
use parking_lot::Mutex;

use crate::address::Address;
use crate::allow;
use crate::console::{Failure, fail, on_stop, read_token, tell, usage};
use crate::endpoint::{self, Endpoint};
use crate::recording::clock::Clock;
use crate::recording::queue::Queue;
use crate::recording::reading::{Format, named};
use crate::units;
use crate::viewing::board::Board;
use crate::viewing::desk::{Controls, Desk};
use crate::viewing::guests::{self, Guests};
use crate::viewing::history::History;
use crate::viewing::hub::{Feed, Hub, Running};
use crate::viewing::link::{self, Link};
use crate::viewing::monitor::{self, Monitor};
use crate::viewing::opener;
use crate::viewing::page;
use crate::viewing::playback::Playback;
use crate::viewing::protocol::{SUBPROTOCOL, Subject};
use crate::viewing::site::ViewSite;
use crate::viewing::viewers::Viewers;
use crate::web::{self, Web, WebServer};

const EXAMPLES: &str = "\
Examples:
  leads-comm view 10.0.0.4 --leads       a LEADS vehicle, at 127.0.0.1:8765
  leads-comm view 10.0.0.4 --leads --allow time_lap,hazard    with buttons
  leads-comm view drive.mcap --open      a recording, with a time line
  leads-comm view 10.0.0.4 --listen :8765 --web-token-file token   for a team";

/// What the options do not tell.
const NOTES: &str = "
What came lately is kept in memory, for plots and downloads: as long as --keep
says, and at most as many bytes as --keep-bytes does.

Exit code 0: it was ended by Ctrl-C. 1: it failed. 2: a wrong call.";

/// Where the page is, unless told otherwise: which is also where Foxglove looks.
const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8765);

/// For how long is kept what comes, and in how many bytes.
const KEEP: Duration = Duration::from_secs(300);
const KEEP_BYTES: usize = 256 << 20;

/// How much may wait for the hub, in bytes.
const BUFFER: usize = 64 << 20;

pub(crate) fn command() -> Command {
    let command = Command::new("view")
        .about("Show a vehicle, or a recording, in the browser")
        .before_help(EXAMPLES)
        .after_help(NOTES)
        .arg(
            Arg::new("what")
                .value_name("ADDRESS|FILE")
                .required(true)
                .num_args(1..)
                .help("HOST[:PORT], tls://HOST, unix:PATH, serial:PORT; or recordings"),
        )
        .next_help_heading("Page")
        .args([
            Arg::new("listen")
                .long("listen")
                .value_name("HOST:PORT")
                .value_parser(listen)
                .help("Where the page is (default 127.0.0.1:8765)"),
            Arg::new("web-token-file")
                .long("web-token-file")
                .value_name("FILE")
                .value_parser(value_parser!(PathBuf))
                .help("The token that lets a browser in; needed beyond 127.0.0.1"),
            Arg::new("web-host")
                .long("web-host")
                .value_name("NAME")
                .value_delimiter(',')
                .action(ArgAction::Append)
                .value_parser(host_name)
                .help("Names of this machine by which a browser may ask for it"),
            Arg::new("open").long("open").action(ArgAction::SetTrue).help("Open the page in a browser"),
            allow::option().help("Buttons that send these: time_lap,hazard (default none)"),
            Arg::new("keep")
                .long("keep")
                .value_name("TIME")
                .value_parser(units::time)
                .help("For how long to keep what comes (default 5m)"),
            Arg::new("keep-bytes")
                .long("keep-bytes")
                .value_name("SIZE")
                .value_parser(units::size)
                .help("And how much of it at most (default 256M)"),
            Arg::new("monitor")
                .long("monitor")
                .value_name("ADDRESS")
                .value_parser(monitor_address)
                .help("Where the vehicle's numbers are (default its port + 9), or none"),
        ]);
    endpoint::with_options(command.next_help_heading("Others").args(guests::options()))
}

/// A name without a port, as a browser says it.
fn host_name(text: &str) -> Result<String, String> {
    let is_right = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    match !text.is_empty() && text.bytes().all(is_right) {
        true => Ok(text.into()),
        false => Err("a name has letters, digits, dots and hyphens, and no port".into()),
    }
}

/// `none`, or where a monitor is.
fn monitor_address(text: &str) -> Result<Option<Address>, String> {
    if text == "none" { Ok(None) } else { text.parse().map(Some) }
}

/// Where to listen: an IP address and a port, or one of them.
fn listen(text: &str) -> Result<SocketAddr, String> {
    let Address::Tcp { host, port, tls: false } = text.parse::<Address>()? else {
        return Err("is not HOST:PORT".into());
    };
    let host = match host.as_deref() {
        None => Ipv4Addr::UNSPECIFIED.into(),
        Some("localhost") => Ipv4Addr::LOCALHOST.into(),
        Some(host) => {
            host.parse().map_err(|_| format!("{host} is no IP address of this machine; :PORT is all of them"))?
        }
    };
    Ok(SocketAddr::new(host, port.unwrap_or(LISTEN.port())))
}

/// What is viewed.
enum What {
    Vehicle(Address),
    Recordings(Vec<PathBuf>),
}

impl What {
    /// What is there, or is called as recordings are, is a recording; everything else an address.
    fn of(matches: &ArgMatches) -> Result<Self, Failure> {
        let all: Vec<&String> = matches.get_many("what").expect("it is required").collect();
        let is_file = |text: &str| Path::new(text).is_file() || Format::named(Path::new(text)).is_some();
        let files = all.iter().filter(|text| is_file(text)).count();
        match (all.as_slice(), files) {
            (_, files) if files == all.len() => Ok(Self::Recordings(named(all))),
            ([address], _) => match address.parse() {
                Ok(address) => Ok(Self::Vehicle(address)),
                Err(error) => Err(usage(format!("{address} is no file, and no address: {error}"))),
            },
            (_, 0) => Err(usage("one vehicle is viewed at a time, or several recordings")),
            _ => Err(usage("either a vehicle is viewed, or recordings")),
        }
    }
}

pub(crate) fn run(matches: &ArgMatches) -> Result<(), Failure> {
    match What::of(matches)? {
        What::Vehicle(address) => vehicle(matches, address),
        What::Recordings(files) => recordings(matches, files),
    }
}

fn vehicle(matches: &ArgMatches, address: Address) -> Result<(), Failure> {
    let endpoint = Endpoint::of(matches, Some(address))?;
    let queue = Arc::new(Queue::new(BUFFER, Some(Duration::ZERO), Clock::start()).at_once());
    let link = Arc::new(Link::new(&endpoint, Arc::clone(&queue)));
    let (client, place) = link::client(&endpoint, &link)?;
    let monitor = match matches.get_one::<Option<Address>>("monitor") {
        Some(address) => address.clone(),
        None => monitor::beside(&endpoint.place()),
    };
    let allowed = allow::allowed(matches);
    let subject = Subject {
        source: endpoint.address.to_string(),
        is_live: true,
        commands: allowed.clone(),
        keep_s: keep(matches).as_secs_f64(),
        monitor: monitor.as_ref().map(ToString::to_string),
        files: None,
    };
    let monitor = monitor.map(Monitor::start).transpose()?.map(Arc::new);
    let desk = Arc::new(Desk::Vehicle(Arc::clone(&link), allowed));
    let feed =
        Feed::Vehicle { queue: Arc::clone(&queue), taken: Vec::new().into_iter(), link, monitor: monitor.clone() };
    let stopping = client.clone();
    let view = View::open(matches, feed, subject, desk, Some(client.clone()), move || stopping.close())?;

    let pictures = endpoint.pictures().filter(|_| matches.get_flag("leads"));
    let pictures = pictures.map(|pictures| link::pictures(&pictures, &queue)).transpose()?;

    let (stopping, has_stopped) = (client.clone(), Arc::new(AtomicBool::new(false)));
    let stop = Arc::clone(&has_stopped);
    on_stop(move || {
        stop.store(true, Ordering::Relaxed);
        stopping.close();
    })?;
    let outcome = client.start(&place, false);
    if let Some(monitor) = monitor {
        monitor.close();
    }
    if let Some(pictures) = pictures {
        pictures.close();
    }
    queue.close();
    view.close()?;
    match outcome {
        Ok(()) | Err(Error::Closed) if has_stopped.load(Ordering::Relaxed) => Ok(()),
        Ok(()) => Err(fail("the connection has ended")),
        Err(error) => Err(error.into()),
    }
}

fn recordings(matches: &ArgMatches, files: Vec<PathBuf>) -> Result<(), Failure> {
    for option in ["allow", "monitor"] {
        if matches.contains_id(option) {
            return Err(usage(format!("--{option} needs a vehicle, and this is a recording")));
        }
    }
    let controls = Arc::new(Controls::default());
    let names: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
    let subject = Subject {
        source: names.join(", "),
        is_live: false,
        commands: Vec::new(),
        keep_s: keep(matches).as_secs_f64(),
        monitor: None,
        files: Some(names),
    };
    let playback = Playback::start(files, Arc::clone(&controls))?;
    let feed = Feed::Recording(Box::new(playback));
    let (thread, waiting) = (thread::current(), Arc::new(AtomicBool::new(true)));
    let stop = {
        let waiting = Arc::clone(&waiting);
        move || {
            waiting.store(false, Ordering::Relaxed);
            thread.unpark();
        }
    };
    let view = View::open(matches, feed, subject, Arc::new(Desk::Player(controls)), None, stop.clone())?;
    on_stop(stop)?;
    while waiting.load(Ordering::Relaxed) {
        thread::park();
    }
    view.close()
}

fn cannot_listen(address: SocketAddr, error: &io::Error) -> Failure {
    match error.kind() {
        // That of a token which cannot be one.
        io::ErrorKind::InvalidInput => usage(error.to_string()),
        io::ErrorKind::AddrInUse => {
            fail(format!("{address} is in use, perhaps by another view: --listen 127.0.0.1:0 takes any free port"))
        }
        _ => fail(format!("cannot listen at {address}: {error}: --listen names another address")),
    }
}

fn keep(matches: &ArgMatches) -> Duration {
    matches.get_one("keep").copied().unwrap_or(KEEP)
}

/// All that is there for those who look.
struct View {
    web: WebServer,
    guests: Arc<Guests>,
    viewers: Arc<Viewers>,
    hub: Running,
}

impl View {
    fn open(
        matches: &ArgMatches,
        feed: Feed,
        subject: Subject,
        desk: Arc<Desk>,
        client: Option<Client>,
        on_panic: impl FnOnce() + Send + 'static,
    ) -> Result<Self, Failure> {
        let bytes = matches.get_one("keep-bytes").copied().unwrap_or(KEEP_BYTES);
        let history = Arc::new(Mutex::new(History::new(keep(matches), bytes)));
        let (door, listener) = web::door(&[SUBPROTOCOL]);
        let viewers = Arc::new(Viewers::start(listener, Arc::clone(&desk))?);
        let (guests, sinks, guest_door) = Guests::begin(matches, &subject, &desk)?;
        let mut hub = Hub::new(feed, Board::new(Arc::clone(&history)), subject, Arc::clone(&viewers));
        hub.sinks = sinks;
        let guests = Arc::new(guests);
        let servers = vec![("page", viewers.server().clone()), ("foxglove", guests.server().clone())];
        let site = ViewSite { history, desk, client, servers, guests: Arc::clone(&guests), large: Mutex::default() };
        let address = matches.get_one("listen").copied().unwrap_or(LISTEN);
        let token = matches.get_one::<PathBuf>("web-token-file").map(|file| read_token(file)).transpose()?;
        let hosts = matches.get_many("web-host").unwrap_or_default();
        let web = Web::new(address)
            .token(token)
            .hosts(hosts)
            // Downloads have about as much as is kept: two at a time.
            .most_waiting(bytes.saturating_mul(2))
            .site(site)
            .site(page::FILES)
            .door(door)
            .door(guest_door)
            .start();
        let web = web.map_err(|error| cannot_listen(address, &error))?;
        let hub = hub.start(on_panic)?;
        tell(format_args!("the page is at {}", web.url()));
        if matches.get_flag("open") {
            opener::open(&web.url_for_once());
        }
        Ok(Self { web, viewers, guests, hub })
    }

    fn close(self) -> Result<(), Failure> {
        let outcome = self.hub.end();
        self.web.close();
        self.viewers.close();
        self.guests.close();
        outcome
    }
}
