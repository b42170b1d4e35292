//! Whose a peer's socket is, where the process itself cannot be seen: by `NETLINK_SOCK_DIAG`, for the layout see
//! `linux/unix_diag.h`. It knows the sockets of the same network namespace.

use std::io;
use std::os::fd::AsFd;

use rustix::fs::fstat;

use crate::transport::socket::sock_diag::{ask, attribute, body, header, u32_at};

const AF_UNIX: u8 = 1;

/// Of a `struct unix_diag_req`, and of a `struct unix_diag_msg`.
const REQUEST: usize = 24;
const ANSWER: usize = 16;

/// What can be asked for, and the attributes that have it.
const SHOW_PEER: u32 = 1 << 2;
const SHOW_UID: u32 = 1 << 6;
const PEER: u16 = 2;
const UID: u16 = 7;

/// The user to whom the socket at the other end belongs.
pub(super) fn of_peer(socket: impl AsFd) -> io::Result<u32> {
    let own = u32::try_from(fstat(socket)?.st_ino).map_err(io::Error::other)?;
    ask_for(ask_for(own, SHOW_PEER, PEER)?, SHOW_UID, UID)
}

/// A number that is known of the socket with this inode.
fn ask_for(inode: u32, show: u32, wanted: u16) -> io::Result<u32> {
    let mut question = header(REQUEST);
    question.extend([AF_UNIX, 0, 0, 0]);
    // In whatever state, and with whatever cookie.
    question.extend([0xFF; 4]);
    question.extend(inode.to_ne_bytes());
    question.extend(show.to_ne_bytes());
    question.extend([0xFF; 8]);
    let answer = ask(&question)?;
    let attributes = body(&answer)?.get(ANSWER..).unwrap_or_default();
    u32_at(attribute(attributes, wanted)?, 0)
}
