//! What is particular to Unix sockets: the file, names, who the peer is, and a server's queue.
#![cfg(unix)]

mod callers;
mod files;
#[cfg(target_os = "linux")]
mod full_queue;
mod names;
mod starts;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::{env, fs, io, process};

use leads_comm::callback::Event;
use leads_comm::crossbeam_channel::Receiver;
use leads_comm::{Client, Error, Server, callback};
use leads_comm_testing::*;

/// A directory of the test's own, which goes with it.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let directory = env::temp_dir().join(format!("leads-comm-unix-{}-{number}", process::id()));
        fs::create_dir(&directory).unwrap();
        Self(directory)
    }

    fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A server that answers each message with itself, and tells of everything.
fn echo(path: impl AsRef<Path>) -> (Server, Receiver<Event>) {
    let (recorder, events) = recorder();
    let echo = callback::on_receive(|connection, message| connection.send(message).unwrap());
    let server = Server::builder().unix(path.as_ref()).callback((recorder, echo)).build().unwrap();
    (server, events)
}

fn start_echo(path: impl AsRef<Path>) -> (Server, Receiver<Event>) {
    let (server, events) = echo(path);
    server.start(true).unwrap_or_else(|error| panic!("{error}"));
    (server, events)
}

/// A client that has got an answer.
fn reach(path: impl AsRef<Path>) -> Client {
    let (callback, events) = recorder();
    let client = Client::builder().unix().callback(callback).build().unwrap();
    client.start(path.as_ref().to_str().unwrap(), true).unwrap_or_else(|error| panic!("{error}"));
    client.send(b"are you there").unwrap();
    assert_eq!(received(&events), b"are you there");
    client
}

/// Why a server cannot listen on its path, which the error must name.
fn refused(path: impl AsRef<Path>) -> Arc<io::Error> {
    match echo(path.as_ref()).0.start(true) {
        Err(Error::Bind { address, source }) => {
            assert_eq!(address, path.as_ref().to_str().unwrap());
            source
        }
        other => panic!("{other:?}"),
    }
}

/// A socket file that nobody listens on, as a killed server leaves it.
fn abandon(path: &Path) {
    // Its owner removes nothing.
    drop(std::os::unix::net::UnixListener::bind(path).unwrap());
    // A process that another test starts has it for a moment, too.
    until("nobody listens", || is_free(path));
    assert!(path.exists());
}

/// Whether no socket has this name.
fn is_free(name: &Path) -> bool {
    let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::DGRAM, None).unwrap();
    let connected = socket.connect(&socket2::SockAddr::unix(name).unwrap());
    connected.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}
