//! Addresses from which callers have not been authenticated, and how long that is held against them, so that nobody can
//! try one token after the other.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::origin::Origin;

/// From how many failures on callers from an address are refused.
pub(super) const FAILURES: u32 = 5;

/// How long it takes to forget one.
const FORGET: Duration = Duration::from_secs(10);

/// How many addresses are remembered: those that would be forgotten soonest make room for others.
const ADDRESSES: usize = 4096;

/// All that is held against anybody.
#[derive(Debug, Default)]
pub(super) struct Penalties {
    /// When all failures of an address will be forgotten, one after the other.
    forgotten_at: Mutex<HashMap<Origin, Instant>>,
}

impl Penalties {
    /// Whether callers from an address are refused. Nobody is who has none.
    pub(super) fn apply_to(&self, address: Option<SocketAddr>, now: Instant) -> bool {
        let Some(address) = address else { return false };
        let forgotten_at = self.forgotten_at.lock().get(&Origin::of(address)).copied();
        forgotten_at.is_some_and(|at| at.saturating_duration_since(now) > (FAILURES - 1) * FORGET)
    }

    /// A caller from an address has not been authenticated.
    pub(super) fn note_failure(&self, address: Option<SocketAddr>, now: Instant) {
        let Some(address) = address else { return };
        let origin = Origin::of(address);
        let mut forgotten_at = self.forgotten_at.lock();
        // Those who had come before the limit was reached do not add to it.
        let before = forgotten_at.get(&origin).copied().map_or(now, |at| at.max(now));
        let at = (before + FORGET).min(now + FAILURES * FORGET);
        if forgotten_at.len() == ADDRESSES && !forgotten_at.contains_key(&origin) {
            make_room(&mut forgotten_at, now);
        }
        forgotten_at.insert(origin, at);
    }
}

fn make_room(forgotten_at: &mut HashMap<Origin, Instant>, now: Instant) {
    forgotten_at.retain(|_, at| *at > now);
    if forgotten_at.len() == ADDRESSES {
        let soonest = forgotten_at.iter().min_by_key(|(_, at)| **at).map(|(origin, _)| *origin);
        soonest.and_then(|origin| forgotten_at.remove(&origin));
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::net::IpAddr;

    use super::*;

    fn at(address: &str) -> Option<SocketAddr> {
        Some(SocketAddr::new(address.parse().unwrap(), 1))
    }

    #[test]
    fn one_failure_is_forgotten_after_the_other() {
        let (penalties, begun) = (Penalties::default(), Instant::now());
        let after = |seconds| begun + Duration::from_secs(seconds);
        let (guest, other) = (at("192.0.2.1"), at("192.0.2.2"));
        for _ in 0..FAILURES {
            assert!(!penalties.apply_to(guest, begun));
            penalties.note_failure(guest, begun);
        }
        assert!(penalties.apply_to(guest, begun) && penalties.apply_to(guest, after(9)));
        assert!(!penalties.apply_to(other, begun) && !penalties.apply_to(None, begun));
        // One more try, and then there are as many again.
        assert!(!penalties.apply_to(guest, after(10)));
        penalties.note_failure(guest, after(10));
        assert!(penalties.apply_to(guest, after(19)) && !penalties.apply_to(guest, after(20)));
        // All is forgotten in the end.
        for _ in 0..FAILURES {
            assert!(!penalties.apply_to(guest, after(60)));
            penalties.note_failure(guest, after(60));
        }
        assert!(penalties.apply_to(guest, after(60)));
    }

    #[test]
    fn more_failures_at_once_are_not_held_against_it_longer() {
        let (penalties, now) = (Penalties::default(), Instant::now());
        (0..100).for_each(|_| penalties.note_failure(at("192.0.2.1"), now));
        assert!(!penalties.apply_to(at("192.0.2.1"), now + FORGET));
    }

    #[test]
    fn a_network_of_64_bits_is_one_and_an_address_in_two_forms_too() {
        let (penalties, now) = (Penalties::default(), Instant::now());
        for host in 0..FAILURES {
            penalties.note_failure(at(&format!("2001:db8:0:1:{host}::1")), now);
            penalties.note_failure(at("::ffff:192.0.2.1"), now);
        }
        assert!(penalties.apply_to(at("2001:db8:0:1:ffff::"), now));
        assert!(!penalties.apply_to(at("2001:db8:0:2::1"), now));
        assert!(penalties.apply_to(at("192.0.2.1"), now));
    }

    #[test]
    fn no_more_addresses_are_remembered_than_may_be() {
        let (penalties, now) = (Penalties::default(), Instant::now());
        (0..FAILURES).for_each(|_| penalties.note_failure(at("192.0.2.1"), now));
        for host in 0..20_000_u32 {
            penalties.note_failure(Some(SocketAddr::new(IpAddr::V4((0x0a00_0000 + host).into()), 1)), now);
            assert!(penalties.forgotten_at.lock().len() <= ADDRESSES);
        }
        // Those with the least against them go first.
        assert!(penalties.apply_to(at("192.0.2.1"), now));
        // What is over makes room for all that comes.
        penalties.note_failure(at("192.0.2.2"), now + Duration::from_secs(60));
        assert_eq!(penalties.forgotten_at.lock().len(), 1);
    }
}
