//! A program's own transport, with its panics contained: they come back as errors, so that no thread of the service
//! dies of them and no state is left half changed.

use std::io::{self, IoSlice};
use std::net::{Shutdown, SocketAddr};
#[cfg(unix)]
use std::os::fd::BorrowedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use super::{Connector, Keepalive, Listener, Stream};
use crate::panics::let_go;

/// Calls; a panic comes back as an error.
fn contain<T>(call: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|payload| {
        let_go(payload);
        Err(io::Error::other("the transport panicked"))
    })
}

/// What it contains; gone only while it is dropped.
pub(crate) struct Contained<T: ?Sized>(Option<Box<T>>);

impl<T: ?Sized> Contained<T> {
    pub(crate) fn new(inner: Box<T>) -> Self {
        Self(Some(inner))
    }

    fn inner(&self) -> &T {
        self.0.as_deref().expect("nobody calls what is being dropped")
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
    Box::new(Contained::new(stream))
}

impl<T: ?Sized> Drop for Contained<T> {
    fn drop(&mut self) {
        let _ = contain(|| {
            drop(self.0.take());
            Ok(())
        });
    }
}

impl Stream for Contained<dyn Stream> {
    fn needs_handshake(&self) -> bool {
        contain(|| Ok(self.inner().needs_handshake())).unwrap_or_default()
    }

    fn handshake(&self) -> io::Result<()> {
        contain(|| self.inner().handshake())
    }

    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = buffer.len();
        match contain(|| self.inner().read(buffer)) {
            Ok(count) if count > room => Err(io::Error::other("the transport read more than it was asked for")),
            result => result,
        }
    }

    fn wait_readable(&self, time: Duration) -> io::Result<bool> {
        contain(|| self.inner().wait_readable(time))
    }

    fn write_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        no_more_than(buffers, contain(|| self.inner().write_vectored(buffers)))
    }

    fn try_write_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        no_more_than(buffers, contain(|| self.inner().try_write_vectored(buffers)))
    }

    fn flush(&self) -> io::Result<()> {
        contain(|| self.inner().flush())
    }

    fn try_flush(&self) -> io::Result<()> {
        contain(|| self.inner().try_flush())
    }

    #[cfg(unix)]
    fn poll_fd(&self) -> Option<BorrowedFd<'_>> {
        contain(|| Ok(self.inner().poll_fd())).unwrap_or_default()
    }

    fn has_end(&self) -> bool {
        contain(|| Ok(self.inner().has_end())).unwrap_or_default()
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        contain(|| self.inner().shutdown(how))
    }

    fn abort(&self) -> io::Result<()> {
        contain(|| self.inner().abort())
    }

    fn keep_alive(&self, keepalive: Option<Keepalive>, user_timeout: Option<Duration>) -> io::Result<()> {
        contain(|| self.inner().keep_alive(keepalive, user_timeout))
    }

    fn unanswered_for(&self) -> io::Result<Option<Duration>> {
        contain(|| self.inner().unanswered_for())
    }

    fn peer(&self) -> String {
        contain(|| Ok(self.inner().peer())).unwrap_or_default()
    }

    fn peer_addr(&self) -> Option<SocketAddr> {
        contain(|| Ok(self.inner().peer_addr())).unwrap_or_default()
    }

    fn local_addr(&self) -> Option<SocketAddr> {
        contain(|| Ok(self.inner().local_addr())).unwrap_or_default()
    }

    fn peer_certificates(&self) -> Vec<Vec<u8>> {
        contain(|| Ok(self.inner().peer_certificates())).unwrap_or_default()
    }
}

impl Listener for Contained<dyn Listener> {
    fn accept(&self) -> io::Result<Option<Box<dyn Stream>>> {
        Ok(contain(|| self.inner().accept())?.map(stream))
    }

    fn accept_for(&self, time: Duration) -> io::Result<Option<Box<dyn Stream>>> {
        Ok(contain(|| self.inner().accept_for(time))?.map(stream))
    }

    fn accept_to_refuse(&self) -> io::Result<Option<Box<dyn Stream>>> {
        Ok(contain(|| self.inner().accept_to_refuse())?.map(stream))
    }

    fn descriptors_per_stream(&self) -> usize {
        contain(|| Ok(self.inner().descriptors_per_stream())).unwrap_or_default()
    }

    fn stop(&self) {
        let _ = contain(|| {
            self.inner().stop();
            Ok(())
        });
    }

    fn name(&self) -> String {
        contain(|| Ok(self.inner().name())).unwrap_or_default()
    }

    fn local_addr(&self) -> Option<SocketAddr> {
        contain(|| Ok(self.inner().local_addr())).unwrap_or_default()
    }
}

impl Connector for Contained<dyn Connector> {
    fn connect(&self, address: &str) -> io::Result<Box<dyn Stream>> {
        contain(|| self.inner().connect(address)).map(stream)
    }

    fn stop(&self) {
        let _ = contain(|| {
            self.inner().stop();
            Ok(())
        });
    }

    fn describe(&self, address: &str) -> String {
        contain(|| Ok(self.inner().describe(address))).unwrap_or_else(|_| address.to_owned())
    }
}
