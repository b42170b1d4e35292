//! A transport of a program's own: a layer over another one that passes everything on, but for what a test wants
//! otherwise.

use std::io::{self, IoSlice};
use std::net::{Shutdown, SocketAddr};
#[cfg(unix)]
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::Duration;

use leads_comm::Keepalive;
use leads_comm::transport::{Connector, Listener, Stream};

/// What a layer does otherwise.
pub trait Layer: Send + Sync + 'static {
    fn read(&self, stream: &dyn Stream, buffer: &mut [u8]) -> io::Result<usize> {
        stream.read(buffer)
    }

    fn shutdown(&self, stream: &dyn Stream, how: Shutdown) -> io::Result<()> {
        stream.shutdown(how)
    }

    fn abort(&self, stream: &dyn Stream) -> io::Result<()> {
        stream.abort()
    }

    fn keep_alive(&self) -> io::Result<()> {
        Ok(())
    }

    fn accept(&self, listener: &dyn Listener) -> io::Result<Option<Box<dyn Stream>>> {
        listener.accept()
    }

    fn accept_for(&self, listener: &dyn Listener, time: Duration) -> io::Result<Option<Box<dyn Stream>>> {
        listener.accept_for(time)
    }

    fn connect(&self, connector: &dyn Connector, address: &str) -> io::Result<Box<dyn Stream>> {
        connector.connect(address)
    }

    /// A stream, a listener or a connector is dropped.
    fn dropped(&self, _what: &'static str) {}
}

/// A stream, a listener or a connector under a layer.
pub struct Layered<T: ?Sized> {
    inner: Box<T>,
    layer: Arc<dyn Layer>,
    what: &'static str,
}

pub fn listener(inner: impl Listener, layer: &Arc<impl Layer>) -> Layered<dyn Listener> {
    Layered { inner: Box::new(inner), layer: layer.clone(), what: "listener" }
}

pub fn connector(inner: impl Connector, layer: &Arc<impl Layer>) -> Layered<dyn Connector> {
    Layered { inner: Box::new(inner), layer: layer.clone(), what: "connector" }
}

impl<T: ?Sized> Layered<T> {
    fn stream(&self, inner: Box<dyn Stream>) -> Box<dyn Stream> {
        Box::new(Layered { inner, layer: Arc::clone(&self.layer), what: "stream" })
    }
}

impl<T: ?Sized> Drop for Layered<T> {
    fn drop(&mut self) {
        self.layer.dropped(self.what);
    }
}

impl Stream for Layered<dyn Stream> {
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.layer.read(&*self.inner, buffer)
    }

    fn wait_readable(&self, time: Duration) -> io::Result<bool> {
        self.inner.wait_readable(time)
    }

    fn write_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        self.inner.write_vectored(buffers)
    }

    fn try_write_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        self.inner.try_write_vectored(buffers)
    }

    #[cfg(unix)]
    fn poll_fd(&self) -> Option<BorrowedFd<'_>> {
        self.inner.poll_fd()
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.layer.shutdown(&*self.inner, how)
    }

    fn abort(&self) -> io::Result<()> {
        self.layer.abort(&*self.inner)
    }

    fn keep_alive(&self, _: Option<Keepalive>, _: Option<Duration>) -> io::Result<()> {
        self.layer.keep_alive()
    }

    fn peer(&self) -> String {
        self.inner.peer()
    }
}

impl Listener for Layered<dyn Listener> {
    fn accept(&self) -> io::Result<Option<Box<dyn Stream>>> {
        Ok(self.layer.accept(&*self.inner)?.map(|stream| self.stream(stream)))
    }

    fn accept_for(&self, time: Duration) -> io::Result<Option<Box<dyn Stream>>> {
        Ok(self.layer.accept_for(&*self.inner, time)?.map(|stream| self.stream(stream)))
    }

    fn stop(&self) {
        self.inner.stop();
    }

    fn name(&self) -> String {
        self.inner.name()
    }

    fn local_addr(&self) -> Option<SocketAddr> {
        self.inner.local_addr()
    }
}

impl Connector for Layered<dyn Connector> {
    fn connect(&self, address: &str) -> io::Result<Box<dyn Stream>> {
        self.layer.connect(&*self.inner, address).map(|stream| self.stream(stream))
    }

    fn stop(&self) {
        self.inner.stop();
    }
}
