//! The handshake of a stream, on the thread that is going to read.

use std::io;
use std::net::Shutdown;
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use super::failure;
use super::stream::{Mode, TlsStream};
use crate::transport::is_nothing_yet;

/// How much is read at once, in bytes.
const READ: usize = 2 * 1024;

/// How long, and for how many reads, a peer that has been told what is wrong may go on sending. With what it sent
/// unread, the system would end the stream by a reset, and that could take away what it was told.
const FAREWELL: Duration = Duration::from_millis(500);
const FAREWELL_READS: usize = 64;

/// What the first byte of every record is: its type.
const RECORD_TYPES: RangeInclusive<u8> = 20..=24;

impl TlsStream {
    pub(super) fn shake_hands(&self) -> io::Result<()> {
        let mut chunk = [0; READ];
        let mut is_first = true;
        loop {
            let said = self.say();
            if said.is_ok() && !self.session().is_handshaking() {
                return Ok(());
            }
            // A peer that takes nothing more may have told why.
            match (self.inner().read(&mut chunk), said) {
                (Ok(0), said) => return Err(said.err().unwrap_or_else(failure::ended_in_handshake)),
                (Ok(_), _) if is_first && !RECORD_TYPES.contains(&chunk[0]) => {
                    self.session().note_plain();
                    return Err(failure::not_tls());
                }
                (Ok(count), said) => {
                    is_first = false;
                    let outcome = self.session().take_in(&chunk[..count]);
                    outcome.map_err(|error| self.refuse(error))?;
                    said?;
                }
                (Err(error), Ok(())) if is_nothing_yet(&error) => {}
                (Err(error), said) => return Err(said.err().unwrap_or(error)),
            }
        }
    }

    /// Writes what there is to say. Blocks, and finds out whether it has to.
    fn say(&self) -> io::Result<()> {
        match self.write_out(&mut self.session(), Mode::Direct) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::Unsupported => self.note_blocking(),
            Err(error) if is_nothing_yet(&error) => {}
            Err(error) => return Err(error),
        }
        loop {
            match self.write_out(&mut self.session(), Mode::Blocking) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }

    /// Tells the peer what is wrong with it.
    fn refuse(&self, error: rustls::Error) -> io::Error {
        let is_refused = matches!(error, rustls::Error::AlertReceived(_));
        if !is_refused && self.say().is_ok() && self.inner().shutdown(Shutdown::Write).is_ok() {
            self.see_out();
        }
        failure::of_handshake(error)
    }

    /// Reads on for a moment.
    fn see_out(&self) {
        let mut chunk = [0; READ];
        let until = Instant::now() + FAREWELL;
        for _ in 0..FAREWELL_READS {
            let left = until.saturating_duration_since(Instant::now());
            if !self.inner().wait_readable(left).unwrap_or(false) {
                return;
            }
            match self.inner().read(&mut chunk) {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
        }
    }
}
