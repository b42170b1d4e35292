//! What a browser is answered: one address for pages, and for the WebSockets of what is alive.
//!
//! ```text
//!   a browser ──▶ server ──▶ exchange: a request, read and judged ──▶ Site: an answer
//!                            request, guard      │
//!                                                └─ for a WebSocket ──▶ Door ──▶ a server of the library
//! ```
//!
//! It is HTTP/1.1 with one request on each connection, on a thread each. The page is on the user's own machine, and so
//! is every other page that the user's browser shows; what is guarded against, and where:
//!
//! - *Foreign pages.* A request has to be for a host that cannot be pointed elsewhere by its name, and from no page, or
//!   from one of that host and port: `guard`. No other page may show one of ours inside, or load what is served.
//! - *Others on the network.* Beyond loopback a token is asked for. It is compared in a time that does not tell where
//!   it differs, and leaves the address line at once.
//! - *Requests that two readers would understand differently*, which is how one is smuggled past a proxy: a length that
//!   is said twice, or in other than digits; any `Transfer-Encoding`; line ends that are none; targets that are no
//!   path; paths that mean another one, or hold what belongs in none. Each is refused, and what comes behind a request
//!   is never taken for another one.
//! - *Headers made of what a request has brought.* No header that is sent can hold a line break.
//! - *Callers who take or ask for too much*: heads over 16 KiB, bodies over 64 KiB, more than 256 requests at once, a
//!   request that is not there after 10 s, an answer that is taken at less than 8 KiB/s, large answers that are not
//!   taken while others are asked for.
//!
//! `GET` changes nothing. Of a request, nothing is logged but its method, its path and the status.

mod door;
mod exchange;
mod files;
mod guard;
mod request;
mod response;
mod server;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub(crate) use door::{Door, door};
pub(crate) use files::{File, Files};
pub(crate) use request::{Method, Request};
pub(crate) use response::Response;
pub(crate) use server::{Web, WebServer};

/// Something that answers requests. Called on the thread of the request, on several at once.
pub(crate) trait Site: Send + Sync + 'static {
    /// `None` where it knows no such path; then the next one is asked.
    fn answer(&self, request: &Request) -> Option<Response>;

    /// Whether pages of that origin may ask for this path, and read what they are answered. Asked where a page is not
    /// let in anyway.
    fn lets_in(&self, origin: &str, path: &str) -> bool {
        let _ = (origin, path);
        false
    }
}

impl<T: Site + ?Sized> Site for Arc<T> {
    fn answer(&self, request: &Request) -> Option<Response> {
        (**self).answer(request)
    }

    fn lets_in(&self, origin: &str, path: &str) -> bool {
        (**self).lets_in(origin, path)
    }
}
