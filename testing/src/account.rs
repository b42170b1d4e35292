//! Whether the numbers of a connection or a service add up.

use leads_comm::stats::{ServiceStats, Traffic};

/// Whether nothing is in two places, and nothing in none.
pub fn adds_up(traffic: &Traffic) -> bool {
    let Traffic { accepted, rejected, written, waiting, unsent, dropped, conflated, expired, .. } = *traffic;
    accepted + rejected == written + waiting + unsent + dropped + conflated + expired
}

/// Asserts that every message was accounted for, and every byte.
pub fn assert_adds_up(traffic: &Traffic) {
    assert!(adds_up(traffic), "{traffic:?}");
}

/// Asserts that a service's connections are all there or have ended, and that their messages add up.
pub fn assert_service_adds_up(stats: &ServiceStats) {
    assert_eq!(stats.ended.total() + stats.connections as u64, stats.opened, "{stats:?}");
    assert_adds_up(&stats.traffic);
}

/// The sums that never become less.
pub fn sums(stats: &ServiceStats) -> Vec<u64> {
    let Traffic {
        received, accepted, rejected, written, unsent, dropped, conflated, expired, filtered, writes, ..
    } = stats.traffic;
    let volumes = [received, accepted, rejected, written, unsent, dropped, conflated, expired, filtered];
    let mut sums: Vec<_> = volumes.iter().flat_map(|volume| [volume.messages, volume.bytes]).collect();
    sums.extend([writes, stats.traffic.peak_queued_bytes as u64, stats.opened]);
    sums.extend(stats.ended.iter().map(|(_, count)| count));
    sums.extend(stats.callers_refused.iter().map(|(_, count)| count));
    sums
}
