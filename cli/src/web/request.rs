//! The head of a request, read so that nobody can read it differently. Bytes in, nothing out; no stream is read here.

use super::response::Refused;

/// How long a head may be, in bytes.
pub(super) const LONGEST_HEAD: usize = 16 * 1024;

/// How long a body may be, in bytes.
pub(super) const LONGEST_BODY: usize = 64 * 1024;

/// How many headers there may be. Browsers send some 20.
const MOST_HEADERS: usize = 100;

/// A request that has been let in: its host, its origin and its token were right.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) method: Method,
    /// Decoded, without the query: `/save`.
    pub(crate) path: String,
    /// Decoded: `("format", "mcap")`. The token is not among them.
    pub(crate) query: Vec<(String, String)>,
    /// Where it comes from, where that is a page of another origin that has been let in: see
    /// [`Site::lets_in`](super::Site::lets_in).
    pub(crate) origin: Option<String>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    /// The first value of that name in the query.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        value(&self.query, name)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    Get,
    Post,
}

/// What is asked for, before anything has been looked at but its form.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) verb: Verb,
    pub(super) path: String,
    pub(super) query: Vec<(String, String)>,
    pub(super) host: Option<String>,
    pub(super) origin: Option<String>,
    pub(super) cookies: Vec<String>,
    pub(super) authorization: Option<String>,
    /// Whether a browser shows what is answered as a page.
    pub(super) takes_html: bool,
    /// Whether a WebSocket is asked for. What else some offer to speak, as HTTP/2, need not be taken up.
    pub(super) upgrades: bool,
    /// Whether it asks if a page on the internet may reach this network.
    pub(super) asks_for_network: bool,
    pub(super) body_len: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Get,
    Head,
    Post,
    /// What a browser asks before a page of another origin may ask.
    Options,
}

impl Verb {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Options => "OPTIONS",
        }
    }
}

/// The first value of that name.
pub(super) fn value<'a>(query: &'a [(String, String)], name: &str) -> Option<&'a str> {
    query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

impl Head {
    /// Reads a head, with the empty line that ends it.
    pub(super) fn parse(head: &[u8]) -> Result<Self, Refused> {
        let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
        let mut request = httparse::Request::new(&mut headers);
        match request.parse(head) {
            Ok(httparse::Status::Complete(len)) if len == head.len() => {}
            Err(httparse::Error::TooManyHeaders) => return Err(Refused::new(431, "too many headers")),
            Ok(_) | Err(_) => return Err(Refused::new(400, "this is no HTTP")),
        }
        // A line that ends without a carriage return is one to some, and two to others.
        if head.iter().enumerate().any(|(at, byte)| *byte == b'\n' && (at == 0 || head[at - 1] != b'\r')) {
            return Err(Refused::new(400, "a line ends in the wrong way"));
        }
        let verb = match request.method {
            Some("GET") => Verb::Get,
            Some("HEAD") => Verb::Head,
            Some("POST") => Verb::Post,
            Some("OPTIONS") => Verb::Options,
            _ => return Err(Refused::new(405, "only GET, HEAD and POST are answered")),
        };
        let headers = Headers(request.headers);
        let body_len = headers.body_len(verb)?;
        let (path, query) = target(request.path.unwrap_or_default())?;
        Ok(Self {
            verb,
            path,
            query,
            host: headers.one("Host")?,
            origin: headers.one("Origin")?,
            cookies: headers.list("Cookie", ';')?,
            authorization: headers.one("Authorization")?,
            takes_html: headers.list("Accept", ',')?.iter().any(|kind| kind.starts_with("text/html")),
            upgrades: headers.list("Upgrade", ',')?.iter().any(|to| to.eq_ignore_ascii_case("websocket")),
            asks_for_network: headers.has("Access-Control-Request-Private-Network"),
            body_len,
        })
    }
}

struct Headers<'a>(&'a [httparse::Header<'a>]);

impl Headers<'_> {
    fn all(&self, name: &'static str) -> impl Iterator<Item = &[u8]> {
        self.0.iter().filter(move |header| header.name.eq_ignore_ascii_case(name)).map(|header| header.value)
    }

    fn has(&self, name: &'static str) -> bool {
        self.all(name).next().is_some()
    }

    /// Its value; refused where it is there twice.
    fn one(&self, name: &'static str) -> Result<Option<String>, Refused> {
        let mut values = self.all(name);
        let Some(value) = values.next() else { return Ok(None) };
        if values.next().is_some() {
            return Err(Refused::new(400, "a header is there twice"));
        }
        text(value).map(Some)
    }

    /// What all of them list.
    fn list(&self, name: &'static str, between: char) -> Result<Vec<String>, Refused> {
        let mut items = Vec::new();
        for value in self.all(name) {
            items.extend(text(value)?.split(between).map(|item| item.trim().to_owned()));
        }
        Ok(items)
    }

    fn body_len(&self, verb: Verb) -> Result<usize, Refused> {
        if self.has("Transfer-Encoding") {
            return Err(Refused::new(501, "a body has to have a Content-Length"));
        }
        if self.has("Expect") {
            return Err(Refused::new(417, "nothing is expected here"));
        }
        let Some(len) = self.one("Content-Length")? else {
            return if verb == Verb::Post { Err(Refused::new(411, "a Content-Length is missing")) } else { Ok(0) };
        };
        if len.is_empty() || !len.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(Refused::new(400, "the Content-Length is no number"));
        }
        match len.parse() {
            Ok(0) => Ok(0),
            Ok(_) if verb != Verb::Post => Err(Refused::new(400, "only a POST has a body")),
            Ok(len) if len <= LONGEST_BODY => Ok(len),
            Ok(_) | Err(_) => Err(Refused::new(413, "the body is longer than 64 KiB")),
        }
    }
}

fn text(value: &[u8]) -> Result<String, Refused> {
    let text = std::str::from_utf8(value).map_err(|_| Refused::new(400, "a header is no text"))?;
    Ok(text.trim().to_owned())
}

/// The path and the query.
fn target(target: &str) -> Result<(String, Vec<(String, String)>), Refused> {
    // `http://…` is for proxies, `*` and a bare host for what is not served here.
    if !target.starts_with('/') || target.contains('#') {
        return Err(Refused::new(400, "the target is no path"));
    }
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let path = decode(path, false)?;
    if path.contains('\\') || path.split('/').any(|part| part == "." || part == "..") {
        return Err(Refused::new(400, "the path means another one"));
    }
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let query = pairs.map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        Ok((decode(name, true)?, decode(value, true)?))
    });
    Ok((path, query.collect::<Result<_, _>>()?))
}

/// What stands behind the percent signs; in a query, a plus is a space.
fn decode(text: &str, is_query: bool) -> Result<String, Refused> {
    let wrong = || Refused::new(400, "the target has something in it that belongs in none");
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, others)) = rest.split_first() {
        rest = others;
        bytes.push(match first {
            b'%' => {
                let (digits, behind) = rest.split_at_checked(2).ok_or_else(wrong)?;
                rest = behind;
                let digit = |digit: u8| char::from(digit).to_digit(16).ok_or_else(wrong);
                (digit(digits[0])? * 16 + digit(digits[1])?) as u8
            }
            b'+' if is_query => b' ',
            other => *other,
        });
    }
    let decoded = String::from_utf8(bytes).map_err(|_| wrong())?;
    if decoded.chars().any(char::is_control) { Err(wrong()) } else { Ok(decoded) }
}
