//! Every way to end a stream, and who notices.

use std::io::ErrorKind;
use std::net::Shutdown;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use leads_comm::transport::Stream;

use super::{Ends, Pairs};
use crate::bytes::{CHUNK, Pattern, end_writing, is_refused, read, read_expected, read_or_error, write_all};
use crate::failure::{Outcome, broken, ensure};
use crate::run::Run;
use crate::stuck::Stuck;

/// For how long a call is left to itself, so that it blocks before it is woken.
const A_MOMENT: Duration = Duration::from_millis(10);

/// How a stream is ended for good.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Shutdown,
    Abort,
}

impl End {
    fn name(self) -> &'static str {
        match self {
            Self::Shutdown => "shutdown of both halves",
            Self::Abort => "abort",
        }
    }

    /// Ends it. What the call returns is of no concern: the system may report this and that of a stream that ends.
    fn of(self, run: &Run, stream: &Arc<dyn Stream>) -> Outcome {
        let stream = Arc::clone(stream);
        run.call(self.name(), move |_| {
            let _ = match self {
                Self::Shutdown => stream.shutdown(Shutdown::Both),
                Self::Abort => stream.abort(),
            };
            Ok(())
        })
    }
}

/// [`StreamCheck::HalfClose`](super::StreamCheck::HalfClose).
pub(super) fn half_close(pairs: &Pairs<'_>) -> Outcome {
    if !pairs.suite.half_close || !pairs.suite.ends {
        return Ok(());
    }
    let run = pairs.run;
    let Ends { one, other } = pairs.open()?;
    let bulk = pairs.suite.bulk;
    let closing = Arc::clone(&one);
    let writing = run.start("writing, then shutting the writing half", move |run| {
        let mut pattern = Pattern::new(1);
        while pattern.position() < bulk as u64 {
            write_all(run, closing.as_ref(), &pattern.next(CHUNK.min(bulk - pattern.position() as usize)))?;
        }
        end_writing(run, closing.as_ref())?;
        ensure(is_refused(closing.as_ref()), "the writing half takes bytes after it has been shut")
    })?;
    let reader = Arc::clone(&other);
    run.call("reading what was written before the writing half was shut", move |run| {
        read_expected(run, reader.as_ref(), &mut Pattern::new(1), bulk as u64)?;
        ends(run, reader.as_ref(), "the peer has shut its writing half")
    })?;
    writing.finish()?;
    // A read that is blocked already, and one that comes later.
    let answered = Arc::clone(&one);
    let reading = run.start("reading with the writing half shut", move |run| {
        read_expected(run, answered.as_ref(), &mut Pattern::new(2), bulk as u64)?;
        ends(run, answered.as_ref(), "the peer has shut its writing half as well")
    })?;
    run.call("writing to a peer that has shut its writing half", move |run| {
        let mut pattern = Pattern::new(2);
        while pattern.position() < bulk as u64 {
            write_all(run, other.as_ref(), &pattern.next(CHUNK.min(bulk - pattern.position() as usize)))?;
        }
        end_writing(run, other.as_ref())?;
        // Lives until its peer has read all.
        reading.finish()
    })
}

/// A read says 0.
fn ends(run: &Run, stream: &dyn Stream, because: &str) -> Outcome {
    let count = read(run, stream, &mut [0; 64])?;
    ensure(count == 0, format_args!("a read gives {count} bytes more although {because}"))
}

/// A read says 0, or fails with an error that says as much; with any error where `any`.
fn notices(run: &Run, stream: &dyn Stream, any: bool, because: &str) -> Outcome {
    match read_or_error(run, stream, &mut [0; 64])? {
        Ok(0) => Ok(()),
        Ok(count) => broken(format_args!("a read gives {count} bytes although {because}")),
        Err(error) if any || error.kind() == ErrorKind::UnexpectedEof => Ok(()),
        Err(error) => broken(format_args!("a read fails with {:?} although {because}: {error}", error.kind())),
    }
}

/// [`StreamCheck::ShutdownWakesRead`](super::StreamCheck::ShutdownWakesRead) and its like.
pub(super) fn wakes_read(pairs: &Pairs<'_>, end: End) -> Outcome {
    let run = pairs.run;
    let Ends { one, other } = pairs.open()?;
    let because = format!("{} has ended the stream", end.name());
    let reader = Arc::clone(&one);
    let blocked = run.start(format!("a blocked read that {} is to wake", end.name()), {
        let because = because.clone();
        move |run| notices(run, reader.as_ref(), true, &because)
    })?;
    thread::sleep(A_MOMENT);
    end.of(run, &one)?;
    blocked.finish()?;
    is_over(run, &one, end)?;
    // By now even where the peer learns of it only when the stream is dropped.
    drop(one);
    if !pairs.suite.ends {
        return Ok(());
    }
    run.call(format!("a read of the peer of a stream that {} has ended", end.name()), move |run| {
        notices(run, other.as_ref(), end == End::Abort, &because)
    })
}

/// Nothing is read or written any more, and no call blocks.
fn is_over(run: &Run, stream: &Arc<dyn Stream>, end: End) -> Outcome {
    let stream = Arc::clone(stream);
    run.call(format!("reading and writing after {}", end.name()), move |run| {
        let because = format!("{} has ended the stream", end.name());
        for _ in 0..2 {
            notices(run, stream.as_ref(), true, &because)?;
            ensure(is_refused(stream.as_ref()), format_args!("a write succeeds although {because}"))?;
        }
        Ok(())
    })
}

/// [`StreamCheck::ShutdownWakesWrite`](super::StreamCheck::ShutdownWakesWrite) and its like.
pub(super) fn wakes_write(pairs: &Pairs<'_>, end: End) -> Outcome {
    let run = pairs.run;
    let Ends { one, other } = pairs.open()?;
    let stuck = Stuck::write(run, pairs.suite.holds, &one)?;
    end.of(run, &one)?;
    stuck.fails().map_err(|wrong| wrong.of(&format!("after {}: ", end.name())))?;
    is_over(run, &one, end)?;
    drop(one);
    if !pairs.suite.ends {
        return Ok(());
    }
    run.call("reading to the end of a stream whose write was ended", move |run| {
        let mut buffer = vec![0; CHUNK];
        // What had been taken may still arrive, or be lost.
        while let Ok(1..) = read_or_error(run, other.as_ref(), &mut buffer)? {}
        Ok(())
    })
}

/// [`StreamCheck::EndRepeatedly`](super::StreamCheck::EndRepeatedly).
pub(super) fn end_repeatedly(pairs: &Pairs<'_>) -> Outcome {
    let run = pairs.run;
    let Ends { one, other } = pairs.open()?;
    let together: Vec<_> = (0..4)
        .map(|number| {
            let one = Arc::clone(&one);
            run.start("ending a stream on several threads", move |_| {
                for step in 0..8 {
                    let _ = match (number + step) % 4 {
                        0 => one.shutdown(Shutdown::Write),
                        1 => one.abort(),
                        _ => one.shutdown(Shutdown::Both),
                    };
                }
                Ok(())
            })
        })
        .collect::<Outcome<_>>()?;
    together.into_iter().try_for_each(crate::run::Task::finish)?;
    is_over(run, &one, End::Abort)?;
    drop(one);
    End::Abort.of(run, &other)?;
    End::Shutdown.of(run, &other)?;
    End::Abort.of(run, &other)?;
    is_over(run, &other, End::Abort)
}

/// [`StreamCheck::EndStays`](super::StreamCheck::EndStays).
pub(super) fn end_stays(pairs: &Pairs<'_>) -> Outcome {
    let run = pairs.run;
    let Ends { one, other } = pairs.open()?;
    let (asked, expected) = (Arc::clone(&one), pairs.suite.ends);
    let has_end = run.call("has_end", move |_| Ok(asked.has_end()))?;
    ensure(has_end == expected, format_args!("has_end says {has_end}, and is expected to say {expected}"))?;
    if !expected {
        return Ok(());
    }
    if pairs.suite.half_close {
        let closing = Arc::clone(&other);
        run.call("writing a byte, then shutting the writing half", move |run| {
            write_all(run, closing.as_ref(), &Pattern::new(1).next(1))?;
            end_writing(run, closing.as_ref())
        })?;
        let reader = Arc::clone(&one);
        run.call("reading behind the end", move |run| {
            read_expected(run, reader.as_ref(), &mut Pattern::new(1), 1)?;
            (0..3).try_for_each(|_| ends(run, reader.as_ref(), "the stream has ended"))
        })?;
    }
    drop(other);
    run.call("reading behind the end, when the peer has been dropped", move |run| {
        (0..3).try_for_each(|_| notices(run, one.as_ref(), true, "the stream has ended"))
    })
}

/// [`StreamCheck::DropCloses`](super::StreamCheck::DropCloses).
pub(super) fn drop_closes(pairs: &Pairs<'_>) -> Outcome {
    if !pairs.suite.ends {
        return Ok(());
    }
    let run = pairs.run;
    let Ends { one, other } = pairs.open()?;
    let reader = Arc::clone(&one);
    let blocked = run.start("a read whose peer is dropped", move |run| {
        notices(run, reader.as_ref(), false, "the peer has been dropped")
    })?;
    thread::sleep(A_MOMENT);
    run.call("dropping a stream", move |_| {
        drop(other);
        Ok(())
    })?;
    blocked.finish()?;
    run.call("writing to a peer that has been dropped", move |run| {
        run.until("writing to a peer that has been dropped, which goes on", || {
            Ok(is_refused(one.as_ref()).then_some(()))
        })
    })
}
