//! Asking Linux what it knows of sockets, and of a TCP connection's peer, by `NETLINK_SOCK_DIAG`: see sock_diag(7), and
//! for the layout `linux/netlink.h`, `linux/inet_diag.h` and `linux/tcp.h`. Everybody may ask; some sandboxes have no
//! such sockets.

use std::cell::RefCell;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::net::netlink::{SOCK_DIAG, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, sendto, socket_with, sockopt};

const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
const IPPROTO_TCP: u8 = 6;

/// Of a `struct nlmsghdr`.
const HEADER: usize = 16;
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const NLM_F_REQUEST: u16 = 1;
const NLMSG_ERROR: u16 = 2;

/// Of a `struct inet_diag_msg`, and where it has the port of the other end, what is not read, and what is not
/// acknowledged, unsent bytes included.
const ANSWER: usize = 72;
const PEER_PORT: usize = 6;
const RQUEUE: usize = 56;
const WQUEUE: usize = 60;

/// That any socket will do.
const NO_COOKIE: u64 = u64::MAX;

/// The attribute that is a `struct tcp_info`, and where that has what is of interest; times in milliseconds.
const INET_DIAG_INFO: u16 = 2;
const PROBES: usize = 3;
const UNACKED: usize = 24;
const LAST_DATA_SENT: usize = 44;
const LAST_DATA_RECV: usize = 52;
const LAST_ACK_RECV: usize = 56;

thread_local! {
    /// What this thread asks by, while it asks for many sockets.
    static SHARED: RefCell<Option<OwnedFd>> = const { RefCell::new(None) };
}

/// Asks for many sockets by one of its own: opening one costs more than a question.
pub(crate) fn asking_often<T>(ask: impl FnOnce() -> T) -> T {
    /// Closes it, also when asking panics.
    struct Closes;
    impl Drop for Closes {
        fn drop(&mut self) {
            SHARED.take();
        }
    }
    // Without one, each question has its own.
    SHARED.set(open().ok());
    let _closes = Closes;
    ask()
}

/// What [`Stream::unanswered_for`](crate::transport::Stream::unanswered_for) says of a socket.
pub(crate) fn unanswered_for(socket: &TcpStream) -> io::Result<Option<Duration>> {
    read_answer(&ask_about(socket, Wanted::Info)?)
}

/// How many bytes the peer's system has not acknowledged, those that are not sent included.
pub(crate) fn unacknowledged(socket: &TcpStream) -> io::Result<u64> {
    Ok(u32_at(body(&ask_about(socket, Wanted::Queues)?)?, WQUEUE)?.into())
}

/// How many bytes have arrived at the peer's socket, and its program has not read: where that is on this system.
pub(crate) fn unread_by_peer(socket: &TcpStream) -> io::Result<u64> {
    let (local, peer) = (socket.local_addr()?, socket.peer_addr()?);
    if peer.ip() != local.ip() && !peer.ip().to_canonical().is_loopback() {
        return Err(io::ErrorKind::Unsupported.into());
    }
    let answer = ask(&question(peer, local, NO_COOKIE, Wanted::Queues))?;
    let body = body(&answer)?;
    // Where it is gone, a socket that listens on its port is found.
    let is_connected = body.get(PEER_PORT..PEER_PORT + 2) == Some(&local.port().to_be_bytes()[..]);
    if is_connected { Ok(u32_at(body, RQUEUE)?.into()) } else { Err(io::ErrorKind::NotFound.into()) }
}

/// What the system knows of a connection.
fn ask_about(socket: &TcpStream, wanted: Wanted) -> io::Result<Vec<u8>> {
    ask(&question(socket.local_addr()?, socket.peer_addr()?, sockopt::socket_cookie(socket)?, wanted))
}

/// What is asked for: how much is in the queues is there in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Queues,
    /// Times and counts as well, for which the system looks longer.
    Info,
}

/// The system's answer to a question.
pub(crate) fn ask(question: &[u8]) -> io::Result<Vec<u8>> {
    SHARED.with_borrow(|shared| match shared {
        Some(netlink) => ask_by(netlink, question),
        None => ask_by(&open()?, question),
    })
}

fn open() -> io::Result<OwnedFd> {
    Ok(socket_with(AddressFamily::NETLINK, SocketType::DGRAM, SocketFlags::CLOEXEC, Some(SOCK_DIAG))?)
}

fn ask_by(netlink: &OwnedFd, question: &[u8]) -> io::Result<Vec<u8>> {
    sendto(netlink, question, SendFlags::empty(), &SocketAddrNetlink::new(0, 0))?;
    // It has been answered before `sendto` returns.
    let mut answer = [0; 1024];
    let (len, _) = recv(netlink, &mut answer, RecvFlags::DONTWAIT)?;
    Ok(answer[..len].to_vec())
}

/// The header of a question about one socket, of `len` bytes more.
pub(crate) fn header(len: usize) -> Vec<u8> {
    let mut header = Vec::with_capacity(HEADER + len);
    header.extend(((HEADER + len) as u32).to_ne_bytes());
    header.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    header.extend(NLM_F_REQUEST.to_ne_bytes());
    header.extend([0; 8]);
    header
}

/// What is in an answer.
pub(crate) fn body(answer: &[u8]) -> io::Result<&[u8]> {
    let body = answer.get(HEADER..).ok_or_else(unreadable)?;
    match u16_at(answer, 4)? {
        SOCK_DIAG_BY_FAMILY => Ok(body),
        NLMSG_ERROR => Err(io::Error::from_raw_os_error(-(u32_at(body, 0)? as i32))),
        _ => Err(unreadable()),
    }
}

/// A header with a `struct inet_diag_req_v2` that asks for the information of one socket.
fn question(local: SocketAddr, peer: SocketAddr, cookie: u64, wanted: Wanted) -> Vec<u8> {
    let mut question = header(56);
    let family = if local.is_ipv4() { AF_INET } else { AF_INET6 };
    let attributes = if wanted == Wanted::Info { 1 << (INET_DIAG_INFO - 1) } else { 0 };
    question.extend([family, IPPROTO_TCP, attributes, 0]);
    // In whatever state.
    question.extend([0xFF; 4]);
    question.extend(local.port().to_be_bytes());
    question.extend(peer.port().to_be_bytes());
    for address in [local, peer] {
        match address.ip() {
            IpAddr::V4(ip) => {
                question.extend(ip.octets());
                question.extend([0; 12]);
            }
            IpAddr::V6(ip) => question.extend(ip.octets()),
        }
    }
    let interface = match local {
        SocketAddr::V4(_) => 0,
        SocketAddr::V6(local) => local.scope_id(),
    };
    question.extend(interface.to_ne_bytes());
    // Only this socket, and not one that has the same addresses in another network namespace.
    let [low, high] = [cookie as u32, (cookie >> 32) as u32];
    question.extend(low.to_ne_bytes());
    question.extend(high.to_ne_bytes());
    question
}

fn read_answer(answer: &[u8]) -> io::Result<Option<Duration>> {
    let body = body(answer)?;
    if u32_at(body, WQUEUE)? == 0 {
        return Ok(None);
    }
    let info = attribute(body.get(ANSWER..).ok_or_else(unreadable)?, INET_DIAG_INFO)?;
    let quiet = u32_at(info, LAST_ACK_RECV)?.min(u32_at(info, LAST_DATA_RECV)?);
    // A peer whose window is closed is asked at longer and longer intervals: between an answer and the next question
    // its silence says nothing, and one question that is lost should not either.
    let is_sent = u32_at(info, UNACKED)? > 0 && u32_at(info, LAST_DATA_SENT)? < quiet;
    let is_asked = *info.get(PROBES).ok_or_else(unreadable)? > 1;
    Ok(Some(if is_sent || is_asked { Duration::from_millis(quiet.into()) } else { Duration::ZERO }))
}

/// The contents of one of a message's attributes.
pub(crate) fn attribute(mut attributes: &[u8], wanted: u16) -> io::Result<&[u8]> {
    loop {
        let (len, kind) = (usize::from(u16_at(attributes, 0)?), u16_at(attributes, 2)?);
        if kind == wanted {
            return attributes.get(4..len).ok_or_else(unreadable);
        }
        // With nothing between two but what aligns the second to 4 bytes.
        attributes = attributes.get(len.max(4).next_multiple_of(4)..).ok_or_else(unreadable)?;
    }
}

fn u16_at(bytes: &[u8], at: usize) -> io::Result<u16> {
    bytes.get(at..).and_then(|bytes| bytes.first_chunk()).map(|bytes| u16::from_ne_bytes(*bytes)).ok_or_else(unreadable)
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> io::Result<u32> {
    bytes.get(at..).and_then(|bytes| bytes.first_chunk()).map(|bytes| u32::from_ne_bytes(*bytes)).ok_or_else(unreadable)
}

fn unreadable() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the system's answer about a socket cannot be read")
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::*;

    /// Both ends of a connection to `host`, and what the accepting end answers at once.
    fn pair(host: &str, to: &str) -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind((host, 0)).unwrap();
        let one = TcpStream::connect((to, listener.local_addr().unwrap().port())).unwrap();
        (one, listener.accept().unwrap().0)
    }

    #[test]
    #[cfg_attr(leads_comm_emulated, ignore = "qemu passes no questions on to NETLINK_SOCK_DIAG")]
    fn sockets_of_every_family_are_found() {
        for (host, to) in [("127.0.0.1", "127.0.0.1"), ("::1", "::1"), ("::", "127.0.0.1")] {
            let (one, other) = pair(host, to);
            for socket in [&one, &other] {
                match unanswered_for(socket) {
                    Ok(None) => {}
                    other => panic!("{host}: {other:?}"),
                }
            }
        }
    }

    #[test]
    #[cfg_attr(leads_comm_emulated, ignore = "qemu passes no questions on to NETLINK_SOCK_DIAG")]
    fn what_waits_for_a_peer_that_answers_is_not_unanswered() {
        let (mut one, _other) = pair("127.0.0.1", "127.0.0.1");
        one.set_nonblocking(true).unwrap();
        assert_eq!(unacknowledged(&one).unwrap(), 0);
        while one.write(&[0; 65536]).is_ok() {}
        assert!(unanswered_for(&one).unwrap().is_some());
        assert!(unacknowledged(&one).unwrap() > 65536);
    }

    #[test]
    #[cfg_attr(leads_comm_emulated, ignore = "qemu passes no questions on to NETLINK_SOCK_DIAG")]
    fn what_a_peer_on_this_system_has_not_read_is_known() {
        for (host, to) in [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.2"), ("::1", "::1"), ("::", "127.0.0.1")] {
            let (one, other) = pair(host, to);
            for (mut writer, mut reader) in [(&one, &other), (&other, &one)] {
                assert_eq!(unread_by_peer(writer).unwrap(), 0, "{host} {to}");
                writer.write_all(b"hello").unwrap();
                assert_eq!(unread_by_peer(writer).unwrap(), 5, "{host} {to}");
                reader.read_exact(&mut [0; 4]).unwrap();
                assert_eq!(unread_by_peer(writer).unwrap(), 1, "{host} {to}");
                reader.read_exact(&mut [0]).unwrap();
            }
        }
    }

    #[test]
    fn an_answer_is_read_only_as_far_as_it_goes() {
        let message = |wqueue: u32, info: &[u8]| {
            let mut answer = vec![0; HEADER + ANSWER];
            answer[4..6].copy_from_slice(&SOCK_DIAG_BY_FAMILY.to_ne_bytes());
            answer[HEADER + WQUEUE..][..4].copy_from_slice(&wqueue.to_ne_bytes());
            for (kind, contents) in [(8u16, &[1][..]), (INET_DIAG_INFO, info)] {
                answer.extend(u16::try_from(4 + contents.len()).unwrap().to_ne_bytes());
                answer.extend(kind.to_ne_bytes());
                answer.extend(contents);
                answer.resize(answer.len().next_multiple_of(4), 0);
            }
            answer
        };
        let info = |probes: u8, unacked: u32, sent: u32, received: u32, ack: u32| {
            let mut info = [0; 60];
            info[PROBES] = probes;
            for (at, value) in
                [(UNACKED, unacked), (LAST_DATA_SENT, sent), (LAST_DATA_RECV, received), (LAST_ACK_RECV, ack)]
            {
                info[at..][..4].copy_from_slice(&value.to_ne_bytes());
            }
            info
        };
        let answered = Some(Duration::ZERO);
        let quiet = |millis| Some(Duration::from_millis(millis));
        for (wqueue, info, expected) in [
            (0, info(0, 0, 9, 9000, 9000), None),
            // In the window, and sent since the last answer.
            (5, info(0, 1, 100, 9000, 9000), quiet(9000)),
            (5, info(0, 1, 100, 700, 9000), quiet(700)),
            // Answered since it was sent: the peer's window is closed, or only a part of it has arrived.
            (5, info(0, 1, 9000, 9000, 9000), answered),
            (5, info(0, 0, 50_000, 90_000, 40_000), answered),
            // Questions of the system's own are not answered.
            (5, info(1, 0, 50_000, 90_000, 40_000), answered),
            (5, info(2, 0, 50_000, 90_000, 40_000), quiet(40_000)),
        ] {
            let answer = message(wqueue, &info);
            assert_eq!(read_answer(&answer).unwrap(), expected);
            for len in 0..answer.len() {
                let cut = read_answer(&answer[..len]);
                assert!(cut.is_err() || wqueue == 0 || cut.unwrap() == expected, "{len}");
            }
        }
        let mut refused = vec![0; HEADER + 4];
        refused[4..6].copy_from_slice(&NLMSG_ERROR.to_ne_bytes());
        refused[HEADER..].copy_from_slice(&(-2i32).to_ne_bytes());
        assert_eq!(read_answer(&refused).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
