use std::io::{self, IoSlice};
use std::net::Shutdown;

use leads_comm::transport::memory::MemoryListener;
use leads_comm::transport::{Listener, Stream};

/// Accepts in-memory streams that pass few bytes in each call.
#[derive(Debug)]
pub struct TricklingListener {
    /// Where they come from.
    pub listener: MemoryListener,
    /// The most that is read or written in one call, in bytes. More than 0.
    pub most: usize,
    /// Whether they can be written without blocking.
    pub non_blocking: bool,
}

impl Listener for TricklingListener {
    fn accept(&self) -> io::Result<Option<Box<dyn Stream>>> {
        let &Self { most, non_blocking, .. } = self;
        let trickle = |stream| -> Box<dyn Stream> { Box::new(Trickle { stream, most, non_blocking }) };
        Ok(self.listener.accept()?.map(trickle))
    }

    fn stop(&self) {
        self.listener.stop();
    }

    fn name(&self) -> String {
        self.listener.name()
    }
}

struct Trickle {
    stream: Box<dyn Stream>,
    most: usize,
    non_blocking: bool,
}

impl Trickle {
    /// The front of what there is to write.
    fn front<'a>(&self, buffers: &'a [IoSlice<'_>]) -> IoSlice<'a> {
        let first = buffers.iter().find(|buffer| !buffer.is_empty()).map_or(&[][..], |buffer| buffer);
        IoSlice::new(&first[..first.len().min(self.most)])
    }
}

impl Stream for Trickle {
    fn below(&self) -> Option<&dyn Stream> {
        Some(&*self.stream)
    }

    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = buffer.len().min(self.most);
        self.stream.read(&mut buffer[..len])
    }

    fn write_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        self.stream.write_vectored(&[self.front(buffers)])
    }

    fn try_write_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        if self.non_blocking {
            self.stream.try_write_vectored(&[self.front(buffers)])
        } else {
            Err(io::ErrorKind::Unsupported.into())
        }
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.stream.shutdown(how)
    }

    fn peer(&self) -> String {
        self.stream.peer()
    }
}
