//! Bytes arrive as they were written.

use std::io::IoSlice;
use std::sync::Arc;

use leads_comm::transport::Stream;

use super::Pairs;
use crate::bytes::{Pattern, read, read_expected, try_flush, try_write, write, write_all};
use crate::failure::{Outcome, ensure};
use crate::run::Run;

/// Lengths around those at which buffers tend to end.
const LENGTHS: &[usize] =
    &[1, 2, 3, 7, 255, 256, 257, 4095, 4096, 4097, 16_383, 16_385, 65_535, 65_536, 65_537, 200_000];

/// [`StreamCheck::Bytes`](super::StreamCheck::Bytes).
pub(super) fn bytes(pairs: &Pairs<'_>) -> Outcome {
    let run = pairs.run;
    let ends = pairs.open()?;
    let one = Arc::clone(&ends.one);
    let writing = run.start("writing what the peer reads", move |run| {
        let mut pattern = Pattern::new(1);
        LENGTHS.iter().try_for_each(|len| write_all(run, one.as_ref(), &pattern.next(*len)))
    })?;
    let other = Arc::clone(&ends.other);
    let reading = run.start("reading what the peer writes", move |run| {
        let total = LENGTHS.iter().sum::<usize>() as u64;
        read_expected(run, other.as_ref(), &mut Pattern::new(1), total)
    })?;
    reading.finish()?;
    writing.finish()
}

/// [`StreamCheck::PartialReads`](super::StreamCheck::PartialReads).
pub(super) fn partial_reads(pairs: &Pairs<'_>) -> Outcome {
    let run = pairs.run;
    let ends = pairs.open()?;
    let one = Arc::clone(&ends.one);
    let writing =
        run.start("writing 5,000 bytes", move |run| write_all(run, one.as_ref(), &Pattern::new(1).next(5_000)))?;
    let other = Arc::clone(&ends.other);
    let mut pattern = run.call("reading into small buffers", move |run| {
        let mut pattern = Pattern::new(1);
        for len in [1, 2, 3, 7, 64, 1000].into_iter().cycle() {
            let left = 5_000 - pattern.position();
            if left == 0 {
                return Ok(pattern);
            }
            read_expected(run, other.as_ref(), &mut pattern, left.min(len))?;
        }
        unreachable!("the lengths go on for ever")
    })?;
    writing.finish()?;
    let one = Arc::clone(&ends.one);
    run.call("writing 5 bytes", move |run| {
        let mut more = Pattern::new(1);
        more.next(5_000);
        write_all(run, one.as_ref(), &more.next(5))
    })?;
    run.call("reading 5 bytes into a buffer of 64 KiB", move |run| {
        let mut buffer = vec![0; 64 * 1024];
        while pattern.position() < 5_005 {
            let count = read(run, ends.other.as_ref(), &mut buffer)?;
            ensure(count > 0, "the stream ends although nobody has ended it")?;
            pattern.expect(&buffer[..count])?;
        }
        Ok(())
    })
}

/// [`StreamCheck::VectoredWrites`](super::StreamCheck::VectoredWrites).
pub(super) fn vectored_writes(pairs: &Pairs<'_>) -> Outcome {
    /// One of the two ways to write.
    type Write = fn(&Run, &dyn Stream, &[IoSlice<'_>]) -> Outcome<usize>;
    let flushed: Write = |run, stream, buffers| {
        let count = try_write(run, stream, buffers)?;
        run.until("flushing without blocking", || Ok(try_flush(run, stream)?.then_some(())))?;
        Ok(count)
    };
    let ways = [("write_vectored", write as Write, true), ("try_write_vectored", flushed, pairs.suite.try_write)];
    for (name, write, expected) in ways {
        if !expected {
            continue;
        }
        let run = pairs.run;
        let ends = pairs.open()?;
        let mut pattern = Pattern::new(1);
        // The first one is empty, and so is every seventh.
        let parts: Vec<_> = (0..3_000).map(|number| pattern.next(number % 7)).collect();
        let total = pattern.position();
        let one = Arc::clone(&ends.one);
        let writing = run.start(format!("{name} with 3,000 buffers"), move |run| {
            let mut taken = 0;
            while taken < total {
                let left = behind(&parts, taken);
                match write(run, one.as_ref(), &left)? {
                    0 => run.in_time("writing without blocking, to a peer that reads")?,
                    count => taken += count as u64,
                }
            }
            Ok(())
        })?;
        let other = Arc::clone(&ends.other);
        run.call(format!("reading what {name} wrote"), move |run| {
            read_expected(run, other.as_ref(), &mut Pattern::new(1), total)
        })?;
        writing.finish()?;
    }
    Ok(())
}

/// What is left of `parts` without their first `taken` bytes; empty ones stay.
fn behind(parts: &[Vec<u8>], mut taken: u64) -> Vec<IoSlice<'_>> {
    let mut left = Vec::with_capacity(parts.len());
    for part in parts {
        let skipped = taken.min(part.len() as u64);
        taken -= skipped;
        if skipped == 0 || skipped < part.len() as u64 {
            left.push(IoSlice::new(&part[skipped as usize..]));
        }
    }
    left
}
