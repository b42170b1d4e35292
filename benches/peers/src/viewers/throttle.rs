//! A viewer behind a narrow line: a socket from which so many bytes a second are read.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, SocketType, connect, socket, sockopt};

/// `SO_RCVBUF`, set before the connection is made, so that the window is never larger. Linux doubles it. What is in
/// there is out of every sender's reach: so little that it counts for little, as on a modem.
const RECEIVE_BUFFER: usize = 8 * 1024;

/// How many bytes are read at once.
const STEP: usize = 500;

pub(super) struct Throttle {
    stream: TcpStream,
    bytes_per_second: u64,
    begun: Instant,
    read: u64,
}

impl Throttle {
    pub(super) fn connect(port: u16, bytes_per_second: u64) -> io::Result<Self> {
        let socket = socket(AddressFamily::INET, SocketType::STREAM, None)?;
        sockopt::set_socket_recv_buffer_size(&socket, RECEIVE_BUFFER)?;
        connect(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, port))?;
        Ok(Self { stream: socket.into(), bytes_per_second, begun: Instant::now(), read: 0 })
    }

    pub(super) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// A port behind which the same publisher is, at the end of the narrow line.
    pub(super) fn proxy(mut self) -> io::Result<u16> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = listener.local_addr()?.port();
        thread::spawn(move || -> io::Result<()> {
            let (viewer, _) = listener.accept()?;
            let (mut from, mut to) = (viewer.try_clone()?, self.stream.try_clone()?);
            thread::spawn(move || io::copy(&mut from, &mut to));
            io::copy(&mut self, &mut &viewer)?;
            (&viewer).flush()
        });
        Ok(port)
    }
}

impl Read for Throttle {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let due = Duration::from_secs_f64(self.read as f64 / self.bytes_per_second as f64);
        let ahead = due.saturating_sub(self.begun.elapsed());
        thread::sleep(ahead);
        if ahead.is_zero() {
            // What nobody sent is not made up for later.
            self.begun = Instant::now() - due;
        }
        let step = buffer.len().min(STEP);
        let read = self.stream.read(&mut buffer[..step])?;
        self.read += read as u64;
        Ok(read)
    }
}
