//! What a browser is answered: one address for pages, and for the WebSockets of what is alive.
//!
//! ```text
//!   a browser ──▶ listener ──▶ a request, checked ──▶ Site: an answer
//!                                       │
//!                                       └─ asks for a WebSocket ──▶ Door ──▶ a server of the library
//! ```

/// A request that has been let in: its host, its origin and its token were right.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) method: Method,
    /// Decoded, without the query: `/save`.
    pub(crate) path: String,
    /// Decoded: `("format", "mcap")`.
    pub(crate) query: Vec<(String, String)>,
    /// Where it comes from, where a page of another origin may be let in: see `Site::lets_in`.
    pub(crate) origin: Option<String>,
    pub(crate) body: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    Get,
    Post,
}

/// What it is answered.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    /// Such as `application/json`.
    pub(crate) content_type: &'static str,
    /// Further ones, such as `Content-Disposition`. None can hold a line break.
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
}

/// Something that answers requests. Called on the thread of the request, on several at once.
pub(crate) trait Site: Send + Sync + 'static {
    /// `None` where it knows no such path; then the next one is asked.
    fn answer(&self, request: &Request) -> Option<Response>;
}
mod interim;
pub(crate) use interim::*;
