//! The peer: a plain socket that speaks bytes, with nothing of the library in it.

use std::io::{self, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use leads_comm_testing::resets;
use socket2::Socket;

use crate::case::Wire;
use crate::over::{has_resets, name};
use crate::patience;
use crate::show::{compare, show};
use crate::tap::Progress;

#[derive(Debug)]
pub(crate) struct Peer {
    /// `None` once it is closed.
    socket: Option<Socket>,
    /// What it is called.
    pub(crate) name: String,
    goodbye: Vec<u8>,
    /// What the library's is to be.
    expected_goodbye: Vec<u8>,
    /// What the other side has read, where that can be told.
    pub(crate) progress: Option<Arc<Progress>>,
    sent: usize,
    has_read_goodbye: bool,
    has_read_end: bool,
    floods: Vec<JoinHandle<()>>,
}

impl Peer {
    pub(crate) fn new(socket: Socket, wire: &Wire) -> io::Result<Self> {
        let address = socket.local_addr()?;
        if address.as_socket().is_some() {
            socket.set_tcp_nodelay(true)?;
        }
        socket.set_read_timeout(Some(patience()))?;
        socket.set_write_timeout(Some(patience()))?;
        Ok(Self {
            name: name(&address),
            socket: Some(socket),
            goodbye: wire.goodbye(),
            expected_goodbye: wire.goodbye(),
            progress: None,
            sent: 0,
            has_read_goodbye: false,
            has_read_end: false,
            floods: Vec::new(),
        })
    }

    /// It is not let in, which the library says behind its goodbye.
    pub(crate) fn expect_refusal(&mut self, wire: &Wire) {
        self.expected_goodbye.extend(wire.frame(b""));
    }

    fn socket(&self) -> Result<&Socket, String> {
        self.socket.as_ref().ok_or_else(|| "the peer has closed its socket".to_owned())
    }

    /// Writes each piece when the one before has been read.
    pub(crate) fn send(&mut self, pieces: &[Vec<u8>]) -> Result<(), String> {
        for (number, piece) in pieces.iter().enumerate() {
            if number > 0 {
                self.await_read()?;
            }
            self.socket()?.write_all(piece).map_err(|error| format!("cannot write {}: {error}", show(piece)))?;
            self.sent += piece.len();
        }
        Ok(())
    }

    /// Waits until the other side has read everything, where that can be told.
    pub(crate) fn await_read(&self) -> Result<(), String> {
        self.progress.as_ref().map_or(Ok(()), |progress| progress.wait_read(self.sent))
    }

    pub(crate) fn say_goodbye(&mut self) -> Result<(), String> {
        let goodbye = self.goodbye.clone();
        self.send(&[goodbye])
    }

    /// Writes `bytes` again and again on a thread of its own, until that fails.
    pub(crate) fn flood(&mut self, bytes: Vec<u8>) -> Result<(), String> {
        let mut socket = self.socket()?.try_clone().map_err(|error| error.to_string())?;
        self.floods.push(thread::spawn(move || while socket.write_all(&bytes).is_ok() {}));
        Ok(())
    }

    /// Writes `bytes` again and again on a thread of its own, each time when the other side has read what was before,
    /// until that fails.
    pub(crate) fn drip(&mut self, bytes: Vec<u8>) -> Result<(), String> {
        let mut socket = self.socket()?.try_clone().map_err(|error| error.to_string())?;
        let progress = self.progress.clone().ok_or("it cannot be told what has been read")?;
        let mut sent = self.sent;
        self.floods.push(thread::spawn(move || {
            while progress.wait_read(sent).is_ok() && socket.write_all(&bytes).is_ok() {
                sent += bytes.len();
            }
        }));
        Ok(())
    }

    /// Reads as many bytes as `expected` has, at most `at_once` in one read, and compares.
    pub(crate) fn read(&mut self, expected: &[u8], at_once: usize) -> Result<(), String> {
        let mut socket = self.socket()?;
        let mut bytes = vec![0; expected.len()];
        let mut filled = 0;
        while filled < bytes.len() {
            let end = bytes.len().min(filled.saturating_add(at_once));
            let ending = match socket.read(&mut bytes[filled..end]) {
                Ok(0) => "the end of the stream".to_owned(),
                Ok(count) => {
                    filled += count;
                    continue;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => describe(&error),
            };
            bytes.truncate(filled);
            return compare(expected, &bytes).map_err(|difference| format!("{difference}, then {ending}"));
        }
        compare(expected, &bytes)
    }

    pub(crate) fn read_goodbye(&mut self) -> Result<(), String> {
        let goodbye = self.expected_goodbye.clone();
        self.has_read_goodbye = true;
        self.read(&goodbye, usize::MAX)
    }

    /// Reads `copy` again and again, then the goodbye and the end of the stream.
    pub(crate) fn read_copies(&mut self, copy: &[u8]) -> Result<(), String> {
        let mut bytes = Vec::new();
        (self.has_read_goodbye, self.has_read_end) = (true, true);
        self.socket()?.read_to_end(&mut bytes).map_err(|error| describe(&error))?;
        let copies = bytes.len().saturating_sub(self.goodbye.len()) / copy.len();
        compare(&[copy.repeat(copies), self.goodbye.clone()].concat(), &bytes)
    }

    /// Reads the end of the stream, which has to be a regular one.
    pub(crate) fn read_end(&mut self) -> Result<(), String> {
        self.has_read_end = true;
        match self.read_more()? {
            Ok(bytes) if bytes.is_empty() => Ok(()),
            Ok(bytes) => Err(format!("expected the end of the stream, saw {}", show(&bytes))),
            Err(error) => Err(format!("expected the end of the stream, saw {}", describe(&error))),
        }
    }

    pub(crate) fn read_reset(&mut self) -> Result<(), String> {
        self.has_read_end = true;
        match self.read_more()? {
            Err(error) if is_reset(&error) => Ok(()),
            Err(error) => Err(format!("expected a reset, saw {}", describe(&error))),
            Ok(bytes) if bytes.is_empty() && !has_resets() => Ok(()),
            Ok(bytes) if bytes.is_empty() => Err("expected a reset, saw the end of the stream".to_owned()),
            Ok(bytes) => Err(format!("expected a reset, saw {}", show(&bytes))),
        }
    }

    /// Reads whatever comes, until the stream ends or breaks.
    pub(crate) fn read_away(&mut self) -> Result<(), String> {
        self.has_read_end = true;
        loop {
            match self.read_more()? {
                Ok(bytes) if bytes.is_empty() => return Ok(()),
                Ok(_) => {}
                Err(error) if is_reset(&error) => return Ok(()),
                Err(error) => return Err(format!("expected the end of the stream, saw {}", describe(&error))),
            }
        }
    }

    /// Reads what a script has left out: the goodbye, and the end of the stream.
    pub(crate) fn read_rest(&mut self) -> Result<(), String> {
        if self.has_read_end {
            return Ok(());
        }
        if !self.has_read_goodbye {
            self.read_goodbye()?;
        }
        self.read_end()
    }

    fn read_more(&self) -> Result<io::Result<Vec<u8>>, String> {
        let mut bytes = vec![0; 64 * 1024];
        let read = resets::read(self.socket()?, &mut bytes);
        Ok(read.map(|count| {
            bytes.truncate(count);
            bytes
        }))
    }

    pub(crate) fn half_close(&mut self) -> Result<(), String> {
        self.socket()?.shutdown(Shutdown::Write).map_err(|error| format!("cannot half-close: {error}"))
    }

    pub(crate) fn reset(&mut self) -> Result<(), String> {
        self.socket()?.set_linger(Some(Duration::ZERO)).map_err(|error| error.to_string())?;
        self.close();
        Ok(())
    }

    pub(crate) fn is_open(&self) -> bool {
        self.socket.is_some()
    }

    pub(crate) fn close(&mut self) {
        let Some(socket) = self.socket.take() else { return };
        if !self.floods.is_empty() {
            // Ends the floods, whose clones of the socket would keep it open.
            let _ = socket.shutdown(Shutdown::Both);
        }
        for flood in self.floods.drain(..) {
            let _ = flood.join();
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.close();
    }
}

fn is_reset(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted)
}

fn describe(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => format!("nothing more in {:?}", patience()),
        _ if is_reset(error) => "a reset".to_owned(),
        _ => error.to_string(),
    }
}
