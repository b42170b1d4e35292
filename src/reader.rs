//! The reader thread: stream -> decoder -> callback. The one place where a connection's callbacks are called, and the
//! one door through which every connection leaves.

use std::sync::Arc;
use std::time::Duration;

use log::{debug, trace};

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
    let reader = Reader { core, connection, link: connection.link(), callback };
    reader.call("on_connect", || callback.on_connect(core, connection));
    let unfinished = reader.read_to_end(&*stream);
    drop(stream);
    let reason = connection.link().retire(unfinished);
    core.forget(connection);
    if let Err(message) = callback::call(|| callback.on_disconnect(core, connection, reason)) {
        core.fail(callback, &Error::CallbackPanicked { callback: "on_disconnect", message });
    }
}

struct Reader<'a> {
    core: &'a Core,
    connection: &'a Connection,
    link: &'a Link,
    callback: &'a dyn Callback,
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
        let mut decoder = Decoder::new(settings.separator.clone(), settings.max_message_len);
        let mut idle_chunk = [0; IDLE_READ];
        // How much to read into the decoder's buffer; while idle, nothing is read there.
        let mut busy = None;
        loop {
            let read = match busy {
                None => stream.read(&mut idle_chunk),
                Some(len) => stream.read(decoder.space(len)),
            };
            match read {
                Ok(0) => {
                    let unfinished = self.unfinished(&decoder);
                    self.link.end(DisconnectReason::PeerClosed { undelivered: Undelivered::default() });
                    return unfinished;
                }
                Ok(_) if self.link.is_discarding() => {
                    decoder.drop_remainder();
                    if self.link.is_given_up() {
                        return 0;
                    }
                    self.link.note_drained();
                }
                Ok(count) => {
                    self.link.outbox().note_heard();
                    if busy.is_some() {
                        decoder.filled(count);
                        self.deliver(&mut decoder);
                    } else {
                        self.deliver(&mut decoder.decode(&idle_chunk[..count]));
                    }
                    if self.link.is_discarding() {
                        // What had arrived behind the end is of no interest, and no unfinished message.
                        decoder.drop_remainder();
                    }
                    busy = match busy {
                        None if count == IDLE_READ => Some(SMALL_READ),
                        Some(len) if count == len => Some(LARGE_READ),
                        Some(_) if decoder.remainder().is_empty() && !is_more_coming(stream) => {
                            decoder.drop_remainder();
                            None
                        }
                        unchanged => unchanged,
                    };
                }
                Err(error) if is_nothing_yet(&error) => {
                    if self.link.is_given_up() {
                        return self.unfinished(&decoder);
                    }
                }
                Err(error) => {
                    let unfinished = self.unfinished(&decoder);
                    self.link.cut(DisconnectReason::io(error));
                    return unfinished;
                }
            }
        }
    }

    /// How many bytes of an unfinished message the end of the stream leaves; none when the end began here.
    fn unfinished(&self, decoder: &Decoder) -> usize {
        if self.link.is_discarding() { 0 } else { decoder.remainder().len() }
    }

    /// Gives every whole message to the callback, up to the one that ends the connection.
    fn deliver(&self, arrived: &mut impl Arrived) {
        let undelivered = Undelivered::default();
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
                        trace!("connection {} {}: {} bytes received", self.link.id(), self.link.peer(), message.len());
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
