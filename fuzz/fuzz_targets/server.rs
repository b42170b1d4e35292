//! A whole server, its callback, and one to three peers that write, end their half, vanish and reset as the input says.
//!
//! Whatever they do: each `on_connect` has one `on_disconnect`, which is the last that is told of that connection;
//! messages are those of a naive receiver, none invented, none torn; a peer that ends as it should is told all that was
//! sent to it, and a goodbye; the reason is the one that the bytes give; closing ends; no thread is left.
//!
//! Input: flags (see [`Setting`]), then deeds (see [`act`]) until it is used up. A message that the server receives
//! tells the callback what to do by its first byte (see [`Told`]).
#![no_main]

#[allow(dead_code, reason = "the suites of the framing use the rest")]
#[path = "../../tests/codec/oracle.rs"]
mod oracle;

use std::collections::HashMap;
use std::fs;
use std::io::IoSlice;
use std::net::Shutdown;
use std::panic;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::{Duration, Instant};

use leads_comm::transport::Stream;
use leads_comm::transport::memory::{self, MemoryConnector, MemoryStream};
use leads_comm::{Callback, Closing, Connection, DisconnectCause, DisconnectReason, Error, Server, Service};
use leads_comm_fuzz::{Input, Trickle};
use leads_comm_testing::layer;
use libfuzzer_sys::fuzz_target;
use oracle::{End, NO_LIMIT, SEPARATORS, split};

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// More than this could fill a stream whose peer reads only in the end.
const MOST_INPUT: usize = 16 * 1024;

const GOODBYE: &[u8] = b"disconnect";

fuzz_target!(|data: &[u8]| {
    if data.len() <= MOST_INPUT {
        run(&mut Input::new(data));
    }
});

/// The flags.
struct Setting {
    separator: &'static [u8],
    max_received_len: usize,
    /// How much passes in one call.
    most: usize,
    non_blocking: bool,
    /// Whether the server is closed before those peers that are still there have ended their half.
    close_early: bool,
    peers: u64,
}

impl Setting {
    fn read(input: &mut Input<'_>) -> Self {
        let flags = input.byte();
        Self {
            separator: SEPARATORS[usize::from(input.byte()) % SEPARATORS.len()],
            // As much as the goodbye, or more.
            max_received_len: GOODBYE.len() + usize::from(input.byte()),
            most: match input.byte() {
                0 => usize::MAX,
                most => most.into(),
            },
            non_blocking: flags & 1 == 0,
            close_early: flags & 2 != 0,
            peers: 1 + u64::from(flags >> 2) % 3,
        }
    }
}

fn run(input: &mut Input<'_>) {
    let threads = count_threads();
    let setting = Setting::read(input);
    let (listener, connector) = memory::listener();
    let trickle = Trickle { most: setting.most, non_blocking: setting.non_blocking };
    let (entries, told) = mpsc::channel();
    let server = Server::builder()
        .transport(layer::listener(listener, &Arc::new(trickle)))
        .separator(setting.separator)
        .max_received_len(setting.max_received_len)
        .closing(
            Closing::new()
                .flush_timeout(PATIENCE)
                .drain_timeout(if setting.close_early { Duration::from_millis(5) } else { PATIENCE })
                .close_timeout(2 * PATIENCE),
        )
        .callback(Obedient { entries })
        .build()
        .expect("the settings fit together");
    server.start(true).expect("nothing stands in the way");

    let mut peers: Vec<_> = (1..=setting.peers).map(|number| Peer::new(number, &connector)).collect();
    while !input.is_empty() {
        act(&mut peers, input);
    }
    let expected: Vec<_> = peers.iter().map(|peer| Expected::of(&peer.written, &setting)).collect();
    let closes_early = setting.close_early || expected.iter().any(|expected| expected.closes_service);
    let mut log = Log::default();
    if !setting.close_early {
        peers.iter_mut().for_each(Peer::end);
    }
    if !closes_early {
        while log.ended < peers.len() {
            log.note(told.recv_timeout(PATIENCE).expect("a connection does not end"));
        }
    }
    let begun = Instant::now();
    server.close();
    assert!(begun.elapsed() < 2 * PATIENCE + PATIENCE, "close took {:?}", begun.elapsed());
    assert_eq!(server.num_connections(), 0);
    log.finish(told);

    for (peer, expected) in peers.iter().zip(&expected) {
        match log.connections.remove(&format!("memory {}", peer.number)) {
            Some(life) => life.check(peer, expected, closes_early),
            None => assert!(closes_early, "peer {} is never accepted", peer.number),
        }
    }
    assert!(log.connections.is_empty(), "from nowhere: {:?}", log.connections);
    if !closes_early {
        check_sent(&peers, &expected, setting.separator);
    }
    drop((server, peers));
    let deadline = Instant::now() + PATIENCE;
    while count_threads() != threads {
        assert!(Instant::now() < deadline, "{} threads instead of {threads}", count_threads());
        thread::yield_now();
    }
}

/// One deed: the lowest two bits of a byte say of which peer, the next three what.
fn act(peers: &mut [Peer], input: &mut Input<'_>) {
    let byte = input.byte();
    let count = peers.len();
    let peer = &mut peers[usize::from(byte & 3) % count];
    match byte >> 2 & 7 {
        0..5 => peer.write(input.counted()),
        5 => peer.end(),
        6 => peer.vanish(),
        _ => peer.reset(),
    }
}

/// Who is at the far end of a connection.
struct Peer {
    number: u64,
    /// None when it has vanished.
    stream: Option<MemoryStream>,
    /// As long as it has not ended its half.
    may_write: bool,
    /// Whether it ended otherwise than by ending its half.
    is_rude: bool,
    written: Vec<u8>,
}

impl Peer {
    fn new(number: u64, connector: &MemoryConnector) -> Self {
        let stream = connector.open().expect("the server listens");
        Self { number, stream: Some(stream), may_write: true, is_rude: false, written: Vec::new() }
    }

    fn write(&mut self, mut bytes: &[u8]) {
        let Some(stream) = self.stream.as_ref().filter(|_| self.may_write) else { return };
        self.written.extend_from_slice(bytes);
        // It fails when the server has closed, and so wants none of it.
        while let Ok(count @ 1..) = stream.write_vectored(&[IoSlice::new(bytes)]) {
            bytes = &bytes[count..];
        }
    }

    fn end(&mut self) {
        self.may_write = false;
        if let Some(stream) = &self.stream {
            stream.shutdown(Shutdown::Write).expect("always succeeds");
        }
    }

    fn vanish(&mut self) {
        self.is_rude = true;
        self.stream = None;
    }

    fn reset(&mut self) {
        self.is_rude = true;
        self.may_write = false;
        if let Some(stream) = &self.stream {
            stream.abort().expect("always succeeds");
        }
    }

    /// All that the server has sent.
    fn read_to_end(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut chunk = [0; 4096];
        let Some(stream) = &self.stream else { return bytes };
        while let Ok(count @ 1..) = stream.read(&mut chunk) {
            bytes.extend_from_slice(&chunk[..count]);
        }
        bytes
    }
}

/// What a message tells the callback to do, by its first byte.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Told {
    Nothing,
    Echo,
    Broadcast,
    Close,
    Abort,
    Panic,
    CloseService,
}

impl Told {
    fn by(message: &[u8]) -> Self {
        match message.first() {
            Some(b'e') => Self::Echo,
            Some(b'b') => Self::Broadcast,
            Some(b'c') => Self::Close,
            Some(b'a') => Self::Abort,
            Some(b'p') => Self::Panic,
            Some(b's') => Self::CloseService,
            _ => Self::Nothing,
        }
    }
}

/// Does as it is told.
struct Obedient {
    entries: Sender<Entry>,
}

enum Entry {
    Connect(String),
    Receive(String, Vec<u8>),
    Disconnect(String, DisconnectReason),
    Fail,
}

impl Obedient {
    fn tell(&self, entry: Entry) {
        self.entries.send(entry).expect("nothing is told after the close");
    }
}

impl Callback for Obedient {
    fn on_connect(&self, service: &dyn Service, connection: &Connection) {
        assert!(service.connections().contains(connection));
        self.tell(Entry::Connect(connection.to_string()));
    }

    fn on_receive(&self, service: &dyn Service, connection: &Connection, message: &[u8]) {
        self.tell(Entry::Receive(connection.to_string(), message.to_vec()));
        match Told::by(message) {
            Told::Nothing => {}
            Told::Echo => match connection.send(message) {
                // Others may have ended the connection meanwhile.
                Ok(()) | Err(Error::Disconnected) => {}
                Err(error) => panic!("what has been received cannot be sent: {error}"),
            },
            Told::Broadcast => drop(service.broadcast(message).expect("what has been received can be sent")),
            Told::Close => connection.close(),
            Told::Abort => connection.abort(),
            // Not by `panic!`, at which the fuzzer would stop.
            Told::Panic => panic::resume_unwind(Box::new("told to")),
            Told::CloseService => service.close(),
        }
    }

    fn on_disconnect(&self, service: &dyn Service, connection: &Connection, reason: &DisconnectReason) {
        assert!(!service.connections().contains(connection));
        self.tell(Entry::Disconnect(connection.to_string(), reason.clone()));
    }

    fn on_fail(&self, _: &dyn Service, error: &Error) {
        assert!(matches!(error, Error::CallbackPanicked { callback: "on_receive", .. }), "{error}");
        self.tell(Entry::Fail);
    }
}

/// What the callback has been told.
#[derive(Default)]
struct Log {
    connections: HashMap<String, Life>,
    ended: usize,
}

/// One connection as the callback saw it.
#[derive(Debug, Default)]
struct Life {
    messages: Vec<Vec<u8>>,
    reason: Option<DisconnectReason>,
}

impl Log {
    fn note(&mut self, entry: Entry) {
        match entry {
            Entry::Connect(name) => {
                assert!(self.connections.insert(name, Life::default()).is_none(), "on_connect twice");
            }
            Entry::Receive(name, message) => {
                let life = self.connections.get_mut(&name).expect("on_receive before on_connect");
                assert!(life.reason.is_none(), "on_receive after on_disconnect");
                life.messages.push(message);
            }
            Entry::Disconnect(name, reason) => {
                let life = self.connections.get_mut(&name).expect("on_disconnect without on_connect");
                assert!(life.reason.replace(reason).is_none(), "on_disconnect twice");
                self.ended += 1;
            }
            Entry::Fail => {}
        }
    }

    /// The service is closed: all has been told.
    fn finish(&mut self, told: Receiver<Entry>) {
        told.try_iter().for_each(|entry| self.note(entry));
        assert_eq!(self.ended, self.connections.len(), "on_connect without on_disconnect");
    }
}

/// What a naive receiver makes of what a peer has written.
struct Expected {
    messages: Vec<Vec<u8>>,
    end: ExpectedEnd,
    /// Whether the callback is told to close the service. Messages behind that may still be delivered, if somebody else
    /// is closing it already and has not come to this connection yet.
    closes_service: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum ExpectedEnd {
    /// The peer's half ends behind this many bytes of an unfinished message.
    Closed(usize),
    Goodbye,
    TooLong,
    Told(ToldEnd),
}

#[derive(Debug, PartialEq, Eq)]
enum ToldEnd {
    Close,
    Abort,
    Panic,
}

impl Expected {
    fn of(written: &[u8], setting: &Setting) -> Self {
        let decoded = split(written, setting.separator, setting.max_received_len);
        let mut messages = Vec::new();
        let mut closes_service = false;
        for message in decoded.messages {
            if message == GOODBYE {
                return Self { messages, end: ExpectedEnd::Goodbye, closes_service };
            }
            let told = Told::by(&message);
            messages.push(message);
            let end = match told {
                Told::Nothing | Told::Echo | Told::Broadcast => continue,
                Told::Close => ExpectedEnd::Told(ToldEnd::Close),
                Told::Abort => ExpectedEnd::Told(ToldEnd::Abort),
                Told::Panic => ExpectedEnd::Told(ToldEnd::Panic),
                Told::CloseService => {
                    closes_service = true;
                    continue;
                }
            };
            return Self { messages, end, closes_service };
        }
        let end = match decoded.end {
            End::Remainder(remainder) => ExpectedEnd::Closed(remainder.len()),
            End::TooLong => ExpectedEnd::TooLong,
            End::Malformed => unreachable!("a separator makes a message of anything"),
        };
        Self { messages, end, closes_service }
    }

    /// What is sent because of these messages, to everybody or not.
    fn sent(&self, to_all: bool) -> impl Iterator<Item = &Vec<u8>> {
        self.messages.iter().filter(move |message| match Told::by(message) {
            Told::Broadcast => true,
            Told::Echo => !to_all,
            _ => false,
        })
    }
}

impl Life {
    fn check(&self, peer: &Peer, expected: &Expected, closes_early: bool) {
        let reason = self.reason.as_ref().expect("it has ended");
        assert!(expected.messages.starts_with(&self.messages), "{:?}", self.messages);
        if closes_early || peer.is_rude {
            return;
        }
        assert_eq!(self.messages, expected.messages);
        let as_expected = match (&expected.end, &reason.cause) {
            (&ExpectedEnd::Closed(bytes), DisconnectCause::PeerClosed) => reason.undelivered.unfinished_bytes == bytes,
            (ExpectedEnd::Goodbye, DisconnectCause::PeerGoodbye)
            | (ExpectedEnd::TooLong, DisconnectCause::MessageTooLong { .. })
            | (ExpectedEnd::Told(ToldEnd::Close), DisconnectCause::LocalClose)
            | (ExpectedEnd::Told(ToldEnd::Abort), DisconnectCause::LocalAbort)
            | (ExpectedEnd::Told(ToldEnd::Panic), DisconnectCause::CallbackPanicked { .. }) => true,
            _ => false,
        };
        assert!(as_expected, "{reason:?} instead of {:?}", expected.end);
    }
}

/// Every peer that was not rude, and has not been aborted, has got what its own messages had sent to it, in order, what
/// others sent to all, and a goodbye as the last message.
fn check_sent(peers: &[Peer], expected: &[Expected], separator: &[u8]) {
    let most = |peer: usize| {
        let others = expected.iter().enumerate().filter(move |(other, _)| *other != peer);
        expected[peer].sent(false).count() + others.map(|(_, other)| other.sent(true).count()).sum::<usize>()
    };
    for (index, (peer, expected)) in peers.iter().zip(expected).enumerate() {
        if peer.is_rude || expected.end == ExpectedEnd::Told(ToldEnd::Abort) {
            continue;
        }
        let got = split(&peer.read_to_end(), separator, NO_LIMIT);
        assert_eq!(got.end, End::Remainder(Vec::new()), "torn");
        let (last, got) = got.messages.split_last().expect("no goodbye");
        assert_eq!(last, GOODBYE);
        let mut own = expected.sent(false).peekable();
        for message in got {
            own.next_if(|own| *own == message);
        }
        assert_eq!(own.next(), None, "lost, or out of order");
        assert!(got.len() <= most(index), "invented");
        assert!(!got.contains(&GOODBYE.to_vec()));
    }
}

fn count_threads() -> usize {
    fs::read_dir("/proc/self/task").expect("on Linux").count()
}
