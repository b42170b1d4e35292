//! Unix sockets, each server at a path of its own.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process;
use std::sync::atomic::{AtomicUsize, Ordering};

use leads_comm::transport::unix::UnixStream;
use leads_comm::{Client, ClientBuilder, Server, ServerBuilder};

use super::raw::Raw;
use super::{Dial, Transport};

/// See [`Net::Unix`](super::Net::Unix).
pub struct Unix;

/// The path of one server.
pub struct Path(String);

/// A path where nothing is.
pub fn free_path() -> PathBuf {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    env::temp_dir().join(format!("leads-comm-{}-{number}.sock", process::id()))
}

/// What a test that has failed leaves behind.
impl Drop for Path {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

impl Transport for Unix {
    fn server(&self) -> (ServerBuilder, Box<dyn Dial>) {
        let path = free_path();
        let dial = Path(path.to_str().unwrap().to_owned());
        (Server::builder().unix(path), Box::new(dial))
    }

    fn holds(&self) -> usize {
        1_000_000
    }

    fn resets(&self) -> bool {
        false
    }
}

impl Dial for Path {
    fn client(&self, _: &Server) -> ClientBuilder {
        Client::builder().unix()
    }

    fn raw(&self, _: &Server) -> Raw {
        let socket = std::os::unix::net::UnixStream::connect(&self.0).unwrap();
        Raw::of(Box::new(UnixStream::new(socket).unwrap()))
    }

    fn address(&self) -> &str {
        &self.0
    }
}
