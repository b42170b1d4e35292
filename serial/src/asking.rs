//! Asking one port who is there.

use std::io;
use std::time::{Duration, Instant};

use leads_comm::codec::Decoder;

use crate::failure::Outcome;
use crate::identity::Identity;
use crate::stopping::Stopping;
use crate::stream::SerialStream;

/// How long a message may be of which a device is recognised, and how much is listened to, in bytes.
const MAX_MESSAGE_LEN: usize = 4096;
const MAX_HEARD: usize = 256 * 1024;

/// What a device has said.
pub(crate) enum Heard<T> {
    /// A message that somebody recognises.
    Recognised(T),
    /// None.
    Nobodys(Outcome),
}

/// Asks, and shows each message to `recognise`, until it gives something. What has arrived behind that message is put
/// back into the stream.
pub(crate) fn ask<T>(
    stream: &SerialStream,
    identity: &Identity,
    stopping: &Stopping,
    mut recognise: impl FnMut(&[u8]) -> Option<T>,
) -> io::Result<Heard<T>> {
    let question = identity.encoded_question()?;
    if !identity.settle.is_zero() {
        stopping.pause(after(identity.settle))?;
    }
    let deadline = after(identity.deadline);
    let separator = identity.ends_messages_with();
    stopping.watch(stream.device(), || {
        let silent = Outcome::Silent { time: identity.deadline };
        match stream.write_until(&question, deadline) {
            // It does not take the question; there is nothing to wait for.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Heard::Nobodys(silent)),
            result => result?,
        }
        let mut decoder = Decoder::new(separator.clone(), MAX_MESSAGE_LEN);
        let (mut messages, mut bytes, mut ended) = (0, 0, 0);
        let mut chunk = [0; 512];
        while Instant::now() < deadline && bytes < MAX_HEARD {
            let count = match stream.read_until(&mut chunk, deadline) {
                // Stopped: whoever watches finds that out.
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            bytes += count;
            let mut arrived = decoder.decode(&chunk[..count]);
            loop {
                match arrived.next_message() {
                    Ok(Some(message)) => {
                        messages += 1;
                        ended += message.len() + separator.len();
                        if let Some(found) = recognise(message) {
                            stream.put_back(&chunk[count - (bytes - ended)..count]);
                            return Ok(Heard::Recognised(found));
                        }
                    }
                    Ok(None) => break,
                    // No device says that much in one message; this one speaks another language, or at another speed.
                    Err(_) => return Ok(Heard::Nobodys(Outcome::Unrecognised { messages, bytes })),
                }
            }
        }
        Ok(Heard::Nobodys(if bytes == 0 { silent } else { Outcome::Unrecognised { messages, bytes } }))
    })
}

/// So much later than now; a time too far ahead for the clock is as good as a year.
fn after(time: Duration) -> Instant {
    const FAR: Duration = Duration::from_secs(60 * 60 * 24 * 365);
    let now = Instant::now();
    now.checked_add(time).unwrap_or_else(|| now + FAR)
}
