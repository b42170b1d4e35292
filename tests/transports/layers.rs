//! Layers over another stream: what the library has them pass on by default, and what it does not.

use std::io::{self, ErrorKind, IoSlice};
use std::mem;
use std::net::{Shutdown, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use leads_comm::transport::tcp::{TcpConnector, TcpListener};
use leads_comm::transport::{Listener, Stream};
use leads_comm::{Client, Server, callback};
use leads_comm_conformance::{LayerCheck, Suite};
use leads_comm_testing::PATIENCE;

use crate::ours::tcp_pair;
use crate::packed::{PackedStream, Traffic};

/// A layer that has written no more than it must.
struct Plain(Box<dyn Stream>);

impl Stream for Plain {
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
        format!("{}, layered", self.0.peer())
    }
}

#[test]
fn a_layer_passes_on_what_has_nothing_to_do_with_bytes() {
    Suite::basic().check_layer(|below| Box::new(Plain(below)));
    // Layers may lie on layers.
    Suite::basic().check_layer(|below| Box::new(Plain(Box::new(Plain(below)))));
}

#[test]
fn the_layer_of_the_example_does() {
    Suite::new().check_layer(|below| PackedStream::boxed(below, &Arc::new(Traffic::default())));
}

/// TCP has all of it: a layer would send, or wait for, other bytes than its own.
#[test]
fn what_has_to_do_with_bytes_is_not_passed_on() {
    let (below, peer) = tcp_pair();
    let layer = Plain(below);
    let tried = layer.try_write_vectored(&[IoSlice::new(b"as it is")]);
    assert_eq!(tried.unwrap_err().kind(), ErrorKind::Unsupported);
    assert_eq!(layer.wait_readable(Duration::ZERO).unwrap_err().kind(), ErrorKind::Unsupported);
    assert!(layer.poll_fd().is_none());
    layer.shutdown(Shutdown::Write).unwrap();
    assert_eq!(peer.read(&mut [0; 8]).unwrap(), 0, "nothing has gone past the layer");
}

/// Without a stream below, everything means what it meant before.
#[test]
fn a_stream_by_itself_has_the_defaults() {
    struct Alone(Box<dyn Stream>);

    impl Stream for Alone {
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

    let (below, peer) = tcp_pair();
    let alone = Alone(below);
    assert!(alone.below().is_none() && alone.has_end() && !alone.needs_handshake());
    assert!(alone.handshake().is_ok() && alone.flush().is_ok() && alone.try_flush().is_ok());
    assert_eq!(alone.keep_alive(None, None).unwrap_err().kind(), ErrorKind::Unsupported);
    assert_eq!(alone.unanswered_for().unwrap_err().kind(), ErrorKind::Unsupported);
    assert_eq!(alone.limit_unsent(Some(1)).unwrap_err().kind(), ErrorKind::Unsupported);
    assert_eq!(alone.system_queued_bytes().unwrap_err().kind(), ErrorKind::Unsupported);
    assert_eq!(alone.peer_unread_bytes().unwrap_err().kind(), ErrorKind::Unsupported);
    assert_eq!((alone.peer_addr(), alone.local_addr()), (None, None));
    assert!(alone.peer_certificates().is_empty());
    alone.abort().unwrap();
    assert_eq!(peer.read(&mut [0; 8]).unwrap(), 0, "a shutdown of both halves");
}

/// A service over such a layer knows who is at the other end.
#[test]
fn a_service_over_a_layer() {
    struct Layered(TcpListener);

    impl Listener for Layered {
        fn accept(&self) -> io::Result<Option<Box<dyn Stream>>> {
            Ok(self.0.accept()?.map(|stream| Box::new(Plain(stream)) as Box<dyn Stream>))
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

    let listener = TcpListener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let (tell, told) = std::sync::mpsc::channel();
    let callback = callback::on_receive(move |connection, message| {
        tell.send((connection.peer_addr(), connection.local_addr(), connection.to_string())).unwrap();
        connection.send(message).unwrap();
    });
    let server = Server::builder().transport(Layered(listener)).callback(callback).build().unwrap();
    server.start(true).unwrap();
    let connector = TcpConnector::new(server.port(), PATIENCE);
    let (answer, answered) = std::sync::mpsc::channel();
    let callback = callback::on_receive(move |_, message| answer.send(message.to_vec()).unwrap());
    let client = Client::builder()
        .transport(move |address: &str| {
            let stream = leads_comm::transport::Connector::connect(&connector, address)?;
            Ok(Box::new(Plain(stream)) as Box<dyn Stream>)
        })
        .callback(callback)
        .build()
        .unwrap();
    client.start("127.0.0.1", true).unwrap();
    client.send(b"hello").unwrap();
    let (peer_addr, local_addr, name) = told.recv_timeout(PATIENCE).unwrap();
    assert_eq!(local_addr.map(|address| address.port()), Some(server.port()));
    assert_eq!(peer_addr, client.local_addr());
    assert_eq!(name, format!("{}, layered", peer_addr.unwrap()));
    assert_eq!(answered.recv_timeout(PATIENCE).unwrap(), b"hello");
    client.close();
    server.close();
}

/// A layer with one defect.
struct Defective {
    below: Option<Box<dyn Stream>>,
    check: LayerCheck,
}

impl Defective {
    fn inner(&self) -> &dyn Stream {
        self.below.as_deref().unwrap()
    }
}

impl Stream for Defective {
    fn below(&self) -> Option<&dyn Stream> {
        // Whoever forgets this one, forgets all of them.
        let defaults = [LayerCheck::Shutdown, LayerCheck::TryWrite, LayerCheck::DropCloses];
        defaults.contains(&self.check).then(|| self.inner())
    }

    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner().read(buffer)
    }

    fn write_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        self.inner().write_vectored(buffers)
    }

    fn try_write_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        match self.check {
            // Takes what it cannot hand on.
            LayerCheck::TryWrite => Ok(buffers.iter().map(|buffer| buffer.len()).sum()),
            _ => self.inner().try_write_vectored(buffers),
        }
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        if self.check == LayerCheck::Shutdown { Ok(()) } else { self.inner().shutdown(how) }
    }

    fn peer(&self) -> String {
        self.inner().peer()
    }
}

impl Drop for Defective {
    fn drop(&mut self) {
        if self.check == LayerCheck::DropCloses {
            mem::forget(self.below.take());
        }
    }
}

#[test]
fn each_check_of_layers_finds_what_it_is_there_for() {
    for &check in LayerCheck::ALL {
        let failed = check.run(&Suite::new(), move |below| Box::new(Defective { below: Some(below), check }));
        let failure = failed.expect_err(&format!("{check:?} finds nothing"));
        assert_eq!((failure.check(), failure.hung()), (check.name(), false), "{failure}");
    }
}
