//! What comes before the first frame: a request of HTTP, and its answer.

use std::io::{self, IoSlice};
use std::net::Shutdown;

use leads_comm::transport::{Stream, is_nothing_yet};
use tungstenite::handshake::client::generate_key;
use tungstenite::handshake::derive_accept_key;

use crate::access::Access;
use crate::error::Error;
use crate::upgrade::{Headers, LONGEST_HEAD, NoUpgrade, Upgrade};

/// What ends a head.
const HEAD_END: &[u8] = b"\r\n\r\n";

/// How much of what a refused caller sends is thrown away, in bytes, for the answer to reach it.
const DISCARDED: usize = 64 * 1024;

/// What a server lets in, and where.
#[derive(Debug, Clone, Default)]
pub(crate) struct Entrance {
    pub(crate) access: Access,
    pub(crate) path: Option<String>,
    pub(crate) subprotocols: Vec<String>,
}

/// What a client asks for.
#[derive(Debug, Clone)]
pub(crate) struct Wish {
    pub(crate) host: String,
    pub(crate) target: String,
    pub(crate) origin: Option<String>,
    pub(crate) subprotocols: Vec<String>,
}

/// Hears a caller out, and answers it. What it has sent behind its request.
pub(crate) fn let_in(stream: &dyn Stream, entrance: &Entrance) -> io::Result<Vec<u8>> {
    let judged = read_head(stream).and_then(|(head, rest)| {
        let (upgrade, subprotocol) = entrance.judge(&head)?;
        Ok((upgrade.answer(subprotocol), rest))
    });
    match judged {
        Ok((answer, rest)) => write(stream, &answer).map(|()| rest),
        Err(error) => {
            if let Some(status) = status_of(&error) {
                refuse(stream, status);
            }
            Err(error)
        }
    }
}

impl Entrance {
    fn judge(&self, head: &[u8]) -> Result<(Upgrade, Option<&str>), Error> {
        let upgrade = Upgrade::parse(head).map_err(Error::Request)?;
        self.access.check(upgrade.host(), upgrade.origin()).map_err(Error::Stranger)?;
        if self.path.as_ref().is_some_and(|path| path != upgrade.path()) {
            return Err(Error::Path);
        }
        let spoken: Vec<&str> = self.subprotocols.iter().map(String::as_str).collect();
        let chosen = upgrade.choose(&spoken);
        if chosen.is_none() && !spoken.is_empty() {
            return Err(Error::Subprotocol);
        }
        Ok((upgrade, chosen))
    }
}

fn status_of(error: &io::Error) -> Option<u16> {
    Some(match error.get_ref()?.downcast_ref()? {
        Error::Request(error) => error.status(),
        Error::Stranger(_) => 403,
        Error::Path => 404,
        Error::Subprotocol => 400,
        Error::HeadTooLong => 431,
        _ => return None,
    })
}

/// Tells a caller that it is not let in, and gives it a moment to read that: until it ends the stream, has said more
/// than enough, or the time for handshakes is over.
fn refuse(stream: &dyn Stream, status: u16) {
    if write(stream, &refusal(status)).is_err() || stream.shutdown(Shutdown::Write).is_err() {
        return;
    }
    let (mut discarded, mut chunk) = (0, [0; 4096]);
    while discarded < DISCARDED {
        match stream.read(&mut chunk) {
            Ok(count @ 1..) => discarded += count,
            Err(error) if is_nothing_yet(&error) => {}
            Ok(0) | Err(_) => return,
        }
    }
}

/// The answer to a caller that is not let in.
pub(crate) fn refusal(status: u16) -> Vec<u8> {
    let (reason, more) = match status {
        400 => ("Bad Request", ""),
        403 => ("Forbidden", ""),
        404 => ("Not Found", ""),
        405 => ("Method Not Allowed", "Allow: GET\r\n"),
        426 => ("Upgrade Required", "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"),
        431 => ("Request Header Fields Too Large", ""),
        _ => ("Service Unavailable", ""),
    };
    let body = format!("{status} {reason}\n");
    let len = body.len();
    format!(
        "HTTP/1.1 {status} {reason}\r\nConnection: close\r\nContent-Type: text/plain\r\n\
         X-Content-Type-Options: nosniff\r\nContent-Length: {len}\r\n{more}\r\n{body}"
    )
    .into_bytes()
}

/// Asks a server, and hears its answer. What it has sent behind that.
pub(crate) fn ask(stream: &dyn Stream, wish: &Wish) -> io::Result<Vec<u8>> {
    let key = generate_key();
    write(stream, &wish.request(&key))?;
    let (head, rest) = read_head(stream)?;
    wish.judge(&head, &key)?;
    Ok(rest)
}

impl Wish {
    fn request(&self, key: &str) -> Vec<u8> {
        let Self { host, target, .. } = self;
        let mut request = format!(
            "GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n"
        );
        if let Some(origin) = &self.origin {
            request += &format!("Origin: {origin}\r\n");
        }
        if !self.subprotocols.is_empty() {
            request += &format!("Sec-WebSocket-Protocol: {}\r\n", self.subprotocols.join(", "));
        }
        (request + "\r\n").into_bytes()
    }

    fn judge(&self, head: &[u8], key: &str) -> Result<(), Error> {
        let mut headers = [httparse::EMPTY_HEADER; 100];
        let mut response = httparse::Response::new(&mut headers);
        if !matches!(response.parse(head), Ok(httparse::Status::Complete(len)) if len == head.len()) {
            return Err(Error::Answer { what: "it is no HTTP" });
        }
        match response.code {
            Some(101) => {}
            status => return Err(Error::Refused { status: status.unwrap_or_default() }),
        }
        let headers = Headers(response.headers);
        let wrong = |what| move |_: NoUpgrade| Error::Answer { what };
        let switches = |name, to| headers.lists(name, to).map_err(wrong("a header that is no text"));
        if !switches("Upgrade", "websocket")? || !switches("Connection", "upgrade")? {
            return Err(Error::Answer { what: "it switches to another protocol" });
        }
        let accept = headers.one("Sec-WebSocket-Accept").map_err(wrong("two keys"))?;
        if accept != Some(derive_accept_key(key.as_bytes()).as_str()) {
            return Err(Error::Answer { what: "its key is that of another request" });
        }
        let chosen = headers.one("Sec-WebSocket-Protocol").map_err(wrong("two subprotocols"))?;
        if chosen.is_some_and(|chosen| !self.subprotocols.iter().any(|asked| asked == chosen)) {
            return Err(Error::Answer { what: "it chooses a subprotocol that was not offered" });
        }
        if chosen.is_none() && !self.subprotocols.is_empty() {
            return Err(Error::Answer { what: "it speaks none of the subprotocols" });
        }
        if headers.one("Sec-WebSocket-Extensions").map_err(wrong("two extensions"))?.is_some() {
            return Err(Error::Answer { what: "it chooses an extension that was not offered" });
        }
        Ok(())
    }
}

/// Reads the head of a request or of an answer, and what has come with it.
fn read_head(stream: &dyn Stream) -> io::Result<(Vec<u8>, Vec<u8>)> {
    let mut head = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let count = match stream.read(&mut chunk) {
            Ok(0) => return Err(Error::CutOff.into()),
            Ok(count) => count,
            Err(error) if is_nothing_yet(&error) => continue,
            Err(error) => return Err(error),
        };
        // The end may lie across two reads.
        let from = head.len().saturating_sub(HEAD_END.len() - 1);
        head.extend_from_slice(&chunk[..count]);
        let end = head[from..].windows(HEAD_END.len()).position(|window| window == HEAD_END);
        let len = end.map(|end| from + end + HEAD_END.len());
        if len.unwrap_or(head.len()) > LONGEST_HEAD {
            return Err(Error::HeadTooLong.into());
        }
        if let Some(len) = len {
            let rest = head.split_off(len);
            return Ok((head, rest));
        }
    }
}

/// Writes all of it, and hands it on; blocks until that is done.
fn write(stream: &dyn Stream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match stream.write_vectored(&[IoSlice::new(bytes)]) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => bytes = &bytes[count..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    loop {
        match stream.flush() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            flushed => return flushed,
        }
    }
}
