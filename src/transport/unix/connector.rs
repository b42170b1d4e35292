use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use socket2::{Domain, SockAddr, Socket, Type};

use super::{UnixStream, name};
use crate::transport::socket::connect::StoppableConnect;
use crate::transport::{Connector, Stream};

/// How long each attempt gets unless told otherwise.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a server whose queue is full is left alone before it is asked again; doubled from the first to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(20);

/// Connects over Unix sockets, to a path or an abstract name.
#[derive(Debug)]
pub struct UnixConnector {
    connect_timeout: Duration,
    connecting: StoppableConnect,
}

impl UnixConnector {
    /// A connector that gives a server whose queue of callers is full 5 s to accept one.
    pub fn new() -> Self {
        Self { connect_timeout: CONNECT_TIMEOUT, connecting: StoppableConnect::new() }
    }

    /// Gives the server another time.
    pub fn connect_timeout(mut self, time: Duration) -> Self {
        self.connect_timeout = time;
        self
    }

    /// The system connects at once, refuses, or says that the server's queue is full. It could wait for room by itself,
    /// but nobody could end that wait.
    fn open(&self, address: &SockAddr) -> io::Result<Socket> {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        let began = Instant::now();
        let mut pause = FIRST_PAUSE;
        loop {
            self.connecting.go_on()?;
            match socket.connect(address) {
                Ok(()) => return Ok(socket),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let left = self.connect_timeout.saturating_sub(began.elapsed());
                    if left.is_zero() {
                        return Err(io::Error::new(io::ErrorKind::TimedOut, "the server's queue is full"));
                    }
                    self.connecting.pause(pause.min(left))?;
                    pause = (2 * pause).min(LONGEST_PAUSE);
                }
                Err(error) => return Err(error),
            }
        }
    }
}

impl Default for UnixConnector {
    fn default() -> Self {
        Self::new()
    }
}

/// Another connector with the same settings; each is [stopped](Connector::stop) by itself.
impl Clone for UnixConnector {
    fn clone(&self) -> Self {
        Self::new().connect_timeout(self.connect_timeout)
    }
}

impl Connector for UnixConnector {
    /// Connects to the server that listens on the path, or abstract name, `address`.
    ///
    /// # Errors
    ///
    /// `NotFound` when there is no such path; `ConnectionRefused` when nobody listens there; `PermissionDenied`;
    /// `TimedOut` when the server's queue of callers has been full for too long (on Linux; macOS and the BSDs refuse,
    /// as if nobody listened); `InvalidInput` when the path is too long; `ConnectionAborted` once it has been stopped.
    fn connect(&self, address: &str) -> io::Result<Box<dyn Stream>> {
        let socket = self.open(&name::address(Path::new(address))?)?;
        Ok(Box::new(UnixStream::own(socket.into(), name::shown(address.as_bytes()))?))
    }

    fn stop(&self) {
        self.connecting.stop();
    }
}
