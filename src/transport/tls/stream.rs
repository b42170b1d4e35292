use std::fmt;
use std::io::{self, IoSlice};
use std::mem;
use std::net::Shutdown;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, Connection, ServerConnection};

use super::session::{Outgoing, Session};
use super::{ClientConfig, ServerConfig, failure};
use crate::transport::{Descriptor, Stream};

/// TLS over any other stream.
///
/// One lock guards the keys of both directions. It is held while bytes are encrypted or decrypted, and never while they
/// move: neither direction waits for the other one's peer. What is received is decrypted where the reader wants to have
/// it, so that a connection on which nothing moves has no buffer but the 4 KiB of rustls.
pub struct TlsStream {
    inner: Box<dyn Stream>,
    session: Mutex<Session>,
    /// Whether the inner stream has said that it has no write that does not block.
    blocks: AtomicBool,
    /// Whether the writing half has ended here, so that nothing more is encrypted.
    ended: AtomicBool,
}

/// How the inner stream is written.
#[derive(Debug, Clone, Copy)]
pub(super) enum Mode {
    Direct,
    Blocking,
}

impl Mode {
    fn write(self, stream: &dyn Stream, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Direct => stream.try_write_vectored(buffers),
            Self::Blocking => stream.write_vectored(buffers),
        }
    }

    /// Writes all of it, and has the stream hand on what it holds; what is not written is left.
    fn write_out(self, stream: &dyn Stream, outgoing: &mut Outgoing) -> io::Result<()> {
        loop {
            match self {
                Self::Direct => stream.try_flush()?,
                Self::Blocking => stream.flush()?,
            }
            if outgoing.is_empty() {
                return Ok(());
            }
            let written = self.write(stream, &[IoSlice::new(outgoing.bytes())])?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            outgoing.consume(written);
        }
    }
}

impl TlsStream {
    /// A server's end of `stream`, which has just been accepted.
    ///
    /// # Errors
    ///
    /// When rustls refuses the configuration.
    pub fn server(stream: Box<dyn Stream>, config: &ServerConfig) -> io::Result<Self> {
        let connection = ServerConnection::new(config.rustls()).map_err(failure::of_config)?;
        Ok(Self::new(stream, connection.into()))
    }

    /// A client's end of `stream`, which has just been opened, to a server whose certificate has to be for `name`.
    ///
    /// # Errors
    ///
    /// When rustls refuses the configuration.
    pub fn client(stream: Box<dyn Stream>, config: &ClientConfig, name: ServerName<'static>) -> io::Result<Self> {
        let connection = ClientConnection::new(config.rustls(), name).map_err(failure::of_config)?;
        Ok(Self::new(stream, connection.into()))
    }

    fn new(inner: Box<dyn Stream>, connection: Connection) -> Self {
        Self {
            inner,
            session: Mutex::new(Session::new(connection)),
            blocks: AtomicBool::new(false),
            ended: AtomicBool::new(false),
        }
    }

    pub(super) fn inner(&self) -> &dyn Stream {
        &*self.inner
    }

    pub(super) fn session(&self) -> MutexGuard<'_, Session> {
        self.session.lock()
    }

    pub(super) fn note_blocking(&self) {
        self.blocks.store(true, Ordering::Relaxed);
    }

    /// Writes what there is to write, without the lock. `WouldBlock` when not all of it is out, or another thread is at
    /// it.
    pub(super) fn write_out(&self, session: &mut MutexGuard<'_, Session>, mode: Mode) -> io::Result<()> {
        if session.writing {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        session.collect();
        loop {
            let mut outgoing = mem::take(&mut session.outgoing);
            session.writing = true;
            let result = MutexGuard::unlocked(session, || mode.write_out(&*self.inner, &mut outgoing));
            session.writing = false;
            session.outgoing = outgoing;
            // The reader may have had something to say meanwhile, and has left it to this thread.
            session.collect();
            result?;
            if session.outgoing.is_empty() {
                session.outgoing.shrink();
                return Ok(());
            }
        }
    }

    /// Takes as much as the inner stream does: a piece at a time, of which the last is held, for a flush.
    fn write(&self, buffers: &[IoSlice<'_>], mode: Mode) -> io::Result<usize> {
        let len: usize = buffers.iter().map(|buffer| buffer.len()).sum();
        let mut taken = self.encrypt(buffers, mode)?;
        if taken < len {
            let mut rest = buffers.to_vec();
            let mut rest = &mut rest[..];
            IoSlice::advance_slices(&mut rest, taken);
            while !rest.is_empty() {
                // What is wrong is told to the next flush or write.
                let Ok(more @ 1..) = self.encrypt(rest, mode) else { break };
                IoSlice::advance_slices(&mut rest, more);
                taken += more;
            }
        }
        Ok(taken)
    }

    /// Encrypts as much as is good to hold at once, behind what is held, which is written before.
    fn encrypt(&self, buffers: &[IoSlice<'_>], mode: Mode) -> io::Result<usize> {
        let mut session = self.session.lock();
        if session.is_plain() {
            drop(session);
            return mode.write(&*self.inner, buffers);
        }
        // With the lock, under which the end is said.
        if self.ended.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        if session.is_handshaking() {
            return Err(failure::not_connected());
        }
        if session.writing || !session.outgoing.is_empty() {
            self.write_out(&mut session, mode)?;
        }
        session.encrypt(buffers)
    }

    /// Hands out what is there; else reads what there is below, which may be no whole record: `None` then.
    fn receive(&self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        let mut session = self.session.lock();
        if session.is_called_off() {
            drop(session);
            // For a caller that discards it.
            return self.inner.read(buffer).map(Some);
        }
        match session.read(buffer) {
            Ok(Some(count)) => return Ok(Some(count)),
            Ok(None) => drop(session),
            Err(error) => return Err(self.fail(session, error)),
        }
        let received = self.inner.read(buffer)?;
        let mut session = self.session.lock();
        match session.decrypt(buffer, received) {
            Ok(received) => Ok(received),
            Err(error) => Err(self.fail(session, error)),
        }
    }

    /// Tells the peer what is wrong, where that can be done at once.
    fn fail(&self, mut session: MutexGuard<'_, Session>, error: io::Error) -> io::Error {
        // Not in the way of a write that blocks, to which this one would be another thread's.
        if !session.is_handshaking() && !self.blocks.load(Ordering::Relaxed) {
            let _ = self.write_out(&mut session, Mode::Direct);
        }
        error
    }
}

impl Stream for TlsStream {
    fn below(&self) -> Option<&dyn Stream> {
        Some(&*self.inner)
    }

    fn needs_handshake(&self) -> bool {
        true
    }

    fn handshake(&self) -> io::Result<()> {
        self.shake_hands()
    }

    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(count) = self.receive(buffer)? {
                return Ok(count);
            }
        }
    }

    fn read_once(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.receive(buffer)?.ok_or(io::ErrorKind::WouldBlock.into())
    }

    fn holds_part(&self) -> bool {
        self.session.lock().holds_part() || self.inner.holds_part()
    }

    /// Whether there is something to decrypt, which may turn out to be no whole record.
    fn wait_readable(&self, time: Duration) -> io::Result<bool> {
        if self.session.lock().is_readable() {
            return Ok(true);
        }
        self.inner.wait_readable(time)
    }

    fn write_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        self.write(buffers, Mode::Blocking)
    }

    fn flush(&self) -> io::Result<()> {
        self.write_out(&mut self.session.lock(), Mode::Blocking)
    }

    fn try_write_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        if self.blocks.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::Unsupported.into());
        }
        self.write(buffers, Mode::Direct)
    }

    fn try_flush(&self) -> io::Result<()> {
        self.write_out(&mut self.session.lock(), Mode::Direct)
    }

    fn poll_fd(&self) -> Option<Descriptor<'_>> {
        self.inner.poll_fd()
    }

    /// `close_notify` is one, whatever there is below.
    fn has_end(&self) -> bool {
        true
    }

    /// `Write` says `close_notify` first; before the handshake, that there will be none.
    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        if how != Shutdown::Read {
            self.ended.store(true, Ordering::Relaxed);
        }
        if how == Shutdown::Write {
            let mut session = self.session.lock();
            session.close();
            match self.write_out(&mut session, Mode::Direct) {
                // Left to a flush that blocks, unless that has been made.
                Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                    if !session.outgoing.is_empty() {
                        return Err(io::ErrorKind::WouldBlock.into());
                    }
                }
                result => result?,
            }
        }
        self.inner.shutdown(how)
    }

    /// Without `close_notify`: the peer is to see that this is no regular end.
    fn abort(&self) -> io::Result<()> {
        self.ended.store(true, Ordering::Relaxed);
        self.inner.abort()
    }

    fn peer(&self) -> String {
        self.inner.peer()
    }

    fn peer_certificates(&self) -> Vec<Vec<u8>> {
        self.session.lock().peer_certificates()
    }
}

impl fmt::Debug for TlsStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsStream").field("inner", &self.inner).finish_non_exhaustive()
    }
}
