//! Peers that speak bytes, over any transport.

use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use leads_comm::codec::{Decoder, Separator};
use leads_comm::transport::Stream;
use leads_comm::transport::tcp::TcpStream;
use socket2::SockRef;

use super::super::PATIENCE;

/// A peer that speaks bytes, over any transport.
pub struct Raw {
    /// Its end of the stream.
    pub stream: Box<dyn Stream>,
    /// The TCP socket, where it is one.
    socket: Option<std::net::TcpStream>,
}

impl Raw {
    /// A peer on a stream that was opened in another way.
    pub fn of(stream: Box<dyn Stream>) -> Self {
        Self { stream, socket: None }
    }

    /// A peer on a TCP socket, which it resets by itself.
    pub fn over_tcp(socket: std::net::TcpStream) -> Self {
        let stream = TcpStream::new(socket.try_clone().unwrap()).unwrap();
        Self { stream: Box::new(stream), socket: Some(socket) }
    }

    /// Writes all of it.
    pub fn write(&self, bytes: &[u8]) {
        self.try_write(bytes).unwrap();
    }

    /// Writes to a server that may have hung up.
    pub fn try_write(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let count = self.stream.write_vectored(&[IoSlice::new(bytes)])?;
            bytes = &bytes[count..];
        }
        Ok(())
    }

    /// Ends the connection as a crashed peer's system does: by a reset, where the transport has one.
    pub fn reset(self) {
        match self.socket {
            Some(socket) => {
                SockRef::from(&socket).set_linger(Some(Duration::ZERO)).unwrap();
                drop(self.stream);
            }
            // Fails when the server has been quicker.
            None => drop(self.stream.abort()),
        }
    }

    /// Reads as many bytes, fewer only when the stream ends before.
    pub fn read_exact(&self, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        let mut filled = 0;
        while filled < len {
            match self.stream.read(&mut bytes[filled..]).unwrap() {
                0 => break,
                count => filled += count,
            }
        }
        bytes.truncate(filled);
        bytes
    }

    /// Reads until the end of the stream; an error, such as a reset, is the last thing it may give.
    pub fn read_to_end(self) -> (Vec<u8>, io::Result<()>) {
        let (done, ended) = mpsc::channel();
        thread::spawn(move || {
            let mut bytes = Vec::new();
            let mut chunk = [0; 16 * 1024];
            let end = loop {
                match self.stream.read(&mut chunk) {
                    Ok(0) => break Ok(()),
                    Ok(count) => bytes.extend_from_slice(&chunk[..count]),
                    Err(error) => break Err(error),
                }
            };
            let _ = done.send((bytes, end));
        });
        ended.recv_timeout(PATIENCE).expect("the server does not end the stream")
    }

    /// Reads from now on, on a thread of its own, and gives out each whole message; ends with the stream.
    pub fn into_messages(self) -> mpsc::Receiver<Vec<u8>> {
        let (messages, receiver) = mpsc::channel();
        thread::spawn(move || {
            let mut decoder = Decoder::new(Separator::default(), usize::MAX);
            let mut chunk = [0; 64 * 1024];
            while let Ok(count @ 1..) = self.stream.read(&mut chunk) {
                let mut arrived = decoder.decode(&chunk[..count]);
                while let Ok(Some(message)) = arrived.next_message() {
                    if messages.send(message.to_vec()).is_err() {
                        return;
                    }
                }
            }
        });
        receiver
    }

    /// Ends the writing half, and leaves the reading half open.
    pub fn half_close(&self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }
}
