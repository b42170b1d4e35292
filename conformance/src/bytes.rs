//! Bytes that can be told apart, and writing and reading them in the ways that the library does.

use std::io::{self, ErrorKind, IoSlice};
use std::net::Shutdown;

use leads_comm::transport::{Stream, is_nothing_yet};

use crate::failure::{Outcome, broken, ensure};
use crate::run::Run;

/// How much is written in one go where nothing else is asked for; no buffer is likely to end with it.
pub(crate) const CHUNK: usize = 15_001;

/// How many bytes of a pattern are made at once.
const WORD: usize = 8;

/// A sequence of bytes in which no part comes twice, so that one that is lost, doubled, moved or changed shows.
#[derive(Debug, Clone)]
pub(crate) struct Pattern {
    seed: u64,
    at: u64,
}

impl Pattern {
    /// Another sequence for each seed.
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed, at: 0 }
    }

    /// The next bytes of it.
    pub(crate) fn next(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(len + 2 * WORD);
        let skipped = (self.at % WORD as u64) as usize;
        let mut word = self.at / WORD as u64;
        while bytes.len() < skipped + len {
            bytes.extend(self.word(word));
            word += 1;
        }
        self.at += len as u64;
        bytes.drain(..skipped);
        bytes.truncate(len);
        bytes
    }

    /// Passes over bytes that were not taken.
    pub(crate) fn take_back(&mut self, len: usize) {
        self.at -= len as u64;
    }

    /// How many bytes there have been.
    pub(crate) fn position(&self) -> u64 {
        self.at
    }

    /// Checks that `bytes` are the next ones.
    pub(crate) fn expect(&mut self, bytes: &[u8]) -> Outcome {
        let start = self.at;
        let expected = self.next(bytes.len());
        match bytes.iter().zip(&expected).position(|(byte, expected)| byte != expected) {
            Some(at) => broken(format_args!(
                "byte {} is read as {:#04x}, and was {:#04x}",
                start + at as u64,
                bytes[at],
                expected[at]
            )),
            None => Ok(()),
        }
    }

    fn word(&self, number: u64) -> [u8; WORD] {
        // The multiplier of Fibonacci hashing spreads neighbouring numbers over all bits.
        let word = (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ self.seed.wrapping_mul(0xff51_afd7_ed55_8ccd);
        (word ^ (word >> 29)).to_le_bytes()
    }
}

/// Writes all of `bytes`, blocking.
pub(crate) fn write_all(run: &Run, stream: &dyn Stream, mut bytes: &[u8]) -> Outcome {
    while !bytes.is_empty() {
        let count = write(run, stream, &[IoSlice::new(bytes)])?;
        bytes = &bytes[count..];
    }
    Ok(())
}

/// Writes once, blocking, and has it handed on; how many bytes were taken.
pub(crate) fn write(run: &Run, stream: &dyn Stream, buffers: &[IoSlice<'_>]) -> Outcome<usize> {
    let taken = again(run, "writing", || stream.write_vectored(buffers))?;
    let count = counted("write_vectored", buffers, taken)?;
    again(run, "flushing", || stream.flush())?.map(|()| count).or_else(|error| failed("flush", &error))
}

/// Whether a byte that is written, to a stream that has ended, is refused, at the latest when it is to be handed on.
pub(crate) fn is_refused(stream: &dyn Stream) -> bool {
    stream.write_vectored(&[IoSlice::new(b"x")]).and_then(|_| stream.flush()).is_err()
}

/// Writes once without blocking, and has all of it handed on, which may take a while; 0 when the stream takes nothing.
pub(crate) fn try_write(run: &Run, stream: &dyn Stream, buffers: &[IoSlice<'_>]) -> Outcome<usize> {
    let taken = again(run, "writing without blocking", || stream.try_write_vectored(buffers))?;
    match taken {
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
        taken => counted("try_write_vectored", buffers, taken),
    }
}

/// Whether all has been handed on that was written without blocking.
pub(crate) fn try_flush(run: &Run, stream: &dyn Stream) -> Outcome<bool> {
    match again(run, "flushing without blocking", || stream.try_flush())? {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
        Err(error) => failed("try_flush", &error),
    }
}

/// Reads once; the number of bytes, 0 at the end.
pub(crate) fn read(run: &Run, stream: &dyn Stream, buffer: &mut [u8]) -> Outcome<usize> {
    match read_or_error(run, stream, buffer)? {
        Ok(count) => Ok(count),
        Err(error) => failed("read", &error),
    }
}

/// Reads once; what the stream says in the end.
pub(crate) fn read_or_error(run: &Run, stream: &dyn Stream, buffer: &mut [u8]) -> Outcome<io::Result<usize>> {
    loop {
        match stream.read(buffer) {
            Ok(count) if count > buffer.len() => {
                return broken(format_args!("read says {count} bytes, of at most {}", buffer.len()));
            }
            Err(error) if is_nothing_yet(&error) => run.in_time("reading")?,
            result => return Ok(result),
        }
    }
}

/// Reads `len` bytes, which are to be the next of `pattern`.
pub(crate) fn read_expected(run: &Run, stream: &dyn Stream, pattern: &mut Pattern, mut len: u64) -> Outcome {
    let mut buffer = vec![0; CHUNK];
    while len > 0 {
        let most = usize::try_from(len).unwrap_or(usize::MAX).min(buffer.len());
        let count = read(run, stream, &mut buffer[..most])?;
        ensure(count > 0, format_args!("the stream ends {len} bytes early"))?;
        pattern.expect(&buffer[..count])?;
        len -= count as u64;
    }
    Ok(())
}

/// Ends the writing half.
pub(crate) fn end_writing(run: &Run, stream: &dyn Stream) -> Outcome {
    run.until("shutting the writing half", || match stream.shutdown(Shutdown::Write) {
        Ok(()) => Ok(Some(())),
        // The end is something that is written, and has to be handed on.
        Err(error) if error.kind() == ErrorKind::WouldBlock => {
            match again(run, "flushing without blocking", || stream.try_flush())? {
                // Where nothing is written without blocking, a thread that may block hands it on.
                Err(error) if error.kind() == ErrorKind::Unsupported => {
                    again(run, "flushing", || stream.flush())?.or_else(|error| failed("flush", &error))?;
                }
                Err(error) if error.kind() != ErrorKind::WouldBlock => return failed("try_flush", &error),
                _ => {}
            }
            Ok(None)
        }
        Err(error) => failed("shutdown of the writing half", &error),
    })
}

/// Makes a call until it is not interrupted.
fn again<T>(run: &Run, doing: &str, mut call: impl FnMut() -> io::Result<T>) -> Outcome<io::Result<T>> {
    loop {
        match call() {
            Err(error) if error.kind() == ErrorKind::Interrupted => run.in_time(doing)?,
            result => return Ok(result),
        }
    }
}

fn counted(call: &str, buffers: &[IoSlice<'_>], taken: io::Result<usize>) -> Outcome<usize> {
    let given = buffers.iter().map(|buffer| buffer.len()).sum();
    match taken {
        Ok(0) if given > 0 => broken(format_args!("{call} takes nothing, and does not say why")),
        Ok(count) => ensure(count <= given, format_args!("{call} says {count} bytes, of {given}")).map(|()| count),
        Err(error) => failed(call, &error),
    }
}

fn failed<T>(call: &str, error: &io::Error) -> Outcome<T> {
    broken(format_args!("{call} fails: {error} ({:?})", error.kind()))
}
