use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};

use crate::error::Error;
use crate::transport::address;

/// What [`ServerBuilder::bind`](crate::ServerBuilder::bind) takes: an IP address, or text that is to be one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BindAddress {
    /// `None`: the text is no address.
    host: Option<Host>,
}

impl BindAddress {
    pub(crate) fn host(self) -> Result<Host, Error> {
        self.host.ok_or(Error::InvalidSetting {
            setting: "bind",
            requirement: "must be an IP address, such as 0.0.0.0, :: or 192.168.0.7; the port is set by itself",
        })
    }
}

/// An address to listen on, without its port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Host {
    Ip(IpAddr),
    /// An IPv6 address with its zone.
    Zoned(String),
}

impl Host {
    /// The address as things are now: an interface may come and go.
    pub(crate) fn resolve(&self, port: u16) -> io::Result<SocketAddr> {
        match self {
            Self::Ip(ip) => Ok(SocketAddr::new(*ip, port)),
            // It is no name, so that nobody is asked but the system.
            Self::Zoned(host) => (host.as_str(), port).to_socket_addrs()?.next().ok_or(io::ErrorKind::NotFound.into()),
        }
    }

    /// The address with a port, for people.
    pub(crate) fn describe(&self, port: u16) -> String {
        match self {
            Self::Ip(ip) => SocketAddr::new(*ip, port).to_string(),
            Self::Zoned(host) => format!("[{host}]:{port}"),
        }
    }
}

macro_rules! from_address {
    ($($address:ty),*) => {
        $(impl From<$address> for BindAddress {
            fn from(address: $address) -> Self {
                Self { host: Some(Host::Ip(address.into())) }
            }
        })*
    };
}

from_address!(IpAddr, Ipv4Addr, Ipv6Addr, [u8; 4], [u8; 16], [u16; 8]);

impl From<&str> for BindAddress {
    fn from(text: &str) -> Self {
        let ip = text.parse().ok().map(Host::Ip);
        Self { host: ip.or_else(|| address::is_zoned(text).then(|| Host::Zoned(text.to_owned()))) }
    }
}

impl From<&String> for BindAddress {
    fn from(text: &String) -> Self {
        text.as_str().into()
    }
}

impl From<String> for BindAddress {
    fn from(text: String) -> Self {
        text.as_str().into()
    }
}
