use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net;
use std::path::Path;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use socket2::{Domain, Socket, Type};

use super::place::Place;
use super::{UnixStream, name};
use crate::transport::socket::accept::{AcceptSocket, StoppableListener};
use crate::transport::{Listener, Stream};

/// A Unix socket listened on.
///
/// It keeps one descriptor to spare, so that callers can be told when the process has no other left.
#[derive(Debug)]
pub struct UnixListener {
    /// The file, until it is stopped; goes before the socket does, see there.
    place: Mutex<Option<Place>>,
    accepting: StoppableListener<net::UnixListener>,
    name: String,
}

impl UnixListener {
    /// Binds a path, or an abstract name, and listens. The file is removed when the listener is stopped, or dropped,
    /// unless another one has taken its place meanwhile.
    ///
    /// A socket file that no process listens on any more, because the last one was killed, is removed and bound anew.
    /// Of several processes that do so at once, one gets it: for that moment there is a second file,
    /// `….leads-comm-lock`, which only this user can open, so that no other user of the machine can hold a server up.
    /// (In a directory in which others may make files, they can take the path itself.) `backlog` is how many
    /// connections the system may keep for [`accept`](Listener::accept); it caps the number by itself. `mode` is the
    /// file's permissions, such as `0o660`, from before anybody can connect; `None` leaves them to the process's umask.
    ///
    /// # Errors
    ///
    /// `AddrInUse` when somebody listens there; `AlreadyExists` when there is something else than a socket, which is
    /// left alone; `InvalidInput` when the path is too long, or an abstract name is to have
    /// permissions; otherwise what the operating system reports.
    pub fn bind(path: impl AsRef<Path>, backlog: u32, mode: Option<u32>) -> io::Result<Self> {
        let path = path.as_ref();
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        let place = match mode {
            _ if !name::is_abstract(path) => Some(Place::take(&socket, path, mode)?),
            None => {
                socket.bind(&name::address(path)?)?;
                None
            }
            Some(_) => {
                return Err(io::Error::new(io::ErrorKind::InvalidInput, "an abstract name has no permissions"));
            }
        };
        socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
        let name = name::shown(path.as_os_str().as_bytes());
        Ok(Self { place: Mutex::new(place), accepting: StoppableListener::own(socket.into())?, name })
    }

    /// Takes over a socket that is listening already. Its file, if it has one, is not removed. As long as it is used
    /// here, accepting by a clone of it does not block; behind that it does, if it did before.
    ///
    /// # Errors
    ///
    /// What the operating system reports.
    pub fn new(socket: net::UnixListener) -> io::Result<Self> {
        let name = name::of_local(&socket)?;
        Ok(Self { place: Mutex::new(None), accepting: StoppableListener::given(socket)?, name })
    }
}

fn opened(accepted: Option<net::UnixStream>) -> io::Result<Option<Box<dyn Stream>>> {
    let Some(socket) = accepted else { return Ok(None) };
    // Accepted sockets inherit the mode of the listener's on some systems.
    let peer = name::of_peer(&socket);
    Ok(Some(Box::new(UnixStream::own(socket, peer)?)))
}

impl AcceptSocket for net::UnixListener {
    type Accepted = net::UnixStream;

    fn accept(&self) -> io::Result<net::UnixStream> {
        self.accept().map(|(socket, _)| socket)
    }

    fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        self.set_nonblocking(nonblocking)
    }
}

impl Listener for UnixListener {
    fn accept(&self) -> io::Result<Option<Box<dyn Stream>>> {
        opened(self.accepting.accept()?)
    }

    fn accept_for(&self, time: Duration) -> io::Result<Option<Box<dyn Stream>>> {
        // A time too far ahead for the clock is as good as for ever.
        opened(self.accepting.accept_until(Instant::now().checked_add(time))?)
    }

    fn accept_to_refuse(&self) -> io::Result<Option<Box<dyn Stream>>> {
        opened(self.accepting.accept_to_refuse()?)
    }

    fn descriptors_per_stream(&self) -> usize {
        1
    }

    fn stop(&self) {
        *self.place.lock() = None;
        self.accepting.stop();
    }

    fn name(&self) -> String {
        self.name.clone()
    }
}
