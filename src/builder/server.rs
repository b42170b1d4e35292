use std::net::{IpAddr, Ipv4Addr, TcpListener};

use super::Builder;
use crate::transport::Listener;

/// What only a server is told.
#[derive(Debug)]
pub struct ServerSide {
    pub(crate) bind: IpAddr,
    pub(crate) ipv6_only: bool,
    pub(crate) backlog: u32,
    pub(crate) source: ListenerSource,
}

/// Where a server's connections come from.
#[derive(Debug)]
pub(crate) enum ListenerSource {
    /// A TCP address, bound at the start.
    Address,
    /// A TCP socket that the program has bound.
    Socket(TcpListener),
    /// Another transport.
    Transport(Box<dyn Listener>),
}

impl Builder<ServerSide> {
    /// The address to listen on. Default `127.0.0.1`, which only programs on this machine reach.
    ///
    /// `0.0.0.0` listens on every IPv4 address of the machine; `::` on every IPv6 *and* IPv4 address, on every system
    /// alike (on a host without IPv6 it is taken for `0.0.0.0`). There is no encryption and no authentication: bind
    /// what the network may reach with that in mind.
    pub fn bind(mut self, address: impl Into<IpAddr>) -> Self {
        self.side.bind = address.into();
        self
    }

    /// Whether a server on `::` leaves IPv4 out. Default false.
    pub fn ipv6_only(mut self, ipv6_only: bool) -> Self {
        self.side.ipv6_only = ipv6_only;
        self
    }

    /// How many connections the system may keep for the server while it is busy accepting. At least 1. Default 4096; the
    /// system caps it (Linux at `net.core.somaxconn`).
    pub fn backlog(mut self, connections: u32) -> Self {
        self.side.backlog = connections;
        self
    }

    /// Listens on a socket that the program has bound; address, port and backlog are the socket's then.
    pub fn listener(mut self, listener: TcpListener) -> Self {
        self.side.source = ListenerSource::Socket(listener);
        self
    }

    /// Accepts streams of another transport instead of TCP.
    pub fn transport(mut self, listener: impl Listener) -> Self {
        self.side.source = ListenerSource::Transport(Box::new(listener));
        self
    }
}

impl Default for ServerSide {
    fn default() -> Self {
        Self { bind: Ipv4Addr::LOCALHOST.into(), ipv6_only: false, backlog: 4096, source: ListenerSource::Address }
    }
}
