use std::fmt;
use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::time::{Duration, Instant};

use leads_comm::transport::{Descriptor, Stream, is_nothing_yet};
use parking_lot::Mutex;
use tungstenite::protocol::Role;

use crate::Settings;
use crate::error::Error;
use crate::incoming::Incoming;
use crate::opening::{self, Entrance, Wish};
use crate::outgoing::{Answers, Mode, Outgoing};

/// For how long a peer that has done something wrong is seen out, and how much it may still send, in bytes.
const A_MOMENT: Duration = Duration::from_millis(500);
const DISCARDED: usize = 1024 * 1024;

/// A WebSocket over any other stream.
///
/// Towards the service it has messages [by their length](leads_comm::codec::Framing::Length), so that is the framing of
/// the service; towards the peer each of them is a message of a WebSocket.
///
/// [`WebSocketListener`](crate::WebSocketListener) and [`WebSocketConnector`](crate::WebSocketConnector) make these for
/// services. A program makes one itself where it has read the request for it: see [`upgraded`](Self::upgraded).
pub struct WebSocketStream {
    stream: Box<dyn Stream>,
    opening: Opening,
    /// Whether the handshake has begun, or has been called off.
    begun: AtomicBool,
    is_open: AtomicBool,
    /// Locked by the one reading thread, and not while it waits for bytes.
    incoming: Mutex<Incoming>,
    answers: Answers,
    /// Locked by the one writing thread, which may block meanwhile; other threads that ask do not wait.
    outgoing: Mutex<Outgoing>,
}

/// What comes before the first frame.
enum Opening {
    Nothing,
    LetIn(Entrance),
    Ask(Wish),
}

impl WebSocketStream {
    /// A server's end of a stream on which everything that comes before the first frame has been said: the program has
    /// read a request, and written [what it is answered](crate::Upgrade::answer). `rest` is what it has read behind the
    /// request.
    pub fn upgraded(stream: Box<dyn Stream>, rest: &[u8], settings: &Settings) -> Self {
        let this = Self::new(stream, Role::Server, Opening::Nothing, settings);
        if !rest.is_empty() {
            this.incoming.lock().take_in(rest, &this.answers);
            this.answer();
        }
        this
    }

    pub(crate) fn server(stream: Box<dyn Stream>, entrance: Entrance, settings: &Settings) -> Self {
        Self::new(stream, Role::Server, Opening::LetIn(entrance), settings)
    }

    pub(crate) fn client(stream: Box<dyn Stream>, wish: Wish, settings: &Settings) -> Self {
        Self::new(stream, Role::Client, Opening::Ask(wish), settings)
    }

    fn new(stream: Box<dyn Stream>, role: Role, opening: Opening, settings: &Settings) -> Self {
        Self {
            stream,
            begun: AtomicBool::new(false),
            is_open: AtomicBool::new(matches!(opening, Opening::Nothing)),
            opening,
            incoming: Mutex::new(Incoming::new(role, settings.max_received_len)),
            answers: Answers::default(),
            outgoing: Mutex::new(Outgoing::new(role, settings.is_text.clone())),
        }
    }

    fn check_open(&self) -> io::Result<()> {
        if self.is_open.load(Ordering::Acquire) { Ok(()) } else { Err(Error::NotOpen.into()) }
    }

    /// Hands out what is there; else reads what there is below, which may be no whole message: `None` then.
    fn receive(
        &self,
        buffer: &mut [u8],
        read: fn(&dyn Stream, &mut [u8]) -> io::Result<usize>,
    ) -> io::Result<Option<usize>> {
        self.check_open()?;
        let ready = self.incoming.lock().read(buffer);
        let read = match ready {
            Some(Ok(count)) => return Ok(Some(count)),
            Some(Err(_)) => ready,
            None => {
                let received = read(&*self.stream, buffer)?;
                let mut incoming = self.incoming.lock();
                incoming.take_in(&buffer[..received], &self.answers);
                incoming.read(buffer)
            }
        };
        self.answer();
        if let Some(Err(_)) = read {
            self.see_out();
        }
        read.transpose()
    }

    fn write(&self, buffers: &[IoSlice<'_>], mode: Mode) -> io::Result<usize> {
        self.check_open()?;
        let taken = self.outgoing.lock().write(&*self.stream, &self.answers, buffers, mode);
        self.answer();
        taken
    }

    fn write_out(&self, mode: Mode) -> io::Result<()> {
        let written = self.outgoing.lock().write_out(&*self.stream, mode);
        self.answer();
        written
    }

    /// Says what the reader has to say, where that can be done at once. What cannot waits for the next write, or the
    /// next bytes of the peer.
    fn answer(&self) {
        loop {
            // Of a reader that has something to say and finds a writer here, and that writer, one sees the other.
            fence(Ordering::SeqCst);
            if !self.answers.is_pending() {
                return;
            }
            let Some(mut outgoing) = self.outgoing.try_lock() else { return };
            if outgoing.is_within() || outgoing.write_out(&*self.stream, Mode::Direct).is_err() {
                return;
            }
            let said = outgoing.collect(&self.answers).and_then(|()| outgoing.write_out(&*self.stream, Mode::Direct));
            if said.is_err() {
                return self.answers.set_pending();
            }
        }
    }

    /// Says Close, unless that has been done. Within a message nothing can be said, and the stream is cut off.
    fn say_close(&self) -> io::Result<()> {
        // A thread that writes, and may block in that.
        let Some(mut outgoing) = self.outgoing.try_lock() else { return Err(io::ErrorKind::WouldBlock.into()) };
        // It may be that of the reader, about something that was wrong.
        outgoing.collect(&self.answers)?;
        if !outgoing.is_closed() {
            if outgoing.is_within() {
                drop(outgoing);
                return self.stream.shutdown(Shutdown::Write);
            }
            outgoing.close(self.answers.regular_close())?;
        }
        match outgoing.write_out(&*self.stream, Mode::Direct) {
            // Left to a flush that blocks, unless that has been made.
            Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                if outgoing.is_empty() {
                    Ok(())
                } else {
                    Err(io::ErrorKind::WouldBlock.into())
                }
            }
            written => written,
        }
    }

    /// Tells a caller that there is no room for it, unless its handshake has begun, as far as that goes at once.
    fn call_off(&self) {
        if matches!(self.opening, Opening::LetIn(_))
            && !self.stream.needs_handshake()
            && !self.begun.swap(true, Ordering::AcqRel)
        {
            let _ = self.stream.try_write_vectored(&[IoSlice::new(&opening::refusal(503))]);
            let _ = self.stream.try_flush();
        }
    }

    /// Gives a peer that has done something wrong a moment to read what: what it sends meanwhile would turn that into a
    /// reset.
    fn see_out(&self) {
        if !self.outgoing.try_lock().is_some_and(|outgoing| outgoing.is_closed() && outgoing.is_empty()) {
            return;
        }
        let _ = self.stream.shutdown(Shutdown::Write);
        let until = Instant::now() + A_MOMENT;
        let (mut discarded, mut chunk) = (0, [0; 4096]);
        while discarded < DISCARDED {
            let left = until.saturating_duration_since(Instant::now());
            match self.stream.wait_readable(left) {
                Ok(true) if !left.is_zero() => {}
                _ => return,
            }
            match self.stream.read_once(&mut chunk) {
                Ok(count @ 1..) => discarded += count,
                Err(error) if is_nothing_yet(&error) => {}
                Ok(0) | Err(_) => return,
            }
        }
    }
}

impl Stream for WebSocketStream {
    fn below(&self) -> Option<&dyn Stream> {
        Some(&*self.stream)
    }

    fn needs_handshake(&self) -> bool {
        !matches!(self.opening, Opening::Nothing) || self.stream.needs_handshake()
    }

    fn handshake(&self) -> io::Result<()> {
        if self.stream.needs_handshake() {
            self.stream.handshake()?;
        }
        let rest = match &self.opening {
            Opening::Nothing => return Ok(()),
            _ if self.begun.swap(true, Ordering::AcqRel) => return Err(Error::NotOpen.into()),
            Opening::LetIn(entrance) => opening::let_in(&*self.stream, entrance)?,
            Opening::Ask(wish) => opening::ask(&*self.stream, wish)?,
        };
        if !rest.is_empty() {
            self.incoming.lock().take_in(&rest, &self.answers);
        }
        self.is_open.store(true, Ordering::Release);
        self.answer();
        Ok(())
    }

    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(count) = self.receive(buffer, <dyn Stream>::read)? {
                return Ok(count);
            }
        }
    }

    fn read_once(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let received = self.receive(buffer, <dyn Stream>::read_once)?;
        received.ok_or(io::ErrorKind::WouldBlock.into())
    }

    fn holds_part(&self) -> bool {
        self.incoming.lock().holds_part() || self.stream.holds_part()
    }

    /// Whether there is something to look at, which may turn out to be no whole message.
    fn wait_readable(&self, time: Duration) -> io::Result<bool> {
        if self.incoming.lock().is_readable() {
            return Ok(true);
        }
        self.stream.wait_readable(time)
    }

    fn write_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        self.write(buffers, Mode::Blocking)
    }

    fn flush(&self) -> io::Result<()> {
        self.write_out(Mode::Blocking)
    }

    fn try_write_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        self.write(buffers, Mode::Direct)
    }

    fn try_flush(&self) -> io::Result<()> {
        self.write_out(Mode::Direct)
    }

    /// Waits for nothing but the stream below.
    fn poll_fd(&self) -> Option<Descriptor<'_>> {
        self.stream.poll_fd()
    }

    /// Close is one, whatever there is below.
    fn has_end(&self) -> bool {
        true
    }

    /// `Write` says Close, and leaves the stream below as it is: the peer's Close is still to come, and some take an
    /// end of the stream before that for a break. Before the handshake, it says that there will be none.
    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        match how {
            Shutdown::Write if self.is_open.load(Ordering::Acquire) => self.say_close(),
            Shutdown::Write => {
                self.call_off();
                self.stream.shutdown(how)
            }
            Shutdown::Read | Shutdown::Both => self.stream.shutdown(how),
        }
    }

    fn peer(&self) -> String {
        self.stream.peer()
    }
}

impl fmt::Debug for WebSocketStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocketStream").field("stream", &self.stream).finish_non_exhaustive()
    }
}
