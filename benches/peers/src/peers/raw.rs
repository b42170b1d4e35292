//! The limit: sockets of the standard library, bulk reads and writes, no framing.
//!
//! It moves as many bytes as the messages and their separators have, in blocks, and counts bytes.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use super::{Client, Failure, Peer, Receive, Server};
use crate::tally::{Latch, Tally, Trips};
use crate::task::{Content, Job, Messages, Task};

pub(super) struct Raw;

const WRITE: usize = 64 * 1024;
const READ: usize = 128 * 1024;
const BACKLOG: i32 = 4096;

impl Peer for Raw {
    fn listen(&self, task: &Task, receive: Receive, hall: Arc<Latch>) -> Result<Box<dyn Server>, Failure> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        // The standard library's 128 make callers in a crowd try again a second later.
        rustix::net::listen(&listener, BACKLOG)?;
        let server = RawServer { port: listener.local_addr()?.port(), streams: Arc::default(), stamped: stamped(task) };
        let (streams, task) = (Arc::clone(&server.streams), task.clone());
        thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { continue };
                let _ = stream.set_nodelay(true);
                hall.add();
                match (&receive, task.job) {
                    (Receive::Nothing, _) => streams.lock().unwrap().push(stream),
                    // Short-lived connections are not worth a thread each.
                    (receive, Job::Churn) => drop(read(&mut stream, receive, &task)),
                    (receive, _) => {
                        streams.lock().unwrap().push(stream.try_clone().expect("a descriptor is left"));
                        let (receive, task) = (receive.clone(), task.clone());
                        thread::spawn(move || read(&mut stream, &receive, &task));
                    }
                }
            }
        });
        Ok(Box::new(server))
    }

    fn connect(&self, task: &Task, port: u16, receive: Receive) -> Result<Box<dyn Client>, Failure> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_nodelay(true)?;
        if let Receive::Count(_) = receive {
            let (mut stream, task) = (stream.try_clone()?, task.clone());
            thread::spawn(move || read(&mut stream, &receive, &task));
        }
        Ok(Box::new(RawClient { stream: Mutex::new(stream), stamped: stamped(task) }))
    }
}

fn stamped(task: &Task) -> bool {
    task.content == Content::Stamped
}

/// Reads until the end of the stream.
fn read(stream: &mut TcpStream, receive: &Receive, task: &Task) -> io::Result<()> {
    if let (Receive::Count(tally), true) = (receive, stamped(task)) {
        return read_stamped(stream, tally, task);
    }
    let mut buffer = vec![0; READ];
    loop {
        match (stream.read(&mut buffer)?, receive) {
            (0, _) => return Ok(()),
            (length, Receive::Count(tally)) => tally.add_bytes(&buffer[..length]),
            (length, Receive::Echo) => stream.write_all(&buffer[..length])?,
            _ => {}
        }
    }
}

/// Stamped messages all have one size, which saves looking for their ends.
fn read_stamped(stream: &mut TcpStream, tally: &Tally, task: &Task) -> io::Result<()> {
    let mut message = vec![0; task.sizes.largest() + 1];
    loop {
        stream.read_exact(&mut message)?;
        tally.add(&message[..task.sizes.largest()]);
    }
}

/// Calls `write` with all bytes of the messages, in blocks; with stamped messages one by one.
fn in_blocks(messages: &mut Messages, stamped: bool, mut write: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
    let mut block = Vec::with_capacity(2 * WRITE);
    if stamped {
        while let Some(message) = messages.advance() {
            block.clear();
            block.extend_from_slice(message);
            block.push(b';');
            write(&block)?;
        }
        return Ok(());
    }
    let mut left = messages.take_wire();
    block.resize(WRITE, b'x');
    while left > 0 {
        let length = left.min(WRITE as u64) as usize;
        write(&block[..length])?;
        left -= length as u64;
    }
    Ok(())
}

struct RawServer {
    port: u16,
    streams: Arc<Mutex<Vec<TcpStream>>>,
    stamped: bool,
}

impl Server for RawServer {
    fn port(&self) -> u16 {
        self.port
    }

    fn broadcast(&self, messages: &mut Messages) -> Result<(), Failure> {
        let streams = self.streams.lock().unwrap();
        Ok(in_blocks(messages, self.stamped, |block| {
            streams.iter().try_for_each(|mut stream| stream.write_all(block))
        })?)
    }
}

struct RawClient {
    stream: Mutex<TcpStream>,
    stamped: bool,
}

impl Client for RawClient {
    fn send(&self, messages: &mut Messages) -> Result<(), Failure> {
        Ok(in_blocks(messages, self.stamped, |block| self.stream.lock().unwrap().write_all(block))?)
    }

    fn make_trips(&self, trips: &Arc<Trips>) -> Result<(), Failure> {
        let stream = self.stream.lock().unwrap();
        let mut buffer = trips.message.clone();
        buffer.push(b';');
        trips.begin();
        loop {
            (&*stream).write_all(&buffer)?;
            (&*stream).read_exact(&mut buffer)?;
            if !trips.again(&buffer[..trips.message.len()]) {
                return Ok(());
            }
        }
    }
}
