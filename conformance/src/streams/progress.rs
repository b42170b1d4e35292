//! Neither direction waits for the other, and nothing that is not to block does.

use std::io::{ErrorKind, IoSlice};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::bytes::{CHUNK, Pattern, read_expected, try_flush, try_write, write_all};
use super::super::context::Context;
use super::super::failure::{Outcome, broken, ensure};
use super::super::stuck::Stuck;
use super::{Ends, Pairs};
use crate::transport::Stream;

/// For how long one direction is kept busy while the other blocks: long enough for it to be blocked, as a rule.
const A_WHILE: Duration = Duration::from_millis(50);

/// How often a descriptor may poll writable, one time after the other, without one byte being taken.
const IDLE_WAKES: usize = 500;

/// [`StreamCheck::WriteWhileReading`](super::StreamCheck::WriteWhileReading).
pub(super) fn write_while_reading(pairs: &Pairs<'_>) -> Outcome {
    let cx = pairs.cx;
    let ends = pairs.open()?;
    let one = Arc::clone(&ends.one);
    let blocked =
        cx.start("a read that the last byte ends", move |cx| read_expected(cx, one.as_ref(), &mut Pattern::new(2), 1))?;
    let (one, other) = (Arc::clone(&ends.one), Arc::clone(&ends.other));
    let reading = cx.start("reading what is written while a read of the writer blocks", {
        let cx = cx.clone();
        let (tell, told) = std::sync::mpsc::channel();
        let writing = cx.start("writing while a read of the same stream blocks", move |cx| {
            let began = Instant::now();
            let mut pattern = Pattern::new(1);
            while began.elapsed() < A_WHILE {
                write_all(cx, one.as_ref(), &pattern.next(1000))?;
                // Fails when the reader has failed.
                let _ = tell.send(());
            }
            Ok(())
        })?;
        move |cx: &Context| {
            let mut pattern = Pattern::new(1);
            while told.recv().is_ok() {
                read_expected(cx, other.as_ref(), &mut pattern, 1000)?;
            }
            writing.finish()
        }
    })?;
    reading.finish()?;
    cx.call("writing the last byte", move |cx| {
        write_all(cx, ends.other.as_ref(), &Pattern::new(2).next(1))?;
        blocked.finish()
    })
}

/// [`StreamCheck::ReadWhileWriting`](super::StreamCheck::ReadWhileWriting).
pub(super) fn read_while_writing(pairs: &Pairs<'_>) -> Outcome {
    let cx = pairs.cx;
    let Ends { one, other } = pairs.open()?;
    let stuck = Stuck::write(pairs.cx, pairs.suite.holds, &one)?;
    let writer = Arc::clone(&other);
    let writing = cx.start("writing to a peer that has a write under way", move |cx| {
        write_all(cx, writer.as_ref(), &Pattern::new(2).next(4 * CHUNK))
    })?;
    cx.call("reading while a write of the same stream blocks", move |cx| {
        read_expected(cx, one.as_ref(), &mut Pattern::new(2), 4 * CHUNK as u64)
    })?;
    writing.finish()?;
    stuck.drain(cx, &other)
}

/// [`StreamCheck::FullDuplex`](super::StreamCheck::FullDuplex).
pub(super) fn full_duplex(pairs: &Pairs<'_>) -> Outcome {
    let cx = pairs.cx;
    let Ends { one, other } = pairs.open()?;
    let bulk = pairs.suite.bulk;
    let mut tasks = Vec::new();
    for (seed, from, to) in [(1, &one, &other), (2, &other, &one)] {
        let (from, to) = (Arc::clone(from), Arc::clone(to));
        tasks.push(cx.start("writing while both ends write and read", move |cx| {
            let mut pattern = Pattern::new(seed);
            while pattern.position() < bulk as u64 {
                let chunk = pattern.next(CHUNK.min(bulk - pattern.position() as usize));
                write_all(cx, from.as_ref(), &chunk)?;
            }
            Ok(())
        })?);
        tasks.push(cx.start("reading while both ends write and read", move |cx| {
            read_expected(cx, to.as_ref(), &mut Pattern::new(seed), bulk as u64)
        })?);
    }
    tasks.into_iter().try_for_each(super::super::context::Task::finish)
}

/// Writes without blocking until the stream takes no more. Returns what it has taken, all of which nobody reads.
fn fill(cx: &Context, stream: &dyn Stream, mut pattern: Pattern, holds: usize) -> Outcome<Pattern> {
    while try_flush(cx, stream)? {
        match try_chunk(cx, stream, &mut pattern)? {
            0 => break,
            _ => ensure(
                pattern.position() <= holds as u64,
                format_args!("try_write_vectored has taken {} bytes that nobody reads", pattern.position()),
            )?,
        }
    }
    Ok(pattern)
}

/// Writes the next bytes of `pattern` without blocking; how many.
fn try_chunk(cx: &Context, stream: &dyn Stream, pattern: &mut Pattern) -> Outcome<usize> {
    let chunk = pattern.next(CHUNK);
    let (start, end) = chunk.split_at(100);
    let count = try_write(cx, stream, &[IoSlice::new(start), IoSlice::new(end)])?;
    pattern.take_back(CHUNK - count);
    Ok(count)
}

/// [`StreamCheck::TryWrite`](super::StreamCheck::TryWrite).
pub(super) fn try_write_never_blocks(pairs: &Pairs<'_>) -> Outcome {
    let cx = pairs.cx;
    let Ends { one, other } = pairs.open()?;
    if !pairs.suite.try_write {
        return cx.call("try_write_vectored", move |_| {
            let result = one.try_write_vectored(&[IoSlice::new(b"x")]).map_err(|error| error.kind());
            ensure(
                result == Err(ErrorKind::Unsupported),
                format_args!("try_write_vectored is not expected, and says {result:?} instead of Unsupported"),
            )
        });
    }
    let (writer, holds) = (Arc::clone(&one), pairs.suite.holds);
    let pattern = cx.call("try_write_vectored, to a peer that does not read", move |cx| {
        fill(cx, writer.as_ref(), Pattern::new(1), holds)
    })?;
    resume(cx, &one, &other, pattern, |_, _| Ok(()))
}

/// Has the peer read; the writer goes on once `wait` has returned, until it has written some more.
fn resume(
    cx: &Context,
    one: &Arc<dyn Stream>,
    other: &Arc<dyn Stream>,
    mut pattern: Pattern,
    wait: impl Fn(&Context, &dyn Stream) -> Outcome + Send + 'static,
) -> Outcome {
    let (filled, reader) = (pattern.position(), Arc::clone(other));
    let reading = cx.start("reading what was written without blocking", move |cx| {
        let mut pattern = Pattern::new(1);
        read_expected(cx, reader.as_ref(), &mut pattern, filled)?;
        Ok(pattern)
    })?;
    let writer = Arc::clone(one);
    let total = cx.call("try_write_vectored, to a peer that reads again", move |cx| {
        cx.until("waiting until try_write_vectored takes bytes again", || {
            wait(cx, writer.as_ref())?;
            Ok((try_flush(cx, writer.as_ref())? && try_chunk(cx, writer.as_ref(), &mut pattern)? > 0).then_some(()))
        })?;
        // The peer reads, so that a stream that holds something can hand it on.
        Ok(pattern.position())
    })?;
    let mut read = reading.finish()?;
    let reader = Arc::clone(other);
    let reading = cx.start("reading the rest of what was written without blocking", move |cx| {
        let left = total - read.position();
        read_expected(cx, reader.as_ref(), &mut read, left)
    })?;
    let writer = Arc::clone(one);
    cx.call("try_flush, to a peer that reads", move |cx| {
        cx.until("try_flush", || Ok(try_flush(cx, writer.as_ref())?.then_some(())))
    })?;
    reading.finish()
}

/// [`StreamCheck::PollWritable`](super::StreamCheck::PollWritable).
#[cfg(unix)]
pub(super) fn poll_writable(pairs: &Pairs<'_>) -> Outcome {
    if !pairs.suite.try_write {
        return Ok(());
    }
    let cx = pairs.cx;
    let Ends { one, other } = pairs.open()?;
    if !pairs.suite.poll_fd {
        return ensure(one.poll_fd().is_none(), "poll_fd is not expected, and gives a descriptor");
    }
    let (writer, holds) = (Arc::clone(&one), pairs.suite.holds);
    let pattern = cx.call("polling a stream whose peer does not read", move |cx| {
        ensure(polls_writable(writer.as_ref(), cx.time_left())?, "the descriptor does not poll writable at first")?;
        let mut pattern = Pattern::new(1);
        for _ in 0..IDLE_WAKES {
            let before = pattern.position();
            pattern = fill(cx, writer.as_ref(), pattern, holds)?;
            // Some of it may have been on its way to the peer, so that a moment later there is room again.
            if pattern.position() == before && !polls_writable(writer.as_ref(), Duration::from_millis(20))? {
                return Ok(pattern);
            }
        }
        broken("the descriptor polls writable, again and again, although the stream takes nothing")
    })?;
    resume(cx, &one, &other, pattern, |cx, writer| {
        let ready = polls_writable(writer, cx.time_left())?;
        ensure(ready, "the descriptor does not poll writable although the peer has read")
    })
}

#[cfg(not(unix))]
pub(super) fn poll_writable(_: &Pairs<'_>) -> Outcome {
    Ok(())
}

#[cfg(unix)]
fn polls_writable(stream: &dyn Stream, time: Duration) -> Outcome<bool> {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    let Some(descriptor) = stream.poll_fd() else { return broken("poll_fd gives no descriptor") };
    let timeout = Timespec::try_from(time).ok();
    match poll(&mut [PollFd::from_borrowed_fd(descriptor, PollFlags::OUT)], timeout.as_ref()) {
        Ok(count) => Ok(count > 0),
        Err(rustix::io::Errno::INTR) => Ok(false),
        Err(error) => broken(format_args!("the descriptor cannot be polled: {error}")),
    }
}

/// [`StreamCheck::WaitReadable`](super::StreamCheck::WaitReadable).
pub(super) fn wait_readable(pairs: &Pairs<'_>) -> Outcome {
    let cx = pairs.cx;
    let Ends { one, other } = pairs.open()?;
    let asked = |time: Duration| {
        let one = Arc::clone(&one);
        cx.start("wait_readable", move |_| Ok(one.wait_readable(time).map_err(|error| error.kind())))
    };
    const MOMENT: Duration = Duration::from_millis(20);
    if !pairs.suite.wait_readable {
        let result = asked(MOMENT)?.finish()?;
        return ensure(
            result == Err(ErrorKind::Unsupported),
            format_args!("wait_readable is not expected, and says {result:?} instead of Unsupported"),
        );
    }
    let says = |expected: bool, time: Duration, when: &str| {
        let result = asked(time)?.finish()?;
        ensure(result == Ok(expected), format_args!("wait_readable says {result:?} {when}"))
    };
    says(false, MOMENT, "although nothing has been written")?;
    let waiting = asked(Duration::from_secs(3600))?;
    let writer = Arc::clone(&other);
    cx.call("writing 2 bytes", move |cx| write_all(cx, writer.as_ref(), &Pattern::new(1).next(2)))?;
    let result = waiting.finish()?;
    ensure(result == Ok(true), format_args!("wait_readable says {result:?} when something is written"))?;
    let mut pattern = Pattern::new(1);
    for _ in 0..2 {
        says(true, Duration::from_secs(3600), "although there is something to read")?;
        says(true, Duration::ZERO, "without time to wait, although there is something to read")?;
        let reader = Arc::clone(&one);
        pattern = cx.call("reading a byte", move |cx| {
            read_expected(cx, reader.as_ref(), &mut pattern, 1)?;
            Ok(pattern)
        })?;
    }
    says(false, MOMENT, "although everything has been read")?;
    if pairs.suite.ends {
        drop(other);
        says(true, Duration::from_secs(3600), "although the stream has ended, so that a read returns")?;
    }
    Ok(())
}
