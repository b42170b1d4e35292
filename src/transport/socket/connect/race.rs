//! Connecting to whichever of a host's addresses answers first, as RFC 8305 has it: one address after the other, of
//! each family in turn, and the next one beside those that have not answered yet.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::imp::Attempts;
use super::{ConnectErrors, StoppableConnect, keep};

/// How long an address is waited for before the next one is tried beside it: the delay that RFC 8305 recommends.
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// Connects to one of `addresses`, each of which is given `time` to answer. What `finish` refuses is no connection.
pub(super) fn open<T>(
    connecting: &StoppableConnect,
    addresses: &[SocketAddr],
    time: Duration,
    finish: impl Fn(TcpStream) -> io::Result<T>,
) -> io::Result<T> {
    let addresses = in_turn(addresses);
    let mut untried = addresses.iter();
    let mut attempts = Attempts::new(connecting, time)?;
    let mut errors = Vec::new();
    let mut next_at = Instant::now();
    loop {
        // After the attempts can be woken, so that no stop is missed.
        connecting.go_on()?;
        if attempts.is_empty() || Instant::now() >= next_at {
            match untried.next() {
                Some(address) => attempts.begin(*address),
                None if attempts.is_empty() => return Err(ConnectErrors::of(&addresses, errors)),
                None => {}
            }
            next_at = Instant::now() + ATTEMPT_DELAY;
        }
        let next_in = (untried.len() > 0).then(|| next_at.saturating_duration_since(Instant::now()));
        for (address, outcome) in attempts.wait(next_in)? {
            match outcome.and_then(keep).and_then(&finish) {
                Ok(stream) => return Ok(stream),
                Err(error) => errors.push((address, error)),
            }
            next_at = Instant::now();
        }
    }
}

/// The addresses of the first one's family and of the other in turn. They come in the order in which the system would
/// use them; but a family that leads nowhere is to hold up the other for one attempt only.
fn in_turn(addresses: &[SocketAddr]) -> Vec<SocketAddr> {
    let begins_with_ipv6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) = addresses.iter().partition(|address| address.is_ipv6() == begins_with_ipv6);
    let longest = first.len().max(second.len());
    (0..longest).flat_map(|at| [first.get(at), second.get(at)]).flatten().copied().collect()
}

#[cfg(all(test, not(loom)))]
mod tests;
