//! The reader thread: stream -> decoder -> callback. The one place where a connection's callbacks are called, and the
//! one door through which every connection leaves.
//!
//! [`read_buffer`] has the half from the stream to the decoder.

#[cfg(all(test, loom))]
mod model;
mod read_buffer;

use std::cell::Cell;
use std::io;
use std::mem;
use std::sync::Arc;
use std::time::Instant;

use crate::admission::handshakes::Pending;
use crate::codec::{GOODBYE, Lent};
use crate::connection::link::Link;
use crate::connection::{Connection, ConnectionId};
use crate::error::{DisconnectCause, Error};
use crate::service::Core;
use crate::service::callback::{Callback, Chain};
use crate::settings::Delivery;
use crate::sync::user_code::{self, debug, trace};
use crate::transport::{Stream, is_nothing_yet};
pub(crate) use read_buffer::SMALL_CHUNK;
use read_buffer::{Arrived, ReadBuffer};

/// A connection that is in the table, and waits for its reader. Dropped before, it ends, and no callback is told of it.
pub(crate) struct Opened {
    core: Arc<Core>,
    connection: Connection,
    /// Until somebody reads it.
    stream: Option<Arc<dyn Stream>>,
    /// What has arrived on it before; no more than a [`SMALL_CHUNK`].
    ahead: Vec<u8>,
    /// What there was when it was opened, so that the callbacks which are told of its beginning are told of its end.
    callback: Arc<Chain>,
}

impl Opened {
    /// Makes a connection of an open stream, which may have been `pending`; `None` when the service is closing,
    /// or what was pending has been given up.
    pub(crate) fn new(
        core: &Arc<Core>,
        id: ConnectionId,
        stream: Arc<dyn Stream>,
        delivery: Delivery,
        ahead: Vec<u8>,
        pending: Option<&Pending>,
    ) -> Option<Self> {
        let callback = core.callback();
        let connection = core.open(id, Arc::clone(&stream), delivery, pending)?;
        Some(Self { core: Arc::clone(core), connection, stream: Some(stream), ahead, callback })
    }

    pub(crate) fn connection(&self) -> &Connection {
        &self.connection
    }

    pub(crate) fn callback(&self) -> &Chain {
        &self.callback
    }

    /// The calling thread will read it.
    pub(crate) fn read_here(&self) {
        self.connection.link().calls().read_here();
    }

    /// Lives through the connection, from `on_connect` to `on_disconnect`, whatever happens in between.
    ///
    /// All of it is told to the one callback that the connection began with, whatever is set meanwhile.
    pub(crate) fn read(mut self) {
        let Some(stream) = self.stream.take() else { return };
        let ahead = mem::take(&mut self.ahead);
        let Self { core, connection, callback, .. } = &self;
        debug!("connection {} {connection} opened", connection.id());
        let link = connection.link();
        link.calls().read_here();
        let first = Cell::new(if core.is_client() { First::Nothing } else { First::Other });
        let reader =
            Reader { core, connection, link, callback, first, begun: Cell::default(), dropped: Cell::default() };
        reader.call("on_connect", || callback.on_connect(&**core, connection));
        let read = user_code::survive(|| reader.read_to_end(&*stream, ahead));
        let unfinished = read.unwrap_or_else(|message| {
            link.abort(DisconnectCause::ServiceFailed { message });
            0
        });
        drop(stream);
        let reason = link.retire(unfinished);
        core.remove(connection, reason);
        if let Err(message) = user_code::call(|| callback.on_disconnect(&**core, connection, reason)) {
            core.fail(&**callback, &Error::CallbackPanicked { callback: "on_disconnect", message });
        }
        link.values().end();
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        if self.stream.take().is_some() {
            self.connection.abort();
            let reason = self.connection.link().retire(0);
            self.core.remove(&self.connection, reason);
            self.connection.link().values().end();
        }
    }
}

struct Reader<'a> {
    core: &'a Core,
    connection: &'a Connection,
    link: &'a Link,
    callback: &'a Chain,
    first: Cell<First>,
    /// Whether the link has been told of an unfinished message.
    begun: Cell<bool>,
    /// How many bytes of an unfinished message have been dropped since the end began.
    dropped: Cell<usize>,
}

/// What a server has said first, as far as it may turn out that it does not let the client in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum First {
    Nothing,
    Goodbye,
    /// It may not: something else has been said, or this is no client.
    Other,
}

impl Reader<'_> {
    /// Reads until the stream ends or fails; how many bytes of an unfinished message were left then.
    fn read_to_end(&self, stream: &dyn Stream, ahead: Vec<u8>) -> usize {
        let mut idle_chunk = [0; SMALL_CHUNK];
        let mut buffer =
            ReadBuffer::new(self.core.settings(), &self.link.engine().inbound_budget, &mut idle_chunk, &ahead);
        drop(ahead);
        self.link.watch_idle();
        loop {
            match buffer.read(stream) {
                Ok(0) => {
                    let unfinished = self.unfinished(&buffer);
                    self.link.end_with_stream();
                    return unfinished;
                }
                Ok(count) if self.link.is_discarding() => {
                    self.link.received().note_read(Instant::now());
                    let parted = self.has_parted(stream, &mut buffer, count);
                    if parted || self.link.is_given_up() || !self.link.note_discarded(count) {
                        return self.unfinished(&buffer);
                    }
                }
                Ok(count) if !self.find_room(&mut buffer, count) => {
                    // The end has begun: what is read next is discarded, and this with it.
                    self.note_dropped(count);
                }
                Ok(count) => {
                    self.link.note_read();
                    self.link.note_arrival();
                    let parted = self.deliver(buffer.arrived(count));
                    if parted && !stream.has_end() {
                        return self.unfinished(&buffer);
                    }
                    // A refusal that has begun is heard to the end.
                    if self.link.is_discarding() && self.first.get() == First::Other {
                        self.discard(&mut buffer);
                    }
                    self.note_remainder(stream, buffer.unfinished());
                    buffer.adapt(count, stream);
                }
                Err(error) if is_nothing_yet(&error) => {
                    if self.link.is_given_up() {
                        return self.unfinished(&buffer);
                    }
                    self.note_part(stream, buffer.unfinished());
                }
                Err(error) => {
                    let unfinished = self.unfinished(&buffer);
                    let error = Arc::new(error);
                    // Over TLS a server refuses a certificate when to its client the handshake is over.
                    if self.has_heard_nothing() && error.kind() == io::ErrorKind::InvalidData {
                        self.link.note_refusal(DisconnectCause::io(Arc::clone(&error)));
                    }
                    self.link.fail_with_read(error);
                    return unfinished;
                }
            }
        }
    }

    /// How many bytes of an unfinished message the end of the stream leaves.
    fn unfinished(&self, buffer: &ReadBuffer<'_>) -> usize {
        let left = if self.counts_unfinished() { buffer.unfinished() } else { 0 };
        self.dropped.get() + left
    }

    /// Throws a chunk away that has arrived behind the end, unless it may be a refusal; whether the peer has said in it
    /// that nothing more will come, where its stream has no end to say so.
    fn has_parted(&self, stream: &dyn Stream, buffer: &mut ReadBuffer<'_>, count: usize) -> bool {
        if stream.has_end() && (self.first.get() == First::Other || self.link.ends_for_unfinished()) {
            self.discard(buffer);
            return false;
        }
        let parted = self.look_through(&mut buffer.arrived(count));
        // It may be the beginning of the goodbye, and of what ends it.
        if buffer.unfinished() >= self.core.settings().framing.goodbye().len() {
            self.first.set(First::Other);
            self.discard(buffer);
        }
        parted && !stream.has_end()
    }

    /// Goes through what has arrived behind the end; whether the goodbye is among it.
    fn look_through(&self, arrived: &mut Arrived<'_>) -> bool {
        let mut parted = false;
        while let Ok(Some(Lent { message, .. })) = arrived.next() {
            parted |= message == GOODBYE;
            self.hear(message);
        }
        parted
    }

    /// Whether it is a client's, and nothing has been said to it.
    fn has_heard_nothing(&self) -> bool {
        self.first.get() == First::Nothing && self.link.received().is_empty()
    }

    /// Hears a goodbye, or what comes behind the end, which may both be a part of a refusal.
    fn hear(&self, message: &[u8]) {
        self.first.set(match (self.first.get(), message) {
            (_, GOODBYE) if self.has_heard_nothing() => First::Goodbye,
            (First::Goodbye, b"") => {
                self.link.note_refusal(DisconnectCause::NotLetIn);
                First::Other
            }
            _ => First::Other,
        });
    }

    /// What arrives behind the end is of no interest.
    fn discard(&self, buffer: &mut ReadBuffer<'_>) {
        self.note_dropped(buffer.unfinished());
        buffer.clear();
    }

    fn note_dropped(&self, len: usize) {
        if self.counts_unfinished() {
            self.dropped.set(self.dropped.get() + len);
        }
    }

    /// Whether what arrives is an unfinished message: not when the end began here, unless because of one.
    fn counts_unfinished(&self) -> bool {
        !self.link.is_discarding() || self.link.ends_for_unfinished()
    }

    /// Sees to it that the decoder may take the chunk in; false when the connection ends instead.
    #[inline]
    fn find_room(&self, buffer: &mut ReadBuffer<'_>, count: usize) -> bool {
        buffer.cover(count).is_ok() || self.wait_for_room(buffer, count)
    }

    #[cold]
    fn wait_for_room(&self, buffer: &mut ReadBuffer<'_>, count: usize) -> bool {
        let deadline = Core::memory_deadline();
        while let Err(lacking) = buffer.cover(count) {
            if !self.core.find_memory(lacking, self.link, deadline) {
                return false;
            }
        }
        true
    }

    /// Tells the link that a part of something has arrived of which the stream can hand out nothing yet, or that what
    /// it was a part of is whole, and was of no interest.
    fn note_part(&self, stream: &dyn Stream, len: usize) {
        if self.link.is_discarding() {
            return;
        }
        if stream.holds_part() {
            self.link.note_arrival();
            self.note_remainder(stream, len);
        } else if len == 0 {
            self.note_finished();
        }
    }

    /// Tells the link what a chunk has left, or the stream has kept.
    fn note_remainder(&self, stream: &dyn Stream, len: usize) {
        if len > 0 || stream.holds_part() {
            self.begun.set(true);
            self.link.note_unfinished(len);
        } else {
            self.note_finished();
        }
        self.link.note_silence();
    }

    /// Before a callback, at the latest: while it runs, the peer is not waited for.
    #[inline]
    fn note_finished(&self) {
        if self.begun.replace(false) {
            self.link.note_finished();
        }
    }

    /// Gives every whole message to the call that it answers, or else to the callback, up to the one that ends the
    /// connection; whether the peer has said its goodbye.
    fn deliver(&self, mut arrived: Arrived<'_>) -> bool {
        let mut end = None;
        // Looked at once for all of them: what has arrived is no answer to what is asked from now on.
        let calls = self.link.calls();
        let newest_call = calls.newest();
        // One guard against panics for all of them: whichever panics, nothing is delivered behind it.
        self.call("on_receive", || {
            while !self.link.is_discarding() {
                match arrived.next() {
                    Ok(None) => return,
                    Ok(Some(Lent { message: GOODBYE, .. })) => {
                        end = Some(DisconnectCause::PeerGoodbye);
                        return;
                    }
                    Ok(Some(Lent { message, frame_len })) => {
                        self.note_finished();
                        trace!("connection {} {}: {} bytes received", self.link.id(), self.link.peer(), message.len());
                        self.link.received().count(frame_len);
                        if newest_call > 0 && calls.offer(newest_call, message) {
                            continue;
                        }
                        self.callback.on_receive(self.core, self.connection, message);
                    }
                    Err(error) => {
                        end = Some(error.into());
                        return;
                    }
                }
            }
        });
        let parted = matches!(end, Some(DisconnectCause::PeerGoodbye));
        if let Some(cause) = end {
            self.link.close(cause);
        }
        if parted {
            self.hear(GOODBYE);
        }
        // Also behind an end that has begun here meanwhile.
        let parted_behind = self.link.is_discarding() && self.look_through(&mut arrived);
        parted || parted_behind
    }

    /// Calls back; a panic ends this connection and nothing else.
    fn call(&self, name: &'static str, callback: impl FnOnce()) {
        let Err(message) = user_code::call(callback) else { return };
        if !self.link.close(DisconnectCause::CallbackPanicked { callback: name, message: message.clone() }) {
            // The connection ends for another reason, which does not tell of this.
            self.core.fail(self.callback, &Error::CallbackPanicked { callback: name, message });
        }
    }
}
