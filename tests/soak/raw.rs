//! Peers that speak bytes: those that behave badly, and those that end in other ways than clients of the library do.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use leads_comm::codec::{Decoder, Separator};
use leads_comm_testing::seed::Random;
use leads_comm_testing::stamp::{Book, Faults, Stamp};
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use crate::settings::{DRIPPERS_ARE_ENDED, MAX_MESSAGE_LEN, MAX_QUEUED_BYTES, PATIENCE};
use crate::tally::Tally;
use crate::words::{self, Role};

/// A socket, and what has come from it.
pub struct Raw {
    socket: TcpStream,
    decoder: Decoder,
    /// Messages that have come and not been looked at.
    heard: Vec<Vec<u8>>,
}

impl Raw {
    pub fn new(socket: TcpStream) -> io::Result<Self> {
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { socket, decoder: Decoder::new(Separator::default(), usize::MAX), heard: Vec::new() })
    }

    pub fn say(&mut self, message: &[u8]) -> io::Result<()> {
        self.socket.write_all(&[message, b";"].concat())
    }

    /// Waits for a message of this kind; others are passed over.
    pub fn hear(&mut self, kind: u8) -> io::Result<Vec<u8>> {
        loop {
            while !self.heard.is_empty() {
                let message = self.heard.remove(0);
                if message.first() == Some(&kind) {
                    return Ok(message);
                }
            }
            if !self.read()? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// Reads on; false at the end.
    fn read(&mut self) -> io::Result<bool> {
        let mut chunk = [0; 16 * 1024];
        let count = self.socket.read(&mut chunk)?;
        let mut arrived = self.decoder.decode(&chunk[..count]);
        while let Ok(Some(message)) = arrived.next_message() {
            self.heard.push(message.to_vec());
        }
        Ok(count > 0)
    }

    /// Reads on for so long, or a little longer.
    fn read_for(&mut self, time: Duration) -> io::Result<()> {
        let until = Instant::now() + time;
        while Instant::now() < until {
            self.socket.set_read_timeout(Some(time))?;
            let read = self.read();
            self.socket.set_read_timeout(Some(PATIENCE))?;
            match read {
                Ok(true) => {}
                Ok(false) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads to the regular end, behind a goodbye; what came before it.
    fn hear_out(mut self) -> io::Result<Vec<Vec<u8>>> {
        while self.read()? {}
        match self.heard.pop() {
            Some(goodbye) if goodbye == b"disconnect" => Ok(self.heard),
            _ => Err(io::Error::other("the end came without a goodbye")),
        }
    }

    /// Says goodbye, and sees to it that the server does.
    pub fn leave(mut self) -> io::Result<()> {
        self.say(b"disconnect")?;
        self.hear_out().map(drop)
    }
}

/// Connects with a buffer that is soon full.
pub fn connect_narrow(server: SocketAddr) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_recv_buffer_size(16 * 1024)?;
    socket.connect(&server.into())?;
    Ok(socket.into())
}

/// Plays the part of one peer.
pub fn run(role: Role, server: SocketAddr, tally: &Tally, mut random: Random) {
    if let Err(error) = play(role, server, &mut random) {
        tally.violation(format!("{role:?}: {error}"));
    }
}

fn play(role: Role, server: SocketAddr, random: &mut Random) -> io::Result<()> {
    let socket = if role == Role::Stall { connect_narrow(server)? } else { TcpStream::connect(server)? };
    if role == Role::Vanish {
        return Ok(());
    }
    let mut raw = Raw::new(socket)?;
    raw.say(&role.hello())?;
    match role {
        Role::Reset => {
            raw.socket.write_all(&stamped(words::COUNTED, 0..random.skewed(100) as u64, random))?;
            SockRef::from(&raw.socket).set_linger(Some(Duration::ZERO))
        }
        Role::HalfClose => {
            let asked = random.skewed(200) as u64;
            raw.socket.write_all(&stamped(words::ECHO, 0..asked, random))?;
            raw.socket.shutdown(Shutdown::Write)?;
            let mut book = Book::default();
            for reply in raw.hear_out()?.iter().filter(|message| message.first() == Some(&words::REPLY)) {
                book.enter(reply);
            }
            book.expect(0, asked);
            if book.faults() == Faults::default() { Ok(()) } else { Err(io::Error::other(book.faults().to_string())) }
        }
        Role::Flood => {
            let sent = random.within(1000..=5000) as u64;
            for start in (0..sent).step_by(500) {
                raw.socket.write_all(&stamped(words::COUNTED, start..(start + 500).min(sent), random))?;
            }
            raw.say(&words::numbers(words::FINISH, [sent]))?;
            raw.hear(words::FINISHED)?;
            raw.leave()
        }
        Role::Drip if DRIPPERS_ARE_ENDED => {
            let deadline = Instant::now() + 2 * PATIENCE;
            while Instant::now() < deadline {
                // Whatever the server does, one of them fails in the end.
                let dripped = raw.socket.write_all(b"x").and_then(|()| raw.read_for(Duration::from_millis(50)));
                if dripped.is_err() {
                    return Ok(());
                }
            }
            Err(io::Error::other("it is not ended"))
        }
        Role::Drip => {
            let mut message = Vec::new();
            Stamp { kind: words::ECHO, sender: 0, number: 0 }.write(random.within(0..=150), &mut message);
            for byte in message.iter().chain(b";") {
                raw.socket.write_all(&[*byte])?;
                raw.read_for(Duration::from_millis(random.within(1..=30) as u64))?;
            }
            raw.hear(words::REPLY)?;
            raw.leave()
        }
        Role::Garbage => {
            let len = random.skewed(MAX_MESSAGE_LEN / 2);
            raw.say(&words::numbers(words::UNFINISHED, [len as u64]))?;
            let garbage: Vec<u8> = (0..len).map(|_| random.number() as u8).map(|byte| byte | 0x40).collect();
            raw.socket.write_all(&garbage)?;
            raw.socket.shutdown(Shutdown::Write)?;
            raw.hear_out().map(drop)
        }
        Role::TooLong => {
            // The server may have ended it already.
            let _ = raw.socket.write_all(&vec![b'x'; MAX_MESSAGE_LEN + random.within(1..=100_000)]);
            wait_for_end(&mut raw)
        }
        Role::Panic => {
            raw.say(&[words::PANIC])?;
            wait_for_end(&mut raw)
        }
        Role::Stall => {
            // Sometimes more than may wait.
            let asked = if random.once_in(2) { MAX_QUEUED_BYTES * 3 / 4 } else { MAX_QUEUED_BYTES * 3 / 2 };
            raw.say(&words::numbers(words::BURST, [asked as u64]))?;
            let deadline = Instant::now() + PATIENCE;
            // Nothing else shows the reset without reading.
            while raw.socket.take_error()?.is_none() {
                if Instant::now() >= deadline {
                    return Err(io::Error::other("it reads nothing, and is not ended"));
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            Ok(())
        }
        _ => unreachable!("{role:?} is played by a client"),
    }
}

/// Waits until the server ends it, however.
fn wait_for_end(raw: &mut Raw) -> io::Result<()> {
    loop {
        match raw.read() {
            Ok(true) => {}
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                return Err(io::Error::other("it is not ended"));
            }
            Ok(false) | Err(_) => return Ok(()),
        }
    }
}

/// Messages of these numbers, one behind the other.
fn stamped(kind: u8, numbers: std::ops::Range<u64>, random: &mut Random) -> Vec<u8> {
    let (mut bytes, mut message) = (Vec::new(), Vec::new());
    for number in numbers {
        Stamp { kind, sender: 0, number }.write(random.skewed(400), &mut message);
        bytes.extend_from_slice(&message);
        bytes.push(b';');
    }
    bytes
}
