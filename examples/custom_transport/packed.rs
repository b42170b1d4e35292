//! Runs of equal bytes packed, over any other transport: a layer behind the library's seam.

use std::io::{self, IoSlice};
use std::net::{Shutdown, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use leads_comm::transport::{Connector, Descriptor, Listener, Stream};

/// Announces a run: the escape, how many, and of what. Other bytes stand for themselves.
const ESCAPE: u8 = 0x1b;

/// What the writing ends have been given, and what they made of it, in bytes.
#[derive(Default)]
pub(crate) struct Traffic {
    pub(crate) plain: AtomicUsize,
    pub(crate) packed: AtomicUsize,
}

/// A stream that carries packed bytes. Reading and writing share nothing but the stream below, so neither waits for the
/// other. `wait_readable` is left out: what can be read below may unpack to nothing yet.
pub(crate) struct PackedStream {
    stream: Box<dyn Stream>,
    /// Locked by the one reading thread only.
    incoming: Mutex<Unpacker>,
    /// What has been taken and not been handed on. Locked by the one writing thread, which may block meanwhile; other
    /// threads that ask do not wait.
    outgoing: Mutex<Vec<u8>>,
    traffic: Arc<Traffic>,
}

impl PackedStream {
    pub(crate) fn boxed(stream: Box<dyn Stream>, traffic: &Arc<Traffic>) -> Box<dyn Stream> {
        let traffic = Arc::clone(traffic);
        Box::new(Self { stream, incoming: Mutex::default(), outgoing: Mutex::default(), traffic })
    }

    fn outgoing(&self) -> MutexGuard<'_, Vec<u8>> {
        self.outgoing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Packs what is to be written; how many bytes that was.
    fn pack(&self, buffers: &[IoSlice<'_>]) -> (Vec<u8>, usize) {
        let mut packed = Vec::new();
        buffers.iter().for_each(|buffer| pack(buffer, &mut packed));
        (packed, buffers.iter().map(|buffer| buffer.len()).sum())
    }

    fn count(&self, plain: usize, packed: usize) {
        self.traffic.plain.fetch_add(plain, Relaxed);
        self.traffic.packed.fetch_add(packed, Relaxed);
    }
}

impl Stream for PackedStream {
    /// Has the last word on all that has nothing to do with the bytes: the handshake, names and addresses, keeping
    /// alive.
    fn below(&self) -> Option<&dyn Stream> {
        Some(&*self.stream)
    }

    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut incoming = self.incoming.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            // Nothing may come of a chunk that ends inside a run's announcement, and that is no end of the stream.
            let count = incoming.unpack(buffer);
            if count > 0 {
                return Ok(count);
            }
            let mut chunk = [0; 4096];
            match self.stream.read(&mut chunk)? {
                0 if incoming.is_empty() => return Ok(0),
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => incoming.add(&chunk[..count]),
            }
        }
    }

    fn write_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        let (packed, plain) = self.pack(buffers);
        self.count(plain, packed.len());
        self.outgoing().extend(packed);
        // What the caller gave, not what goes out; `flush` comes next.
        Ok(plain)
    }

    fn flush(&self) -> io::Result<()> {
        let mut outgoing = self.outgoing();
        while !outgoing.is_empty() {
            let count = self.stream.write_vectored(&[IoSlice::new(&outgoing)])?;
            outgoing.drain(..count);
        }
        self.stream.flush()
    }

    fn try_write_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        let (mut packed, plain) = self.pack(buffers);
        // An error means that nothing is taken, also the one that says that there is no such write below.
        let count = self.stream.try_write_vectored(&[IoSlice::new(&packed)])?;
        self.count(plain, packed.len());
        // The rest is held: half of a run's announcement cannot be given back to the caller.
        packed.drain(..count);
        *self.outgoing() = packed;
        Ok(plain)
    }

    fn try_flush(&self) -> io::Result<()> {
        let mut outgoing = self.outgoing();
        while !outgoing.is_empty() {
            let count = self.stream.try_write_vectored(&[IoSlice::new(&outgoing)])?;
            outgoing.drain(..count);
        }
        self.stream.try_flush()
    }

    /// Waits for nothing but the stream below.
    fn poll_fd(&self) -> Option<Descriptor<'_>> {
        self.stream.poll_fd()
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        if how == Shutdown::Write && self.outgoing.try_lock().map_or(true, |outgoing| !outgoing.is_empty()) {
            // Not before everything is handed on; asked again then.
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.stream.shutdown(how)
    }

    fn peer(&self) -> String {
        self.stream.peer()
    }
}

/// Packed bytes on their way to the reader.
#[derive(Default)]
struct Unpacker {
    packed: Vec<u8>,
    /// How many of them have been unpacked.
    at: usize,
    /// How much of the current run is left, and of what.
    run: (usize, u8),
}

impl Unpacker {
    fn add(&mut self, packed: &[u8]) {
        self.packed.drain(..self.at);
        self.at = 0;
        self.packed.extend(packed);
    }

    fn is_empty(&self) -> bool {
        self.at == self.packed.len()
    }

    /// Fills `buffer` as far as there is something; how far.
    fn unpack(&mut self, buffer: &mut [u8]) -> usize {
        let mut count = 0;
        while count < buffer.len() && (self.run.0 > 0 || self.next_run()) {
            let (left, byte) = self.run;
            let part = left.min(buffer.len() - count);
            buffer[count..count + part].fill(byte);
            self.run.0 -= part;
            count += part;
        }
        count
    }

    /// Takes the next run, if all of its announcement is there.
    fn next_run(&mut self) -> bool {
        let (len, run) = match self.packed[self.at..] {
            [ESCAPE, count, byte, ..] => (3, (count.into(), byte)),
            [] | [ESCAPE, ..] => return false,
            [byte, ..] => (1, (1, byte)),
        };
        self.at += len;
        self.run = run;
        true
    }
}

fn pack(plain: &[u8], packed: &mut Vec<u8>) {
    for run in plain.chunk_by(|a, b| a == b).flat_map(|run| run.chunks(u8::MAX.into())) {
        match run.len() {
            1..=3 if run[0] != ESCAPE => packed.extend(run),
            count => packed.extend([ESCAPE, count as u8, run[0]]),
        }
    }
}

/// Where packed streams arrive: those of another listener.
pub(crate) struct PackedListener<L> {
    pub(crate) listener: L,
    pub(crate) traffic: Arc<Traffic>,
}

impl<L: Listener> Listener for PackedListener<L> {
    fn accept(&self) -> io::Result<Option<Box<dyn Stream>>> {
        Ok(self.listener.accept()?.map(|stream| PackedStream::boxed(stream, &self.traffic)))
    }

    fn accept_for(&self, time: Duration) -> io::Result<Option<Box<dyn Stream>>> {
        Ok(self.listener.accept_for(time)?.map(|stream| PackedStream::boxed(stream, &self.traffic)))
    }

    fn accept_to_refuse(&self) -> io::Result<Option<Box<dyn Stream>>> {
        Ok(self.listener.accept_to_refuse()?.map(|stream| PackedStream::boxed(stream, &self.traffic)))
    }

    fn descriptors_per_stream(&self) -> usize {
        self.listener.descriptors_per_stream()
    }

    fn stop(&self) {
        self.listener.stop();
    }

    fn name(&self) -> String {
        format!("{}, packed", self.listener.name())
    }

    fn local_addr(&self) -> Option<SocketAddr> {
        self.listener.local_addr()
    }
}

/// Opens packed streams: over those of another connector.
pub(crate) struct PackedConnector<C> {
    pub(crate) connector: C,
    pub(crate) traffic: Arc<Traffic>,
}

impl<C: Connector> Connector for PackedConnector<C> {
    fn connect(&self, address: &str) -> io::Result<Box<dyn Stream>> {
        Ok(PackedStream::boxed(self.connector.connect(address)?, &self.traffic))
    }

    fn stop(&self) {
        self.connector.stop();
    }

    fn describe(&self, address: &str) -> String {
        self.connector.describe(address)
    }
}
