//! What a transport has to do, a WebSocket does.

use std::io::{self, IoSlice};
use std::net::{Shutdown, SocketAddr};
use std::time::Duration;

use leads_comm::transport::{Connector, Listener, Stream, memory};
use leads_comm_conformance::{LayerCheck, Suite};
use leads_comm_websocket::{Settings, WebSocketConnector, WebSocketListener, WebSocketStream};

use crate::LOOPBACK;
use crate::messages::Messages;

/// A stream that has no write but the one that blocks.
struct Blocking(Box<dyn Stream>);

impl Blocking {
    fn over(stream: Box<dyn Stream>) -> Box<dyn Stream> {
        Box::new(Self(stream))
    }
}

impl Stream for Blocking {
    fn below(&self) -> Option<&dyn Stream> {
        Some(&*self.0)
    }

    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }

    fn write_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.write_vectored(buffers)
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.0.shutdown(how)
    }

    fn peer(&self) -> String {
        self.0.peer()
    }
}

/// What is accepted carries any bytes.
struct Accepted<L>(L);

impl<L: Listener> Listener for Accepted<L> {
    fn accept(&self) -> io::Result<Option<Box<dyn Stream>>> {
        Ok(self.0.accept()?.map(Messages::over))
    }

    fn accept_for(&self, time: Duration) -> io::Result<Option<Box<dyn Stream>>> {
        Ok(self.0.accept_for(time)?.map(Messages::over))
    }

    fn accept_to_refuse(&self) -> io::Result<Option<Box<dyn Stream>>> {
        Ok(self.0.accept_to_refuse()?.map(Messages::over))
    }

    fn descriptors_per_stream(&self) -> usize {
        self.0.descriptors_per_stream()
    }

    fn stop(&self) {
        self.0.stop();
    }

    fn name(&self) -> String {
        self.0.name()
    }

    fn local_addr(&self) -> Option<SocketAddr> {
        self.0.local_addr()
    }
}

struct Blockings<L>(L);

impl<L: Listener> Listener for Blockings<L> {
    fn accept(&self) -> io::Result<Option<Box<dyn Stream>>> {
        Ok(self.0.accept()?.map(Blocking::over))
    }

    fn stop(&self) {
        self.0.stop();
    }

    fn name(&self) -> String {
        self.0.name()
    }
}

/// What the checks write is no text.
fn binary() -> Settings {
    Settings::new().text(|_| false)
}

fn suite() -> Suite {
    Suite::new()
}

/// Both ends, before their handshake.
fn pair(listener: &dyn Listener, connector: &dyn Connector, address: &str) -> (Box<dyn Stream>, Box<dyn Stream>) {
    let client = connector.connect(address).unwrap();
    let server = listener.accept().unwrap().unwrap();
    (Messages::over(server), Messages::over(client))
}

#[test]
fn streams_over_tcp() {
    suite().check_streams(|| {
        let listener = WebSocketListener::bind(LOOPBACK).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        pair(&listener.settings(binary()), &WebSocketConnector::tcp().settings(binary()), &address)
    });
}

#[test]
fn streams_in_memory() {
    Suite::new().poll_fd(false).wait_readable(false).check_streams(|| {
        let (listener, connector) = memory::listener();
        let (listener, connector) = (WebSocketListener::new(listener), WebSocketConnector::new(connector));
        pair(&listener.settings(binary()), &connector.settings(binary()), "localhost")
    });
}

/// The blocking half alone, as over a transport that has no other.
#[test]
fn streams_over_one_that_only_blocks() {
    Suite::basic().check_streams(|| {
        let (listener, connector) = memory::listener();
        let client = WebSocketConnector::new(move |address: &str| Ok(Blocking::over(connector.connect(address)?)));
        let listener = WebSocketListener::new(Blockings(listener));
        pair(&listener.settings(binary()), &client.settings(binary()), "localhost")
    });
}

#[test]
fn layers() {
    let over = |below| Box::new(WebSocketStream::upgraded(below, &[], &Settings::new())) as Box<dyn Stream>;
    for check in LayerCheck::ALL {
        // Close is an end of its own.
        if *check != LayerCheck::HasEnd {
            check.run(&Suite::new(), over).unwrap();
        }
    }
}

#[test]
fn listeners() {
    suite().check_listener(|| {
        let listener = WebSocketListener::bind(LOOPBACK).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let connector = WebSocketConnector::tcp().settings(binary());
        let connect = move |address: &str| connector.connect(address).map(Messages::over);
        (Box::new(Accepted(listener.settings(binary()))), Box::new(connect), address)
    });
}
