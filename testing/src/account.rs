//! Whether the numbers of a connection or a service add up.

use leads_comm::stats::{ServiceStats, Traffic};

/// Asserts that every message was accounted for, and every byte.
pub fn assert_adds_up(traffic: &Traffic) {
    let Traffic { accepted, rejected, written, waiting, unsent, dropped, .. } = *traffic;
    assert_eq!(accepted + rejected, written + waiting + unsent + dropped, "{traffic:?}");
}

/// Asserts that a service's connections are all there or have ended, and that their messages add up.
pub fn assert_service_adds_up(stats: &ServiceStats) {
    assert_eq!(stats.ended.total() + stats.connections as u64, stats.opened, "{stats:?}");
    assert_adds_up(&stats.traffic);
}

/// The sums that never become less.
pub fn sums(stats: &ServiceStats) -> Vec<u64> {
    let Traffic { received, accepted, rejected, written, unsent, dropped, writes, .. } = stats.traffic;
    let volumes = [received, accepted, rejected, written, unsent, dropped];
    let mut sums: Vec<_> = volumes.iter().flat_map(|volume| [volume.messages, volume.bytes]).collect();
    sums.extend([writes, stats.traffic.peak_queued_bytes as u64, stats.opened]);
    sums.extend(stats.ended.iter().map(|(_, count)| count));
    sums.extend(stats.callers_refused.iter().map(|(_, count)| count));
    sums
}
