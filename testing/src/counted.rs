//! TCP streams that count what they hand to the operating system, so that a test need not take the library's word for
//! it.

use std::collections::HashMap;
use std::io::{self, IoSlice};
use std::net::{self, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use leads_comm::transport::tcp::{TcpListener, TcpStream};
use leads_comm::transport::{Connector, Listener, Stream};
use socket2::SockRef;

use crate::layer::{self, How, Layer};

const GOODBYE: &[u8] = b"disconnect";

/// What one stream was given and the system took. The goodbye is the library's own, and not counted.
#[derive(Debug, Default, Clone)]
pub struct Written {
    /// Whole messages.
    pub messages: u64,
    /// Bytes of messages, separators and those of a message that is not whole included.
    pub bytes: u64,
    /// Bytes of the goodbye.
    pub goodbye: u64,
    /// The beginning of a message that is not whole, as far as it takes to recognise the goodbye.
    head: Vec<u8>,
    /// How many bytes of it there are.
    unfinished: u64,
}

impl Written {
    fn note(&mut self, bytes: &[u8]) {
        for part in bytes.split_inclusive(|byte| *byte == b';') {
            let room = (GOODBYE.len() + 1).saturating_sub(self.head.len());
            self.head.extend_from_slice(&part[..part.len().min(room)]);
            self.unfinished += part.len() as u64;
            if part.ends_with(b";") {
                if self.head == b"disconnect;" {
                    self.goodbye += self.unfinished;
                } else {
                    self.messages += 1;
                    self.bytes += self.unfinished;
                }
                self.head.clear();
                self.unfinished = 0;
            }
        }
    }

    /// With the message that is not whole, at the end. No message of the program's may begin as the goodbye does.
    fn settled(&self) -> Self {
        let mut settled = self.clone();
        if GOODBYE.starts_with(&self.head) {
            settled.goodbye += self.unfinished;
        } else {
            settled.bytes += self.unfinished;
        }
        settled
    }
}

/// What the streams of one service were given, by their peers' addresses.
#[derive(Clone, Default)]
pub struct Streams {
    written: Arc<Mutex<HashMap<SocketAddr, Arc<Mutex<Written>>>>>,
    send_buffer: Option<usize>,
}

impl Streams {
    /// Streams whose system buffer for sending is as small as this.
    pub fn with_send_buffer(bytes: usize) -> Self {
        Self { send_buffer: Some(bytes), ..Self::default() }
    }

    /// What the stream to this peer was given until now; forgets it.
    pub fn take(&self, peer: SocketAddr) -> Written {
        let written = lock(&self.written).remove(&peer).expect("there was such a stream");
        let written = lock(&written);
        written.settled()
    }

    /// A listener at a port of its own, whose streams count.
    pub fn listener(&self) -> impl Listener {
        let socket = net::TcpListener::bind("127.0.0.1:0").unwrap();
        if let Some(bytes) = self.send_buffer {
            // Connections take it over.
            SockRef::from(&socket).set_send_buffer_size(bytes).unwrap();
        }
        layer::listener(TcpListener::new(socket).unwrap(), &Arc::new(self.clone()))
    }

    /// A connector to one address, whatever the client is told.
    pub fn connector(&self, server: SocketAddr) -> impl Connector {
        let send_buffer = self.send_buffer;
        let connect = move |_: &str| -> io::Result<Box<dyn Stream>> {
            let socket = net::TcpStream::connect(server)?;
            if let Some(bytes) = send_buffer {
                SockRef::from(&socket).set_send_buffer_size(bytes)?;
            }
            Ok(Box::new(TcpStream::new(socket)?))
        };
        layer::connector(connect, &Arc::new(self.clone()))
    }
}

/// Each stream has its own count.
impl Layer for Streams {
    fn of(&self, stream: &dyn Stream) -> Option<Arc<dyn Layer>> {
        let written = Arc::new(Mutex::new(Written::default()));
        let peer = stream.peer_addr().expect("TCP has one");
        lock(&self.written).insert(peer, Arc::clone(&written));
        Some(Arc::new(Counted { written }))
    }
}

struct Counted {
    written: Arc<Mutex<Written>>,
}

impl Layer for Counted {
    fn write(&self, stream: &dyn Stream, buffers: &[IoSlice<'_>], how: How) -> io::Result<usize> {
        let outcome = how.write(stream, buffers);
        let mut left = *outcome.as_ref().unwrap_or(&0);
        let mut written = lock(&self.written);
        for buffer in buffers {
            let part = &buffer[..buffer.len().min(left)];
            written.note(part);
            left -= part.len();
        }
        outcome
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
