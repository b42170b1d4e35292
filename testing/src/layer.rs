//! A transport of a program's own: a layer over another one that passes everything on, but for what a test wants
//! otherwise.

use std::fmt;
use std::io::{self, IoSlice};
use std::net::{Shutdown, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use leads_comm::transport::{Connector, Descriptor, Keepalive, Listener, Stream};

/// What a layer does otherwise. Every method passes on what it is asked, unless it is written anew.
pub trait Layer: Send + Sync + 'static {
    /// A layer of its own for a stream that has just come; `None` for this one.
    fn of(&self, _stream: &dyn Stream) -> Option<Arc<dyn Layer>> {
        None
    }

    /// Whether there is only what every transport must have, and what a program may leave out is left out: writes
    /// that do not block, waiting for a while, addresses, and so on.
    fn is_bare(&self) -> bool {
        false
    }

    /// See [`Stream::needs_handshake`].
    fn needs_handshake(&self, stream: &dyn Stream) -> bool {
        stream.needs_handshake()
    }

    /// See [`Stream::handshake`].
    fn handshake(&self, stream: &dyn Stream) -> io::Result<()> {
        stream.handshake()
    }

    /// See [`Stream::read`].
    fn read(&self, stream: &dyn Stream, buffer: &mut [u8]) -> io::Result<usize> {
        stream.read(buffer)
    }

    /// See [`Stream::write_vectored`] and [`Stream::try_write_vectored`].
    fn write(&self, stream: &dyn Stream, buffers: &[IoSlice<'_>], how: How) -> io::Result<usize> {
        how.write(stream, buffers)
    }

    /// See [`Stream::flush`] and [`Stream::try_flush`].
    fn flush(&self, stream: &dyn Stream, how: How) -> io::Result<()> {
        how.flush(stream)
    }

    /// See [`Stream::shutdown`].
    fn shutdown(&self, stream: &dyn Stream, how: Shutdown) -> io::Result<()> {
        stream.shutdown(how)
    }

    /// See [`Stream::abort`].
    fn abort(&self, stream: &dyn Stream) -> io::Result<()> {
        stream.abort()
    }

    /// See [`Stream::keep_alive`].
    fn keep_alive(
        &self,
        stream: &dyn Stream,
        keepalive: Option<Keepalive>,
        user_timeout: Option<Duration>,
    ) -> io::Result<()> {
        stream.keep_alive(keepalive, user_timeout)
    }

    /// See [`Stream::unanswered_for`].
    fn unanswered_for(&self, stream: &dyn Stream) -> io::Result<Option<Duration>> {
        stream.unanswered_for()
    }

    /// See [`Stream::limit_unsent`].
    fn limit_unsent(&self, stream: &dyn Stream, bytes: Option<usize>) -> io::Result<()> {
        stream.limit_unsent(bytes)
    }

    /// See [`Stream::system_queued_bytes`].
    fn system_queued_bytes(&self, stream: &dyn Stream) -> io::Result<u64> {
        stream.system_queued_bytes()
    }

    /// See [`Stream::peer_unread_bytes`].
    fn peer_unread_bytes(&self, stream: &dyn Stream) -> io::Result<u64> {
        stream.peer_unread_bytes()
    }

    /// See [`Stream::peer`].
    fn peer(&self, stream: &dyn Stream) -> String {
        stream.peer()
    }

    /// See [`Stream::peer_addr`].
    fn peer_addr(&self, stream: &dyn Stream) -> Option<SocketAddr> {
        stream.peer_addr()
    }

    /// See [`Stream::peer_certificates`].
    fn peer_certificates(&self, stream: &dyn Stream) -> Vec<Vec<u8>> {
        stream.peer_certificates()
    }

    /// See [`Listener::accept`].
    fn accept(&self, listener: &dyn Listener) -> io::Result<Option<Box<dyn Stream>>> {
        listener.accept()
    }

    /// See [`Listener::accept_for`].
    fn accept_for(&self, listener: &dyn Listener, time: Duration) -> io::Result<Option<Box<dyn Stream>>> {
        listener.accept_for(time)
    }

    /// See [`Connector::connect`].
    fn connect(&self, connector: &dyn Connector, address: &str) -> io::Result<Box<dyn Stream>> {
        connector.connect(address)
    }

    /// The library drops what lies over this.
    fn dropped(&self, _below: Below<'_>) {}
}

/// Which of two ways to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// The one that waits for room.
    Blocking,
    /// The one that does not.
    Direct,
}

impl How {
    /// Writes to the stream in this way.
    pub fn write(self, stream: &dyn Stream, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Blocking => stream.write_vectored(buffers),
            Self::Direct => stream.try_write_vectored(buffers),
        }
    }

    /// Has the stream hand on what it holds, in this way.
    pub fn flush(self, stream: &dyn Stream) -> io::Result<()> {
        match self {
            Self::Blocking => stream.flush(),
            Self::Direct => stream.try_flush(),
        }
    }
}

/// What lies below a layer.
#[allow(missing_docs, reason = "the types say it")]
pub enum Below<'a> {
    Stream(&'a dyn Stream),
    Listener(&'a dyn Listener),
    Connector(&'a dyn Connector),
}

impl fmt::Display for Below<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stream(_) => "stream",
            Self::Listener(_) => "listener",
            Self::Connector(_) => "connector",
        })
    }
}

/// A stream, a listener or a connector under a layer.
pub struct Layered<T: ?Sized> {
    inner: Box<T>,
    layer: Arc<dyn Layer>,
    below: for<'a> fn(&'a T) -> Below<'a>,
}

/// A stream under a layer.
pub fn stream(inner: Box<dyn Stream>, layer: &Arc<impl Layer>) -> Box<dyn Stream> {
    over(inner, layer.clone())
}

/// A listener whose streams come under a layer.
pub fn listener(inner: impl Listener, layer: &Arc<impl Layer>) -> Layered<dyn Listener> {
    Layered { inner: Box::new(inner), layer: layer.clone(), below: |listener| Below::Listener(listener) }
}

/// A connector whose streams come under a layer.
pub fn connector(inner: impl Connector, layer: &Arc<impl Layer>) -> Layered<dyn Connector> {
    Layered { inner: Box::new(inner), layer: layer.clone(), below: |connector| Below::Connector(connector) }
}

fn over(inner: Box<dyn Stream>, layer: Arc<dyn Layer>) -> Box<dyn Stream> {
    Box::new(Layered { inner, layer, below: |stream| Below::Stream(stream) })
}

impl<T: ?Sized> Layered<T> {
    fn stream(&self, inner: Box<dyn Stream>) -> Box<dyn Stream> {
        let layer = self.layer.of(&*inner).unwrap_or_else(|| Arc::clone(&self.layer));
        over(inner, layer)
    }

    /// What may be left out, unless it is; `missing` then.
    fn unless_bare<R>(&self, missing: R, passed_on: impl FnOnce(&dyn Layer, &T) -> R) -> R {
        if self.layer.is_bare() { missing } else { passed_on(&*self.layer, &self.inner) }
    }
}

impl<T: ?Sized> Drop for Layered<T> {
    fn drop(&mut self) {
        self.layer.dropped((self.below)(&self.inner));
    }
}

fn unsupported<T>() -> io::Result<T> {
    Err(io::ErrorKind::Unsupported.into())
}

impl Stream for Layered<dyn Stream> {
    fn needs_handshake(&self) -> bool {
        self.layer.needs_handshake(&*self.inner)
    }

    fn handshake(&self) -> io::Result<()> {
        self.layer.handshake(&*self.inner)
    }

    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.layer.read(&*self.inner, buffer)
    }

    fn wait_readable(&self, time: Duration) -> io::Result<bool> {
        self.unless_bare(unsupported(), |_, stream| stream.wait_readable(time))
    }

    fn write_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        self.layer.write(&*self.inner, buffers, How::Blocking)
    }

    fn flush(&self) -> io::Result<()> {
        self.layer.flush(&*self.inner, How::Blocking)
    }

    fn try_write_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        self.unless_bare(unsupported(), |layer, stream| layer.write(stream, buffers, How::Direct))
    }

    fn try_flush(&self) -> io::Result<()> {
        self.layer.flush(&*self.inner, How::Direct)
    }

    fn poll_fd(&self) -> Option<Descriptor<'_>> {
        if self.layer.is_bare() { None } else { self.inner.poll_fd() }
    }

    fn holds_part(&self) -> bool {
        self.inner.holds_part()
    }

    fn has_end(&self) -> bool {
        self.inner.has_end()
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.layer.shutdown(&*self.inner, how)
    }

    fn abort(&self) -> io::Result<()> {
        self.layer.abort(&*self.inner)
    }

    fn keep_alive(&self, keepalive: Option<Keepalive>, user_timeout: Option<Duration>) -> io::Result<()> {
        self.unless_bare(unsupported(), |layer, stream| layer.keep_alive(stream, keepalive, user_timeout))
    }

    fn unanswered_for(&self) -> io::Result<Option<Duration>> {
        self.unless_bare(unsupported(), Layer::unanswered_for)
    }

    fn limit_unsent(&self, bytes: Option<usize>) -> io::Result<()> {
        self.unless_bare(unsupported(), |layer, stream| layer.limit_unsent(stream, bytes))
    }

    fn system_queued_bytes(&self) -> io::Result<u64> {
        self.unless_bare(unsupported(), Layer::system_queued_bytes)
    }

    fn peer_unread_bytes(&self) -> io::Result<u64> {
        self.unless_bare(unsupported(), Layer::peer_unread_bytes)
    }

    fn peer(&self) -> String {
        self.layer.peer(&*self.inner)
    }

    fn peer_addr(&self) -> Option<SocketAddr> {
        self.unless_bare(None, Layer::peer_addr)
    }

    fn local_addr(&self) -> Option<SocketAddr> {
        self.unless_bare(None, |_, stream| stream.local_addr())
    }

    fn peer_certificates(&self) -> Vec<Vec<u8>> {
        self.layer.peer_certificates(&*self.inner)
    }
}

impl Listener for Layered<dyn Listener> {
    fn accept(&self) -> io::Result<Option<Box<dyn Stream>>> {
        Ok(self.layer.accept(&*self.inner)?.map(|stream| self.stream(stream)))
    }

    fn accept_for(&self, time: Duration) -> io::Result<Option<Box<dyn Stream>>> {
        let accepted = self.unless_bare(unsupported(), |layer, listener| layer.accept_for(listener, time))?;
        Ok(accepted.map(|stream| self.stream(stream)))
    }

    fn accept_to_refuse(&self) -> io::Result<Option<Box<dyn Stream>>> {
        let accepted = self.unless_bare(Ok(None), |_, listener| listener.accept_to_refuse())?;
        Ok(accepted.map(|stream| self.stream(stream)))
    }

    fn descriptors_per_stream(&self) -> usize {
        self.inner.descriptors_per_stream()
    }

    fn stop(&self) {
        self.inner.stop();
    }

    fn name(&self) -> String {
        self.inner.name()
    }

    fn local_addr(&self) -> Option<SocketAddr> {
        self.unless_bare(None, |_, listener| listener.local_addr())
    }
}

impl Connector for Layered<dyn Connector> {
    fn connect(&self, address: &str) -> io::Result<Box<dyn Stream>> {
        self.layer.connect(&*self.inner, address).map(|stream| self.stream(stream))
    }

    fn stop(&self) {
        self.inner.stop();
    }

    fn describe(&self, address: &str) -> String {
        self.inner.describe(address)
    }
}
