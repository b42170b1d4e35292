//! The text of an address: an IP address or a name, with a port or without.
//!
//! An IPv6 address may have a *zone*, the interface through which it is reached, by name or number: `fe80::1%eth0`.
//! Only the system knows what its zones stand for, so it is asked, as for a name.

use std::fmt;
use std::io;
use std::net::{Ipv6Addr, SocketAddr};

/// What an address means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Target<'a> {
    Address(SocketAddr),
    /// An IPv6 address with its zone.
    Zoned(&'a str, u16),
    Name(&'a str, u16),
}

impl<'a> Target<'a> {
    /// Reads an address, with `port` where it names none.
    pub(super) fn parse(address: &'a str, port: u16) -> io::Result<Self> {
        if let Ok(address) = address.parse() {
            return Ok(Self::Address(address));
        }
        let bare = in_brackets(address).unwrap_or(address);
        if let Ok(ip) = bare.parse() {
            return Ok(Self::Address(SocketAddr::new(ip, port)));
        }
        if is_zoned(bare) {
            return Ok(Self::Zoned(bare, port));
        }
        let (host, port) = match address.rsplit_once(':') {
            Some((host, named)) => match named.parse() {
                // `parse` takes a sign, too.
                Ok(port) if !named.starts_with('+') => (host, port),
                _ => return Err(io::Error::new(io::ErrorKind::InvalidInput, "the address has no valid port")),
            },
            None => (address, port),
        };
        if let Some(bare) = in_brackets(host).filter(|bare| is_zoned(bare)) {
            return Ok(Self::Zoned(bare, port));
        }
        if is_zoned(host) {
            let error = "an IPv6 address with a port has to be in brackets";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, error));
        }
        if host.is_empty() || host.contains([':', '[', ']']) || host.contains(char::is_whitespace) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the address names no host"));
        }
        Ok(Self::Name(host, port))
    }

    /// The host as it is in a certificate, which knows nothing of zones.
    #[cfg(feature = "tls")]
    pub(super) fn host(&self) -> String {
        match self {
            Self::Address(address) => address.ip().to_string(),
            Self::Zoned(host, _) => host.split('%').next().unwrap_or_default().to_owned(),
            Self::Name(host, _) => (*host).to_owned(),
        }
    }
}

impl fmt::Display for Target<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Zoned(host, port) => write!(f, "[{host}]:{port}"),
            Self::Name(host, port) => write!(f, "{host}:{port}"),
        }
    }
}

fn in_brackets(text: &str) -> Option<&str> {
    text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'))
}

/// Whether it is an IPv6 address with a zone, of whatever name.
pub(crate) fn is_zoned(text: &str) -> bool {
    text.split_once('%').is_some_and(|(ip, zone)| {
        let is_name = !zone.is_empty() && !zone.contains([':', '[', ']', '%']) && !zone.contains(char::is_whitespace);
        is_name && ip.parse::<Ipv6Addr>().is_ok()
    })
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_zone_belongs_to_the_host_in_every_form() {
        for zone in ["eth0", "3", "br-lan.7", "Ethernet_2"] {
            let host = format!("fe80::1%{zone}");
            for text in [host.clone(), format!("[{host}]"), format!("[{host}]:16900")] {
                let target = Target::parse(&text, 16900).unwrap();
                assert_eq!(target.to_string(), format!("[{host}]:16900"), "{text}");
                #[cfg(feature = "tls")]
                assert_eq!(target.host(), "fe80::1");
            }
        }
    }

    #[test]
    fn what_only_looks_like_a_zone_is_refused() {
        let texts =
            ["fe80::1%", "[fe80::1%]", "fe80::1%eth 0", "[fe80::1%eth0", "fe80::1%eth0]", "[fe80::1%eth0]16900"];
        let ports = ["[fe80::1%eth0]:", "[fe80::1%eth0]:x", "fe80::1%eth0:16900", "[[fe80::1%eth0]]", "[1::2::3%eth0]"];
        for text in texts.into_iter().chain(ports) {
            let error = Target::parse(text, 16900).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{text}");
        }
    }

    /// It would be a certificate for another host.
    #[test]
    #[cfg(feature = "tls")]
    fn nothing_is_cut_from_a_name() {
        assert_eq!(Target::parse("vehicle%eth0", 16900).unwrap().host(), "vehicle%eth0");
    }
}
