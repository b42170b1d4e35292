//! What comes before the first byte.

use std::net::Shutdown;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use leads_comm::transport::Stream;

use super::{Ends, Pairs};
use crate::bytes::{Pattern, read_expected, write_all};
use crate::failure::{Outcome, broken, ensure};
use crate::run::{Run, Task};

/// For how long a handshake is left to itself before it is ended. It may also be ended before it begins, or after, and
/// fails all the same.
const BEGINNING: [Duration; 2] = [Duration::ZERO, Duration::from_millis(20)];

/// Has both ends do their handshakes, where they need one.
pub(super) fn shake_hands(run: &Run, ends: &Ends) -> Outcome {
    let mut tasks = Vec::new();
    for end in [&ends.one, &ends.other] {
        if end.needs_handshake() {
            let end = Arc::clone(end);
            tasks.push(run.start("the handshake", move |_| done(end.as_ref()))?);
        }
    }
    tasks.into_iter().try_for_each(Task::finish)
}

fn done(stream: &dyn Stream) -> Outcome {
    stream.handshake().or_else(|error| broken(format_args!("the handshake fails: {error}")))
}

/// [`StreamCheck::Handshake`](super::StreamCheck::Handshake).
pub(super) fn handshake(pairs: &Pairs<'_>) -> Outcome {
    let run = pairs.run;
    let ends = pairs.open()?;
    let (one, other) = (Arc::clone(&ends.one), Arc::clone(&ends.other));
    run.call("the first bytes", move |run| {
        write_all(run, one.as_ref(), &Pattern::new(1).next(100))?;
        read_expected(run, other.as_ref(), &mut Pattern::new(1), 100)
    })?;

    let ends = pairs.make()?;
    if !ends.one.needs_handshake() {
        let one = Arc::clone(&ends.one);
        return run.call("a handshake that is not needed", move |_| done(one.as_ref()));
    }
    for (time, abort) in BEGINNING.into_iter().flat_map(|time| [(time, false), (time, true)]) {
        let ends = pairs.make()?;
        let ended = if abort { "abort" } else { "shutdown" };
        let one = Arc::clone(&ends.one);
        let handshake = run.start(format!("a handshake that is ended by {ended}"), move |_| Ok(one.handshake()))?;
        thread::sleep(time);
        let one = Arc::clone(&ends.one);
        run.call(ended, move |_| {
            let _ = if abort { one.abort() } else { one.shutdown(Shutdown::Both) };
            Ok(())
        })?;
        let result = handshake.finish()?;
        ensure(result.is_err(), format_args!("the handshake succeeds although {ended} has ended it, without a peer"))?;
    }
    Ok(())
}
