//! Streams that cannot be written without blocking, so that a thread of their own writes them.

use std::sync::Arc;

use leads_comm::transport::Stream;
use leads_comm::transport::memory::{self, MemoryConnector};
use leads_comm::{Client, ClientBuilder, Server, ServerBuilder};

use super::raw::Raw;
use super::{Dial, Transport};
use crate::layer::{self, Layer};

/// See [`Net::Blocking`](super::Net::Blocking).
pub struct Blocking;

impl Transport for Blocking {
    fn server(&self) -> (ServerBuilder, Box<dyn Dial>) {
        let (listener, connector) = memory::listener();
        let listener = layer::listener(listener, &Arc::new(Bare));
        (Server::builder().transport(listener), Box::new(BlockingDial(connector)))
    }

    fn writes_without_blocking(&self) -> bool {
        false
    }
}

struct Bare;

impl Layer for Bare {
    fn is_bare(&self) -> bool {
        true
    }
}

struct BlockingDial(MemoryConnector);

impl Dial for BlockingDial {
    fn client(&self, _: &Server) -> ClientBuilder {
        Client::builder().transport(layer::connector(self.0.clone(), &Arc::new(Bare)))
    }

    fn raw(&self, server: &Server) -> Raw {
        self.0.raw(server)
    }
}

/// The stream without its non-blocking write, and without what else may be left out.
pub fn blocking(stream: Box<dyn Stream>) -> Box<dyn Stream> {
    layer::stream(stream, &Arc::new(Bare))
}
