//! What is sent to one subscriber, by a thread of its own.
//!
//! ```text
//!   publish ─▶ history ─┬─▶ cursor ─▶ feed ─▶ subscriber        what is kept, and then what comes: one way for both
//!                       └─▶ cursor ─▶ feed ─▶ subscriber
//! ```
//!
//! There is no seam between what is kept and what is published meanwhile: a feed reads on behind its cursor, and waits
//! where the history ends.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use leads_comm::{Connection, Error};

use crate::history::Found;
use crate::in_flight::InFlight;
use crate::wire::{self, Answer};
use crate::{History, HistoryError, Position};

/// How much is read and sent at a time, in bytes; so much, and what a single message has more, waits for a subscriber
/// at most.
const CHUNK: usize = 64 * 1024;

/// How long it waits for the system to take a chunk before it says so again.
const LONG: Duration = Duration::from_secs(3600);

/// What all feeds of a publisher read.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) history: History,
    /// The broadcasts that are under way to peers without numbers.
    pub(crate) in_flight: InFlight,
}

#[derive(Debug)]
pub(crate) struct Feed {
    connection: Connection,
    ended: Arc<AtomicBool>,
}

/// Why a feed ends before its connection does.
enum Failure {
    Connection(Error),
    History(HistoryError),
}

impl Feed {
    pub(crate) fn new(connection: Connection) -> Self {
        Self { connection, ended: Arc::default() }
    }

    /// Starts the thread, for a peer that has everything up to `last`.
    pub(crate) fn start(&self, source: Arc<Source>, last: Option<Position>) -> io::Result<JoinHandle<()>> {
        let (connection, ended) = (self.connection.clone(), Arc::clone(&self.ended));
        let name = format!("feed-{} {connection}", connection.id());
        thread::Builder::new().name(name).spawn(move || {
            // A subscriber whose feed is over is served by nobody: it has to come again.
            let connection = AbortOnDrop(connection);
            let Err(failure) = feed(&source, &connection.0, last, &ended) else { return };
            match failure {
                // Its end is told to the callback.
                Failure::Connection(Error::Disconnected) => {}
                Failure::Connection(error) => log::warn!("subscriber {} cannot be sent to: {error:#}", connection.0),
                Failure::History(error) => log::error!("subscriber {} cannot be served: {error:#}", connection.0),
            }
        })
    }

    /// Has the thread end, whose connection is over.
    pub(crate) fn end(&self, history: &History) {
        self.ended.store(true, Ordering::Relaxed);
        history.wake();
    }
}

struct AbortOnDrop(Connection);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        // One that is ending already still has to say so.
        if !self.0.is_closed() {
            self.0.abort();
        }
    }
}

fn feed(source: &Source, connection: &Connection, last: Option<Position>, ended: &AtomicBool) -> Result<(), Failure> {
    // Those do not know that this peer gets no broadcasts any more. What comes without a number has to come before the
    // answer.
    source.in_flight.wait_for_those_begun();
    let (mut cursor, answer) = source.history.resume(last);
    connection.send(answer.encode().as_bytes())?;
    let (Answer::Resumed(Position { mut epoch, .. }) | Answer::Gap(Position { mut epoch, .. })) = answer;
    let mut lacks_last = false;
    loop {
        match source.history.read(&mut cursor, CHUNK, ended)? {
            Found::End => return Ok(()),
            Found::Gap(next) => {
                connection.send(Answer::Gap(next).encode().as_bytes())?;
                (epoch, lacks_last) = (next.epoch, false);
            }
            Found::Messages(first, payloads) => {
                let answer = match () {
                    () if lacks_last => Some(Answer::Gap(first)),
                    () => Some(Answer::Resumed(first)).filter(|_| first.epoch != epoch),
                };
                epoch = first.epoch;
                lacks_last = send(connection, answer, first, &payloads)?;
            }
        }
        while let Err(error) = connection.flush(LONG) {
            if !matches!(error, Error::NotFlushed { .. }) {
                return Err(error.into());
            }
        }
    }
}

/// Sends messages of which this is the first, behind an answer if there is one. Those that cannot be sent, by a server
/// that is set otherwise than when they were published, are left out and told as a gap; whether the last one is among
/// them.
fn send(
    connection: &Connection,
    mut answer: Option<Answer>,
    first: Position,
    payloads: &[Arc<[u8]>],
) -> Result<bool, Error> {
    let encode = |answer: Option<Answer>| answer.map(|answer| answer.encode().into_bytes());
    let numbered = || (first.number..).zip(payloads).map(|(number, payload)| (number, wire::numbered(number, payload)));
    let all = encode(answer).into_iter().chain(numbered().map(|(_, message)| message));
    match connection.send_all(all) {
        // Then none has been sent.
        Err(error) if is_about_message(&error) => {}
        sent => return sent.map(|_| false),
    }
    for (number, message) in numbered() {
        match connection.send_all(encode(answer).into_iter().chain([message])) {
            Ok(_) => answer = None,
            Err(error) if is_about_message(&error) => {
                log::error!("message {number} cannot be sent to subscriber {connection}: {error:#}");
                answer = Some(Answer::Gap(Position { number: number + 1, ..first }));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(answer.is_some())
}

/// Whether it is the message that is wrong, and not the connection.
fn is_about_message(error: &Error) -> bool {
    matches!(error, Error::InvalidMessage(_) | Error::MessageTooLong { .. } | Error::CallbackPanicked { .. })
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Connection(error)
    }
}

impl From<HistoryError> for Failure {
    fn from(error: HistoryError) -> Self {
        Self::History(error)
    }
}
