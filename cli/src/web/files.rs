//! Files that are a part of the command.

use super::{Method, Request, Response, Site};

/// A file, and where it is.
#[derive(Debug)]
pub(crate) struct File {
    /// Such as `/page.js`.
    pub(crate) path: &'static str,
    /// Such as `text/javascript; charset=utf-8`.
    pub(crate) content_type: &'static str,
    pub(crate) bytes: &'static [u8],
}

/// All of them. What is not in this table cannot be had, whatever a path says.
#[derive(Debug)]
pub(crate) struct Files(pub(crate) &'static [File]);

impl Site for Files {
    fn answer(&self, request: &Request) -> Option<Response> {
        let file = self.0.iter().find(|file| file.path == request.path)?;
        Some(match request.method {
            Method::Get => Response::new(file.content_type, file.bytes),
            Method::Post => Response::line(405, "405 Method Not Allowed: a file is got").header("Allow", "GET, HEAD"),
        })
    }
}
