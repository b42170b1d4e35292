use std::io;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};

/// How the system finds out that a peer from which nothing comes has vanished: it asks the peer's system.
///
/// What is asked for goes unnoticed by the peer's program. Linux, Android, Windows 10 and later, macOS and the other
/// systems of Apple, FreeBSD, NetBSD, DragonFly and illumos know all three parts. OpenBSD, Solaris, Haiku and QNX use
/// `idle` at most, and defaults of their own for the others, which are minutes to hours.
///
/// On Android and Fuchsia, and where Linux does not say whether a peer has answered,
/// [`user_timeout`](crate::ServerBuilder::user_timeout) takes the place of `count` unless it is `None`, or less than
/// [`stall_timeout`](crate::ServerBuilder::stall_timeout): the connection ends when it is time for the next question,
/// one at least is unanswered, and nothing has come for that long.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use leads_comm::{Keepalive, Server};
///
/// // Somebody pays for every packet: a vanished peer is noticed after two and a half minutes, idle or not.
/// let keepalive = Keepalive { idle: Duration::from_secs(60), interval: Duration::from_secs(30), count: 3 };
/// let server = Server::builder().keepalive(keepalive).user_timeout(Duration::from_secs(150)).build()?;
/// # drop(server);
/// # Ok::<(), leads_comm::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Keepalive {
    /// After how much silence the system begins to ask: whole seconds, 1 to 32,767. Default 15 s.
    pub idle: Duration,
    /// How long after each question it asks again: whole seconds, 1 to 32,767. Default 5 s.
    pub interval: Duration,
    /// After how many questions without an answer the connection ends: 1 to 127. Default 3.
    pub count: u32,
}

impl Default for Keepalive {
    fn default() -> Self {
        Self { idle: Duration::from_secs(15), interval: Duration::from_secs(5), count: 3 }
    }
}

impl Keepalive {
    /// Whether there are systems that can do it; these are the limits of Linux.
    pub(crate) fn is_possible(&self) -> bool {
        [self.idle, self.interval].iter().all(|time| (1..=32_767).contains(&time.as_secs()))
            && (1..=127).contains(&self.count)
    }

    pub(super) fn apply(&self, socket: &SockRef<'_>) -> io::Result<()> {
        let keepalive = TcpKeepalive::new().with_time(self.idle);
        #[cfg(any(
            target_vendor = "apple",
            target_os = "android",
            target_os = "cygwin",
            target_os = "dragonfly",
            target_os = "freebsd",
            target_os = "fuchsia",
            target_os = "illumos",
            target_os = "linux",
            target_os = "netbsd",
            target_os = "windows",
        ))]
        let keepalive = keepalive.with_interval(self.interval).with_retries(self.count);
        socket.set_tcp_keepalive(&keepalive)
    }
}

/// Sets how long data may stay unacknowledged, where the system knows of that.
pub(super) fn set_user_timeout(socket: &SockRef<'_>, time: Duration) -> io::Result<()> {
    #[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux", target_os = "cygwin"))]
    return socket.set_tcp_user_timeout(Some(time));
    #[cfg(not(any(target_os = "android", target_os = "fuchsia", target_os = "linux", target_os = "cygwin")))]
    {
        let _ = (socket, time);
        Ok(())
    }
}
