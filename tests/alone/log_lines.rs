//! Every line that the library logs, with a logger that misbehaves right there: it panics, or calls the library.
//! Whatever it does, everything is served, told and ended as always.
//!
//! The lines are taken from the sources, so that none is forgotten. The logger belongs to the whole process, so that
//! each test has one of its own. Only where refused callers are told at once, and a pump writes.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::{Duration, Instant};

use leads_comm::transport::{Keepalive, Listener, Stream, memory};
use leads_comm::{
    Callback, Client, ClientBuilder, Closing, Connection, DisconnectReason, Error, Reconnect, RefusalCause, Server,
    ServerBuilder, Service, callback,
};
use leads_comm_testing::layer::{self, Layer};
use leads_comm_testing::*;
use log::{Level, LevelFilter, Log, Metadata, Record};

/// Lines that no test reaches, by what they begin with, and why.
const RARE: &[(&str, &str)] = &[
    ("the system cannot tell which streams", "the system always has the memory to wait"),
    #[cfg(not(target_os = "linux"))]
    ("takes {limit} connections", "the process has as many descriptors as it wants"),
];

/// Where a line is logged: file and line of the sources.
type Site = (String, u32);

/// What the logger does.
#[derive(Debug, Clone, PartialEq)]
enum Mode {
    Listen,
    PanicEverywhere,
    PanicAt(Site),
    PanicInEnabled,
    /// Calls every service that there is.
    CallBack,
    /// Closes them.
    CloseAt(Site),
    /// Takes its time, until it is told to go on.
    HangAt(Level, &'static str),
}

struct Steered {
    mode: Mutex<Mode>,
    reached: Mutex<BTreeMap<Site, BTreeSet<Level>>>,
    services: Mutex<Vec<Arc<dyn Service>>>,
    calls: AtomicUsize,
    /// Whether it was called by what it had called itself.
    loops: AtomicBool,
    hangs: Mutex<bool>,
    changed: Condvar,
}

static LOGGER: Steered = Steered {
    mode: Mutex::new(Mode::Listen),
    reached: Mutex::new(BTreeMap::new()),
    services: Mutex::new(Vec::new()),
    calls: AtomicUsize::new(0),
    loops: AtomicBool::new(false),
    hangs: Mutex::new(false),
    changed: Condvar::new(),
};

/// How often the logger calls the library in one scenario: what it sends is logged by whoever receives it.
const CALLS: usize = 300;

thread_local! {
    /// Whether this thread is in the logger.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// What the logger panics with.
const DISK_IS_FULL: &str = "the disk is full";

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Log for Steered {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        let panics = *lock(&self.mode) == Mode::PanicInEnabled;
        assert!(!panics, "{DISK_IS_FULL}");
        true
    }

    fn log(&self, record: &Record<'_>) {
        if !record.target().starts_with("leads_comm") {
            return;
        }
        let site = (record.file().unwrap_or_default().to_owned(), record.line().unwrap_or_default());
        lock(&self.reached).entry(site.clone()).or_default().insert(record.level());
        let mode = lock(&self.mode).clone();
        match mode {
            Mode::Listen => {}
            Mode::PanicEverywhere => panic!("{DISK_IS_FULL}"),
            Mode::PanicAt(at) => assert!(at != site, "{DISK_IS_FULL}"),
            Mode::PanicInEnabled => assert!(self.enabled(record.metadata())),
            Mode::CallBack => self.call_back(),
            Mode::CloseAt(at) => {
                if at == site {
                    lock(&self.services).clone().iter().for_each(|service| service.close());
                }
            }
            Mode::HangAt(level, text) => {
                if record.level() == level && record.args().to_string().contains(text) {
                    *lock(&self.hangs) = true;
                    self.changed.notify_all();
                    let mut hangs = lock(&self.hangs);
                    while *hangs {
                        hangs = self.changed.wait(hangs).unwrap_or_else(PoisonError::into_inner);
                    }
                }
            }
        }
    }

    fn flush(&self) {}
}

impl Steered {
    fn call_back(&self) {
        if INSIDE.replace(true) {
            self.loops.store(true, Ordering::Relaxed);
            return;
        }
        self.call_everything();
        INSIDE.set(false);
    }

    fn call_everything(&self) {
        if self.calls.fetch_add(1, Ordering::Relaxed) >= CALLS {
            return;
        }
        for service in lock(&self.services).clone() {
            let _ = (service.stats(), service.num_connections(), service.local_addr());
            let _ = service.broadcast(b"log");
            for connection in service.connections() {
                let _ = (connection.send(b"log"), connection.stats(), connection.queued_bytes());
            }
        }
    }
}

/// A test's turn with the logger.
struct Turn {
    _alone: MutexGuard<'static, ()>,
}

impl Turn {
    fn take() -> Self {
        static ALONE: Mutex<()> = Mutex::new(());
        static INSTALL: std::sync::Once = std::sync::Once::new();
        let alone = lock(&ALONE);
        INSTALL.call_once(|| {
            log::set_logger(&LOGGER).unwrap();
            // Those that are provoked are many.
            let report = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                let text = panic.payload().downcast_ref::<String>();
                let provoked = text.is_some_and(|text| [DISK_IS_FULL, PROVOKED].contains(&&**text));
                if !provoked {
                    report(panic);
                }
            }));
        });
        let turn = Self { _alone: alone };
        turn.set(Mode::Listen, LevelFilter::Trace);
        turn
    }

    fn set(&self, mode: Mode, level: LevelFilter) {
        *lock(&LOGGER.mode) = mode;
        LOGGER.calls.store(0, Ordering::Relaxed);
        lock(&LOGGER.reached).clear();
        lock(&LOGGER.services).clear();
        log::set_max_level(level);
    }

    fn reached(&self) -> BTreeMap<Site, BTreeSet<Level>> {
        lock(&LOGGER.reached).clone()
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        log::set_max_level(LevelFilter::Off);
        self.set(Mode::Listen, LevelFilter::Off);
    }
}

/// What the program's own code panics with here.
const PROVOKED: &str = "provoked";

/// What a callback was told.
#[derive(Default)]
struct Heard {
    opened: HashSet<u64>,
    ended: HashSet<u64>,
    received: Vec<Vec<u8>>,
    failures: Vec<Error>,
}

/// Hears everything, and echoes what is good.
#[derive(Clone, Default)]
struct Watch {
    shared: Arc<(Mutex<Heard>, Condvar)>,
}

impl Watch {
    fn note(&self, note: impl FnOnce(&mut Heard)) {
        note(&mut lock(&self.shared.0));
        self.shared.1.notify_all();
    }

    fn until(&self, what: &str, mut holds: impl FnMut(&Heard) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        let mut heard = lock(&self.shared.0);
        while !holds(&heard) {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "{what}: does not come; failures: {:?}", heard.failures);
            heard = self.shared.1.wait_timeout(heard, left).unwrap().0;
        }
    }

    fn assert_paired(&self) {
        let heard = lock(&self.shared.0);
        assert_eq!(heard.opened, heard.ended, "on_connect and on_disconnect");
    }
}

fn number(connection: &Connection) -> u64 {
    connection.id().to_string().parse().unwrap()
}

impl Callback for Watch {
    fn on_connect(&self, _: &dyn Service, connection: &Connection) {
        self.note(|heard| assert!(heard.opened.insert(number(connection))));
    }

    fn on_receive(&self, _: &dyn Service, connection: &Connection, message: &[u8]) {
        if message == b"good" {
            let _ = connection.send(b"echo");
        }
        self.note(|heard| heard.received.push(message.to_vec()));
    }

    fn on_disconnect(&self, _: &dyn Service, connection: &Connection, _: &DisconnectReason) {
        self.note(|heard| assert!(heard.ended.insert(number(connection))));
    }

    fn on_fail(&self, _: &dyn Service, error: &Error) {
        self.note(|heard| heard.failures.push(error.clone()));
    }
}

/// A server and who hears of it.
struct Stage {
    server: Server,
    watch: Watch,
    connector: Option<memory::MemoryConnector>,
}

fn known(service: &(impl Service + Clone + 'static)) {
    lock(&LOGGER.services).push(Arc::new(service.clone()));
}

fn build(adapt: impl FnOnce(ServerBuilder) -> ServerBuilder) -> Stage {
    let watch = Watch::default();
    let server = adapt(Server::builder().port(0).callback(watch.clone())).build().unwrap();
    known(&server);
    Stage { server, watch, connector: None }
}

fn start(adapt: impl FnOnce(ServerBuilder) -> ServerBuilder) -> Stage {
    let stage = build(adapt);
    stage.server.start(true).unwrap();
    stage
}

/// Over memory, under a layer.
fn start_layered(layer: impl Layer) -> Stage {
    let (listener, connector) = memory::listener();
    let stage = start(|builder| builder.transport(layer::listener(listener, &Arc::new(layer))));
    Stage { connector: Some(connector), ..stage }
}

impl Stage {
    fn call(&self) -> TcpStream {
        let socket = TcpStream::connect(("127.0.0.1", self.server.port())).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket
    }

    fn client(&self) -> (Client, Watch) {
        self.start_client(Client::builder())
    }

    fn start_client(&self, builder: ClientBuilder) -> (Client, Watch) {
        let watch = Watch::default();
        let builder = builder.port(self.server.port()).callback(watch.clone());
        let client = match &self.connector {
            Some(connector) => builder.transport(connector.clone()).build(),
            None => builder.build(),
        };
        let client = client.unwrap();
        known(&client);
        client.start("127.0.0.1", true).unwrap();
        (client, watch)
    }

    /// Checks that a good caller is served.
    fn serve(&self) {
        let (client, watch) = self.client();
        client.send(b"good").unwrap();
        watch.until("the echo", |heard| heard.received.iter().any(|message| message == b"echo"));
        end(&client, &watch);
    }

    fn end(&self) {
        end(&self.server, &self.watch);
    }
}

/// Checks that a service ends, and that all of it was told.
fn end(service: &(impl Service + Clone + 'static), watch: &Watch) {
    let closing = service.clone();
    in_time("close", move || closing.close());
    until("the end of every connection", || service.num_connections() == 0);
    watch.until("on_disconnect", |heard| heard.opened.len() == heard.ended.len());
    watch.assert_paired();
}

fn assert_ended(server: &Server) {
    assert!(server.wait_timeout(PATIENCE), "the service does not end");
}

fn read_goodbye(mut socket: TcpStream) {
    let mut rest = Vec::new();
    let _ = socket.read_to_end(&mut rest);
    assert_eq!(rest.escape_ascii().to_string(), "disconnect;;", "a refused caller is not told");
}

fn refusals(heard: &Heard, wanted: impl Fn(&RefusalCause) -> bool) -> usize {
    let refused = heard.failures.iter().filter(|error| matches!(error, Error::Refused { cause, .. } if wanted(cause)));
    refused.count()
}

// The scenarios. Each is run with every line that it reaches.

fn an_ordinary_life() {
    let stage = start(|builder| builder);
    let (client, watch) = stage.client();
    client.send_all([&b"one"[..], b"two"]).unwrap();
    stage.watch.until("messages", |heard| heard.received.iter().any(|message| message == b"two"));
    // Writing to so many is most of what a broadcast takes, however slow the rest is: so they are gathered.
    let viewers: Vec<_> = (0..20).map(|_| stage.call()).collect();
    stage.watch.until("viewers", |heard| heard.opened.len() == 1 + viewers.len());
    for _ in 0..100 {
        stage.server.broadcast(b"to all").unwrap();
    }
    watch.until("broadcasts", |heard| heard.received.iter().filter(|message| *message == b"to all").count() == 100);
    drop(viewers);
    stage.serve();
    end(&client, &watch);
    assert!(client.wait_timeout(PATIENCE));
    stage.end();
    assert_ended(&stage.server);
}

/// More than are logged at once.
fn peers_are_dropped() {
    const PEERS: usize = 12;
    let stage = start(|builder| builder.max_received_len(10).max_connections(PEERS));
    for _ in 0..PEERS {
        stage.call().write_all(b"longer than ten bytes;abc;").unwrap();
    }
    stage.watch.until("the end of all", |heard| heard.ended.len() >= PEERS);
    stage.serve();
    stage.end();
    assert_ended(&stage.server);
}

fn one_caller_too_many() {
    let stage = start(|builder| builder.max_connections(1));
    let (client, watch) = stage.client();
    stage.watch.until("the connection", |heard| heard.opened.len() == 1);
    read_goodbye(stage.call());
    stage.watch.until("the refusal", |heard| {
        refusals(heard, |cause| matches!(cause, RefusalCause::MaxConnections { .. })) == 1
    });
    end(&client, &watch);
    stage.watch.until("the place", |heard| heard.ended.len() == 1);
    stage.serve();
    stage.end();
    assert_ended(&stage.server);
}

fn a_caller_with_a_wrong_token() {
    let stage = start(|builder| builder.token("secret"));
    let mut socket = stage.call();
    socket.write_all(b"guess;").unwrap();
    read_goodbye(socket);
    stage.watch.until("the refusal", |heard| {
        refusals(heard, |cause| matches!(cause, RefusalCause::NotAuthenticated { .. })) == 1
    });
    stage.serve_with_token();
    stage.end();
    assert_ended(&stage.server);
}

/// At a server that wants it, and at one that cannot be asked.
fn a_client_with_a_token() {
    for wants in [true, false] {
        let stage = start(|builder| if wants { builder.token("secret") } else { builder });
        let (client, watch) = stage.start_client(Client::builder().token("secret"));
        client.send(b"good").unwrap();
        watch.until("the echo", |heard| heard.received.iter().any(|message| message == b"echo"));
        end(&client, &watch);
        stage.end();
        assert_ended(&stage.server);
    }
}

impl Stage {
    /// One who has nothing to say but the token, and then something good.
    fn serve_with_token(&self) {
        let mut socket = self.call();
        socket.write_all(b"secret;good;").unwrap();
        let mut echo: Vec<u8> = Vec::new();
        while !echo.windows(5).any(|part| part == b"echo;") {
            let mut some = [0; 64];
            let count = socket.read(&mut some).unwrap();
            assert!(count > 0, "not served");
            echo.extend(&some[..count]);
        }
    }
}

fn on_fail_panics() {
    let watch = Watch::default();
    let faulty =
        callback::closures().on_disconnect(|_, _, _| panic!("{PROVOKED}")).on_fail(|_, _| panic!("{PROVOKED}"));
    let server = Server::builder().port(0).callback((faulty, watch.clone())).build().unwrap();
    known(&server);
    server.start(true).unwrap();
    let stage = Stage { server, watch, connector: None };
    stage.serve();
    stage.serve();
    stage.end();
    assert_ended(&stage.server);
}

fn a_callback_panics_when_it_is_dropped() {
    struct Bomb;
    impl Callback for Bomb {}
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("{PROVOKED}");
        }
    }
    let stage = start(|builder| builder);
    stage.server.set_callback(Bomb);
    // Nobody else holds it, so that it is dropped on this thread.
    stage.server.replace_callback(stage.watch.clone());
    stage.server.set_callback(Bomb);
    stage.serve();
    // On whichever thread is the last, a moment after the server has ended.
    stage.end();
    assert_ended(&stage.server);
}

/// The pump has something to write for it.
fn a_peer_reads_slowly() {
    let stage = start(|builder| builder);
    let mut socket = stage.call();
    stage.watch.until("the connection", |heard| heard.opened.len() == 1);
    let connections = stage.server.connections();
    let connection = connections.iter().find(|connection| number(connection) == 1).unwrap();
    let message = [b'x'; 100_000];
    let mut sent = 0;
    while connection.queued_bytes() < 1_000_000 && connection.send(&message).is_ok() {
        sent += message.len();
    }
    let mut read = 0;
    while read < sent {
        read += socket.read(&mut [0; 64 * 1024]).unwrap();
    }
    drop(socket);
    stage.serve();
    stage.end();
    assert_ended(&stage.server);
}

fn a_callback_outlasts_the_close() {
    let (release, released) = mpsc::channel::<()>();
    let released = Mutex::new(released);
    let stage = build(|builder| {
        builder
            .closing(Closing::new().flush_timeout(Duration::from_millis(20)).close_timeout(Duration::from_millis(20)))
    });
    stage.server.set_callback(callback::closures().on_connect(move |_, connection| {
        if number(connection) == 2 {
            let _ = lock(&released).recv();
        }
    }));
    stage.server.start(true).unwrap();
    stage.serve();
    let _socket = stage.call();
    stage.watch.until("the connection", |heard| heard.opened.len() == 2);
    let closing = stage.server.clone();
    in_time("close", move || closing.close());
    assert_ended(&stage.server);
    drop(release);
    stage.end();
}

fn a_client_tries_again() {
    let stage = start(|builder| builder);
    let watch = Watch::default();
    let reconnect = Reconnect::new().first_delay(Duration::from_millis(1)).max_attempts(2);
    let client =
        Client::builder().port(stage.server.port()).reconnect(reconnect).callback(watch.clone()).build().unwrap();
    known(&client);
    client.start("127.0.0.1", true).unwrap();
    stage.watch.until("the connection", |heard| heard.opened.len() == 1);
    // Once, to its server.
    stage.server.connections().iter().for_each(Connection::close);
    watch.until("the next connection", |heard| heard.opened.len() == 2);
    stage.serve();
    stage.end();
    assert_ended(&stage.server);
    // And in vain.
    watch.until("the end", |heard| heard.failures.iter().any(|error| matches!(error, Error::GaveUp { .. })));
    assert!(client.wait_timeout(PATIENCE));
    watch.assert_paired();
}

fn a_caller_is_gone_before_it_is_accepted() {
    struct Gone(AtomicBool);
    impl Layer for Gone {
        fn accept(&self, listener: &dyn Listener) -> io::Result<Option<Box<dyn Stream>>> {
            match self.0.swap(true, Ordering::Relaxed) {
                false => Err(io::ErrorKind::ConnectionAborted.into()),
                true => listener.accept(),
            }
        }
    }
    let stage = start_layered(Gone(AtomicBool::new(false)));
    stage.serve();
    stage.end();
    assert_ended(&stage.server);
}

fn a_socket_does_not_take_an_option() {
    struct Refuses;
    impl Layer for Refuses {
        fn keep_alive(&self, _: &dyn Stream, _: Option<Keepalive>, _: Option<Duration>) -> io::Result<()> {
            Err(io::ErrorKind::InvalidInput.into())
        }
    }
    let stage = start_layered(Refuses);
    stage.serve();
    stage.end();
    assert_ended(&stage.server);
}

fn everybody_may_come_in() {
    let stage = start(|builder| builder.bind(std::net::Ipv4Addr::UNSPECIFIED));
    stage.serve();
    stage.end();
    assert_ended(&stage.server);
}

#[cfg(target_os = "linux")]
fn more_connections_are_wanted_than_there_are_descriptors() {
    let stage = start(|builder| builder.max_connections(usize::MAX));
    stage.serve();
    stage.end();
    assert_ended(&stage.server);
}

#[cfg(target_os = "linux")]
fn fewer_descriptors_than_usual() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(500), maximum }).unwrap();
    let stage = start(|builder| builder);
    setrlimit(Resource::Nofile, Rlimit { current, maximum }).unwrap();
    stage.serve();
    stage.end();
    assert_ended(&stage.server);
}

type Scenario = (&'static str, fn());

macro_rules! scenarios {
    ($($(#[$available:meta])* $name:ident,)*) => {
        const SCENARIOS: &[Scenario] = &[$($(#[$available])* (stringify!($name), $name),)*];
    };
}

scenarios! {
    an_ordinary_life,
    peers_are_dropped,
    one_caller_too_many,
    a_caller_with_a_wrong_token,
    a_client_with_a_token,
    on_fail_panics,
    a_callback_panics_when_it_is_dropped,
    a_peer_reads_slowly,
    a_callback_outlasts_the_close,
    a_client_tries_again,
    a_caller_is_gone_before_it_is_accepted,
    a_socket_does_not_take_an_option,
    everybody_may_come_in,
    #[cfg(target_os = "linux")] more_connections_are_wanted_than_there_are_descriptors,
    #[cfg(target_os = "linux")] fewer_descriptors_than_usual,
}

/// Every line that the sources log, but for the rare ones.
fn sites() -> BTreeSet<Site> {
    let mut sites = BTreeSet::new();
    let root = checkout();
    scan(root, &root.join("src"), &mut sites);
    sites
}

fn scan(root: &Path, folder: &Path, sites: &mut BTreeSet<Site>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            scan(root, &path, sites);
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let lines: Vec<_> = text.lines().collect();
        let name = path.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
        for (index, line) in lines.iter().enumerate() {
            let is_code = !line.trim_start().starts_with("//") && !line.contains("$crate");
            if is_code
                && logs(line)
                && !RARE.iter().any(|(text, _)| lines[index..].iter().take(2).any(|line| line.contains(text)))
            {
                sites.insert((name.clone(), index as u32 + 1));
            }
        }
    }
}

/// Whether a line of code calls one of the log macros.
fn logs(line: &str) -> bool {
    ["error!(", "warn!(", "info!(", "debug!(", "trace!(", "log!("].iter().any(|call| {
        let before = line.find(call).map(|at| line[..at].chars().next_back());
        before.is_some_and(|before| !before.is_some_and(|char| char.is_alphanumeric() || char == '_'))
    })
}

/// Runs a scenario, and says which one failed.
fn run((name, scenario): Scenario, mode: &Mode, level: LevelFilter) {
    let run = std::panic::catch_unwind(scenario);
    assert!(run.is_ok(), "{name} fails with a logger that does {mode:?}, at the level {level}");
}

/// The lines that each scenario reaches, and at which levels; every line there is, together.
fn walk(turn: &Turn) -> Vec<(Scenario, BTreeMap<Site, BTreeSet<Level>>)> {
    let mut walked = Vec::new();
    for &scenario in SCENARIOS {
        turn.set(Mode::Listen, LevelFilter::Trace);
        run(scenario, &Mode::Listen, LevelFilter::Trace);
        walked.push((scenario, turn.reached()));
    }
    walked
}

#[test]
fn every_line_is_reached_and_knows_where_it_is() {
    alone!();
    let turn = Turn::take();
    let reached: BTreeSet<_> = walk(&turn).into_iter().flat_map(|(_, reached)| reached.into_keys()).collect();
    let sites = sites();
    assert!(sites.len() > 20, "{sites:?}");
    let unreached: Vec<_> = sites.difference(&reached).collect();
    assert!(unreached.is_empty(), "no scenario reaches {unreached:?}");
    let unknown: Vec<_> = reached.difference(&sites).collect();
    assert!(unknown.is_empty(), "not found in the sources: {unknown:?}");
}

#[test]
fn a_logger_that_panics_at_any_one_line_changes_nothing() {
    alone!();
    let turn = Turn::take();
    for (scenario, reached) in walk(&turn) {
        for (site, levels) in reached {
            let levels = levels.into_iter().map(|level| level.to_level_filter()).chain([LevelFilter::Trace]);
            for level in levels.collect::<BTreeSet<_>>() {
                let mode = Mode::PanicAt(site.clone());
                turn.set(mode.clone(), level);
                run(scenario, &mode, level);
            }
        }
    }
}

#[test]
fn a_logger_that_always_panics_changes_nothing() {
    alone!();
    let turn = Turn::take();
    for mode in [Mode::PanicEverywhere, Mode::PanicInEnabled] {
        for level in LevelFilter::iter() {
            for &scenario in SCENARIOS {
                turn.set(mode.clone(), level);
                run(scenario, &mode, level);
            }
        }
    }
}

#[test]
fn a_logger_may_call_the_library() {
    alone!();
    let turn = Turn::take();
    for &scenario in SCENARIOS {
        turn.set(Mode::CallBack, LevelFilter::Trace);
        run(scenario, &Mode::CallBack, LevelFilter::Trace);
    }
    assert!(!LOGGER.loops.load(Ordering::Relaxed), "the library logs what the logger does");
}

/// Whatever closing them in the middle may bring about but a service that does not end.
fn services_that_may_be_closed_at_any_time() {
    let stage = build(|builder| builder.max_received_len(100).max_connections(3));
    let _ = stage.server.start(true);
    let mut clients = Vec::new();
    for _ in 0..2 {
        let watch = Watch::default();
        let reconnect = Reconnect::new().first_delay(Duration::from_millis(1)).max_attempts(2);
        let client = Client::builder().port(stage.server.port()).reconnect(reconnect).callback(watch.clone());
        let client = client.build().unwrap();
        known(&client);
        let _ = client.start("127.0.0.1", true);
        let _ = client.send(b"good");
        clients.push((client, watch));
    }
    if let Ok(mut socket) = TcpStream::connect(("127.0.0.1", stage.server.port())) {
        let _ = socket.write_all(&[b'x'; 200]);
        let _ = TcpStream::connect(("127.0.0.1", stage.server.port()));
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let _ = socket.read_to_end(&mut Vec::new());
    }
    for _ in 0..50 {
        let _ = stage.server.broadcast(b"to all");
    }
    stage.end();
    assert_ended(&stage.server);
    for (client, watch) in clients {
        end(&client, &watch);
        assert!(client.wait_timeout(PATIENCE));
    }
}

#[test]
fn a_logger_may_close_everything_at_any_line() {
    alone!();
    let turn = Turn::take();
    let scenario: Scenario = ("services_that_may_be_closed_at_any_time", services_that_may_be_closed_at_any_time);
    run(scenario, &Mode::Listen, LevelFilter::Trace);
    let reached = turn.reached();
    assert!(reached.len() > 8, "{reached:?}");
    for site in reached.into_keys() {
        let mode = Mode::CloseAt(site);
        turn.set(mode.clone(), LevelFilter::Trace);
        run(scenario, &mode, LevelFilter::Trace);
    }
}

#[test]
fn the_port_is_free_when_close_returns_while_the_logger_takes_its_time() {
    alone!();
    let turn = Turn::take();
    let stage = start(|builder| {
        builder
            .admit(|_| false)
            .closing(Closing::new().flush_timeout(Duration::from_millis(20)).close_timeout(Duration::from_millis(20)))
    });
    turn.set(Mode::HangAt(Level::Debug, "refused"), LevelFilter::Debug);
    let mut caller = stage.call();
    until("the logger", || *lock(&LOGGER.hangs));
    let (closing, port) = (stage.server.clone(), stage.server.port());
    in_time("close", move || closing.close());
    drop(std::net::TcpListener::bind(("127.0.0.1", port)).expect("the port is not free"));
    turn.set(Mode::Listen, LevelFilter::Off);
    *lock(&LOGGER.hangs) = false;
    LOGGER.changed.notify_all();
    let _ = caller.read_to_end(&mut Vec::new());
    assert_ended(&stage.server);
}
