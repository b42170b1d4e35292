//! A server in a process of its own, which is this test's binary run again: so that a limit can be put on it, and what
//! it uses be counted.
//!
//! It is told what to do by lines on its stdin, and tells what happens by lines on its stdout that begin with `> `.

#[cfg(target_os = "linux")]
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Stdio;
use std::time::{Duration, Instant};

use leads_comm::{Callback, Client, Closing, Connection, Error, RefusalCause, Server, Service};
#[cfg(target_os = "linux")]
use leads_comm_testing::vitals::{self, Vitals};
use leads_comm_testing::{PATIENCE, child, until};
#[cfg(target_os = "linux")]
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What the server is like.
#[derive(Debug, Clone, Default)]
pub(super) struct Setup {
    /// The port; 0 for a free one.
    pub(super) port: u16,
    /// `RLIMIT_NOFILE`; 0 for what there is.
    pub(super) descriptors: u64,
    /// 0 for the default.
    pub(super) max_connections: usize,
}

/// The test in each suite that is a server when another test runs it so; on its own it does nothing.
pub(super) fn be_server() {
    let Some(task) = child::task() else { return };
    let [port, descriptors, max_connections] =
        task.split(' ').map(|number| number.parse().unwrap()).collect::<Vec<u64>>()[..]
    else {
        panic!("{task}");
    };
    #[cfg(target_os = "linux")]
    if descriptors > 0 {
        let maximum = getrlimit(Resource::Nofile).maximum;
        setrlimit(Resource::Nofile, Rlimit { current: Some(descriptors), maximum }).unwrap();
    }
    #[cfg(not(target_os = "linux"))]
    assert_eq!(descriptors, 0, "it cannot be limited here");
    let mut builder = Server::builder().port(port.try_into().unwrap()).callback(Teller);
    if max_connections > 0 {
        builder = builder.max_connections(max_connections.try_into().unwrap());
    }
    let server = builder.build().unwrap();
    if let Err(error) = server.start(true) {
        return say(format_args!("cannot start: {error}"));
    }
    say(format_args!("port {}", server.port()));
    #[cfg(target_os = "linux")]
    let mut held = Vec::new();
    for line in io::stdin().lock().lines() {
        match line.unwrap().as_str() {
            // Takes every descriptor that is left.
            #[cfg(target_os = "linux")]
            "hold" => {
                held.extend(std::iter::from_fn(|| File::open("/dev/null").ok()));
                say(format_args!("held {}", held.len()));
            }
            #[cfg(target_os = "linux")]
            "release" => held.clear(),
            "close" => break,
            #[cfg(target_os = "linux")]
            "threads none" => limit_threads(Some(1)),
            #[cfg(target_os = "linux")]
            "threads" => limit_threads(None),
            other => match other.strip_prefix("restart ").map(|rounds| rounds.parse().unwrap()) {
                Some(rounds) => say(format_args!("restarted {}", restarts(server.port() + 1, rounds))),
                None => panic!("{other}"),
            },
        }
    }
    server.close();
    say(format_args!("closed"));
}

/// Starts a server on `port` and closes it, again and again, with one client that answers the goodbye and one that does
/// not: that leaves connections in TIME_WAIT and FIN_WAIT behind. How many starts have failed.
///
/// Here, because this process starts no other that would inherit a listener for a moment.
fn restarts(port: u16, rounds: usize) -> usize {
    let mut failed = 0;
    for _ in 0..rounds {
        let server = Server::builder()
            .port(port)
            .closing(Closing::new().drain_timeout(Duration::from_millis(5)))
            .build()
            .unwrap();
        if server.start(true).is_err() {
            failed += 1;
            continue;
        }
        let client = Client::builder().port(port).build().unwrap();
        client.start("127.0.0.1", true).unwrap();
        let _silent = TcpStream::connect(("127.0.0.1", port)).unwrap();
        until("both are connected", || server.num_connections() == 2);
        server.close();
    }
    failed
}

/// The number of threads that this user may have.
#[cfg(target_os = "linux")]
fn limit_threads(current: Option<u64>) {
    let maximum = getrlimit(Resource::Nproc).maximum;
    setrlimit(Resource::Nproc, Rlimit { current: current.or(maximum), maximum }).unwrap();
}

/// Echoes, and tells what fails.
struct Teller;

impl Callback for Teller {
    fn on_connect(&self, _: &dyn Service, connection: &Connection) {
        // Sent before anything that the peer may send, so that it knows that it has been let in.
        let _ = connection.send(b"welcome");
    }

    fn on_receive(&self, _: &dyn Service, connection: &Connection, message: &[u8]) {
        let _ = connection.send(message);
    }

    fn on_fail(&self, _: &dyn Service, error: &Error) {
        match error {
            Error::Refused { callers, cause } => {
                let cause = match cause {
                    RefusalCause::NoDescriptor { .. } => "descriptor",
                    RefusalCause::NoThread { .. } => "thread",
                    _ => "limit",
                };
                say(format_args!("refused {callers} {cause}"));
            }
            other => say(format_args!("failed {other}")),
        }
    }
}

fn say(line: std::fmt::Arguments<'_>) {
    child::say(&line.to_string());
}

/// A running server. Killed when dropped.
pub(super) struct Process {
    process: child::Process,
    pub(super) port: u16,
    /// What has failed before it was heard.
    failed: Vec<String>,
}

impl Process {
    pub(super) fn start(setup: &Setup) -> Self {
        Self::start_under(&[], setup)
    }

    /// Starts it under another program.
    pub(super) fn start_under(wrap: &[&str], setup: &Setup) -> Self {
        let Setup { port, descriptors, max_connections } = setup;
        let mut command =
            child::command(wrap, "exhaustion::server_process", &format!("{port} {descriptors} {max_connections}"));
        command.stderr(Stdio::null());
        let process = child::Process::spawn(command);
        // Accepting may fail before the start has returned.
        let mut failed = Vec::new();
        let port = loop {
            let line = process.line();
            match line.strip_prefix("port ") {
                Some(port) => break port.parse().unwrap(),
                None if line.starts_with("failed ") => failed.push(line),
                None => panic!("{line}"),
            }
        };
        Self { process, port, failed }
    }

    #[cfg(target_os = "linux")]
    pub(super) fn pid(&self) -> u32 {
        self.process.id()
    }

    pub(super) fn addr(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    /// A client that has not been let in yet.
    pub(super) fn connect(&self) -> Peer {
        Peer::new(TcpStream::connect(self.addr()).unwrap())
    }

    pub(super) fn tell(&mut self, command: &str) {
        self.process.tell(command);
    }

    pub(super) fn line(&self) -> String {
        self.process.line()
    }

    /// Closes it; how many refused callers it has told of since, and what else has failed.
    pub(super) fn close(&mut self) -> (u64, Vec<String>) {
        self.tell("close");
        let (mut refused, mut failed) = (0, std::mem::take(&mut self.failed));
        loop {
            let line = self.line();
            let mut words = line.split(' ');
            match words.next() {
                Some("refused") => refused += words.next().unwrap().parse::<u64>().unwrap(),
                Some("failed") => failed.push(line),
                Some("closed") => return (refused, failed),
                _ => {}
            }
        }
    }

    /// Ends it as a crash does.
    pub(super) fn kill(mut self) {
        self.process.kill();
    }

    /// The memory that it has resident, in KiB, where the system tells that.
    pub(super) fn memory(&self) -> Option<i64> {
        #[cfg(target_os = "linux")]
        return Some((self.vitals().memory / 1024) as i64);
        #[cfg(not(target_os = "linux"))]
        None
    }

    /// How much processor time it has used.
    #[cfg(target_os = "linux")]
    #[cfg(target_os = "linux")]
    pub(super) fn cpu(&self) -> Duration {
        vitals::cpu_of(self.pid())
    }

    /// What it takes of the machine.
    #[cfg(target_os = "linux")]
    pub(super) fn vitals(&self) -> Vitals {
        Vitals::of(self.pid())
    }
}

/// A client that speaks bytes.
pub(super) struct Peer {
    pub(super) socket: BufReader<TcpStream>,
}

impl Peer {
    pub(super) fn new(socket: TcpStream) -> Self {
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.set_nodelay(true).unwrap();
        Self { socket: BufReader::new(socket) }
    }

    /// The next message; `None` at the end of the stream.
    pub(super) fn message(&mut self) -> io::Result<Option<String>> {
        let mut message = Vec::new();
        self.socket.read_until(b';', &mut message)?;
        Ok(match message.pop() {
            None => None,
            Some(b';') => Some(String::from_utf8(message).unwrap()),
            Some(_) => return Err(io::ErrorKind::UnexpectedEof.into()),
        })
    }

    pub(super) fn send(&mut self, message: &str) {
        self.socket.get_mut().write_all(format!("{message};").as_bytes()).unwrap();
    }

    /// Whether it has been let in; otherwise it has been refused as it should be.
    pub(super) fn is_let_in(&mut self) -> bool {
        match self.message().unwrap().as_deref() {
            Some("welcome") => true,
            Some("disconnect") => {
                assert_eq!(self.message().unwrap().as_deref(), Some(""), "it is told why");
                assert_eq!(self.message().unwrap(), None);
                false
            }
            other => panic!("{other:?}"),
        }
    }

    /// One round trip.
    pub(super) fn echo(&mut self, message: &str) -> Duration {
        let begin = Instant::now();
        self.send(message);
        assert_eq!(self.message().unwrap().as_deref(), Some(message));
        begin.elapsed()
    }
}
