//! The files of the page, which are a part of the program.

use crate::web::Response;

const HTML: &str = "text/html; charset=utf-8";

/// Path, type, and bytes.
const FILES: &[(&str, &str, &[u8])] = &[("/", HTML, b"<!doctype html><title>leads-comm view</title>\n")];

/// The file at a path.
pub(super) fn file(path: &str) -> Option<Response> {
    let (_, content_type, bytes) = FILES.iter().find(|(known, ..)| *known == path)?;
    Some(Response { status: 200, content_type, headers: Vec::new(), body: bytes.to_vec() })
}
