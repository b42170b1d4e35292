//! On Windows, where before Windows 10 2004 `WSAPoll` does not tell of a connect that has failed (its documentation says
//! so): each connect on a thread of its own, which is left to itself, for no longer than the time-out, when it is given
//! up.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, after, never, select, unbounded};
use socket2::SockRef;

use super::{Outcome, StoppableConnect, discard_when_dropped, start_aside};

/// Nothing but the channel.
#[derive(Debug, Default)]
pub(crate) struct Waiting {}

impl Waiting {
    pub(crate) fn wake(&self) {}
}

/// Attempts to connect, under way at the same time. Those that are not over are given up when this is dropped.
pub(super) struct Attempts<'a> {
    connecting: &'a StoppableConnect,
    /// How long each may take.
    time: Duration,
    pending: usize,
    over: Sender<Outcome>,
    are_over: Receiver<Outcome>,
}

impl<'a> Attempts<'a> {
    pub(super) fn new(connecting: &'a StoppableConnect, time: Duration) -> io::Result<Self> {
        let (over, are_over) = unbounded();
        Ok(Self { connecting, time, pending: 0, over, are_over })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pending == 0
    }

    pub(super) fn begin(&mut self, address: SocketAddr) {
        let (time, over) = (self.time, self.over.clone());
        // Fails when nobody waits for it any more.
        let connect = move || drop(over.send((address, connect(address, time))));
        if let Err(error) = start_aside("lc-connector", connect) {
            let _ = self.over.send((address, Err(error)));
        }
        self.pending += 1;
    }

    /// Waits until one is over, or this is stopped, at most for `time`; what has become of those that are over.
    pub(super) fn wait(&mut self, time: Option<Duration>) -> io::Result<Vec<Outcome>> {
        let over: Vec<_> = select! {
            recv(self.are_over) -> first => first.into_iter().chain(self.are_over.try_iter()).collect(),
            recv(self.connecting.stopped) -> _ => Vec::new(),
            recv(time.map_or_else(never, after)) -> _ => Vec::new(),
        };
        self.pending -= over.len();
        Ok(over)
    }
}

fn connect(address: SocketAddr, time: Duration) -> io::Result<TcpStream> {
    let socket = TcpStream::connect_timeout(&address, time)?;
    discard_when_dropped(SockRef::from(&socket))?;
    Ok(socket)
}
