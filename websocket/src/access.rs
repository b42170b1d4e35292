//! Who may ask: by the host that was asked for, and the page that asks.

use std::error;
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Which hosts and origins are let in. A WebSocket is open to every page that a browser shows, wherever that comes
/// from: nothing but the server's own look at these two keeps a foreign page out.
///
/// - The *host* is the name under which the browser believes to reach the server. Let in are `localhost`, IP addresses,
///   and [what is named](Self::host). A foreign page that has its own name point here, to be taken for a page of ours
///   (DNS rebinding), is refused: with an address instead of a name, nothing can be pointed elsewhere.
/// - The *origin* is the page that asks. Let in are programs that are no browsers, and name none; pages of the same
///   host and port; and [what is named](Self::origin). `null`, of a page in a sandbox or a file, is none of them.
///
/// # Examples
///
/// ```
/// use leads_comm_websocket::Access;
///
/// let access = Access::new().host("car.example").origin("https://leads.projectneura.org");
/// assert!(access.check(Some("127.0.0.1:8765"), Some("http://127.0.0.1:8765")).is_ok());
/// assert!(access.check(Some("car.example:8765"), None).is_ok());
/// assert!(access.check(Some("localhost:8765"), Some("https://leads.projectneura.org")).is_ok());
/// assert!(access.check(Some("localhost:8765"), Some("https://elsewhere.example")).is_err());
/// assert!(access.check(Some("rebound.example:8765"), None).is_err());
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Access {
    hosts: Vec<String>,
    origins: Vec<String>,
}

/// Somebody who is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stranger {
    /// There is no host, or one that is not let in.
    Host,
    /// The page is one of an origin that is not let in.
    Origin,
}

impl fmt::Display for Stranger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Host => "the host that the caller asks for is not one of this server",
            Self::Origin => "the page that asks is of an origin that is not let in",
        })
    }
}

impl error::Error for Stranger {}

impl Access {
    /// What is always let in, and nothing else.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets in another host: a name, without port.
    #[must_use]
    pub fn host(mut self, name: impl Into<String>) -> Self {
        self.hosts.push(name.into());
        self
    }

    /// Lets in the pages of an origin, as browsers write it: `https://app.example`, with the port where it is not that
    /// of the scheme, and without a slash at the end.
    #[must_use]
    pub fn origin(mut self, origin: impl Into<String>) -> Self {
        self.origins.push(origin.into());
        self
    }

    /// Looks at the headers `Host` and `Origin` of a request.
    ///
    /// # Errors
    ///
    /// Which of them is not let in.
    pub fn check(&self, host: Option<&str>, origin: Option<&str>) -> Result<(), Stranger> {
        let host = host.filter(|host| self.lets_in_host(host)).ok_or(Stranger::Host)?;
        match origin {
            Some(origin) if !is_same(origin, host) && !self.lets_in_origin(origin) => Err(Stranger::Origin),
            _ => Ok(()),
        }
    }

    /// Whether an origin is one of those that were named.
    pub fn lets_in_origin(&self, origin: &str) -> bool {
        self.origins.iter().any(|known| known.eq_ignore_ascii_case(origin))
    }

    fn lets_in_host(&self, host: &str) -> bool {
        let Some(name) = without_port(host) else { return false };
        let address = match name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            Some(address) => address.parse::<Ipv6Addr>().is_ok(),
            None => name.parse::<Ipv4Addr>().is_ok(),
        };
        address
            || name.eq_ignore_ascii_case("localhost")
            || self.hosts.iter().any(|known| known.eq_ignore_ascii_case(name))
    }
}

/// The name in `name`, `name:port` or `[address]:port`; `None` where it is none of them.
fn without_port(host: &str) -> Option<&str> {
    let end = if host.starts_with('[') { host.find(']')? + 1 } else { host.find(':').unwrap_or(host.len()) };
    let (name, rest) = host.split_at(end);
    let port = rest.strip_prefix(':');
    let is_right = rest.is_empty() || port.is_some_and(|port| port.parse::<u16>().is_ok());
    is_right.then_some(name)
}

/// Whether a page of that origin has come from that host. Which of the two schemes it was is not told to the server; a
/// port that is the scheme's may be left out.
fn is_same(origin: &str, host: &str) -> bool {
    ["http://", "https://"].iter().zip([":80", ":443"]).any(|(scheme, port)| {
        let Some(theirs) = origin.strip_prefix(scheme) else { return false };
        theirs.eq_ignore_ascii_case(host.strip_suffix(port).unwrap_or(host))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_can_be_pointed_elsewhere_are_refused() {
        let access = Access::new().host("Car.example");
        for host in
            ["localhost", "LOCALHOST:1", "127.0.0.1", "10.0.0.7:8765", "[::1]:8765", "[fe80::1]", "car.Example:80"]
        {
            assert_eq!(access.check(Some(host), None), Ok(()), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.nip.io",
            "car.example.evil",
            "car.example:",
            "car.example:80:80",
            "[::1",
            "::1",
            "[evil]",
            "127.1",
            "localhost:99999",
            "localhost@evil",
            "user@localhost",
        ] {
            assert_eq!(access.check(Some(host), None), Err(Stranger::Host), "{host:?}");
        }
        assert_eq!(access.check(None, None), Err(Stranger::Host));
    }

    #[test]
    fn pages_of_other_origins_are_refused() {
        let access = Access::new().origin("https://app.example");
        for (origin, host) in [
            ("http://localhost:8765", "localhost:8765"),
            ("https://localhost:8765", "localhost:8765"),
            ("http://LOCALHOST:8765", "localhost:8765"),
            ("http://[::1]:8765", "[::1]:8765"),
            ("http://127.0.0.1", "127.0.0.1:80"),
            ("http://127.0.0.1", "127.0.0.1"),
            ("https://127.0.0.1", "127.0.0.1:443"),
            ("https://app.example", "127.0.0.1:8765"),
        ] {
            assert_eq!(access.check(Some(host), Some(origin)), Ok(()), "{origin} at {host}");
        }
        for origin in [
            "null",
            "",
            "http://localhost",
            "http://localhost:87651",
            "http://localhost:8765.evil.example",
            "http://evil.example",
            "http://127.0.0.1:8765",
            "file://",
            "https://app.example.evil",
            "https://app.example/",
            "http://app.example",
            "localhost:8765",
        ] {
            assert_eq!(access.check(Some("localhost:8765"), Some(origin)), Err(Stranger::Origin), "{origin:?}");
        }
    }
}
