//! What a user writes in forty lines: a thread per connection, `read_until`, and one `write_all` for each message,
//! under a mutex.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use super::{Client, Failure, Peer, Receive, Server};
use crate::tally::{Latch, Trips};
use crate::task::{Messages, Task};

pub(super) struct Naive;

/// A stream that several threads write messages to.
type Shared = Arc<Mutex<TcpStream>>;

impl Peer for Naive {
    fn listen(&self, _task: &Task, receive: Receive, hall: Arc<Latch>) -> Result<Box<dyn Server>, Failure> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = listener.local_addr()?.port();
        let clients = Arc::new(Mutex::new(Vec::new()));
        let server = NaiveServer { port, clients: Arc::clone(&clients) };
        thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok((stream, shared)) = stream.and_then(share) else { continue };
                clients.lock().unwrap().push(Arc::clone(&shared));
                let (clients, receive) = (Arc::clone(&clients), receive.clone());
                thread::spawn(move || {
                    let _ = read(stream, &shared, &receive);
                    clients.lock().unwrap().retain(|client| !Arc::ptr_eq(client, &shared));
                });
                hall.add();
            }
        });
        Ok(Box::new(server))
    }

    fn connect(&self, _task: &Task, port: u16, receive: Receive) -> Result<Box<dyn Client>, Failure> {
        let (stream, shared) = share(TcpStream::connect((Ipv4Addr::LOCALHOST, port))?)?;
        let reading = match receive {
            Receive::Trips(_) => Some(Mutex::new(BufReader::new(stream))),
            Receive::Nothing => None,
            receive => {
                let shared = Arc::clone(&shared);
                thread::spawn(move || read(stream, &shared, &receive));
                None
            }
        };
        Ok(Box::new(NaiveClient { stream: shared, reading }))
    }
}

/// For reading, and for writing.
fn share(stream: TcpStream) -> io::Result<(TcpStream, Shared)> {
    stream.set_nodelay(true)?;
    let writing = stream.try_clone()?;
    Ok((stream, Arc::new(Mutex::new(writing))))
}

/// Reads messages until the end of the stream.
fn read(stream: TcpStream, shared: &Shared, receive: &Receive) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut message = Vec::new();
    while read_message(&mut stream, &mut message)? {
        match receive {
            Receive::Count(tally) => tally.add(&message),
            Receive::Echo => write_message(shared, &message)?,
            _ => {}
        }
    }
    Ok(())
}

/// False at the end of the stream.
fn read_message(stream: &mut BufReader<TcpStream>, message: &mut Vec<u8>) -> io::Result<bool> {
    message.clear();
    stream.read_until(b';', message)?;
    Ok(message.pop().is_some())
}

fn write_message(stream: &Shared, message: &[u8]) -> io::Result<()> {
    let mut line = Vec::with_capacity(message.len() + 1);
    line.extend_from_slice(message);
    line.push(b';');
    stream.lock().unwrap().write_all(&line)
}

struct NaiveServer {
    port: u16,
    clients: Arc<Mutex<Vec<Shared>>>,
}

impl Server for NaiveServer {
    fn port(&self) -> u16 {
        self.port
    }

    fn broadcast(&self, messages: &mut Messages) -> Result<(), Failure> {
        while let Some(message) = messages.advance() {
            for client in self.clients.lock().unwrap().iter() {
                write_message(client, message)?;
            }
        }
        Ok(())
    }
}

struct NaiveClient {
    stream: Shared,
    /// Only where what comes back is waited for.
    reading: Option<Mutex<BufReader<TcpStream>>>,
}

impl Client for NaiveClient {
    fn send(&self, messages: &mut Messages) -> Result<(), Failure> {
        while let Some(message) = messages.advance() {
            write_message(&self.stream, message)?;
        }
        Ok(())
    }

    fn make_trips(&self, trips: &Arc<Trips>) -> Result<(), Failure> {
        let mut reading = self.reading.as_ref().ok_or("somebody else reads")?.lock().unwrap();
        let mut message = Vec::new();
        trips.begin();
        loop {
            write_message(&self.stream, &trips.message)?;
            if !read_message(&mut reading, &mut message)? {
                return Err("the server has left".into());
            }
            if !trips.again(&message) {
                return Ok(());
            }
        }
    }
}
