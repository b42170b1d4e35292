//! Elsewhere: a connect on a thread of its own, which is left to itself, for no longer than the time-out, when stopped.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::StoppableConnect;

/// Nothing but the channel.
#[derive(Debug, Default)]
pub(crate) struct Waiting {}

impl Waiting {
    pub(crate) fn wake(&self) {}
}

pub(crate) fn open(connecting: &StoppableConnect, address: SocketAddr, time: Duration) -> io::Result<TcpStream> {
    connecting.aside("lc-connector", move || TcpStream::connect_timeout(&address, time))
}
