use std::fmt::{self, Display, Formatter};

use super::{ConnectionStats, ServiceStats, Traffic, Volume};

/// `1,204 messages 3.1 MiB`
impl Display for Volume {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let noun = if self.messages == 1 { "message" } else { "messages" };
        write!(f, "{} {noun} {}", Grouped(self.messages), Bytes(self.bytes))
    }
}

/// `in 1,204 messages 3.1 MiB, out 12 messages 340 B, queued 0 B (peak 64 KiB), dropped 0`, and of `conflated 12`,
/// `expired 3`, `filtered 40`, `unsent 3` those that there are.
impl Display for Traffic {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (queued, peak) = (Bytes(self.queued_bytes as u64), Bytes(self.peak_queued_bytes as u64));
        write!(f, "in {}, out {}, queued {queued} (peak {peak})", self.received, self.written)?;
        write!(f, ", dropped {}", Grouped(self.dropped.messages))?;
        let others = [
            ("conflated", self.conflated),
            ("expired", self.expired),
            ("filtered", self.filtered),
            ("unsent", self.unsent),
        ];
        for (what, Volume { messages, .. }) in others.into_iter().filter(|(_, volume)| volume.messages > 0) {
            write!(f, ", {what} {}", Grouped(messages))?;
        }
        Ok(())
    }
}

/// As its [`Traffic`], and `16 KiB in the system` where the system holds something.
impl Display for ConnectionStats {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.traffic.fmt(f)?;
        match self.system_queued_bytes {
            None | Some(0) => Ok(()),
            Some(bytes) => write!(f, ", {} in the system", Bytes(bytes)),
        }
    }
}

/// `12 connections (40 so far, 3 callers refused), in 1,204 messages 3.1 MiB, …, ended: 20 peer goodbye, 8 slow
/// consumer`
impl Display for ServiceStats {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let noun = if self.connections == 1 { "connection" } else { "connections" };
        let (now, opened) = (Grouped(self.connections as u64), Grouped(self.opened));
        write!(f, "{now} {noun} ({opened} so far")?;
        match self.callers_refused.total() {
            0 => {}
            1 => f.write_str(", 1 caller refused")?,
            callers => write!(f, ", {} callers refused", Grouped(callers))?,
        }
        write!(f, "), {}, ended: {}", self.traffic, self.ended)
    }
}

/// A number with a comma between thousands.
pub(super) struct Grouped(pub(super) u64);

impl Display for Grouped {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        for (at, digit) in digits.chars().enumerate() {
            let comma = at > 0 && (digits.len() - at) % 3 == 0;
            write!(f, "{}{digit}", if comma { "," } else { "" })?;
        }
        Ok(())
    }
}

/// Bytes in the largest unit of which there is one, to a tenth.
struct Bytes(u64);

impl Display for Bytes {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
        if self.0 < 1024 {
            return write!(f, "{} B", self.0);
        }
        let mut unit = 1024;
        for name in UNITS {
            let tenths = (u128::from(self.0) * 10 + unit / 2) / unit;
            // What would be rounded to 1024 is one of the next.
            if tenths < 10 * 1024 || name == "EiB" {
                let (whole, tenth) = (tenths / 10, tenths % 10);
                return if tenth == 0 { write!(f, "{whole} {name}") } else { write!(f, "{whole}.{tenth} {name}") };
            }
            unit *= 1024;
        }
        Ok(())
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::stats::{DisconnectKind, RefusalKind};

    #[test]
    fn numbers_are_grouped() {
        let shown = [0, 999, 1000, 1_234_567, u64::MAX].map(|number| Grouped(number).to_string());
        assert_eq!(shown, ["0", "999", "1,000", "1,234,567", "18,446,744,073,709,551,615"]);
    }

    #[test]
    fn bytes_have_a_unit() {
        let kib = 1024;
        let cases = [
            (0, "0 B"),
            (1023, "1023 B"),
            (kib, "1 KiB"),
            (kib + 51, "1 KiB"),
            (kib + 52, "1.1 KiB"),
            (64 * kib, "64 KiB"),
            (kib * kib - 1, "1 MiB"),
            (3 * kib * kib + 100 * kib, "3.1 MiB"),
            (u64::MAX, "16 EiB"),
        ];
        for (bytes, shown) in cases {
            assert_eq!(Bytes(bytes).to_string(), shown, "{bytes}");
        }
    }

    #[test]
    fn a_service_is_one_line() {
        let mut stats = ServiceStats { connections: 12, opened: 40, ..ServiceStats::default() };
        let none = "0 connections (0 so far), in 0 messages 0 B, out 0 messages 0 B, queued 0 B (peak 0 B), \
                    dropped 0, ended: none";
        assert_eq!(ServiceStats::default().to_string(), none);
        for _ in 0..20 {
            stats.ended += DisconnectKind::PeerGoodbye;
        }
        (0..8).for_each(|_| stats.ended += DisconnectKind::SlowConsumer);
        (0..1001).for_each(|_| stats.callers_refused += RefusalKind::MaxConnections);
        (0..2).for_each(|_| stats.callers_refused += RefusalKind::NoThread);
        stats.traffic = Traffic {
            received: Volume::new(1204, 3_250_000),
            written: Volume::new(1, 12),
            unsent: Volume::new(3, 12),
            dropped: Volume::new(1000, 64_000),
            conflated: Volume::new(1, 12),
            filtered: Volume::new(4321, 12),
            queued_bytes: 76,
            peak_queued_bytes: 65536,
            ..Traffic::default()
        };
        assert_eq!(
            stats.to_string(),
            "12 connections (40 so far, 1,003 callers refused), in 1,204 messages 3.1 MiB, out 1 message 12 B, \
             queued 76 B (peak 64 KiB), dropped 1,000, conflated 1, filtered 4,321, unsent 3, ended: 20 peer goodbye, \
             8 slow consumer"
        );
    }

    #[test]
    fn a_connection_is_one_line() {
        let traffic = Traffic { expired: Volume::new(7, 70), queued_bytes: 2048, ..Traffic::default() };
        let line = "in 0 messages 0 B, out 0 messages 0 B, queued 2 KiB (peak 0 B), dropped 0, expired 7";
        let stats = |system_queued_bytes| {
            let connected_since = std::time::Instant::now();
            let stats = ConnectionStats {
                connected_since,
                waiting_since: None,
                traffic,
                system_queued_bytes,
                peer_unread_bytes: Some(1),
            };
            stats.to_string()
        };
        assert_eq!([None, Some(0)].map(stats), [line, line]);
        assert_eq!(stats(Some(16_384)), format!("{line}, 16 KiB in the system"));
    }
}
