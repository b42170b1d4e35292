//! Nothing is lost silently: whatever ends a connection, every message that was accepted has either been handed to the
//! operating system or is reported in the reason of the end.
//!
//! What the system was given is counted by the [streams](leads_comm_testing::counted) themselves, and the
//! [proxy](leads_comm_testing::proxy) cannot have got more than that.

use std::collections::BTreeMap;
use std::env;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use leads_comm::callback::Event;
use leads_comm::crossbeam_channel::Receiver;
use leads_comm::{Client, Closing, Connection, Error, Server, Service, SlowConsumer, Timeouts};
use leads_comm_testing::counted::{Streams, Written};
use leads_comm_testing::proxy::{Direction, End, Faults, Link, Proxy, Slices};
use leads_comm_testing::seed::{Random, Seed};
use leads_comm_testing::stamp::Stamp;
use leads_comm_testing::*;

const SENDERS: u64 = 4;
const LONGEST: usize = 16 * 1024;

/// Small, so that a peer that stands still is noticed soon.
const SYSTEM_BUFFER: usize = 16 * 1024;

/// Names the server to the process that is a peer.
const PEER_OF: &str = "LEADS_COMM_TEST_PEER_OF";

/// What the services of some rounds are told.
#[derive(Debug, Clone, Copy)]
struct Setting {
    slow_consumer: SlowConsumer,
    coalesce: bool,
    max_queued_bytes: usize,
}

const SETTINGS: [Setting; 6] = [
    Setting { slow_consumer: SlowConsumer::Disconnect, coalesce: true, max_queued_bytes: 4 * 1024 * 1024 },
    Setting { slow_consumer: SlowConsumer::Disconnect, coalesce: false, max_queued_bytes: 200_000 },
    Setting { slow_consumer: SlowConsumer::DropOldest, coalesce: true, max_queued_bytes: 100_000 },
    Setting { slow_consumer: SlowConsumer::DropNewest, coalesce: true, max_queued_bytes: 100_000 },
    Setting { slow_consumer: SlowConsumer::DropOldest, coalesce: false, max_queued_bytes: 100_000 },
    Setting { slow_consumer: SlowConsumer::Block(PATIENCE), coalesce: true, max_queued_bytes: 100_000 },
];

/// A builder with what the setting says.
macro_rules! apply {
    ($setting:expr, $builder:expr) => {
        $builder
            .slow_consumer($setting.slow_consumer)
            .coalesce($setting.coalesce)
            .max_received_len(LONGEST)
            .max_sent_len(LONGEST)
            .max_queued_bytes($setting.max_queued_bytes)
            .timeouts(Timeouts::new().stall_timeout(Duration::from_millis(100)))
            .closing(Closing::new().flush_timeout(Duration::from_millis(300)).drain_timeout(Duration::from_millis(100)))
    };
}

/// What ends the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    /// The network resets it, at this byte of what is sent.
    ResetAt(u64),
    /// The network resets it, when so many messages have been accepted.
    Reset,
    /// The peer ends its half of the stream, but reads on.
    HalfClose,
    /// The peer reads nothing.
    Stall,
    /// The peer sends more without a separator than may be.
    TooLong,
    Abort,
    Close,
    /// The peer's process is killed. Without a proxy.
    Kill,
}

/// What has been sent in a round, to all connections together.
#[derive(Default)]
struct Accepted {
    messages: AtomicU64,
    bytes: AtomicU64,
}

impl Accepted {
    /// Notes that so many peers, or so many messages of this length, were accepted.
    fn note(&self, times: usize, message: &[u8]) {
        self.messages.fetch_add(times as u64, Ordering::Relaxed);
        self.bytes.fetch_add((times * (message.len() + 1)) as u64, Ordering::Relaxed);
    }

    fn messages(&self) -> u64 {
        self.messages.load(Ordering::Relaxed)
    }
}

/// Sends until the connection has ended, or often enough.
fn send(
    service: &dyn Service,
    victim: &Connection,
    sender: u64,
    messages: u64,
    mut random: Random,
    accepted: &Accepted,
) {
    let mut message = Vec::new();
    for number in 0..messages {
        if victim.is_closed() {
            return;
        }
        let most = random.skewed(LONGEST);
        Stamp { kind: b's', sender, number }.write(random.skewed(most), &mut message);
        match random.within(0..=9) {
            0..=3 => match victim.send(&message) {
                Ok(()) => accepted.note(1, &message),
                Err(Error::Disconnected | Error::SlowConsumer { .. } | Error::Dropped { .. }) => {}
                Err(error) => panic!("{error}"),
            },
            // So few that they are one part, which is accepted as a whole.
            4 => match victim.send_all([&message, &message, &message]) {
                Ok(count) => accepted.note(count, &message),
                Err(Error::Disconnected | Error::SlowConsumer { .. }) => {}
                Err(error) => panic!("{error}"),
            },
            // Floods of what is short, which is joined.
            5 => {
                message.truncate(20);
                for _ in 0..50 {
                    accepted.note(service.broadcast(&message).unwrap(), &message);
                }
            }
            _ => accepted.note(service.broadcast(&message).unwrap(), &message),
        }
    }
}

/// Makes connections of a service, through a proxy, to peers that speak bytes.
enum Side {
    Server { server: Server, events: Receiver<Event>, proxy: Proxy },
    Client { setting: Setting, listener: TcpListener, proxy: Proxy },
}

/// A connection under test, seen from the service that sends.
struct Victim {
    service: Arc<dyn Service>,
    connection: Connection,
    peer: Peer,
    /// Its way through the proxy, if it takes that.
    link: Option<Link>,
}

enum Peer {
    Socket(TcpStream),
    Process(Child),
}

/// What the service of each side is, and how its bytes are counted.
struct Bench {
    setting: Setting,
    side: Side,
    streams: Streams,
    /// How many connections have gone through the proxy.
    links: usize,
}

impl Bench {
    fn server(setting: Setting, random: Random) -> Self {
        let streams = Streams::with_send_buffer(SYSTEM_BUFFER);
        let (callback, events) = recorder();
        let builder = Server::builder().transport(streams.listener()).callback(callback);
        let server = apply!(setting, builder).build().unwrap();
        server.start(true).unwrap();
        let proxy = Proxy::start(server.local_addr().unwrap(), random, small_buffers(), small_buffers());
        Self { setting, side: Side::Server { server, events, proxy }, streams, links: 0 }
    }

    fn client(setting: Setting, random: Random) -> Self {
        let streams = Streams::with_send_buffer(SYSTEM_BUFFER);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = Proxy::start(listener.local_addr().unwrap(), random, small_buffers(), small_buffers());
        Self { setting, side: Side::Client { setting, listener, proxy }, streams, links: 0 }
    }

    /// Which way the service's bytes go through the proxy.
    fn direction(&self) -> Direction {
        match self.side {
            Side::Server { .. } => Direction::ToClient,
            Side::Client { .. } => Direction::ToServer,
        }
    }

    /// A connection whose bytes suffer these faults.
    fn connect(&mut self, faults: Faults) -> Victim {
        let nth = self.links;
        self.links += 1;
        match &self.side {
            Side::Server { server, events, proxy } => {
                proxy.set_faults(small_buffers(), faults);
                let socket = TcpStream::connect(proxy.addr()).unwrap();
                let connection = connected(events);
                Victim {
                    service: Arc::new(server.clone()),
                    connection,
                    peer: Peer::Socket(socket),
                    link: Some(proxy.link(nth)),
                }
            }
            Side::Client { setting, listener, proxy } => {
                proxy.set_faults(faults, small_buffers());
                let builder = Client::builder().transport(self.streams.connector(proxy.addr()));
                let client = apply!(setting, builder).build().unwrap();
                client.start("through the proxy", true).unwrap();
                let socket = listener.accept().unwrap().0;
                let connection = client.connection().expect("nothing has ended it");
                Victim {
                    service: Arc::new(client),
                    connection,
                    peer: Peer::Socket(socket),
                    link: Some(proxy.link(nth)),
                }
            }
        }
    }

    /// A connection of a server to another process.
    fn connect_process(&self) -> Victim {
        let Side::Server { server, events, .. } = &self.side else { panic!("only servers have such peers") };
        let child = runner::command(env::current_exe().unwrap())
            .args(["--ignored", "--exact", "accounting::peer_process"])
            .env(PEER_OF, server.local_addr().unwrap().to_string())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let connection = connected(events);
        Victim { service: Arc::new(server.clone()), connection, peer: Peer::Process(child), link: None }
    }

    /// Sends from several threads, ends the connection, and draws up the account.
    fn round(&mut self, random: &mut Random) -> Outcome {
        let cause = Cause::choose(&self.side, random);
        let faults = Faults {
            slices: Slices::Skewed(LONGEST),
            rate: random.once_in(3).then_some(20_000_000),
            end: match cause {
                Cause::ResetAt(at) => Some((at, End::Reset)),
                _ => None,
            },
            ..small_buffers()
        };
        let mut victim = if cause == Cause::Kill { self.connect_process() } else { self.connect(faults) };
        // What is broadcast goes to another one, too.
        let beside =
            (matches!(self.side, Side::Server { .. }) && random.once_in(2)).then(|| self.connect(small_buffers()));
        let mut reading: Vec<_> = beside.iter().filter_map(Victim::read_on).collect();
        if cause != Cause::Stall {
            reading.extend(victim.read_on());
        }

        let accepted = Arc::new(Accepted::default());
        let messages = random.within(20..=200) as u64;
        let moment = random.skewed((SENDERS * messages) as usize) as u64;
        let sending = victim.start_sending(messages, random, &accepted);
        while accepted.messages() < moment
            && !victim.connection.is_closed()
            && !sending.iter().all(JoinHandle::is_finished)
        {
            thread::yield_now();
        }
        victim.suffer(cause);
        for sending in sending {
            in_time("sending", || sending.join().unwrap());
        }
        if cause == Cause::Stall {
            // If it all fits into the system's buffers, nothing stands still.
            until("the end", || {
                if victim.connection.queued_bytes() == 0 {
                    victim.connection.abort();
                }
                victim.connection.is_closed()
            });
        } else if let Cause::ResetAt(_) = cause {
            // That byte may never have come.
            victim.link.as_ref().expect("it goes through the proxy").reset();
        }
        if let Some(beside) = &beside {
            beside.connection.close();
        }

        let accepted = (accepted.messages() as i64, accepted.bytes.load(Ordering::Relaxed) as i64);
        let mut unaccounted = accepted;
        let mut reported = 0;
        for one in [&victim].into_iter().chain(&beside) {
            let account = self.settle(one);
            unaccounted.0 -= (account.written.messages + account.reported.0) as i64;
            unaccounted.1 -= (account.written.bytes + account.reported.1) as i64;
            reported += account.reported.0;
        }
        let reason = format!("{:?}", victim.connection.disconnect_reason().unwrap());
        let reason = reason.split([' ', '{']).next().unwrap_or_default().to_owned();
        if let Side::Client { .. } = self.side {
            victim.service.close();
        }
        if let Peer::Process(child) = &mut victim.peer {
            child.wait().unwrap();
        }
        drop((victim, beside));
        reading.into_iter().for_each(|reading| in_time("reading", || reading.join().unwrap()));
        Outcome { unaccounted, reason, cause, accepted: accepted.0 as u64, reported }
    }

    /// Waits for the end of a connection, and tells what became of what was sent to it.
    fn settle(&self, one: &Victim) -> Account {
        until("the end", || one.connection.disconnect_reason().is_some());
        let reason = one.connection.disconnect_reason().unwrap();
        let undelivered = reason.undelivered;
        let written = self.streams.take(one.connection.peer_addr().unwrap());
        if let Some(link) = &one.link {
            let taken = link.counts(self.direction()).taken;
            let handed = written.bytes + written.goodbye;
            assert!(taken <= handed, "{taken} bytes have arrived, but only {handed} were written: {reason}");
        }
        let mut reported = (undelivered.unsent.messages, undelivered.unsent.bytes);
        // Under the other policies they were not accepted.
        if self.setting.slow_consumer == SlowConsumer::DropOldest {
            reported.0 += undelivered.dropped.messages;
            reported.1 += undelivered.dropped.bytes;
        }
        Account { written, reported }
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        if let Side::Server { server, .. } = &self.side {
            server.close();
        }
    }
}

impl Cause {
    fn choose(side: &Side, random: &mut Random) -> Self {
        match random.within(0..=19) {
            0..=4 => Self::ResetAt(1 + random.skewed(300_000) as u64),
            5..=8 => Self::Reset,
            9..=11 => Self::HalfClose,
            12..=13 => Self::Stall,
            14 => Self::TooLong,
            15..=16 => Self::Abort,
            17..=18 => Self::Close,
            _ if matches!(side, Side::Server { .. }) => Self::Kill,
            _ => Self::Reset,
        }
    }
}

impl Victim {
    /// Lets the peer read until the end of the stream, and end its own side then. A process reads by itself.
    fn read_on(&self) -> Option<JoinHandle<()>> {
        let Peer::Socket(socket) = &self.peer else { return None };
        let mut socket = socket.try_clone().unwrap();
        Some(thread::spawn(move || {
            let mut chunk = vec![0; 64 * 1024];
            while matches!(socket.read(&mut chunk), Ok(1..)) {}
            let _ = socket.shutdown(Shutdown::Write);
        }))
    }

    fn start_sending(&self, messages: u64, random: &Random, accepted: &Arc<Accepted>) -> Vec<JoinHandle<()>> {
        let start = Arc::new(Barrier::new(SENDERS as usize));
        (0..SENDERS)
            .map(|sender| {
                let (start, random, accepted) = (Arc::clone(&start), random.part(sender), Arc::clone(accepted));
                let (service, connection) = (Arc::clone(&self.service), self.connection.clone());
                thread::spawn(move || {
                    start.wait();
                    send(&*service, &connection, sender, messages, random, &accepted);
                })
            })
            .collect()
    }

    fn suffer(&mut self, cause: Cause) {
        // A connection that has ended meanwhile cannot suffer any more.
        match (cause, &mut self.peer) {
            (Cause::Reset, _) => self.link.as_ref().expect("it goes through the proxy").reset(),
            (Cause::HalfClose, Peer::Socket(socket)) => drop(socket.shutdown(Shutdown::Write)),
            (Cause::TooLong, Peer::Socket(socket)) => drop(socket.write_all(&[b'x'; LONGEST + 2])),
            (Cause::Abort, _) => self.connection.abort(),
            (Cause::Close, _) => self.connection.close(),
            (Cause::Kill, Peer::Process(child)) => child.kill().unwrap(),
            _ => {}
        }
    }
}

struct Outcome {
    cause: Cause,
    reason: String,
    /// Accepted, less what was written, less what is reported: messages and bytes.
    unaccounted: (i64, i64),
    /// Messages.
    accepted: u64,
    reported: u64,
}

/// What became of the messages to one peer.
struct Account {
    written: Written,
    /// Messages that were accepted and not written whole, and their bytes that were not written.
    reported: (u64, u64),
}

/// No faults, but buffers that are soon full.
fn small_buffers() -> Faults {
    Faults { buffers: Some(SYSTEM_BUFFER), ..Faults::default() }
}

fn run(rounds: usize) {
    let seed = Seed::new();
    println!("seed {seed}");
    let benches = SETTINGS.len() * 2;
    let (mut exact, mut all, mut lost, mut reasons) = (0, 0, 0, BTreeMap::new());
    for nth in 0..benches {
        let setting = SETTINGS[nth / 2];
        let mut random = seed.random(nth as u64);
        let through = random.part(0);
        let mut bench = if nth % 2 == 0 { Bench::server(setting, through) } else { Bench::client(setting, through) };
        for _ in rounds * nth / benches..rounds * (nth + 1) / benches {
            let Outcome { unaccounted, reason, cause, accepted, reported } = bench.round(&mut random);
            all += accepted;
            lost += reported;
            if unaccounted == (0, 0) {
                exact += 1;
            } else {
                println!("{setting:?}, {cause:?}, {reason}: {unaccounted:?} messages and bytes unaccounted for");
            }
            *reasons.entry(reason).or_insert(0) += 1;
        }
    }
    println!("O2: accepted - written - reported = 0 in {exact} of {rounds}");
    println!("of {all} messages, {lost} were reported; ended by {reasons:?}");
    assert_eq!(exact, rounds);
    assert!(lost > 0 && lost < all, "it has tried nothing");
}

#[test]
fn what_is_accepted_is_written_or_reported() {
    alone!();
    run(100);
}

#[test]
#[ignore = "long: takes 15 seconds"]
fn what_is_accepted_is_written_or_reported_a_thousand_times() {
    alone!();
    run(1000);
}

/// What the process of a [peer](Bench::connect_process) runs: it reads until it is killed.
#[test]
#[ignore = "started by the tests above"]
fn peer_process() {
    let Ok(server) = env::var(PEER_OF) else { return };
    let mut socket = TcpStream::connect(server.parse::<SocketAddr>().unwrap()).unwrap();
    let mut chunk = [0; 4096];
    while matches!(socket.read(&mut chunk), Ok(1..)) {}
}
