//! Neither direction waits for the other, and nothing that is not to block does.

use std::io::{ErrorKind, IoSlice};
use std::sync::Arc;
use std::time::{Duration, Instant};

use leads_comm::transport::Stream;

use super::{Ends, Pairs};
use crate::bytes::{CHUNK, Pattern, read_expected, try_flush, try_write, write_all};
use crate::failure::{Outcome, broken, ensure};
use crate::run::Run;
use crate::stuck::Stuck;

/// For how long one direction is kept busy while the other blocks: long enough for it to be blocked, as a rule.
const A_WHILE: Duration = Duration::from_millis(50);

/// How often a descriptor may poll writable, one time after the other, without one byte being taken.
const IDLE_WAKES: usize = 500;

/// [`StreamCheck::WriteWhileReading`](super::StreamCheck::WriteWhileReading).
pub(super) fn write_while_reading(pairs: &Pairs<'_>) -> Outcome {
    let run = pairs.run;
    let ends = pairs.open()?;
    let one = Arc::clone(&ends.one);
    let blocked = run.start("a read that the last byte ends", move |run| {
        read_expected(run, one.as_ref(), &mut Pattern::new(2), 1)
    })?;
    let (one, other) = (Arc::clone(&ends.one), Arc::clone(&ends.other));
    let reading = run.start("reading what is written while a read of the writer blocks", {
        let run = run.clone();
        let (tell, told) = std::sync::mpsc::channel();
        let writing = run.start("writing while a read of the same stream blocks", move |run| {
            let began = Instant::now();
            let mut pattern = Pattern::new(1);
            while began.elapsed() < A_WHILE {
                write_all(run, one.as_ref(), &pattern.next(1000))?;
                // Fails when the reader has failed.
                let _ = tell.send(());
            }
            Ok(())
        })?;
        move |run: &Run| {
            let mut pattern = Pattern::new(1);
            while told.recv().is_ok() {
                read_expected(run, other.as_ref(), &mut pattern, 1000)?;
            }
            writing.finish()
        }
    })?;
    reading.finish()?;
    run.call("writing the last byte", move |run| {
        write_all(run, ends.other.as_ref(), &Pattern::new(2).next(1))?;
        blocked.finish()
    })
}

/// [`StreamCheck::ReadWhileWriting`](super::StreamCheck::ReadWhileWriting).
pub(super) fn read_while_writing(pairs: &Pairs<'_>) -> Outcome {
    let run = pairs.run;
    let Ends { one, other } = pairs.open()?;
    let stuck = Stuck::write(pairs.run, pairs.suite.holds, &one)?;
    let writer = Arc::clone(&other);
    let writing = run.start("writing to a peer that has a write under way", move |run| {
        write_all(run, writer.as_ref(), &Pattern::new(2).next(4 * CHUNK))
    })?;
    run.call("reading while a write of the same stream blocks", move |run| {
        read_expected(run, one.as_ref(), &mut Pattern::new(2), 4 * CHUNK as u64)
    })?;
    writing.finish()?;
    stuck.drain(run, &other)
}

/// [`StreamCheck::FullDuplex`](super::StreamCheck::FullDuplex).
pub(super) fn full_duplex(pairs: &Pairs<'_>) -> Outcome {
    let run = pairs.run;
    let Ends { one, other } = pairs.open()?;
    let bulk = pairs.suite.bulk;
    let mut tasks = Vec::new();
    for (seed, from, to) in [(1, &one, &other), (2, &other, &one)] {
        let (from, to) = (Arc::clone(from), Arc::clone(to));
        tasks.push(run.start("writing while both ends write and read", move |run| {
            let mut pattern = Pattern::new(seed);
            while pattern.position() < bulk as u64 {
                let chunk = pattern.next(CHUNK.min(bulk - pattern.position() as usize));
                write_all(run, from.as_ref(), &chunk)?;
            }
            Ok(())
        })?);
        tasks.push(run.start("reading while both ends write and read", move |run| {
            read_expected(run, to.as_ref(), &mut Pattern::new(seed), bulk as u64)
        })?);
    }
    tasks.into_iter().try_for_each(crate::run::Task::finish)
}

/// Writes without blocking until the stream takes no more. Returns what it has taken, all of which nobody reads.
fn fill(run: &Run, stream: &dyn Stream, mut pattern: Pattern, holds: usize) -> Outcome<Pattern> {
    while try_flush(run, stream)? {
        match try_chunk(run, stream, &mut pattern)? {
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
fn try_chunk(run: &Run, stream: &dyn Stream, pattern: &mut Pattern) -> Outcome<usize> {
    let chunk = pattern.next(CHUNK);
    let (start, end) = chunk.split_at(100);
    let count = try_write(run, stream, &[IoSlice::new(start), IoSlice::new(end)])?;
    pattern.take_back(CHUNK - count);
    Ok(count)
}

/// [`StreamCheck::TryWrite`](super::StreamCheck::TryWrite).
pub(super) fn try_write_never_blocks(pairs: &Pairs<'_>) -> Outcome {
    let run = pairs.run;
    let Ends { one, other } = pairs.open()?;
    if !pairs.suite.try_write {
        return run.call("try_write_vectored", move |_| {
            let result = one.try_write_vectored(&[IoSlice::new(b"x")]).map_err(|error| error.kind());
            ensure(
                result == Err(ErrorKind::Unsupported),
                format_args!("try_write_vectored is not expected, and says {result:?} instead of Unsupported"),
            )
        });
    }
    let (writer, holds) = (Arc::clone(&one), pairs.suite.holds);
    let pattern = run.call("try_write_vectored, to a peer that does not read", move |run| {
        fill(run, writer.as_ref(), Pattern::new(1), holds)
    })?;
    resume(run, &one, &other, pattern, |_, _| Ok(()))
}

/// Has the peer read; the writer goes on once `wait` has returned, until it has written some more.
fn resume(
    run: &Run,
    one: &Arc<dyn Stream>,
    other: &Arc<dyn Stream>,
    mut pattern: Pattern,
    wait: impl Fn(&Run, &dyn Stream) -> Outcome + Send + 'static,
) -> Outcome {
    let (filled, reader) = (pattern.position(), Arc::clone(other));
    let reading = run.start("reading what was written without blocking", move |run| {
        let mut pattern = Pattern::new(1);
        read_expected(run, reader.as_ref(), &mut pattern, filled)?;
        Ok(pattern)
    })?;
    let writer = Arc::clone(one);
    let total = run.call("try_write_vectored, to a peer that reads again", move |run| {
        run.until("waiting until try_write_vectored takes bytes again", || {
            wait(run, writer.as_ref())?;
            Ok((try_flush(run, writer.as_ref())? && try_chunk(run, writer.as_ref(), &mut pattern)? > 0).then_some(()))
        })?;
        // The peer reads, so that a stream that holds something can hand it on.
        Ok(pattern.position())
    })?;
    let mut read = reading.finish()?;
    let reader = Arc::clone(other);
    let reading = run.start("reading the rest of what was written without blocking", move |run| {
        let left = total - read.position();
        read_expected(run, reader.as_ref(), &mut read, left)
    })?;
    let writer = Arc::clone(one);
    run.call("try_flush, to a peer that reads", move |run| {
        run.until("try_flush", || Ok(try_flush(run, writer.as_ref())?.then_some(())))
    })?;
    reading.finish()
}

/// [`StreamCheck::PollWritable`](super::StreamCheck::PollWritable).
pub(super) fn poll_writable(pairs: &Pairs<'_>) -> Outcome {
    if !pairs.suite.try_write {
        return Ok(());
    }
    let run = pairs.run;
    let Ends { one, other } = pairs.open()?;
    if !pairs.suite.poll_fd {
        return ensure(one.poll_fd().is_none(), "poll_fd is not expected, and gives a descriptor");
    }
    let (writer, holds) = (Arc::clone(&one), pairs.suite.holds);
    let pattern = run.call("polling a stream whose peer does not read", move |run| {
        ensure(polls_writable(writer.as_ref(), run.time_left())?, "the descriptor does not poll writable at first")?;
        let mut pattern = Pattern::new(1);
        for _ in 0..IDLE_WAKES {
            let before = pattern.position();
            pattern = fill(run, writer.as_ref(), pattern, holds)?;
            // Some of it may have been on its way to the peer, so that a moment later there is room again.
            if pattern.position() == before && !polls_writable(writer.as_ref(), Duration::from_millis(20))? {
                return Ok(pattern);
            }
        }
        broken("the descriptor polls writable, again and again, although the stream takes nothing")
    })?;
    resume(run, &one, &other, pattern, |run, writer| {
        let ready = polls_writable(writer, run.time_left())?;
        ensure(ready, "the descriptor does not poll writable although the peer has read")
    })
}

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
    let run = pairs.run;
    let Ends { one, other } = pairs.open()?;
    let asked = |time: Duration| {
        let one = Arc::clone(&one);
        run.start("wait_readable", move |_| Ok(one.wait_readable(time).map_err(|error| error.kind())))
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
    run.call("writing 2 bytes", move |run| write_all(run, writer.as_ref(), &Pattern::new(1).next(2)))?;
    let result = waiting.finish()?;
    ensure(result == Ok(true), format_args!("wait_readable says {result:?} when something is written"))?;
    let mut pattern = Pattern::new(1);
    for _ in 0..2 {
        says(true, Duration::from_secs(3600), "although there is something to read")?;
        says(true, Duration::ZERO, "without time to wait, although there is something to read")?;
        let reader = Arc::clone(&one);
        pattern = run.call("reading a byte", move |run| {
            read_expected(run, reader.as_ref(), &mut pattern, 1)?;
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
