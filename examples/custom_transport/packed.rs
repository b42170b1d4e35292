//! TCP with runs of equal bytes packed, behind the library's seam.

use std::collections::VecDeque;
use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};

use leads_comm::transport::{Connector, Listener, Stream};

/// Announces a run: the escape, how many, and of what. Other bytes stand for themselves.
const ESCAPE: u8 = 0x1b;

/// What the writing ends have been given, and what they made of it, in bytes.
#[derive(Default)]
pub(crate) struct Traffic {
    pub(crate) plain: AtomicUsize,
    pub(crate) packed: AtomicUsize,
}

/// A socket that carries packed bytes. Reading and writing share nothing but the descriptor, so neither waits for the
/// other.
struct PackedStream {
    socket: TcpStream,
    peer: SocketAddr,
    /// Locked by the one reading thread only.
    incoming: Mutex<Unpacker>,
    traffic: Arc<Traffic>,
}

impl PackedStream {
    fn new(socket: TcpStream, traffic: Arc<Traffic>) -> io::Result<Self> {
        let peer = socket.peer_addr()?;
        socket.set_nodelay(true)?;
        Ok(Self { socket, peer, incoming: Mutex::default(), traffic })
    }
}

impl Stream for PackedStream {
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut incoming = self.incoming.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            // Nothing may come of a chunk that ends inside a run's announcement, and that is no end of the stream.
            let count = incoming.unpack(buffer);
            if count > 0 {
                return Ok(count);
            }
            let mut chunk = [0; 4096];
            let len = (&self.socket).read(&mut chunk)?;
            match len {
                0 if incoming.packed.is_empty() => return Ok(0),
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                _ => incoming.packed.extend(&chunk[..len]),
            }
        }
    }

    fn write_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        let plain: usize = buffers.iter().map(|buffer| buffer.len()).sum();
        let packed: Vec<u8> = buffers.iter().flat_map(|buffer| pack(buffer)).collect();
        (&self.socket).write_all(&packed)?;
        self.traffic.plain.fetch_add(plain, Relaxed);
        self.traffic.packed.fetch_add(packed.len(), Relaxed);
        // What the caller gave, not what went out.
        Ok(plain)
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.socket.shutdown(how)
    }

    fn peer(&self) -> String {
        self.peer.to_string()
    }
}

/// Packed bytes on their way to the reader.
#[derive(Default)]
struct Unpacker {
    packed: VecDeque<u8>,
    /// How much of the current run is left, and of what.
    run: (usize, u8),
}

impl Unpacker {
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
        let at = |index| self.packed.get(index).copied();
        let (len, run) = match (at(0), at(1), at(2)) {
            (Some(ESCAPE), Some(count), Some(byte)) => (3, (count.into(), byte)),
            (Some(ESCAPE), ..) | (None, ..) => return false,
            (Some(byte), ..) => (1, (1, byte)),
        };
        self.packed.drain(..len);
        self.run = run;
        true
    }
}

fn pack(plain: &[u8]) -> Vec<u8> {
    let mut packed = Vec::with_capacity(plain.len());
    for run in plain.chunk_by(|a, b| a == b).flat_map(|run| run.chunks(u8::MAX.into())) {
        match run.len() {
            1..=3 if run[0] != ESCAPE => packed.extend(run),
            count => packed.extend([ESCAPE, count as u8, run[0]]),
        }
    }
    packed
}

/// Where packed streams arrive.
pub(crate) struct PackedListener {
    socket: TcpListener,
    stopped: AtomicBool,
    traffic: Arc<Traffic>,
}

impl PackedListener {
    pub(crate) fn bind(address: SocketAddr, traffic: Arc<Traffic>) -> io::Result<Self> {
        Ok(Self { socket: TcpListener::bind(address)?, stopped: AtomicBool::new(false), traffic })
    }
}

impl Listener for PackedListener {
    fn accept(&self) -> io::Result<Option<Box<dyn Stream>>> {
        if self.stopped.load(SeqCst) {
            return Ok(None);
        }
        let (socket, _) = self.socket.accept()?;
        if self.stopped.load(SeqCst) {
            return Ok(None);
        }
        match PackedStream::new(socket, Arc::clone(&self.traffic)) {
            Ok(stream) => Ok(Some(Box::new(stream))),
            // A caller that is gone already is no reason to pause.
            Err(error) => Err(io::Error::new(io::ErrorKind::ConnectionAborted, error)),
        }
    }

    fn stop(&self) {
        self.stopped.store(true, SeqCst);
        // Wakes a blocked accept; the standard library has no other way on every platform.
        let _ = self.socket.local_addr().and_then(TcpStream::connect);
    }

    fn name(&self) -> String {
        self.local_addr().map_or_else(|| "packed TCP".into(), |address| format!("{address}, packed"))
    }

    fn local_addr(&self) -> Option<SocketAddr> {
        self.socket.local_addr().ok()
    }
}

/// Opens packed streams.
pub(crate) struct PackedConnector {
    pub(crate) traffic: Arc<Traffic>,
}

impl Connector for PackedConnector {
    fn connect(&self, address: &str) -> io::Result<Box<dyn Stream>> {
        let socket = TcpStream::connect(address)?;
        Ok(Box::new(PackedStream::new(socket, Arc::clone(&self.traffic))?))
    }
}
