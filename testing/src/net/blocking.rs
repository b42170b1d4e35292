//! Streams that cannot be written without blocking, so that a thread of their own writes them.

use std::io::{self, IoSlice};
use std::net::Shutdown;

use leads_comm::transport::memory::{self, MemoryConnector, MemoryListener};
use leads_comm::transport::{Connector, Listener, Stream};
use leads_comm::{Client, ClientBuilder, Server, ServerBuilder};

use super::raw::Raw;
use super::{Dial, Transport};

/// See [`Net::Blocking`](super::Net::Blocking).
pub struct Blocking;

impl Transport for Blocking {
    fn server(&self) -> (ServerBuilder, Box<dyn Dial>) {
        let (listener, connector) = memory::listener();
        (Server::builder().transport(BlockingListener(listener)), Box::new(BlockingConnector(connector)))
    }

    fn writes_without_blocking(&self) -> bool {
        false
    }
}

/// A stream without its non-blocking write.
struct BlockingStream(Box<dyn Stream>);

impl Stream for BlockingStream {
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }

    fn write_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.write_vectored(buffers)
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.0.shutdown(how)
    }

    fn abort(&self) -> io::Result<()> {
        self.0.abort()
    }

    fn peer(&self) -> String {
        self.0.peer()
    }
}

struct BlockingListener(MemoryListener);

impl Listener for BlockingListener {
    fn accept(&self) -> io::Result<Option<Box<dyn Stream>>> {
        Ok(self.0.accept()?.map(blocking))
    }

    fn stop(&self) {
        self.0.stop();
    }

    fn name(&self) -> String {
        self.0.name()
    }
}

#[derive(Clone)]
struct BlockingConnector(MemoryConnector);

impl Connector for BlockingConnector {
    fn connect(&self, address: &str) -> io::Result<Box<dyn Stream>> {
        self.0.connect(address).map(blocking)
    }
}

impl Dial for BlockingConnector {
    fn client(&self, _: &Server) -> ClientBuilder {
        Client::builder().transport(self.clone())
    }

    fn raw(&self, server: &Server) -> Raw {
        self.0.raw(server)
    }
}

/// The stream without its non-blocking write.
pub fn blocking(stream: Box<dyn Stream>) -> Box<dyn Stream> {
    Box::new(BlockingStream(stream))
}
