//! Serial lines: a pseudo-terminal for each connection, with a client at its port and a server at its other end.
//!
//! Unlike a cable, a pseudo-terminal tells either end that the other one has been closed; to a server and to peers that
//! speak bytes, that is the end of the stream. What the other end had not read by then is lost.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::os::fd::BorrowedFd;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use leads_comm::transport::serial::{Ports, SerialConnector, SerialStream};
use leads_comm::transport::{Connector, Listener, Stream};
use leads_comm::{Client, ClientBuilder, Server, ServerBuilder};

use super::super::pty::Pair;
use super::raw::Raw;
use super::{Dial, Transport};

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
    plugged: VecDeque<SerialStream>,
    count: usize,
    stopped: bool,
}

impl Sockets {
    fn plug(&self) -> io::Result<Box<dyn Stream>> {
        let Pair { device, port, name } = Pair::open();
        let none = Ports::with_list(|| Ok(Vec::new()));
        let client = SerialConnector::new().baud_rate(4_000_000).ports(none).connect(&name)?;
        // The client's is the last one now.
        drop(port);
        let mut state = self.0.0.lock().unwrap();
        if state.stopped {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        state.count += 1;
        let server = SerialStream::new(device, format!("line {}", state.count))?;
        state.plugged.push_back(server);
        self.0.1.notify_all();
        Ok(client)
    }

    fn accept_until(&self, until: Option<Instant>) -> io::Result<Option<Box<dyn Stream>>> {
        let mut state = self.0.0.lock().unwrap();
        loop {
            if state.stopped {
                return Ok(None);
            }
            if let Some(stream) = state.plugged.pop_front() {
                return Ok(Some(Box::new(HangingUp(Box::new(stream)))));
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
        self.plug()
    }
}

impl Dial for Sockets {
    fn client(&self, _: &Server) -> ClientBuilder {
        Client::builder().transport(self.clone())
    }

    fn raw(&self, _: &Server) -> Raw {
        Raw::of(Box::new(HangingUp(self.plug().unwrap())))
    }
}

/// A line on which the other end can hang up, as over a modem.
struct HangingUp(Box<dyn Stream>);

impl Stream for HangingUp {
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer).or_else(|error| match error.kind() {
            io::ErrorKind::ConnectionAborted => Ok(0),
            _ => Err(error),
        })
    }

    fn wait_readable(&self, time: Duration) -> io::Result<bool> {
        self.0.wait_readable(time)
    }

    fn write_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.write_vectored(buffers)
    }

    fn try_write_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(buffers)
    }

    fn try_flush(&self) -> io::Result<()> {
        self.0.try_flush()
    }

    fn poll_fd(&self) -> Option<BorrowedFd<'_>> {
        self.0.poll_fd()
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.0.shutdown(how)
    }

    fn abort(&self) -> io::Result<()> {
        self.0.abort()
    }

    fn peer(&self) -> String {
        self.0.peer()
    }
}
