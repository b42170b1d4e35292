//! Streams that do one thing wrong.

use std::io::{self, ErrorKind, IoSlice};
use std::net::Shutdown;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use leads_comm::transport::{Descriptor, Stream};
use leads_comm_testing::pair::Pair;

/// What is wrong with a stream; nothing, where the name begins so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Defect {
    None,
    /// Shakes hands, is interrupted every other time, and holds what it has taken.
    NoneButUncommon,
    HandshakeFails,
    HandshakeUnstoppable,
    NoName,
    TwoLines,
    NameChanges,
    NameIsLost,
    HangsInPeer,
    FlipsBit,
    Swaps,
    LosesLong,
    PanicsOnRead,
    SaysMoreRead,
    FailsToWrite,
    ZeroWritten,
    MoreWritten,
    ReadThrowsAway,
    FillsBuffers,
    FirstBufferOnly,
    StopsAtEmpty,
    OneLock,
    SharesScratch,
    TryBlocks,
    TrySwallows,
    TryMissing,
    TryTakesAndRefuses,
    FlushForgets,
    FlushNever,
    NoDescriptor,
    AlwaysWritable,
    NeverWritable,
    AlwaysReadable,
    NeverReadable,
    WaitsTooLong,
    HalfCloseEndsBoth,
    HalfCloseAborts,
    HalfCloseIgnored,
    ShutdownShutsReading,
    ShutdownShutsWriting,
    ShutdownBlocks,
    ShutdownUnseen,
    WritesAfterEnd,
    AbortShutsReading,
    AbortShutsWriting,
    ReadsAfterAbort,
    PanicsWhenEndedTwice,
    EndIsForgotten,
    Leaks,
    DropResets,
}

/// A good stream with a defect.
pub(crate) struct Bad {
    /// Gone only while it is dropped.
    stream: Option<Box<dyn Stream>>,
    defect: Defect,
    lock: Mutex<()>,
    calls: AtomicUsize,
    ended: AtomicBool,
    /// What has been taken and not been handed on.
    held: Mutex<Vec<u8>>,
    /// Where both directions put their bytes in between.
    scratch: Mutex<Vec<u8>>,
    /// What is polled in its place.
    pair: Pair,
}

impl Bad {
    pub(crate) fn boxed(stream: Box<dyn Stream>, defect: Defect) -> Box<dyn Stream> {
        Box::new(Self {
            stream: Some(stream),
            defect,
            lock: Mutex::default(),
            calls: AtomicUsize::new(0),
            ended: AtomicBool::new(false),
            held: Mutex::default(),
            scratch: Mutex::default(),
            pair: Pair::new(),
        })
    }

    fn inner(&self) -> &dyn Stream {
        self.stream.as_deref().unwrap()
    }

    fn is(&self, defect: Defect) -> bool {
        self.defect == defect
    }

    /// Every second time, where calls are interrupted.
    fn interrupted(&self) -> io::Result<()> {
        let interrupts = self.is(Defect::NoneButUncommon) && self.calls.fetch_add(1, SeqCst) % 2 == 0;
        if interrupts { Err(ErrorKind::Interrupted.into()) } else { Ok(()) }
    }

    fn hand_on(&self, held: &mut Vec<u8>) -> io::Result<()> {
        while !held.is_empty() {
            let count = self.inner().try_write_vectored(&[IoSlice::new(held)])?;
            held.drain(..count);
        }
        Ok(())
    }
}

impl Stream for Bad {
    fn needs_handshake(&self) -> bool {
        matches!(self.defect, Defect::NoneButUncommon | Defect::HandshakeUnstoppable)
    }

    fn handshake(&self) -> io::Result<()> {
        if self.is(Defect::HandshakeFails) {
            return Err(io::Error::other("as asked"));
        }
        if self.needs_handshake() {
            self.inner().write_vectored(&[IoSlice::new(b"h")])?;
            if self.inner().read(&mut [0])? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(())
    }

    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.interrupted()?;
        let _one = self.is(Defect::OneLock).then(|| self.lock.lock().unwrap());
        match self.defect {
            Defect::PanicsOnRead => panic!("as asked"),
            Defect::ReadsAfterAbort if self.ended.load(SeqCst) => return Ok(1),
            Defect::EndIsForgotten if self.ended.load(SeqCst) => return Err(ErrorKind::NotConnected.into()),
            _ => {}
        }
        let mut count = self.inner().read(buffer)?;
        match self.defect {
            Defect::FlipsBit if count > 0 && self.calls.fetch_add(1, SeqCst) == 3 => buffer[0] ^= 1,
            Defect::Swaps if count > 1 => buffer.swap(0, 1),
            Defect::SaysMoreRead => return Ok(buffer.len() + 1),
            Defect::ReadThrowsAway if count == buffer.len() => {
                self.inner().read(&mut [0])?;
            }
            Defect::FillsBuffers => {
                while count > 0 && count < buffer.len() {
                    match self.inner().read(&mut buffer[count..])? {
                        0 => break,
                        more => count += more,
                    }
                }
            }
            Defect::SharesScratch => *self.scratch.lock().unwrap() = buffer[..count].to_vec(),
            Defect::EndIsForgotten if count == 0 => self.ended.store(true, SeqCst),
            _ => {}
        }
        Ok(count)
    }

    fn wait_readable(&self, time: Duration) -> io::Result<bool> {
        match self.defect {
            Defect::AlwaysReadable => Ok(true),
            Defect::NeverReadable => Ok(false),
            Defect::WaitsTooLong => self.inner().wait_readable(Duration::from_secs(3600)),
            _ => self.inner().wait_readable(time),
        }
    }

    fn write_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        self.interrupted()?;
        let given = buffers.iter().map(|buffer| buffer.len()).sum::<usize>();
        let _one = self.is(Defect::OneLock).then(|| self.lock.lock().unwrap());
        match self.defect {
            Defect::FailsToWrite => Err(io::Error::other("as asked")),
            Defect::ZeroWritten => Ok(0),
            Defect::MoreWritten => Ok(self.inner().write_vectored(buffers)? + given),
            Defect::LosesLong if given > 60_000 => {
                self.inner().write_vectored(&[IoSlice::new(&buffers[0][..1000])])?;
                Ok(given)
            }
            Defect::FirstBufferOnly => {
                let first = buffers.iter().find(|buffer| !buffer.is_empty()).unwrap();
                self.inner().write_vectored(&[IoSlice::new(first)])?;
                Ok(given)
            }
            Defect::StopsAtEmpty => {
                let full = buffers.iter().take_while(|buffer| !buffer.is_empty()).count();
                if full == 0 { Ok(0) } else { self.inner().write_vectored(&buffers[..full]) }
            }
            Defect::SharesScratch => {
                *self.scratch.lock().unwrap() = buffers.iter().flat_map(|buffer| buffer.iter().copied()).collect();
                thread::yield_now();
                let bytes = self.scratch.lock().unwrap().clone();
                self.inner().write_vectored(&[IoSlice::new(&bytes)]).map(|count| count.min(given))
            }
            Defect::ShutdownUnseen if self.ended.load(SeqCst) => Err(ErrorKind::BrokenPipe.into()),
            Defect::WritesAfterEnd if self.ended.load(SeqCst) => Ok(given),
            _ => self.inner().write_vectored(buffers),
        }
    }

    fn try_write_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        self.interrupted()?;
        let given = buffers.iter().map(|buffer| buffer.len()).sum::<usize>();
        match self.defect {
            Defect::TryBlocks => self.inner().write_vectored(buffers),
            Defect::TrySwallows => Ok(given),
            Defect::TryMissing => Err(ErrorKind::Unsupported.into()),
            Defect::TryTakesAndRefuses => match self.inner().try_write_vectored(buffers)? {
                count if count < given => Err(ErrorKind::WouldBlock.into()),
                count => Ok(count),
            },
            Defect::NoneButUncommon | Defect::FlushForgets => {
                let mut held = self.held.lock().unwrap();
                assert!(held.is_empty(), "nothing more is written before all is handed on");
                held.extend(buffers.iter().flat_map(|buffer| buffer.iter()));
                Ok(given)
            }
            _ => self.inner().try_write_vectored(buffers),
        }
    }

    fn try_flush(&self) -> io::Result<()> {
        let mut held = self.held.lock().unwrap();
        match self.defect {
            Defect::FlushNever => Err(ErrorKind::WouldBlock.into()),
            Defect::FlushForgets if held.len() > 1000 && self.calls.fetch_add(1, SeqCst) == 2 => {
                held.clear();
                Ok(())
            }
            _ => self.hand_on(&mut held),
        }
    }

    fn poll_fd(&self) -> Option<Descriptor<'_>> {
        match self.defect {
            Defect::NoDescriptor => None,
            Defect::AlwaysWritable => Some(self.pair.descriptor()),
            Defect::NeverWritable => {
                self.pair.fill();
                Some(self.pair.descriptor())
            }
            _ => self.inner().poll_fd(),
        }
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        if self.is(Defect::PanicsWhenEndedTwice) && self.ended.swap(true, SeqCst) {
            panic!("as asked");
        }
        match (self.defect, how) {
            (Defect::HalfCloseEndsBoth, Shutdown::Write) => self.inner().shutdown(Shutdown::Both),
            (Defect::HalfCloseAborts, Shutdown::Write) => self.inner().abort(),
            (Defect::HalfCloseIgnored, Shutdown::Write) => Ok(()),
            (Defect::HandshakeUnstoppable, Shutdown::Both) => Ok(()),
            (Defect::ShutdownShutsReading, Shutdown::Both) => self.inner().shutdown(Shutdown::Read),
            (Defect::ShutdownUnseen, Shutdown::Both) => {
                self.ended.store(true, SeqCst);
                self.inner().shutdown(Shutdown::Read)
            }
            (Defect::ShutdownShutsWriting, Shutdown::Both) => self.inner().shutdown(Shutdown::Write),
            (Defect::ShutdownBlocks, Shutdown::Both) => loop {
                thread::park();
            },
            (Defect::WritesAfterEnd, Shutdown::Both) => {
                self.ended.store(true, SeqCst);
                self.inner().shutdown(how)
            }
            _ => self.inner().shutdown(how),
        }
    }

    fn abort(&self) -> io::Result<()> {
        match self.defect {
            Defect::AbortShutsReading => self.inner().shutdown(Shutdown::Read),
            Defect::AbortShutsWriting => self.inner().shutdown(Shutdown::Write),
            Defect::ReadsAfterAbort => {
                self.ended.store(true, SeqCst);
                self.inner().abort()
            }
            _ => self.inner().abort(),
        }
    }

    fn peer(&self) -> String {
        match self.defect {
            Defect::NoName => String::new(),
            Defect::TwoLines => "a peer\nof two lines".into(),
            Defect::NameChanges => format!("peer {}", self.calls.fetch_add(1, SeqCst)),
            Defect::NameIsLost if self.inner().write_vectored(&[IoSlice::new(b"?")]).is_err() => "unknown".into(),
            Defect::HangsInPeer => loop {
                thread::park();
            },
            _ => self.inner().peer(),
        }
    }
}

impl Drop for Bad {
    fn drop(&mut self) {
        match self.defect {
            Defect::Leaks | Defect::ShutdownUnseen => std::mem::forget(self.stream.take()),
            Defect::DropResets => drop(self.inner().abort()),
            _ => {}
        }
    }
}
