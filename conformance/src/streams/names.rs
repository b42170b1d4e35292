//! What the peer is called.

use std::net::Shutdown;
use std::sync::Arc;

use super::Pairs;
use crate::failure::{Outcome, ensure};

/// [`StreamCheck::PeerName`](super::StreamCheck::PeerName).
pub(super) fn peer_name(pairs: &Pairs<'_>) -> Outcome {
    let run = pairs.run;
    let ends = pairs.open()?;
    let asked = |when: &str| {
        let one = Arc::clone(&ends.one);
        run.call(format!("the peer's name {when}"), move |_| Ok((one.peer(), one.peer_addr())))
    };
    let (name, address) = asked("at first")?;
    ensure(!name.is_empty(), "the peer has no name")?;
    ensure(!name.contains(['\n', '\r']), format_args!("the peer's name has several lines: {name:?}"))?;
    let stays = |when: &str| {
        let (now, address_now) = asked(when)?;
        ensure(now == name, format_args!("the peer is called {now:?} {when}, and was {name:?}"))?;
        ensure(
            address_now == address,
            format_args!("the peer's address is {address_now:?} {when}, and was {address:?}"),
        )
    };
    stays("when asked again")?;
    let other = Arc::clone(&ends.other);
    run.call("abort of the peer", move |_| {
        let _ = other.abort();
        Ok(())
    })?;
    stays("when the peer has gone")?;
    let one = Arc::clone(&ends.one);
    run.call("shutdown", move |_| {
        let _ = one.shutdown(Shutdown::Both);
        Ok(())
    })?;
    stays("after shutdown")
}
