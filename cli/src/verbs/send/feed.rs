//! What is sent, one message after the other, on a thread of its own: it may be blocked in reading stdin for ever, and
//! nobody waits for it then.

use std::ffi::OsString;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;

use leads_comm::{Connection, Error};

use super::PATIENCE;
use crate::console::{Lines, complain};
use crate::pace::Pace;

/// Where messages come from.
#[derive(Debug)]
pub(super) enum Source {
    Arguments(Vec<OsString>),
    Stdin(Lines),
}

/// What happens to the line to the server.
#[derive(Debug)]
pub(super) enum Line {
    Up(Connection),
    /// Its connection has ended, and whether something that it had accepted is not written.
    Down {
        has_unsent: bool,
    },
}

/// What is to be sent, and how.
#[derive(Debug)]
pub(super) struct Feed {
    pub(super) source: Source,
    /// How often each message is sent.
    pub(super) count: u64,
    pub(super) pace: Option<Pace>,
    pub(super) line: Receiver<Line>,
    /// Whether there may be more than one connection.
    pub(super) reconnects: bool,
    pub(super) busy: Busy,
}

/// Whether a feed will have more to tell in a moment. It has not while it waits for stdin, for the next message's time,
/// or for a connection.
#[derive(Debug, Clone, Default)]
pub(super) struct Busy(Arc<AtomicBool>);

impl Busy {
    pub(super) fn get(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }

    fn except_in<T>(&self, wait: impl FnOnce() -> T) -> T {
        self.0.store(false, Ordering::SeqCst);
        let outcome = wait();
        self.0.store(true, Ordering::SeqCst);
        outcome
    }
}

/// What has become of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fed {
    /// Whether everything has been read; otherwise there was no connection any more.
    pub(super) all: bool,
    /// How many messages were not sent, each of which was told.
    pub(super) unsent: u64,
}

impl Feed {
    /// Sends all of it, and returns when it is written, or there is no connection any more.
    ///
    /// # Errors
    ///
    /// What reading stdin reports.
    pub(super) fn run(self) -> io::Result<Fed> {
        let Self { source, count, pace, line, reconnects, busy } = self;
        let connection = busy.except_in(|| next_connection(&line));
        let Some(connection) = connection else { return Ok(Fed { all: false, unsent: 0 }) };
        let mut sending = Sending { connection, line, reconnects, count, pace, busy: busy.clone(), unsent: 0 };
        match source {
            Source::Arguments(messages) => {
                for (number, message) in messages.iter().enumerate() {
                    if !sending.send("message", number + 1, Ok(message.as_encoded_bytes())) {
                        return Ok(Fed { all: false, unsent: sending.unsent });
                    }
                }
            }
            Source::Stdin(mut lines) => {
                let mut number = 0;
                while let Some(line) = busy.except_in(|| lines.next_line())? {
                    number += 1;
                    if !sending.send("line", number, line.map_err(|too_long| too_long.to_string())) {
                        return Ok(Fed { all: false, unsent: sending.unsent });
                    }
                }
            }
        }
        let all = sending.flush();
        if let Some(pace) = &mut sending.pace {
            busy.except_in(|| pace.wait_to_part());
        }
        Ok(Fed { all, unsent: sending.unsent })
    }
}

struct Sending {
    connection: Connection,
    line: Receiver<Line>,
    reconnects: bool,
    count: u64,
    pace: Option<Pace>,
    busy: Busy,
    unsent: u64,
}

impl Sending {
    /// Sends a message as often as it is to be sent; false if there is no connection any more. One that cannot be sent
    /// is told, and passed over.
    fn send(&mut self, what: &str, number: usize, message: Result<&[u8], String>) -> bool {
        for sent in 0..self.count {
            if let Some(pace) = &mut self.pace {
                self.busy.except_in(|| pace.wait());
            }
            let refused = match &message {
                Ok(message) => match self.send_once(message) {
                    Some(refused) => refused,
                    None => {
                        self.unsent += self.count - sent;
                        return false;
                    }
                },
                Err(too_long) => Some(too_long.clone()),
            };
            if let Some(why) = refused {
                complain(format_args!("leads-comm: {what} {number} was not sent: {why}"));
                self.unsent += self.count - sent;
                return true;
            }
        }
        true
    }

    /// Why it cannot be sent, if so; `None` if there is no connection any more.
    fn send_once(&mut self, message: &[u8]) -> Option<Option<String>> {
        loop {
            match self.connection.send(message) {
                Ok(()) => return Some(None),
                // Concerns this message only.
                Err(error @ (Error::InvalidMessage(_) | Error::MessageTooLong { .. })) => {
                    return Some(Some(format!("{error:#}")));
                }
                // Why the connection has ended is told elsewhere.
                Err(_) => self.connection = self.next()?,
            }
        }
    }

    /// Waits until all is written, on whichever connection that is; whether it is.
    fn flush(&mut self) -> bool {
        // Any other error leaves it to the client's end, which tells what is left then.
        while let Err(Error::Disconnected) = self.connection.flush(PATIENCE) {
            // It goes down before another comes up.
            if let Ok(Line::Down { has_unsent: false }) = self.line.recv() {
                return true;
            }
            match self.next() {
                Some(next) => self.connection = next,
                None => return false,
            }
        }
        true
    }

    fn next(&self) -> Option<Connection> {
        if self.reconnects { self.busy.except_in(|| next_connection(&self.line)) } else { None }
    }
}

fn next_connection(line: &Receiver<Line>) -> Option<Connection> {
    line.iter().find_map(|line| match line {
        Line::Up(connection) => Some(connection),
        Line::Down { .. } => None,
    })
}
