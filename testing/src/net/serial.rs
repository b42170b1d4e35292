//! Serial lines: a pseudo-terminal for each connection, with a client at its port and a server at its other end.
//!
//! Unlike a cable, a pseudo-terminal tells either end that the other one has been closed; to a server and to peers that
//! speak bytes, that is the end of the stream. What the other end had not read by then is lost.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use leads_comm::transport::{Connector, Listener, Stream};
use leads_comm::{Client, ClientBuilder, Server, ServerBuilder};
use leads_comm_serial::{Ports, SerialConnector, SerialStream};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags, open};

use super::super::pty::Pair;
use super::raw::Raw;
use super::{Dial, Transport};

/// See [`Net::Serial`](super::Net::Serial).
pub struct Serial;

impl Transport for Serial {
    fn server(&self) -> (ServerBuilder, Box<dyn Dial>) {
        let sockets = Sockets(Arc::default());
        (Server::builder().transport(sockets.clone()), Box::new(sockets))
    }

    fn resets(&self) -> bool {
        false
    }

    fn has_half_close(&self) -> bool {
        false
    }
}

/// Where cables are plugged in.
#[derive(Clone)]
struct Sockets(Arc<(Mutex<State>, Condvar)>);

#[derive(Default)]
struct State {
    plugged: VecDeque<HangingUp>,
    count: usize,
    stopped: bool,
}

impl Sockets {
    /// Plugs in a cable of which `open` has opened the far end, by the name of its port.
    fn plug<T>(&self, open: impl FnOnce(OwnedFd, &str) -> io::Result<T>) -> io::Result<T> {
        let Pair { device, port, name } = Pair::open();
        let far = open(port, &name)?;
        let mut state = self.0.0.lock().unwrap();
        if state.stopped {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        state.count += 1;
        let stream = SerialStream::new(device, format!("line {}", state.count))?;
        state.plugged.push_back(HangingUp { stream: Some(stream), port: Some(name) });
        self.0.1.notify_all();
        Ok(far)
    }

    fn accept_until(&self, until: Option<Instant>) -> io::Result<Option<Box<dyn Stream>>> {
        let mut state = self.0.0.lock().unwrap();
        loop {
            if state.stopped {
                return Ok(None);
            }
            if let Some(stream) = state.plugged.pop_front() {
                return Ok(Some(Box::new(stream)));
            }
            state = match until.map(|until| until.saturating_duration_since(Instant::now())) {
                Some(Duration::ZERO) => return Err(io::ErrorKind::WouldBlock.into()),
                Some(left) => self.0.1.wait_timeout(state, left).unwrap().0,
                None => self.0.1.wait(state).unwrap(),
            };
        }
    }
}

impl Listener for Sockets {
    fn accept(&self) -> io::Result<Option<Box<dyn Stream>>> {
        self.accept_until(None)
    }

    fn accept_for(&self, time: Duration) -> io::Result<Option<Box<dyn Stream>>> {
        self.accept_until(Instant::now().checked_add(time))
    }

    fn stop(&self) {
        let mut state = self.0.0.lock().unwrap();
        state.stopped = true;
        let sent_away = std::mem::take(&mut state.plugged);
        drop(state);
        self.0.1.notify_all();
        drop(sent_away);
    }

    fn name(&self) -> String {
        "serial".into()
    }
}

impl Connector for Sockets {
    fn connect(&self, _: &str) -> io::Result<Box<dyn Stream>> {
        self.plug(|port, name| {
            let none = Ports::with_list(|| Ok(Vec::new()));
            let stream = SerialConnector::new().baud_rate(4_000_000).ports(none).connect(name);
            // The client's is the only one then.
            drop(port);
            stream
        })
    }
}

impl Dial for Sockets {
    fn client(&self, _: &Server) -> ClientBuilder {
        Client::builder().transport(self.clone())
    }

    fn raw(&self, _: &Server) -> Raw {
        let plugged = |port, name: &str| Ok(HangingUp { stream: Some(SerialStream::new(port, name)?), port: None });
        Raw::of(Box::new(self.plug(plugged).unwrap()))
    }
}

/// A line on which the other end can hang up, as over a modem.
struct HangingUp {
    /// There until it is dropped.
    stream: Option<SerialStream>,
    /// The other end, if what it has not read is lost when this one hangs up.
    port: Option<String>,
}

impl HangingUp {
    fn stream(&self) -> &SerialStream {
        self.stream.as_ref().unwrap()
    }
}

/// Hangs up when the other end has read everything; soon, if it does not.
impl Drop for HangingUp {
    fn drop(&mut self) {
        // Not as the terminal of this process, which would end when it hangs up. Fails when the other end is that of a
        // client, which has it for itself, or is gone.
        let flags = OFlags::RDONLY | OFlags::NOCTTY | OFlags::CLOEXEC;
        let port = self.port.take().and_then(|name| open(name, flags, Mode::empty()).ok());
        let (Some(port), stream) = (port, self.stream.take()) else { return };
        let until = Instant::now() + Duration::from_secs(2);
        if is_unread(&port) {
            thread::spawn(move || {
                while is_unread(&port) && Instant::now() < until {
                    thread::sleep(Duration::from_millis(1));
                }
                drop(stream);
            });
        }
    }
}

fn is_unread(port: &OwnedFd) -> bool {
    let mut fds = [PollFd::new(port, PollFlags::IN)];
    poll(&mut fds, Some(&Timespec::default())).is_ok_and(|_| fds[0].revents() == PollFlags::IN)
}

impl Stream for HangingUp {
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream().read(buffer).or_else(|error| match error.kind() {
            io::ErrorKind::ConnectionAborted => Ok(0),
            _ => Err(error),
        })
    }

    fn wait_readable(&self, time: Duration) -> io::Result<bool> {
        self.stream().wait_readable(time)
    }

    fn write_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        self.stream().write_vectored(buffers)
    }

    fn try_write_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        self.stream().try_write_vectored(buffers)
    }

    fn try_flush(&self) -> io::Result<()> {
        self.stream().try_flush()
    }

    fn poll_fd(&self) -> Option<BorrowedFd<'_>> {
        self.stream().poll_fd()
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.stream().shutdown(how)
    }

    fn abort(&self) -> io::Result<()> {
        self.stream().abort()
    }

    fn peer(&self) -> String {
        self.stream().peer()
    }
}
