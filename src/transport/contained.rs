//! A program's own transport, with its panics contained: they come back as errors, so that no thread of the service
//! dies of them and no state is left half changed.

use std::error::Error;
use std::fmt;
use std::io::{self, ErrorKind, IoSlice};
use std::net::{Shutdown, SocketAddr};
use std::time::Duration;

use super::{Connector, Descriptor, Keepalive, Listener, Stream};
use crate::error::{OneLine, write_sources};
use crate::sync::user_code::{self, Foreign};

/// Calls; a panic comes back as an error.
fn contain<T>(call: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    user_code::call(|| call().map_err(owned)).unwrap_or_else(|_| Err(io::Error::other("the transport panicked")))
}

/// An error whose destructor runs behind the door, on whatever thread; shown as it is.
fn owned(error: io::Error) -> io::Error {
    let kind = error.kind();
    if error.get_ref().is_none() {
        return error;
    }
    let inner = error.into_inner().map(|inner| OwnedError(Foreign::one_of_many("an error of a transport", inner)));
    inner.map_or(kind.into(), |inner| io::Error::new(kind, inner))
}

/// What was reported, of an error that may be [`owned`].
pub(super) fn reported(error: &io::Error) -> Option<&(dyn Error + Send + Sync + 'static)> {
    let error = error.get_ref()?;
    Some(error.downcast_ref::<OwnedError>().map_or(error, |owned| &*owned.0))
}

struct OwnedError(Foreign<dyn Error + Send + Sync>);

impl fmt::Debug for OwnedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl fmt::Display for OwnedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", OneLine(&*self.0))?;
        write_sources(f, self)
    }
}

impl Error for OwnedError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

fn in_one_line(name: String) -> String {
    OneLine(name).to_string()
}

/// The same for a call that is a part of many. Errors of the kinds `steps` only say what to do next, and are shown to
/// nobody: of them the kind is enough, and what else they are is dropped here.
fn contain_step<T>(steps: &[ErrorKind], call: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    contain(|| call().map_err(|error| if steps.contains(&error.kind()) { error.kind().into() } else { error }))
}

const READING: &[ErrorKind] = &[ErrorKind::Interrupted, ErrorKind::WouldBlock, ErrorKind::TimedOut];
const WRITING: &[ErrorKind] = &[ErrorKind::Interrupted];
const TRYING: &[ErrorKind] = &[ErrorKind::Interrupted, ErrorKind::WouldBlock, ErrorKind::Unsupported];

/// Refuses a count of read bytes that cannot be.
fn no_more_than_room(room: usize, read: io::Result<usize>) -> io::Result<usize> {
    match read {
        Ok(count) if count > room => Err(io::Error::other("the transport read more than it was asked for")),
        read => read,
    }
}

/// Refuses a count of written bytes that cannot be.
fn no_more_than(buffers: &[IoSlice<'_>], written: io::Result<usize>) -> io::Result<usize> {
    match written {
        Ok(count) if count > buffers.iter().map(|buffer| buffer.len()).sum() => {
            Err(io::Error::other("the transport wrote more than it was given"))
        }
        written => written,
    }
}

fn stream(stream: Box<dyn Stream>) -> Box<dyn Stream> {
    Box::new(Foreign::one_of_many("a stream", stream))
}

impl Stream for Foreign<dyn Stream> {
    fn needs_handshake(&self) -> bool {
        contain(|| Ok((**self).needs_handshake())).unwrap_or_default()
    }

    fn handshake(&self) -> io::Result<()> {
        contain(|| (**self).handshake())
    }

    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        no_more_than_room(buffer.len(), contain_step(READING, || (**self).read(buffer)))
    }

    fn read_once(&self, buffer: &mut [u8]) -> io::Result<usize> {
        no_more_than_room(buffer.len(), contain_step(READING, || (**self).read_once(buffer)))
    }

    fn wait_readable(&self, time: Duration) -> io::Result<bool> {
        contain_step(TRYING, || (**self).wait_readable(time))
    }

    fn write_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        no_more_than(buffers, contain_step(WRITING, || (**self).write_vectored(buffers)))
    }

    fn try_write_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        no_more_than(buffers, contain_step(TRYING, || (**self).try_write_vectored(buffers)))
    }

    fn flush(&self) -> io::Result<()> {
        contain_step(WRITING, || (**self).flush())
    }

    fn try_flush(&self) -> io::Result<()> {
        contain_step(TRYING, || (**self).try_flush())
    }

    fn poll_fd(&self) -> Option<Descriptor<'_>> {
        contain(|| Ok((**self).poll_fd())).unwrap_or_default()
    }

    fn holds_part(&self) -> bool {
        contain(|| Ok((**self).holds_part())).unwrap_or_default()
    }

    fn has_end(&self) -> bool {
        contain(|| Ok((**self).has_end())).unwrap_or_default()
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        contain(|| (**self).shutdown(how))
    }

    fn abort(&self) -> io::Result<()> {
        contain(|| (**self).abort())
    }

    fn keep_alive(&self, keepalive: Option<Keepalive>, user_timeout: Option<Duration>) -> io::Result<()> {
        contain(|| (**self).keep_alive(keepalive, user_timeout))
    }

    fn unanswered_for(&self) -> io::Result<Option<Duration>> {
        contain(|| (**self).unanswered_for())
    }

    fn limit_unsent(&self, bytes: Option<usize>) -> io::Result<()> {
        contain(|| (**self).limit_unsent(bytes))
    }

    fn system_queued_bytes(&self) -> io::Result<u64> {
        contain(|| (**self).system_queued_bytes())
    }

    fn peer_unread_bytes(&self) -> io::Result<u64> {
        contain(|| (**self).peer_unread_bytes())
    }

    fn peer(&self) -> String {
        contain(|| Ok(in_one_line((**self).peer()))).unwrap_or_default()
    }

    fn peer_addr(&self) -> Option<SocketAddr> {
        contain(|| Ok((**self).peer_addr())).unwrap_or_default()
    }

    fn local_addr(&self) -> Option<SocketAddr> {
        contain(|| Ok((**self).local_addr())).unwrap_or_default()
    }

    fn peer_certificates(&self) -> Vec<Vec<u8>> {
        contain(|| Ok((**self).peer_certificates())).unwrap_or_default()
    }
}

impl Listener for Foreign<dyn Listener> {
    fn accept(&self) -> io::Result<Option<Box<dyn Stream>>> {
        Ok(contain(|| (**self).accept())?.map(stream))
    }

    fn accept_for(&self, time: Duration) -> io::Result<Option<Box<dyn Stream>>> {
        Ok(contain(|| (**self).accept_for(time))?.map(stream))
    }

    fn accept_to_refuse(&self) -> io::Result<Option<Box<dyn Stream>>> {
        Ok(contain(|| (**self).accept_to_refuse())?.map(stream))
    }

    fn descriptors_per_stream(&self) -> usize {
        contain(|| Ok((**self).descriptors_per_stream())).unwrap_or_default()
    }

    fn stop(&self) {
        let _ = contain(|| {
            (**self).stop();
            Ok(())
        });
    }

    fn name(&self) -> String {
        contain(|| Ok(in_one_line((**self).name()))).unwrap_or_default()
    }

    fn local_addr(&self) -> Option<SocketAddr> {
        contain(|| Ok((**self).local_addr())).unwrap_or_default()
    }
}

impl Connector for Foreign<dyn Connector> {
    fn connect(&self, address: &str) -> io::Result<Box<dyn Stream>> {
        contain(|| (**self).connect(address)).map(stream)
    }

    fn stop(&self) {
        let _ = contain(|| {
            (**self).stop();
            Ok(())
        });
    }

    fn describe(&self, address: &str) -> String {
        contain(|| Ok((**self).describe(address))).unwrap_or_else(|_| address.to_owned())
    }
}
