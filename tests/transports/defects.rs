//! Transports with one defect each: the check that is there for it finds it, and names it.

use std::io;
use std::net::SocketAddr;
use std::panic;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Once};
use std::thread;
use std::time::Duration;

use leads_comm::transport::memory::{self, MemoryListener};
use leads_comm::transport::{Connector, Listener, Stream};
use leads_comm_conformance::{Failure, ListenerCheck, StreamCheck, Suite};

use crate::defective::{Bad, Defect};
use crate::ours::{LITTLE, memory_listener, memory_pair, memory_suite};
use crate::ours::{tcp_pair, tcp_suite};

/// How long a check may take that is going to hang.
const SHORT: Duration = Duration::from_millis(700);

/// What a check says about a stream in memory, or over TCP, with a defect in both of its ends.
fn found(check: StreamCheck, defect: Defect, suite: Suite, pair: Pair) -> Result<(), Failure> {
    check.run(&suite, move || {
        let (one, other) = pair();
        (Bad::boxed(one, defect), Bad::boxed(other, defect))
    })
}

type Pair = fn() -> (Box<dyn Stream>, Box<dyn Stream>);

/// A defect, the check that finds it, and a part of what it says.
type Case = (Defect, StreamCheck, &'static str);

/// Runs them side by side: those that hang only wait.
fn find_all(cases: &[Case], suite: &Suite, pair: Pair) {
    expect_panics_in_checks();
    thread::scope(|scope| {
        for (defect, check, says) in cases {
            scope.spawn(move || {
                let suite = if says.contains("hangs") { suite.clone().time(SHORT) } else { suite.clone() };
                let failure = found(*check, *defect, suite, pair).expect_err(&format!("{defect:?} is not found"));
                assert_eq!(failure.check(), check.name());
                assert_eq!(failure.hung(), says.contains("hangs"), "{defect:?}: {failure}");
                let text = failure.to_string();
                for part in says.split(" … ") {
                    assert!(text.contains(part), "{defect:?}: {part:?} is not in {text:?}");
                }
            });
        }
    });
}

/// Keeps the panics that a check is to find out of the output.
fn expect_panics_in_checks() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let report = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            if !thread::current().name().is_some_and(|name| name.starts_with("conformance")) {
                report(panic);
            }
        }));
    });
}

#[test]
fn without_a_defect_all_is_well() {
    let bad = |defect| {
        move || {
            let (one, other) = memory_pair();
            (Bad::boxed(one, defect), Bad::boxed(other, defect))
        }
    };
    let suite = memory_suite().bulk(LITTLE);
    suite.check_streams(bad(Defect::None));
    // Nothing is wrong with this one either, which takes the seam's less common turns.
    suite.check_streams(bad(Defect::NoneButUncommon));
}

#[test]
fn what_is_wrong_with_streams() {
    use Defect::*;
    use StreamCheck::*;
    let cases: &[Case] = &[
        (HandshakeFails, Handshake, "the handshake fails: as asked"),
        (HandshakeUnstoppable, Handshake, "hangs … a handshake that is ended by shutdown"),
        (NoName, PeerName, "has no name"),
        (TwoLines, PeerName, "has several lines"),
        (NameChanges, PeerName, "when asked again, and was"),
        (NameIsLost, PeerName, "when the peer has gone, and was"),
        (HangsInPeer, PeerName, "hangs … the peer's name at first"),
        (FlipsBit, Bytes, "is read as"),
        (Swaps, Bytes, "is read as"),
        (LosesLong, Bytes, "is read as"),
        (PanicsOnRead, Bytes, "reading what the peer writes: panics: as asked"),
        (SaysMoreRead, Bytes, "read says"),
        (FailsToWrite, Bytes, "write_vectored fails: as asked"),
        (ZeroWritten, Bytes, "write_vectored takes nothing"),
        (MoreWritten, Bytes, "write_vectored says"),
        (ReadThrowsAway, PartialReads, "is read as"),
        (FillsBuffers, PartialReads, "hangs … 64 KiB"),
        (FirstBufferOnly, VectoredWrites, "hangs … reading what write_vectored wrote"),
        (StopsAtEmpty, VectoredWrites, "write_vectored takes nothing"),
        (OneLock, WriteWhileReading, "hangs … a read of the writer blocks"),
        (OneLock, ReadWhileWriting, "hangs … reading while a write of the same stream blocks"),
        (OneLock, FullDuplex, "hangs"),
        (SharesScratch, FullDuplex, "is read as"),
        (TryBlocks, TryWrite, "hangs … try_write_vectored, to a peer that does not read"),
        (TrySwallows, TryWrite, "bytes that nobody reads"),
        (TryMissing, TryWrite, "try_write_vectored fails"),
        (TryTakesAndRefuses, TryWrite, "is read as"),
        (FlushForgets, TryWrite, "is read as"),
        (FlushNever, TryWrite, "hangs"),
        (HalfCloseEndsBoth, HalfClose, "half close: "),
        (HalfCloseAborts, HalfClose, "read fails"),
        (HalfCloseIgnored, HalfClose, "half close: "),
        (ShutdownShutsReading, ShutdownWakesWrite, "hangs … a write that nobody reads"),
        (ShutdownShutsWriting, ShutdownWakesRead, "hangs … a blocked read that shutdown of both halves is to wake"),
        (ShutdownBlocks, ShutdownWakesRead, "hangs … shutdown of both halves"),
        (ShutdownUnseen, ShutdownWakesRead, "hangs … a read of the peer"),
        (WritesAfterEnd, ShutdownWakesRead, "a write succeeds although shutdown of both halves"),
        (AbortShutsReading, AbortWakesWrite, "hangs … a write that nobody reads"),
        (AbortShutsWriting, AbortWakesRead, "hangs … a blocked read that abort is to wake"),
        (ReadsAfterAbort, AbortWakesRead, "bytes although abort has ended the stream"),
        (PanicsWhenEndedTwice, EndRepeatedly, "panics: as asked"),
        (EndIsForgotten, EndStays, "read fails"),
        (Leaks, DropCloses, "hangs … a read whose peer is dropped"),
        (DropResets, DropCloses, "ConnectionReset"),
    ];
    find_all(cases, &memory_suite().holds(1024 * 1024), memory_pair);
}

/// What only a stream that can be polled can do wrong.
#[test]
fn what_is_wrong_with_streams_that_can_be_polled() {
    use Defect::*;
    use StreamCheck::*;
    let cases: &[Case] = &[
        (NoDescriptor, PollWritable, "poll_fd gives no descriptor"),
        (AlwaysWritable, PollWritable, "again and again"),
        (AlwaysReadable, WaitReadable, "Ok(true) although nothing has been written"),
        (NeverReadable, WaitReadable, "Ok(false) when something is written"),
        (WaitsTooLong, WaitReadable, "hangs … wait_readable"),
    ];
    find_all(cases, &tcp_suite(), tcp_pair);
    let suite = tcp_suite().time(SHORT);
    let failure = found(PollWritable, NeverWritable, suite, tcp_pair).unwrap_err();
    assert!(failure.hung() || failure.to_string().contains("does not poll writable"), "{failure}");
}

#[test]
fn what_is_not_expected_is_found_as_well() {
    use StreamCheck::*;
    let there = |check, suite: Suite| found(check, Defect::None, suite, memory_pair).unwrap_err().to_string();
    assert!(there(TryWrite, memory_suite().try_write(false)).contains("is not expected, and says Ok"));
    assert!(there(WaitReadable, memory_suite().wait_readable(true)).contains("Unsupported"));
    assert!(there(EndStays, memory_suite().ends(false)).contains("has_end says true"));
    {
        let there = |check, suite: Suite| found(check, Defect::None, suite, tcp_pair).unwrap_err().to_string();
        assert!(there(PollWritable, tcp_suite().poll_fd(false)).contains("gives a descriptor"));
        assert!(there(WaitReadable, tcp_suite().wait_readable(false)).contains("is not expected"));
    }
    let failure = ListenerCheck::AcceptFor.run(&Suite::new().accept_for(false), memory_listener).unwrap_err();
    assert!(failure.to_string().contains("accept_for"), "{failure}");
}

#[test]
fn all_failures_are_told_at_once_and_none_hangs_the_caller() {
    let outcome = thread::spawn(|| {
        let suite = memory_suite().holds(1024 * 1024).time(SHORT);
        suite.check_streams(|| {
            let (one, other) = memory_pair();
            (Bad::boxed(one, Defect::ShutdownShutsWriting), Bad::boxed(other, Defect::ShutdownShutsWriting))
        });
    });
    let panic = outcome.join().unwrap_err();
    let text = panic.downcast_ref::<String>().unwrap();
    assert!(text.contains("of 19 checks of the stream failed:\n"), "{text}");
    assert!(text.contains("\n  shutdown wakes read: hangs, for 700ms: a blocked read"), "{text}");
}

/// What is wrong with a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ListenerDefect {
    None,
    NoName,
    NameChanges,
    GivesAnother,
    LosesCallers,
    Fails,
    AcceptForBlocks,
    TimesOutOtherwise,
    AcceptForMissing,
    RefusingBlocks,
    StopIgnored,
    StopsOnce,
    StopIsAnError,
    Leaks,
}

struct BadListener {
    listener: Option<MemoryListener>,
    defect: ListenerDefect,
    calls: AtomicUsize,
}

impl BadListener {
    fn inner(&self) -> &MemoryListener {
        self.listener.as_ref().unwrap()
    }
}

impl Listener for BadListener {
    fn accept(&self) -> io::Result<Option<Box<dyn Stream>>> {
        let stream = self.inner().accept()?;
        if stream.is_none() {
            match self.defect {
                ListenerDefect::StopIsAnError => return Err(io::Error::other("as asked")),
                ListenerDefect::StopsOnce if self.calls.fetch_add(1, Relaxed) > 0 => forever(),
                _ => return Ok(None),
            }
        }
        match self.defect {
            ListenerDefect::GivesAnother => Ok(Some(memory_pair().0)),
            ListenerDefect::LosesCallers if self.calls.fetch_add(1, Relaxed) == 3 => self.inner().accept(),
            ListenerDefect::Fails => Err(io::Error::other("as asked")),
            _ => Ok(stream),
        }
    }

    fn accept_for(&self, time: Duration) -> io::Result<Option<Box<dyn Stream>>> {
        match self.defect {
            ListenerDefect::AcceptForBlocks => self.inner().accept(),
            ListenerDefect::AcceptForMissing => Err(io::ErrorKind::Unsupported.into()),
            ListenerDefect::TimesOutOtherwise => {
                self.inner().accept_for(time).map_err(|_| io::ErrorKind::TimedOut.into())
            }
            _ => self.inner().accept_for(time),
        }
    }

    fn accept_to_refuse(&self) -> io::Result<Option<Box<dyn Stream>>> {
        if self.defect == ListenerDefect::RefusingBlocks { self.inner().accept() } else { Ok(None) }
    }

    fn stop(&self) {
        if self.defect != ListenerDefect::StopIgnored {
            self.inner().stop();
        }
    }

    fn name(&self) -> String {
        match self.defect {
            ListenerDefect::NoName => String::new(),
            ListenerDefect::NameChanges => self.calls.fetch_add(1, Relaxed).to_string(),
            _ => self.inner().name(),
        }
    }

    fn local_addr(&self) -> Option<SocketAddr> {
        None
    }
}

impl Drop for BadListener {
    fn drop(&mut self) {
        if self.defect == ListenerDefect::Leaks {
            std::mem::forget(self.listener.take());
        }
    }
}

fn forever() -> ! {
    loop {
        thread::park();
    }
}

#[test]
fn what_is_wrong_with_listeners() {
    use ListenerCheck as Check;
    let make = |defect| {
        move || -> (Box<dyn Listener>, Box<dyn Connector>, String) {
            let (listener, connector) = memory::listener();
            let listener = BadListener { listener: Some(listener), defect, calls: AtomicUsize::new(0) };
            (Box::new(listener), Box::new(connector), "anywhere".into())
        }
    };
    Suite::new().check_listener(make(ListenerDefect::None));
    let cases = [
        (ListenerDefect::NoName, Check::Name, "has no name"),
        (ListenerDefect::NameChanges, Check::Name, "changes"),
        // What is written to a stream that has no other end fails, or what is read from it ends.
        (ListenerDefect::GivesAnother, Check::Accept, ""),
        (ListenerDefect::LosesCallers, Check::Accept, ""),
        (ListenerDefect::Fails, Check::Accept, "accept fails: as asked"),
        (ListenerDefect::AcceptForBlocks, Check::AcceptFor, "hangs … accept_for 20ms"),
        (ListenerDefect::TimesOutOtherwise, Check::AcceptFor, "Err(TimedOut)"),
        (ListenerDefect::AcceptForMissing, Check::AcceptFor, "Err(Unsupported)"),
        (ListenerDefect::RefusingBlocks, Check::AcceptToRefuse, "hangs … accept_to_refuse"),
        (ListenerDefect::StopIgnored, Check::Stop, "hangs … accept"),
        (ListenerDefect::StopsOnce, Check::Stop, "hangs … accept"),
        (ListenerDefect::StopIsAnError, Check::Stop, "accept fails: as asked"),
        (ListenerDefect::Leaks, Check::DropCloses, "hangs … has been dropped"),
    ];
    thread::scope(|scope| {
        for (defect, check, says) in cases {
            scope.spawn(move || {
                let suite = if says.contains("hangs") { Suite::new().time(SHORT) } else { Suite::new() };
                let failure = check.run(&suite, make(defect)).expect_err(&format!("{defect:?} is not found"));
                assert_eq!((failure.check(), failure.hung()), (check.name(), says.contains("hangs")), "{failure}");
                assert!(says.split(" … ").all(|part| failure.to_string().contains(part)), "{defect:?}: {failure}");
            });
        }
    });
}

struct BadConnector {
    answers: bool,
    opened: Arc<Box<dyn Connector>>,
}

impl Connector for BadConnector {
    fn connect(&self, address: &str) -> io::Result<Box<dyn Stream>> {
        if self.answers { self.opened.connect(address) } else { forever() }
    }
}

#[test]
fn what_is_wrong_with_connectors() {
    let panic = |answers: bool| {
        let outcome = thread::spawn(move || {
            Suite::new().time(if answers { Duration::from_secs(20) } else { SHORT }).check_connector(move || {
                let (listener, connector, address) = memory_listener();
                std::mem::forget(listener);
                (Box::new(BadConnector { answers, opened: Arc::new(connector) }), address)
            });
        });
        outcome.join().unwrap_err().downcast_ref::<String>().unwrap().clone()
    };
    assert!(panic(false).contains("hangs, for 700ms: connecting, which is stopped"));
    assert!(panic(true).contains("connect succeeds although it was stopped"));
}
