//! What sockets are called: paths, abstract names, processes.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use socket2::{SockAddr, SockRef};

use crate::error::OneLine;

/// Whether the system has names that are no files.
const HAS_ABSTRACT_NAMES: bool = cfg!(any(target_os = "linux", target_os = "android"));

/// What a socket is called when nothing is known of it.
const UNKNOWN: &str = "unix";

/// Whether a name stands for no file.
pub(super) fn is_abstract(path: &Path) -> bool {
    path.as_os_str().as_bytes().first() == Some(&b'@')
}

/// The system's address of that name.
pub(super) fn address(path: &Path) -> io::Result<SockAddr> {
    let invalid = |reason: &str| io::Error::new(io::ErrorKind::InvalidInput, reason);
    let bytes = path.as_os_str().as_bytes();
    if bytes.is_empty() {
        return Err(invalid("the path is empty"));
    }
    if bytes.contains(&0) {
        return Err(invalid("the path has a zero byte in it"));
    }
    let address = match bytes.strip_prefix(b"@") {
        None => SockAddr::unix(path),
        Some([]) => return Err(invalid("the abstract name is empty")),
        Some(_) if !HAS_ABSTRACT_NAMES => {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "this system has no abstract names"));
        }
        Some(name) => SockAddr::unix(Path::new(std::ffi::OsStr::from_bytes(&[b"\0", name].concat()))),
    };
    address.map_err(|_| {
        invalid(&format!("the path has {} bytes, and that of a socket no more than {} here", bytes.len(), longest()))
    })
}

/// How many bytes the path of a socket can have. Only the system's own structure knows.
fn longest() -> usize {
    (1..).take_while(|&len| SockAddr::unix("a".repeat(len)).is_ok()).last().unwrap_or_default()
}

/// What the socket at the other end is called.
pub(super) fn of_peer(socket: &impl AsFd) -> String {
    let name = SockRef::from(socket).peer_addr().ok().and_then(|address| of_address(&address));
    name.or_else(|| of_process(socket)).unwrap_or_else(|| UNKNOWN.to_owned())
}

/// What a listening socket is called.
pub(super) fn of_local(socket: &impl AsFd) -> io::Result<String> {
    let address = SockRef::from(socket).local_addr()?;
    Ok(of_address(&address).unwrap_or_else(|| UNKNOWN.to_owned()))
}

fn of_address(address: &SockAddr) -> Option<String> {
    if let Some(name) = address.as_abstract_namespace() {
        return Some(shown(&[b"@", name].concat()));
    }
    let path = address.as_pathname().filter(|path| !path.as_os_str().is_empty())?;
    let bytes = path.as_os_str().as_bytes();
    // So that nobody can call a socket like a process, or like an abstract name.
    let is_plain = path.is_absolute() || bytes.starts_with(b"./") || bytes.starts_with(b"../");
    Some(shown(&if is_plain { bytes.to_vec() } else { [b"./", bytes].concat() }))
}

/// The process that connected, and its user.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn of_process(socket: &impl AsFd) -> Option<String> {
    match rustix::net::sockopt::socket_peercred(socket) {
        Ok(peer) => Some(format!("pid {} uid {}", peer.pid.as_raw_pid(), peer.uid.as_raw())),
        // It cannot be seen from here, because it is in another PID namespace.
        Err(_) => of_owner(socket),
    }
}

/// The user to whom the peer's socket belongs.
#[cfg(target_os = "linux")]
fn of_owner(socket: &impl AsFd) -> Option<String> {
    super::diag::uid_of_peer(socket).ok().map(|uid| format!("uid {uid}"))
}

#[cfg(target_os = "android")]
fn of_owner(_: &impl AsFd) -> Option<String> {
    None
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn of_process(_: &impl AsFd) -> Option<String> {
    None
}

/// A name in one line of text, whatever it is made of.
pub(super) fn shown(name: &[u8]) -> String {
    OneLine(String::from_utf8_lossy(name)).to_string()
}
