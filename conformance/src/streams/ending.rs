//! Every way to end a stream, and who notices.

use std::io::ErrorKind;
use std::net::Shutdown;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::super::bytes::{CHUNK, Pattern, end_writing, is_refused, read, read_expected, read_or_error, write_all};
use super::super::context::Context;
use super::super::failure::{Outcome, broken, ensure};
use super::super::stuck::Stuck;
use super::{Ends, Pairs};
use crate::transport::Stream;

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
    fn of(self, cx: &Context, stream: &Arc<dyn Stream>) -> Outcome {
        let stream = Arc::clone(stream);
        cx.call(self.name(), move |_| {
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
    let cx = pairs.cx;
    let Ends { one, other } = pairs.open()?;
    let bulk = pairs.suite.bulk;
    let closing = Arc::clone(&one);
    let writing = cx.start("writing, then shutting the writing half", move |cx| {
        let mut pattern = Pattern::new(1);
        while pattern.position() < bulk as u64 {
            write_all(cx, closing.as_ref(), &pattern.next(CHUNK.min(bulk - pattern.position() as usize)))?;
        }
        end_writing(cx, closing.as_ref())?;
        ensure(is_refused(closing.as_ref()), "the writing half takes bytes after it has been shut")
    })?;
    let reader = Arc::clone(&other);
    cx.call("reading what was written before the writing half was shut", move |cx| {
        read_expected(cx, reader.as_ref(), &mut Pattern::new(1), bulk as u64)?;
        ends(cx, reader.as_ref(), "the peer has shut its writing half")
    })?;
    writing.finish()?;
    // A read that is blocked already, and one that comes later.
    let answered = Arc::clone(&one);
    let reading = cx.start("reading with the writing half shut", move |cx| {
        read_expected(cx, answered.as_ref(), &mut Pattern::new(2), bulk as u64)?;
        ends(cx, answered.as_ref(), "the peer has shut its writing half as well")
    })?;
    cx.call("writing to a peer that has shut its writing half", move |cx| {
        let mut pattern = Pattern::new(2);
        while pattern.position() < bulk as u64 {
            write_all(cx, other.as_ref(), &pattern.next(CHUNK.min(bulk - pattern.position() as usize)))?;
        }
        end_writing(cx, other.as_ref())?;
        // Lives until its peer has read all.
        reading.finish()
    })
}

/// A read says 0.
fn ends(cx: &Context, stream: &dyn Stream, because: &str) -> Outcome {
    let count = read(cx, stream, &mut [0; 64])?;
    ensure(count == 0, format_args!("a read gives {count} bytes more although {because}"))
}

/// A read says 0, or fails with an error that says as much; with any error where `any`.
fn notices(cx: &Context, stream: &dyn Stream, any: bool, because: &str) -> Outcome {
    match read_or_error(cx, stream, &mut [0; 64])? {
        Ok(0) => Ok(()),
        Ok(count) => broken(format_args!("a read gives {count} bytes although {because}")),
        Err(error) if any || error.kind() == ErrorKind::UnexpectedEof => Ok(()),
        Err(error) => broken(format_args!("a read fails with {:?} although {because}: {error}", error.kind())),
    }
}

/// [`StreamCheck::ShutdownWakesRead`](super::StreamCheck::ShutdownWakesRead) and its like.
pub(super) fn wakes_read(pairs: &Pairs<'_>, end: End) -> Outcome {
    let cx = pairs.cx;
    let Ends { one, other } = pairs.open()?;
    let because = format!("{} has ended the stream", end.name());
    let reader = Arc::clone(&one);
    let blocked = cx.start(format!("a blocked read that {} is to wake", end.name()), {
        let because = because.clone();
        move |cx| notices(cx, reader.as_ref(), true, &because)
    })?;
    thread::sleep(A_MOMENT);
    end.of(cx, &one)?;
    blocked.finish()?;
    is_over(cx, &one, end)?;
    // By now even where the peer learns of it only when the stream is dropped.
    drop(one);
    if !pairs.suite.ends {
        return Ok(());
    }
    cx.call(format!("a read of the peer of a stream that {} has ended", end.name()), move |cx| {
        notices(cx, other.as_ref(), end == End::Abort, &because)
    })
}

/// Nothing is read or written any more, and no call blocks.
fn is_over(cx: &Context, stream: &Arc<dyn Stream>, end: End) -> Outcome {
    let stream = Arc::clone(stream);
    cx.call(format!("reading and writing after {}", end.name()), move |cx| {
        let because = format!("{} has ended the stream", end.name());
        for _ in 0..2 {
            notices(cx, stream.as_ref(), true, &because)?;
            ensure(is_refused(stream.as_ref()), format_args!("a write succeeds although {because}"))?;
        }
        Ok(())
    })
}

/// [`StreamCheck::ShutdownWakesWrite`](super::StreamCheck::ShutdownWakesWrite) and its like.
pub(super) fn wakes_write(pairs: &Pairs<'_>, end: End) -> Outcome {
    let cx = pairs.cx;
    let Ends { one, other } = pairs.open()?;
    let stuck = Stuck::write(cx, pairs.suite.holds, &one)?;
    end.of(cx, &one)?;
    stuck.fails().map_err(|wrong| wrong.of(&format!("after {}: ", end.name())))?;
    is_over(cx, &one, end)?;
    drop(one);
    if !pairs.suite.ends {
        return Ok(());
    }
    cx.call("reading to the end of a stream whose write was ended", move |cx| {
        let mut buffer = vec![0; CHUNK];
        // What had been taken may still arrive, or be lost.
        while let Ok(1..) = read_or_error(cx, other.as_ref(), &mut buffer)? {}
        Ok(())
    })
}

/// [`StreamCheck::EndRepeatedly`](super::StreamCheck::EndRepeatedly).
pub(super) fn end_repeatedly(pairs: &Pairs<'_>) -> Outcome {
    let cx = pairs.cx;
    let Ends { one, other } = pairs.open()?;
    let together: Vec<_> = (0..4)
        .map(|number| {
            let one = Arc::clone(&one);
            cx.start("ending a stream on several threads", move |_| {
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
    together.into_iter().try_for_each(super::super::context::Task::finish)?;
    is_over(cx, &one, End::Abort)?;
    drop(one);
    End::Abort.of(cx, &other)?;
    End::Shutdown.of(cx, &other)?;
    End::Abort.of(cx, &other)?;
    is_over(cx, &other, End::Abort)
}

/// [`StreamCheck::EndStays`](super::StreamCheck::EndStays).
pub(super) fn end_stays(pairs: &Pairs<'_>) -> Outcome {
    let cx = pairs.cx;
    let Ends { one, other } = pairs.open()?;
    let (asked, expected) = (Arc::clone(&one), pairs.suite.ends);
    let has_end = cx.call("has_end", move |_| Ok(asked.has_end()))?;
    ensure(has_end == expected, format_args!("has_end says {has_end}, and is expected to say {expected}"))?;
    if !expected {
        return Ok(());
    }
    if pairs.suite.half_close {
        let closing = Arc::clone(&other);
        cx.call("writing a byte, then shutting the writing half", move |cx| {
            write_all(cx, closing.as_ref(), &Pattern::new(1).next(1))?;
            end_writing(cx, closing.as_ref())
        })?;
        let reader = Arc::clone(&one);
        cx.call("reading behind the end", move |cx| {
            read_expected(cx, reader.as_ref(), &mut Pattern::new(1), 1)?;
            (0..3).try_for_each(|_| ends(cx, reader.as_ref(), "the stream has ended"))
        })?;
    }
    drop(other);
    cx.call("reading behind the end, when the peer has been dropped", move |cx| {
        (0..3).try_for_each(|_| notices(cx, one.as_ref(), true, "the stream has ended"))
    })
}

/// [`StreamCheck::DropCloses`](super::StreamCheck::DropCloses).
pub(super) fn drop_closes(pairs: &Pairs<'_>) -> Outcome {
    if !pairs.suite.ends {
        return Ok(());
    }
    let cx = pairs.cx;
    let Ends { one, other } = pairs.open()?;
    let reader = Arc::clone(&one);
    let blocked = cx.start("a read whose peer is dropped", move |cx| {
        notices(cx, reader.as_ref(), false, "the peer has been dropped")
    })?;
    thread::sleep(A_MOMENT);
    cx.call("dropping a stream", move |_| {
        drop(other);
        Ok(())
    })?;
    blocked.finish()?;
    cx.call("writing to a peer that has been dropped", move |cx| {
        cx.until(
            "writing to a peer that has been dropped, which goes on",
            || Ok(is_refused(one.as_ref()).then_some(())),
        )
    })
}
