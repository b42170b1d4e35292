//! What a request is answered, as bytes.

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;

/// What a page may do: show and run what comes from here, and nothing else; and be shown by no other page.
const POLICY: &str = "default-src 'self'; img-src 'self' blob: data:; object-src 'none'; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";

/// What a request is answered.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    /// Such as `application/json`.
    pub(crate) content_type: &'static str,
    /// Further ones, such as `Content-Disposition`. One that holds a line break is not sent, and the request fails.
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
}

impl Response {
    pub(crate) fn new(content_type: &'static str, body: impl Into<Vec<u8>>) -> Self {
        Self { status: 200, content_type, headers: Vec::new(), body: body.into() }
    }

    /// A line for people.
    pub(crate) fn line(status: u16, text: &str) -> Self {
        Self { status, ..Self::new("text/plain; charset=utf-8", format!("{text}\n")) }
    }

    /// JSON, which is made by its author.
    pub(crate) fn json(body: impl Into<Vec<u8>>) -> Self {
        Self::new("application/json", body)
    }

    /// A file that the browser keeps, instead of showing it. The name is made by the command, and has no quotes.
    pub(crate) fn download(content_type: &'static str, name: &str, body: impl Into<Vec<u8>>) -> Self {
        Self::new(content_type, body).header("Content-Disposition", format!("attachment; filename=\"{name}\""))
    }

    #[must_use]
    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Everything before the body.
    pub(super) fn head(&self) -> Vec<u8> {
        let date = DateTimePrinter::new().timestamp_to_rfc9110_string(&Timestamp::now()).unwrap_or_default();
        let (status, reason, len) = (self.status, reason(self.status), self.body.len());
        let mut head = format!(
            "HTTP/1.1 {status} {reason}\r\nDate: {date}\r\nConnection: close\r\nContent-Type: {}\r\n\
             Content-Length: {len}\r\nCache-Control: no-store\r\nContent-Security-Policy: {POLICY}\r\n\
             Cross-Origin-Resource-Policy: same-origin\r\nReferrer-Policy: no-referrer\r\n\
             X-Content-Type-Options: nosniff\r\nX-Frame-Options: DENY\r\n",
            self.content_type
        );
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        (head + "\r\n").into_bytes()
    }

    /// This, unless a header of it would be more than one.
    pub(super) fn checked(self) -> Self {
        let is_right = |value: &str| !value.chars().any(char::is_control);
        match self.headers.iter().all(|(_, value)| is_right(value)) {
            true => self,
            false => Refused::new(500, "the answer cannot be said").into(),
        }
    }
}

/// A request that is not answered, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) status: u16,
    why: &'static str,
}

impl Refused {
    pub(super) fn new(status: u16, why: &'static str) -> Self {
        Self { status, why }
    }
}

impl From<Refused> for Response {
    fn from(refused: Refused) -> Self {
        let Refused { status, why } = refused;
        let response = Self::line(status, &format!("{status} {}: {why}", reason(status)));
        match status {
            401 => response.header("WWW-Authenticate", "Bearer"),
            405 => response.header("Allow", "GET, HEAD, POST"),
            426 => response.header("Upgrade", "websocket").header("Sec-WebSocket-Version", "13"),
            _ => response,
        }
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        204 => "No Content",
        302 => "Found",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        411 => "Length Required",
        413 => "Content Too Large",
        417 => "Expectation Failed",
        426 => "Upgrade Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        // The phrase says nothing to a program, and may be missing.
        _ => "",
    }
}
