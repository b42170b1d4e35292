//! What Linux knows of the socket at the other end: whose it is, where the process itself cannot be seen, and what has
//! not been read from it. By `NETLINK_SOCK_DIAG`, for the layout see `linux/unix_diag.h`; it knows the sockets of the
//! same network namespace.

use std::io;
use std::os::fd::AsFd;

use rustix::fs::fstat;

use crate::transport::socket::sock_diag::{ask, attribute, body, header, u32_at};

const AF_UNIX: u8 = 1;

/// Of a `struct unix_diag_req`, and of a `struct unix_diag_msg`.
const REQUEST: usize = 24;
const ANSWER: usize = 16;

/// What can be asked for, and the attributes that have it: of the queues, first what has not been read.
const SHOW_PEER: u32 = 1 << 2;
const SHOW_QUEUES: u32 = 1 << 4;
const SHOW_UID: u32 = 1 << 6;
const PEER: u16 = 2;
const QUEUES: u16 = 4;
const UID: u16 = 7;

/// The user to whom the socket at the other end belongs.
pub(super) fn uid_of_peer(socket: impl AsFd) -> io::Result<u32> {
    ask_for(peer_of(socket)?, SHOW_UID, UID)
}

/// How many bytes the program at the other end has not read.
pub(super) fn unread_by_peer(socket: impl AsFd) -> io::Result<u64> {
    ask_for(peer_of(socket)?, SHOW_QUEUES, QUEUES).map(u64::from)
}

/// The inode of the socket at the other end.
fn peer_of(socket: impl AsFd) -> io::Result<u32> {
    let own = u32::try_from(fstat(socket)?.st_ino).map_err(io::Error::other)?;
    ask_for(own, SHOW_PEER, PEER)
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
