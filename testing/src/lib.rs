//! What the test suites share: transports to run over, peers that speak raw bytes, and waiting with a deadline.
//!
//! A suite begins with a server of some transport ([`Net::start_server`]) or with peers that take what it lets them
//! ([`valve`]), and goes on by what the program is told ([`next`], [`find`], [`received`]). Whatever here fails, or
//! takes longer than [`PATIENCE`], fails the test by a panic.

#![allow(missing_debug_implementations, reason = "nobody prints what a test is made of")]
#![allow(clippy::new_without_default, reason = "a new one is unlike every other")]

pub mod account;
pub mod alone;
#[cfg(feature = "tls")]
pub mod certificates;
pub mod child;
#[cfg(windows)]
pub mod console;
pub mod counted;
pub mod deadlocks;
pub mod figures;
pub mod folder;
pub mod layer;
pub mod leads_peer;
#[cfg(target_os = "linux")]
pub mod leftovers;
pub mod logged;
pub mod mosquitto;
pub mod net;
pub mod pair;
pub mod proxy;
#[cfg(all(unix, feature = "serial"))]
pub mod pty;
pub mod resets;
pub mod runner;
pub mod seed;
pub mod shaking;
pub mod silent;
pub mod stamp;
pub mod threads;
pub mod valve;
#[cfg(target_os = "linux")]
pub mod vitals;
pub mod wire;

use std::collections::BTreeSet;
use std::fmt;
use std::io::{self, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use leads_comm::DisconnectReason;
use leads_comm::callback::{self, ChannelCallback, Event};
use leads_comm::crossbeam_channel::Receiver;
use parking_lot::Mutex;
use seed::Random;

pub use net::raw::Raw;
pub use net::{Dial, Net, Started};

/// How long anything may take before a test gives up: far longer than it ever should, also on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(if cfg!(leads_comm_emulated) { 80 } else { 20 });

/// The next one who connects. No process that is started inherits the connection, as it may on Windows: that would not
/// end before the process does.
pub fn accept(listener: &TcpListener) -> io::Result<TcpStream> {
    let (socket, _) = listener.accept()?;
    #[cfg(windows)]
    socket2::SockRef::from(&socket).set_no_inherit(true)?;
    Ok(socket)
}

/// An error and its sources, one behind the other, as programs show them.
///
/// # Panics
///
/// If one of them says what another one says.
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let all: Vec<String> =
        std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string).collect();
    for (at, text) in all.iter().enumerate() {
        let is_repeated = all.iter().enumerate().any(|(other, longer)| other != at && longer.contains(text.as_str()));
        assert!(!is_repeated, "{text:?} is said twice: {all:?}");
    }
    all.join(": ")
}

/// What a server with the separator `;` says to a caller that it does not let in.
pub const REFUSAL: &[u8] = b"disconnect;;";

/// Says why a test, or a part of it, is skipped.
pub fn skipped(why: impl fmt::Display) {
    // Not by `eprintln!`, which is not shown for a test that passes. The harness of the tests may have begun a line.
    let _ = writeln!(io::stderr(), "\nskipped: {why}");
}

/// The folder of the checkout.
pub fn checkout() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this crate lies in the checkout")
}

/// A message of `len` bytes that can be told from all others, and from a part of itself.
pub fn numbered(number: usize, len: usize) -> Vec<u8> {
    let mut message = format!("{number}:{len}:").into_bytes();
    assert!(message.len() <= len, "too short for its number");
    message.resize(len, b'a' + (number % 26) as u8);
    message
}

/// The number of a [numbered] message, which must be whole.
pub fn number_of(message: &[u8]) -> usize {
    let mut parts = message.splitn(3, |byte| *byte == b':').map(|part| std::str::from_utf8(part).unwrap());
    let mut number = || parts.next().and_then(|part| part.parse().ok()).unwrap_or_else(|| panic!("{message:?}"));
    let (number, len) = (number(), number());
    assert!(message == numbered(number, len), "torn: {}", message.escape_ascii());
    number
}

/// Runs `work` on a thread of its own and returns what it returns; fails the test when that takes too long.
pub fn in_time<T: Send + 'static>(what: &str, work: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, ended) = mpsc::channel();
    thread::spawn(move || {
        let _ = done.send(work());
    });
    match ended.recv_timeout(PATIENCE) {
        Ok(result) => result,
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("{what} takes too long"),
        Err(mpsc::RecvTimeoutError::Disconnected) => panic!("{what} panicked"),
    }
}

/// The next event.
pub fn next(events: &Receiver<Event>) -> Event {
    events.recv_timeout(PATIENCE).expect("no further event")
}

/// The next event for which `pick` gives something; those before it are skipped.
pub fn find<T>(events: &Receiver<Event>, mut pick: impl FnMut(Event) -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let event = events.recv_deadline(deadline).expect("the event does not come");
        if let Some(found) = pick(event) {
            return found;
        }
    }
}

/// The next connection.
pub fn connected(events: &Receiver<Event>) -> leads_comm::Connection {
    find(events, |event| match event {
        Event::Connect { connection } => Some(connection),
        _ => None,
    })
}

/// Time-outs under which a peer that takes nothing stays so long, also where the system does not tell whether it is
/// there.
pub fn unhurried(time: Duration) -> leads_comm::Timeouts {
    leads_comm::Timeouts::new().stall_timeout(time).dead_peer_timeout(time)
}

/// The next message.
pub fn received(events: &Receiver<Event>) -> Vec<u8> {
    find(events, |event| match event {
        Event::Receive { message, .. } => Some(message),
        _ => None,
    })
}

/// The reason of the next disconnection.
pub fn disconnected(events: &Receiver<Event>) -> DisconnectReason {
    find(events, |event| match event {
        Event::Disconnect { reason, .. } => Some(reason),
        _ => None,
    })
}

/// Waits until `holds`, by asking again and again: for what nothing announces, such as a count of the system's.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "{what}: does not come true");
        thread::yield_now();
    }
}

/// A callback and its receiver, large enough never to be full in a test.
pub fn recorder() -> (ChannelCallback, Receiver<Event>) {
    deadlocks::watch();
    callback::channel(100_000)
}

/// A port that nobody listens on, that no other test of this process has been given, and that the system gives to
/// nobody who asks for any: those are higher.
pub fn free_port() -> u16 {
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    let mut random = Random::new(seed::fresh());
    loop {
        let port = u16::try_from(random.within(30_200..=32_200)).unwrap();
        let mut given = GIVEN.lock();
        // Before there are none left, all may be given again.
        if given.len() > 1500 {
            given.clear();
        }
        if given.insert(port) && TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// Keeps the panics that a test provokes in callbacks out of its output.
pub fn expect_panics_in_callbacks() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let report = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            // As in `lc1-rd-3 PEER`.
            let is_the_library =
                |name: &str| name.starts_with("lc") && name[2..].starts_with(|c: char| c.is_ascii_digit());
            if !thread::current().name().is_some_and(is_the_library) {
                report(panic);
            }
        }));
    });
}
