//! Many viewers in one thread: plain sockets that are read as soon as something is there, the same for every peer.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read};
use std::net::{Ipv4Addr, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};

use crate::measure;
use crate::peers::Failure;
use crate::stage::Stage;
use crate::tally::Tally;
use crate::task::{Content, sent_at};

const READ: usize = 256 * 1024;
const EVENTS: usize = 256;

struct Viewer {
    stream: TcpStream,
    tally: Arc<Tally>,
    /// How many bytes have come.
    bytes: u64,
}

pub(crate) struct Crowd {
    viewers: Vec<Viewer>,
    poller: OwnedFd,
}

impl Crowd {
    /// Connects.
    pub(crate) fn come(stage: &Stage, port: u16) -> Result<Self, Failure> {
        let connect = |_| {
            let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
            stream.set_nonblocking(true)?;
            Ok(Viewer { stream, tally: stage.tally(), bytes: 0 })
        };
        let viewers = (0..stage.task.connections).map(connect).collect::<io::Result<Vec<_>>>()?;
        let poller = epoll::create(CreateFlags::CLOEXEC)?;
        for (index, viewer) in (0..).zip(&viewers) {
            epoll::add(&poller, &viewer.stream, EventData::new_u64(index), EventFlags::IN)?;
        }
        Ok(Self { viewers, poller })
    }

    /// Reads until the process ends.
    pub(crate) fn watch(mut self, stage: &Stage) -> ! {
        let mut last = Last::new(stage);
        let mut chunk = vec![0; READ];
        let mut events = Vec::with_capacity(EVENTS);
        loop {
            epoll::wait(&self.poller, spare_capacity(&mut events), None).expect("nobody interrupts");
            for event in events.drain(..) {
                let viewer = &mut self.viewers[event.data.u64() as usize];
                match viewer.stream.read(&mut chunk) {
                    Ok(count) if count > 0 => viewer.take(&chunk[..count], &mut last),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    // What it lacks by now is seen when all is counted.
                    _ => epoll::delete(&self.poller, &viewer.stream).expect("it has been added"),
                }
            }
        }
    }
}

impl Viewer {
    fn take(&mut self, chunk: &[u8], last: &mut Last) {
        last.note(chunk, self.bytes);
        self.bytes += chunk.len() as u64;
        self.tally.add_bytes(chunk);
    }
}

/// When the last of all viewers has each message, where it says when it was sent.
struct Last<'a> {
    stage: &'a Stage,
    /// How long a message is, its separator included; 0 where nothing is noted.
    len: u64,
    /// The number of the first of those that not all viewers have.
    first: u64,
    waiting: VecDeque<Waiting>,
}

#[derive(Clone, Copy, Default)]
struct Waiting {
    sent: Option<u64>,
    viewers: usize,
}

impl<'a> Last<'a> {
    fn new(stage: &'a Stage) -> Self {
        let is_stamped = stage.task.content == Content::Stamped;
        let len = if is_stamped { stage.task.wire(1) } else { 0 };
        Self { stage, len, first: 0, waiting: VecDeque::new() }
    }

    /// A chunk has come to a viewer that had so many bytes before.
    fn note(&mut self, chunk: &[u8], before: u64) {
        if self.len == 0 {
            return;
        }
        let now = measure::now();
        let end = before + chunk.len() as u64;
        for number in before / self.len..end / self.len {
            let index = (number - self.first) as usize;
            if index >= self.waiting.len() {
                self.waiting.resize(index + 1, Waiting::default());
            }
            let waiting = &mut self.waiting[index];
            waiting.viewers += 1;
            // A message that has come in two chunks is read by the next viewer.
            if let Some(begin) = (number * self.len).checked_sub(before) {
                waiting.sent = waiting.sent.or_else(|| sent_at(&chunk[begin as usize..]));
            }
        }
        while self.waiting.front().is_some_and(|waiting| waiting.viewers == self.stage.task.connections) {
            let sent = self.waiting.pop_front().and_then(|waiting| waiting.sent);
            self.first += 1;
            self.stage.note_latency(sent.map(|sent| now.saturating_sub(sent)));
        }
    }
}
