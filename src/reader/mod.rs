//! The reader thread: stream -> decoder -> callback. The one place where a connection's callbacks are called, and the
//! one door through which every connection leaves.

#[cfg(all(test, loom))]
mod model;

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use log::{debug, trace};

use crate::buffered::{Buffered, Held};
use crate::callback::{self, Callback};
use crate::codec::{Decoder, GOODBYE, MessageTooLong, Messages};
use crate::connection::Connection;
use crate::disconnect::{DisconnectReason, Undelivered};
use crate::error::Error;
use crate::link::Link;
use crate::service::Core;
use crate::transport::{Stream, is_nothing_yet};

/// How much is read at once while little comes: onto the stack, so that an idle connection holds no buffer.
const IDLE_READ: usize = 1024;

/// How much is read at once otherwise: much once a read has filled what it was given.
const SMALL_READ: usize = 16 * 1024;
const LARGE_READ: usize = 128 * 1024;

/// How long a buffer is kept for what may come next.
const KEEP_BUFFER: Duration = Duration::from_millis(50);

/// Lives through one connection, which is in the table already: from `on_connect` to `on_disconnect`.
///
/// All of it is told to the one `callback` that the connection began with, whatever is set meanwhile.
pub(crate) fn run(core: &Core, connection: &Connection, callback: &dyn Callback, stream: Arc<dyn Stream>) {
    debug!("connection {} {connection} opened", connection.id());
    let reader = Reader { core, connection, link: connection.link(), callback, begun: Cell::new(false) };
    reader.call("on_connect", || callback.on_connect(core, connection));
    let unfinished = reader.read_to_end(&*stream);
    drop(stream);
    let reason = connection.link().retire(unfinished);
    core.forget(connection, reason);
    if let Err(message) = callback::call(|| callback.on_disconnect(core, connection, reason)) {
        core.fail(callback, &Error::CallbackPanicked { callback: "on_disconnect", message });
    }
}

struct Reader<'a> {
    core: &'a Core,
    connection: &'a Connection,
    link: &'a Link,
    callback: &'a dyn Callback,
    /// Whether the link has been told of an unfinished message.
    begun: Cell<bool>,
}

/// Messages that have arrived, lent one by one.
trait Arrived {
    fn next_message(&mut self) -> Result<Option<&[u8]>, MessageTooLong>;
}

impl Arrived for Decoder {
    fn next_message(&mut self) -> Result<Option<&[u8]>, MessageTooLong> {
        self.next_message()
    }
}

impl Arrived for Messages<'_> {
    fn next_message(&mut self) -> Result<Option<&[u8]>, MessageTooLong> {
        self.next_message()
    }
}

impl Reader<'_> {
    /// Reads until the stream ends or fails; how many bytes of an unfinished message were left then.
    fn read_to_end(&self, stream: &dyn Stream) -> usize {
        let settings = self.core.settings();
        // Dropped behind the decoder.
        let mut held = Held::new(&self.link.context().buffered);
        let mut decoder = Decoder::new(settings.separator.clone(), settings.max_message_len);
        let mut idle_chunk = [0; IDLE_READ];
        // How much to read into the decoder's buffer; while idle, nothing is read there.
        let mut busy = None;
        // What was left of an unfinished message, and has been dropped since the end began.
        let mut dropped = 0;
        self.link.watch_idle();
        loop {
            // Nor is anything while memory is scarce.
            let space = busy.filter(|len| held.cover_ample(decoder.capacity_with(*len)));
            let read = match space {
                None => stream.read(&mut idle_chunk),
                Some(len) => stream.read(decoder.space(len)),
            };
            match read {
                Ok(0) => {
                    let unfinished = dropped + self.unfinished(&decoder);
                    self.link.end_with_stream();
                    return unfinished;
                }
                Ok(_) if self.link.is_discarding() => {
                    dropped += self.unfinished(&decoder);
                    decoder.drop_remainder();
                    held.settle(0);
                    if self.link.is_given_up() {
                        return dropped;
                    }
                    self.link.note_drained();
                }
                Ok(count) if space.is_none() && !self.find_room(&mut held, decoder.capacity_with(count)) => {
                    // The end has begun: what is read next is discarded, and this with it.
                    dropped += if self.link.ends_for_unfinished() { count } else { 0 };
                }
                Ok(count) => {
                    self.link.note_read();
                    self.link.note_arrival();
                    if space.is_some() {
                        decoder.filled(count);
                        self.deliver(&mut decoder);
                    } else {
                        self.deliver(&mut decoder.decode(&idle_chunk[..count]));
                    }
                    if self.link.is_discarding() {
                        // What had arrived behind the end is of no interest, and no unfinished message.
                        dropped += self.unfinished(&decoder);
                        decoder.drop_remainder();
                    }
                    self.note_remainder(decoder.remainder().len());
                    busy = match busy {
                        None if count == IDLE_READ => Some(SMALL_READ),
                        Some(len) if count == len => Some(LARGE_READ),
                        Some(_) if decoder.remainder().is_empty() && !is_more_coming(stream) => {
                            decoder.drop_remainder();
                            None
                        }
                        unchanged => unchanged,
                    };
                    held.settle(decoder.capacity());
                }
                Err(error) if is_nothing_yet(&error) => {
                    if self.link.is_given_up() {
                        return dropped + self.unfinished(&decoder);
                    }
                }
                Err(error) => {
                    let unfinished = dropped + self.unfinished(&decoder);
                    self.link.cut(DisconnectReason::io(error));
                    return unfinished;
                }
            }
        }
    }

    /// How many bytes of an unfinished message the end of the stream leaves; none when the end began here, unless because
    /// of them.
    fn unfinished(&self, decoder: &Decoder) -> usize {
        let counts = !self.link.is_discarding() || self.link.ends_for_unfinished();
        if counts { decoder.remainder().len() } else { 0 }
    }

    /// Sees to it that the decoder may have this capacity; false when the connection ends instead.
    fn find_room(&self, held: &mut Held<'_>, capacity: usize) -> bool {
        held.cover(capacity) || self.wait_for_room(held, capacity)
    }

    #[cold]
    fn wait_for_room(&self, held: &mut Held<'_>, capacity: usize) -> bool {
        let deadline = Buffered::deadline();
        while !held.cover(capacity) {
            if !self.link.context().find_buffer(held.lacking(capacity), self.link, deadline) {
                return false;
            }
        }
        true
    }

    /// Tells the link what a chunk has left.
    fn note_remainder(&self, len: usize) {
        if len > 0 {
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

    /// Gives every whole message to the callback, up to the one that ends the connection.
    fn deliver(&self, arrived: &mut impl Arrived) {
        let undelivered = Undelivered::default();
        let separator = self.core.settings().separator.len();
        let mut end = None;
        // One guard against panics for all of them: whichever panics, nothing is delivered behind it.
        self.call("on_receive", || {
            while !self.link.is_discarding() {
                match arrived.next_message() {
                    Ok(None) => return,
                    Ok(Some(GOODBYE)) => {
                        end = Some(DisconnectReason::PeerGoodbye { undelivered });
                        return;
                    }
                    Ok(Some(message)) => {
                        self.note_finished();
                        trace!("connection {} {}: {} bytes received", self.link.id(), self.link.peer(), message.len());
                        self.link.received().count(message.len() + separator);
                        self.callback.on_receive(self.core, self.connection, message);
                    }
                    Err(MessageTooLong { limit }) => {
                        end = Some(DisconnectReason::MessageTooLong { limit, undelivered });
                        return;
                    }
                }
            }
        });
        if let Some(reason) = end {
            self.link.end(reason);
        }
    }

    /// Calls back; a panic ends this connection and nothing else.
    fn call(&self, name: &'static str, callback: impl FnOnce()) {
        let Err(message) = callback::call(callback) else { return };
        let undelivered = Undelivered::default();
        let reason = DisconnectReason::CallbackPanicked { callback: name, message: message.clone(), undelivered };
        if !self.link.end(reason) {
            // The connection ends for another reason, which does not tell of this.
            self.core.fail(self.callback, &Error::CallbackPanicked { callback: name, message });
        }
    }
}

/// After a read that took all there was: waits a little for more, so that the buffer is kept in the meantime, and not
/// for ever. A stream that cannot tell is taken for idle.
fn is_more_coming(stream: &dyn Stream) -> bool {
    stream.wait_readable(KEEP_BUFFER).unwrap_or(false)
}
