//! The reader thread: stream -> decoder -> callback. The one place where a connection's callbacks are called, and the
//! one door through which every connection leaves.

use std::io;
use std::sync::Arc;

use log::{debug, trace};

use crate::callback::{self, Callback};
use crate::codec::{Decoder, GOODBYE, MessageTooLong};
use crate::connection::Connection;
use crate::disconnect::{DisconnectReason, Undelivered};
use crate::error::Error;
use crate::link::Link;
use crate::service::Core;
use crate::transport::Stream;

/// How much is read at once: little while little comes, much while a read fills what it is given.
const SMALL_READ: usize = 16 * 1024;
const LARGE_READ: usize = 128 * 1024;

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

impl Reader<'_> {
    /// Reads until the stream ends or fails; how many bytes of an unfinished message were left then.
    fn read_to_end(&self, stream: &dyn Stream) -> usize {
        let settings = self.core.settings();
        let mut decoder = Decoder::new(settings.separator.clone(), settings.max_message_len);
        let mut read_len = SMALL_READ;
        loop {
            match stream.read(decoder.space(read_len)) {
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
                    decoder.filled(count);
                    self.deliver(&mut decoder);
                    read_len = if count == read_len { LARGE_READ } else { read_len };
                    if decoder.remainder().is_empty() && count < SMALL_READ && read_len == LARGE_READ {
                        // The rush is over.
                        decoder.drop_remainder();
                        read_len = SMALL_READ;
                    }
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
    fn deliver(&self, decoder: &mut Decoder) {
        let undelivered = Undelivered::default();
        while !self.link.is_discarding() {
            match decoder.next_message() {
                Ok(None) => return,
                Ok(Some(GOODBYE)) => {
                    self.link.end(DisconnectReason::PeerGoodbye { undelivered });
                    break;
                }
                Ok(Some(message)) => {
                    trace!("connection {} {}: {} bytes received", self.connection.id(), self.connection, message.len());
                    self.call("on_receive", || self.callback.on_receive(self.core, self.connection, message));
                }
                Err(MessageTooLong { limit }) => {
                    self.link.end(DisconnectReason::MessageTooLong { limit, undelivered });
                    break;
                }
            }
        }
        // What had arrived behind the end is of no interest, and no unfinished message.
        decoder.drop_remainder();
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

/// Whether a read reports that there is nothing to read yet, which is not an end.
fn is_nothing_yet(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}
