//! The request that asks for a WebSocket, and what it is answered. Bytes in, bytes out; nothing here reads or writes a
//! stream.

use std::error;
use std::fmt;

use tungstenite::handshake::derive_accept_key;

/// How long the head of a request or of an answer may be, in bytes.
pub(crate) const LONGEST_HEAD: usize = 16 * 1024;

/// How many headers it may have. Browsers send some 20.
const MOST_HEADERS: usize = 100;

/// How long the key of a handshake is: 16 bytes in base64.
const KEY_LEN: usize = 24;

/// A request for a WebSocket that was made in the right way, for a program that reads requests itself, because it
/// serves pages at the same address. [`WebSocketListener`](crate::WebSocketListener) does all of this for those that do
/// not.
///
/// Whether it is one that is let in, is for the program to say: see [`Access`](crate::Access).
///
/// # Examples
///
/// ```
/// use leads_comm_websocket::Upgrade;
///
/// let head = b"GET /live HTTP/1.1\r\nHost: localhost:8765\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
///     Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
///     Sec-WebSocket-Protocol: a, b\r\n\r\n";
/// let upgrade = Upgrade::parse(head)?;
/// assert_eq!((upgrade.target(), upgrade.host()), ("/live", Some("localhost:8765")));
/// let subprotocol = upgrade.choose(&["b", "c"]);
/// assert_eq!(subprotocol, Some("b"));
/// assert!(upgrade.answer(subprotocol).starts_with(b"HTTP/1.1 101 "));
/// # Ok::<(), leads_comm_websocket::NoUpgrade>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upgrade {
    target: String,
    host: Option<String>,
    origin: Option<String>,
    subprotocols: Vec<String>,
    accept: String,
}

/// What is wrong with a request for a WebSocket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum NoUpgrade {
    /// It is not the head of a request, or not all of it.
    Malformed(Option<httparse::Error>),
    /// It is not a `GET` of HTTP/1.1.
    Method,
    /// It asks for something else.
    NotWebSocket,
    /// It asks for another version of the protocol than 13.
    Version,
    /// Something is there twice that may be there once, or is not what it has to be.
    Header {
        /// Which header.
        name: &'static str,
    },
}

impl fmt::Display for NoUpgrade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(_) => f.write_str("the caller's request is no HTTP"),
            Self::Method => f.write_str("the caller's request is no GET of HTTP/1.1"),
            Self::NotWebSocket => f.write_str("the caller asks for no WebSocket"),
            Self::Version => f.write_str("the caller asks for another version of WebSocket than 13"),
            Self::Header { name } => write!(f, "the caller's request has a wrong header {name}"),
        }
    }
}

impl error::Error for NoUpgrade {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Malformed(Some(error)) => Some(error),
            _ => None,
        }
    }
}

impl NoUpgrade {
    /// The status that it is answered with.
    pub fn status(self) -> u16 {
        match self {
            Self::NotWebSocket | Self::Version => 426,
            Self::Method => 405,
            Self::Malformed(_) | Self::Header { .. } => 400,
        }
    }
}

impl Upgrade {
    /// Reads the head of a request, with the empty line that ends it.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn parse(head: &[u8]) -> Result<Self, NoUpgrade> {
        let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
        let mut request = httparse::Request::new(&mut headers);
        match request.parse(head) {
            Ok(httparse::Status::Complete(len)) if len == head.len() => {}
            Ok(_) => return Err(NoUpgrade::Malformed(None)),
            Err(error) => return Err(NoUpgrade::Malformed(Some(error))),
        }
        if request.method != Some("GET") || request.version != Some(1) {
            return Err(NoUpgrade::Method);
        }
        let headers = Headers(request.headers);
        if !headers.lists("Upgrade", "websocket")? || !headers.lists("Connection", "upgrade")? {
            return Err(NoUpgrade::NotWebSocket);
        }
        if headers.one("Sec-WebSocket-Version")? != Some("13") {
            return Err(NoUpgrade::Version);
        }
        // A body would be taken for frames.
        for name in ["Content-Length", "Transfer-Encoding"] {
            if headers.one(name)?.is_some_and(|value| value != "0") {
                return Err(NoUpgrade::Header { name });
            }
        }
        let key = headers.one("Sec-WebSocket-Key")?.filter(|key| key.len() == KEY_LEN);
        let key = key.ok_or(NoUpgrade::Header { name: "Sec-WebSocket-Key" })?;
        Ok(Self {
            target: request.path.unwrap_or_default().to_owned(),
            host: headers.one("Host")?.map(str::to_owned),
            origin: headers.one("Origin")?.map(str::to_owned),
            subprotocols: headers.list("Sec-WebSocket-Protocol")?.into_iter().map(str::to_owned).collect(),
            accept: derive_accept_key(key.as_bytes()),
        })
    }

    /// What it asks for, as it was sent: the path, and the query if there is one.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// The path in the [target](Self::target), as it was sent.
    pub fn path(&self) -> &str {
        self.target.split_once('?').map_or(&self.target, |(path, _)| path)
    }

    /// The header `Host`.
    pub fn host(&self) -> Option<&str> {
        self.host.as_deref()
    }

    /// The header `Origin`.
    pub fn origin(&self) -> Option<&str> {
        self.origin.as_deref()
    }

    /// The subprotocols that the caller speaks, the one it likes best first.
    pub fn subprotocols(&self) -> impl Iterator<Item = &str> {
        self.subprotocols.iter().map(String::as_str)
    }

    /// The first of `spoken` that the caller speaks as well.
    pub fn choose<'a>(&self, spoken: &[&'a str]) -> Option<&'a str> {
        spoken.iter().copied().find(|spoken| self.subprotocols().any(|asked| asked == *spoken))
    }

    /// What is written to a caller that is let in; behind it come frames. `subprotocol` is one of those that the caller
    /// [speaks](Self::subprotocols).
    pub fn answer(&self, subprotocol: Option<&str>) -> Vec<u8> {
        let subprotocol = subprotocol.map(|name| format!("Sec-WebSocket-Protocol: {name}\r\n")).unwrap_or_default();
        let accept = &self.accept;
        format!(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Accept: {accept}\r\n{subprotocol}\r\n"
        )
        .into_bytes()
    }
}

/// The headers of a request or of an answer.
pub(crate) struct Headers<'a>(pub(crate) &'a [httparse::Header<'a>]);

impl<'a> Headers<'a> {
    /// Its value, which is text, and there once.
    pub(crate) fn one(&self, name: &'static str) -> Result<Option<&'a str>, NoUpgrade> {
        let mut values = self.all(name);
        let first = values.next().transpose()?;
        if values.next().is_some() {
            return Err(NoUpgrade::Header { name });
        }
        Ok(first)
    }

    /// What is listed in all of them, between commas.
    pub(crate) fn list(&self, name: &'static str) -> Result<Vec<&'a str>, NoUpgrade> {
        let mut items = Vec::new();
        for value in self.all(name) {
            items.extend(value?.split(',').map(str::trim).filter(|item| !item.is_empty()));
        }
        Ok(items)
    }

    /// Whether it is listed, in any case.
    pub(crate) fn lists(&self, name: &'static str, item: &str) -> Result<bool, NoUpgrade> {
        Ok(self.list(name)?.iter().any(|listed| listed.eq_ignore_ascii_case(item)))
    }

    fn all(&self, name: &'static str) -> impl Iterator<Item = Result<&'a str, NoUpgrade>> {
        let same = move |header: &&httparse::Header<'a>| header.name.eq_ignore_ascii_case(name);
        self.0
            .iter()
            .filter(same)
            .map(move |header| std::str::from_utf8(header.value).map_err(|_| NoUpgrade::Header { name }).map(str::trim))
    }
}
