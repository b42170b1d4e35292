//! The keys of one connection, and what has been encrypted and not written yet. Bytes go in and come out; nothing here
//! reads or writes a stream.

use std::io::{self, IoSlice, Read, Write};
use std::mem;
use std::ops::Deref;

use rustls::{CommonState, Connection};

use super::failure;
use super::records::Records;

/// How much plaintext is encrypted at once, in bytes: three records. That much, and a little more, is held for a peer
/// that takes nothing, besides what waits for it in its outbox.
///
/// Linux sends up to 64 KiB as one piece. A fourth record would exceed that by a little, which would wake the peer once
/// more: measured, with 64 KiB here, throughput is a quarter less.
const PLAINTEXT_HELD: usize = 48 * 1024;

/// A buffer for what is encrypted is kept from one write to the next up to this size, in bytes.
const BUFFER_KEPT: usize = 4 * 1024;

/// Reads of no more than this, in bytes, are those of a connection on which little comes.
const IDLE_READ: usize = 2 * 1024;

/// The alert that there will be no handshake, in plain: a record of that type, of version 1.2 and two bytes.
const ACCESS_DENIED: [u8; 7] = [21, 3, 3, 0, 2, 2, 49];

/// Behind the lock of a [`TlsStream`](super::TlsStream).
pub(super) struct Session {
    connection: Connection,
    /// What has arrived, by records.
    records: Records,
    /// What is to be written next.
    pub(super) outgoing: Outgoing,
    /// Whether a thread has taken `outgoing`, and is writing it. Nothing is put there until it comes back.
    pub(super) writing: bool,
    /// What the peer has sent was no TLS, or was forged.
    broken: Option<rustls::Error>,
    /// Whether there will be no handshake: because this side has called it off, or the peer speaks without.
    called_off: bool,
    is_plain: bool,
}

impl Session {
    pub(super) fn new(mut connection: Connection) -> Self {
        connection.set_buffer_limit(Some(PLAINTEXT_HELD));
        Self {
            connection,
            records: Records::default(),
            outgoing: Outgoing::default(),
            writing: false,
            broken: None,
            called_off: false,
            is_plain: false,
        }
    }

    pub(super) fn is_handshaking(&self) -> bool {
        self.state().is_handshaking()
    }

    /// Whether a read has an outcome without anything being received.
    pub(super) fn is_readable(&mut self) -> bool {
        self.broken.is_some()
            || !matches!(self.connection.reader().into_first_chunk(), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Whether a record has begun and is not whole, so that nothing of it can be handed out.
    pub(super) fn holds_part(&self) -> bool {
        self.records.is_within() && self.broken.is_none() && !self.is_plain
    }

    pub(super) fn peer_certificates(&self) -> Vec<Vec<u8>> {
        let certificates = self.state().peer_certificates().unwrap_or_default();
        certificates.iter().map(|certificate| certificate.to_vec()).collect()
    }

    /// Takes in what a handshake brings.
    pub(super) fn take_in(&mut self, mut bytes: &[u8]) -> Result<(), rustls::Error> {
        self.records.pass(bytes);
        while !bytes.is_empty() {
            match self.connection.read_tls(&mut bytes) {
                Ok(0) => break,
                Ok(_) => {
                    self.connection.process_new_packets()?;
                }
                Err(error) => return Err(rustls::Error::General(error.to_string())),
            }
        }
        Ok(())
    }

    /// Hands out what is there already; `None` when there is nothing, 0 when there will never be more.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        if self.is_handshaking() {
            return Err(failure::not_connected());
        }
        match self.connection.reader().read(buffer) {
            Ok(count) => Ok(Some(count)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => match &self.broken {
                Some(error) => Err(failure::of_traffic(error.clone())),
                None => Ok(None),
            },
            Err(_) => Err(failure::truncated()),
        }
    }

    /// Decrypts the first `received` bytes of `buffer` where they are; 0 of them are the end of the stream. Returns
    /// what [`read`](Self::read) does.
    pub(super) fn decrypt(&mut self, buffer: &mut [u8], received: usize) -> io::Result<Option<usize>> {
        if received == 0 {
            self.connection.read_tls(&mut io::empty())?;
            return self.read(buffer);
        }
        self.records.pass(&buffer[..received]);
        // Plaintext is shorter than what it was made of. What there is too much of it belongs to a record that began
        // with an earlier read; it stays with rustls, and is too little for rustls to refuse more.
        let (mut taken, mut filled) = (0, 0);
        while taken < received && self.broken.is_none() {
            match self.connection.read_tls(&mut &buffer[taken..received])? {
                // Behind its regular end, what arrives means nothing.
                0 => break,
                count => taken += count,
            }
            self.broken = self.connection.process_new_packets().err();
            filled += self.connection.reader().read(&mut buffer[filled..taken]).unwrap_or_default();
        }
        if filled > 0 {
            return Ok(Some(filled));
        }
        if buffer.len() <= IDLE_READ {
            // Makes rustls give up most of a buffer in which there is nothing.
            let _ = self.connection.read_tls(&mut Nothing);
        }
        self.read(buffer)
    }

    /// Encrypts some of it, behind what the reader has had to say.
    pub(super) fn encrypt(&mut self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        self.collect();
        let before = self.outgoing.len();
        let taken = self.connection.writer().write_vectored(buffers).map_err(|error| match &self.broken {
            Some(error) => failure::of_traffic(error.clone()),
            None => error,
        })?;
        self.collect();
        // rustls takes, and drops, what its keys must not be used for any more.
        if self.outgoing.len() < before + taken {
            return Err(failure::keys_used_up());
        }
        Ok(taken)
    }

    /// The peer speaks, but no TLS: nothing is encrypted from now on.
    pub(super) fn note_plain(&mut self) {
        self.is_plain = true;
    }

    /// Whether the bytes of both directions are what they are.
    pub(super) fn is_plain(&self) -> bool {
        self.is_plain
    }

    /// Says that this side sends no more, or calls the handshake off; once. Not while another thread writes what the
    /// handshake has to say: it has to be asked for again.
    pub(super) fn close(&mut self) {
        if self.is_plain {
            return;
        }
        if !self.is_handshaking() {
            self.connection.send_close_notify();
        } else if !self.writing && !mem::replace(&mut self.called_off, true) {
            self.outgoing.bytes.extend(ACCESS_DENIED);
        }
    }

    /// Whether there has been no handshake, and will be none, so that what arrives means nothing.
    pub(super) fn is_called_off(&self) -> bool {
        self.called_off || self.is_plain
    }

    /// Takes what rustls has to write, unless another thread is writing what came before.
    pub(super) fn collect(&mut self) {
        while !self.writing && self.connection.wants_write() {
            self.connection.write_tls(&mut self.outgoing).expect("a vector takes everything");
        }
    }

    fn state(&self) -> &CommonState {
        self.connection.deref()
    }
}

/// Bytes on their way out.
#[derive(Default)]
pub(super) struct Outgoing {
    bytes: Vec<u8>,
    /// How many of them have been written.
    written: usize,
}

impl Outgoing {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[self.written..]
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes().is_empty()
    }

    fn len(&self) -> usize {
        self.bytes().len()
    }

    pub(super) fn consume(&mut self, count: usize) {
        self.written += count;
        if self.is_empty() {
            self.bytes.clear();
            self.written = 0;
        }
    }

    /// Gives up a large buffer.
    pub(super) fn shrink(&mut self) {
        if self.bytes.capacity() > BUFFER_KEPT {
            self.bytes = Vec::new();
        }
    }
}

impl Write for Outgoing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.write(bytes)
    }

    fn write_vectored(&mut self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        self.bytes.write_vectored(buffers)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A stream on which nothing has arrived.
struct Nothing;

impl Read for Nothing {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::ErrorKind::WouldBlock.into())
    }
}
