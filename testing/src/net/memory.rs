//! The in-memory transport.

use std::io::IoSlice;

use leads_comm::transport::Stream;
use leads_comm::transport::memory::{self, MemoryConnector};
use leads_comm::{Client, ClientBuilder, Server, ServerBuilder};

use super::raw::Raw;
use super::{Dial, Transport};

/// See [`Net::Memory`](super::Net::Memory).
pub struct Memory;

/// How many bytes each direction holds.
pub fn capacity() -> usize {
    let (_listener, connector) = memory::listener();
    let stream = connector.open().unwrap();
    stream.write_vectored(&[IoSlice::new(&[0; 1 << 20])]).unwrap()
}

impl Transport for Memory {
    fn server(&self) -> (ServerBuilder, Box<dyn Dial>) {
        let (listener, connector) = memory::listener();
        (Server::builder().transport(listener), Box::new(connector))
    }
}

impl Dial for MemoryConnector {
    fn client(&self, _: &Server) -> ClientBuilder {
        Client::builder().transport(self.clone())
    }

    fn raw(&self, _: &Server) -> Raw {
        Raw::of(Box::new(self.open().unwrap()))
    }
}
