//! Who is let in: the host that is asked for, the page that asks, and the token.

use std::io;

use leads_comm_websocket::Access;
use parking_lot::Mutex;
use subtle::ConstantTimeEq;

use super::request::{Head, value};
use super::response::Refused;

/// How many random bytes there are in a token that is made.
const TOKEN_LEN: usize = 24;

/// The name of the token in a query.
const IN_QUERY: &str = "token";

/// What a request has to bring.
pub(super) struct Guard {
    pub(super) access: Access,
    token: Option<Token>,
}

/// A secret, and what stands for it in a browser, so that the secret itself is not sent to whatever else listens at the
/// same host: cookies know no ports.
struct Token {
    secret: String,
    cookie: String,
    /// Shows it once, for a browser that is opened: what a program is called with is seen by everybody on the machine.
    ticket: Mutex<Option<String>>,
}

/// How somebody has shown the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    /// None is asked for, or it was in a header.
    Quietly,
    /// In the query, where people can see it.
    InQuery,
}

impl Guard {
    /// One that asks for a token, if there is one. `port` tells the cookies of several services at one host apart.
    pub(super) fn new(access: Access, token: Option<String>, port: u16) -> io::Result<Self> {
        let token = match token {
            Some(secret) => {
                let (cookie, ticket) = (format!("leads-comm-{port}={}", random()?), Mutex::new(Some(random()?)));
                Some(Token { secret, cookie, ticket })
            }
            None => None,
        };
        Ok(Self { access, token })
    }

    /// Looks at the host and the page; `lets_in` says which other origins there are. Whether it is one of those.
    pub(super) fn check_access(&self, head: &Head, lets_in: impl Fn(&str) -> bool) -> Result<bool, Refused> {
        let host = head.host.as_deref();
        self.access.check(host, None).map_err(|_| {
            Refused::new(
                403,
                "this host is none of the service's: ask for its IP address, or have it let in the name (--web-host)",
            )
        })?;
        let Some(origin) = head.origin.as_deref() else { return Ok(false) };
        if self.access.check(host, Some(origin)).is_ok() {
            return Ok(false);
        }
        if lets_in(origin) { Ok(true) } else { Err(Refused::new(403, "pages of this origin are not let in")) }
    }

    /// Looks for the token.
    pub(super) fn check_token(&self, head: &Head) -> Result<Shown, Refused> {
        let Some(token) = &self.token else { return Ok(Shown::Quietly) };
        let bearer = head.authorization.as_deref().and_then(|value| value.strip_prefix("Bearer "));
        if head.cookies.iter().any(|cookie| is_same(cookie, &token.cookie))
            || bearer.is_some_and(|shown| is_same(shown.trim(), &token.secret))
        {
            return Ok(Shown::Quietly);
        }
        match value(&head.query, IN_QUERY) {
            Some(shown) if is_same(shown, &token.secret) || token.take_ticket(shown) => Ok(Shown::InQuery),
            Some(_) => Err(Refused::new(401, "the token is not the right one")),
            None => Err(Refused::new(401, "a token is needed: open the address that the command has printed")),
        }
    }

    /// What makes a browser show the token by itself from now on: to whatever is of this site, and where a link of
    /// another one leads here, as those do that teams pass around. `Strict` would keep it back there.
    pub(super) fn cookie(&self) -> Option<String> {
        self.token.as_ref().map(|token| format!("{}; Path=/; HttpOnly; SameSite=Lax", token.cookie))
    }

    /// The query that shows the token, with its question mark; nothing where none is needed.
    pub(super) fn query(&self) -> String {
        self.token.as_ref().map_or_else(String::new, |token| format!("?{IN_QUERY}={}", encode(&token.secret)))
    }

    /// One that shows it once; nothing where none is needed, or it has been shown.
    pub(super) fn query_for_once(&self) -> String {
        let ticket = self.token.as_ref().and_then(|token| token.ticket.lock().clone());
        ticket.map_or_else(String::new, |ticket| format!("?{IN_QUERY}={ticket}"))
    }
}

impl Token {
    fn take_ticket(&self, shown: &str) -> bool {
        self.ticket.lock().take_if(|ticket| is_same(shown, ticket)).is_some()
    }
}

/// What is left of a query without the token.
pub(super) fn without_token(query: Vec<(String, String)>) -> Vec<(String, String)> {
    query.into_iter().filter(|(name, _)| name != IN_QUERY).collect()
}

/// A path and a query, as they stand in an address.
pub(super) fn target(path: &str, query: &[(String, String)]) -> String {
    let path: Vec<String> = path.split('/').map(encode).collect();
    let query: Vec<String> = query.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
    // A path that begins with two slashes would be that of another host.
    let path = format!("/{}", path.join("/").trim_start_matches('/'));
    if query.is_empty() { path } else { format!("{path}?{}", query.join("&")) }
}

fn is_same(shown: &str, expected: &str) -> bool {
    shown.as_bytes().ct_eq(expected.as_bytes()).into()
}

/// A secret of the system's randomness, in hexadecimal digits.
pub(super) fn random() -> io::Result<String> {
    let mut bytes = [0; TOKEN_LEN];
    getrandom::fill(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn encode(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(byte.into()),
            _ => encoded += &format!("%{byte:02X}"),
        }
    }
    encoded
}
