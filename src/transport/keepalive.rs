use std::io;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};

/// The longest time of either kind that Linux takes, in seconds.
const LONGEST: u64 = 32_767;

/// How many questions are asked.
const MOST_QUESTIONS: u64 = 3;

/// How the system finds out that a peer from which nothing comes has vanished: it asks the peer's system.
///
/// What is asked for goes unnoticed by the peer's program. Linux, Android, Windows 10 and later, macOS and the other
/// systems of Apple, FreeBSD, NetBSD, DragonFly and illumos know all three parts. OpenBSD, Solaris, Haiku and QNX use
/// `idle` at most, and defaults of their own for the others, which are minutes to hours.
///
/// A program sets the [time in all](crate::Timeouts::dead_peer_timeout); these are the parts that a
/// [`Stream`](super::Stream) is told. On Android and Fuchsia, and where Linux does not say whether a peer has answered,
/// the time for what is unanswered takes the place of `count`: the connection ends when it is time for the next
/// question, one at least is unanswered, and nothing has come for that long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Keepalive {
    /// After how much silence the system begins to ask: whole seconds, 1 to 32,767. Default 15 s.
    pub idle: Duration,
    /// How long after each question it asks again: whole seconds, 1 to 32,767. Default 5 s.
    pub interval: Duration,
    /// After how many questions without an answer the connection ends: 1 to 127. Default 3.
    pub count: u32,
}

/// That of 30 s.
impl Default for Keepalive {
    fn default() -> Self {
        Self::within(Duration::from_secs(30))
    }
}

impl Keepalive {
    /// Notices within `time` that a peer is gone: the first question comes after half of it, and three are asked, as
    /// far as whole seconds and the limits of the parts allow; not within less than 2 s.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use leads_comm::transport::Keepalive;
    ///
    /// let keepalive = Keepalive::within(Duration::from_secs(30));
    /// assert_eq!((keepalive.idle.as_secs(), keepalive.interval.as_secs(), keepalive.count), (15, 5, 3));
    /// ```
    pub fn within(time: Duration) -> Self {
        let time = time.as_secs();
        let idle = (time / 2).clamp(1, LONGEST);
        let left = time.saturating_sub(idle);
        let interval = (left / MOST_QUESTIONS).clamp(1, LONGEST);
        let count = (left / interval).clamp(1, MOST_QUESTIONS);
        Self { idle: Duration::from_secs(idle), interval: Duration::from_secs(interval), count: count as u32 }
    }

    pub(super) fn apply(&self, socket: &SockRef<'_>) -> io::Result<()> {
        // DragonFly counts both times in milliseconds, and is given them as if they were seconds.
        let unit = if cfg!(target_os = "dragonfly") { 1000 } else { 1 };
        let keepalive = TcpKeepalive::new().with_time(self.idle.saturating_mul(unit));
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
        let keepalive = keepalive.with_interval(self.interval.saturating_mul(unit)).with_retries(self.count);
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

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn the_last_question_is_unanswered_when_the_time_is_over() {
        let parts = |time| {
            let Keepalive { idle, interval, count } = Keepalive::within(time);
            (idle.as_secs(), interval.as_secs(), count)
        };
        assert_eq!(parts(Duration::from_secs(30)), (15, 5, 3));
        assert_eq!(parts(Duration::from_secs(150)), (75, 25, 3));
        assert_eq!(parts(Duration::from_millis(2999)), (1, 1, 1));
        assert_eq!(parts(Duration::from_millis(1)), (1, 1, 1), "no system takes less");
        assert_eq!(parts(Duration::MAX), (LONGEST, LONGEST, 3));
        for time in 2..1000 {
            let (idle, interval, count) = parts(Duration::from_secs(time));
            let noticed = idle + interval * u64::from(count);
            assert!(noticed <= time && time - noticed < 3, "{noticed} s of {time} s");
        }
    }
}
