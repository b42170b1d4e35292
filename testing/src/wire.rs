//! Peers that speak bytes: what LEADS, netcat or anything else would see.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use socket2::{Domain, SockRef, Socket, Type};

use super::{PATIENCE, accept, free_port};

/// One end of a connection.
pub struct Peer {
    socket: TcpStream,
}

impl Peer {
    /// A client of the server at this port.
    pub fn connect(port: u16) -> Self {
        Self::new(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap())
    }

    /// The one that has this socket.
    pub fn new(socket: TcpStream) -> Self {
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.set_write_timeout(Some(PATIENCE)).unwrap();
        socket.set_nodelay(true).unwrap();
        Self { socket }
    }

    /// This end's name, as the other one prints it.
    pub fn name(&self) -> SocketAddr {
        self.socket.local_addr().unwrap()
    }

    /// Blocks as long as the other end does not read.
    pub fn write(&self, bytes: impl AsRef<[u8]>) {
        (&self.socket).write_all(bytes.as_ref()).unwrap();
    }

    /// Writes to one who may have left.
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<()> {
        (&self.socket).write_all(bytes)
    }

    /// Asserts that exactly these bytes come next.
    #[track_caller]
    pub fn expect(&self, bytes: impl AsRef<[u8]>) {
        let mut read = vec![0; bytes.as_ref().len()];
        (&self.socket).read_exact(&mut read).unwrap();
        assert_eq!(read.escape_ascii().to_string(), bytes.as_ref().escape_ascii().to_string());
    }

    /// The next message that ends with `;`.
    pub fn message(&self) -> String {
        let mut message = Vec::new();
        let mut next = [0; 4096];
        loop {
            let count = match self.socket.peek(&mut next) {
                // By a signal, as when a child ends; nobody tries that again but its caller.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                count => count.unwrap(),
            };
            assert!(count > 0, "the stream ends without a message");
            let end = next[..count].iter().position(|byte| *byte == b';');
            let count = end.map_or(count, |end| end + 1);
            (&self.socket).read_exact(&mut next[..count]).unwrap();
            message.extend_from_slice(&next[..count]);
            if end.is_some() {
                message.pop();
                return String::from_utf8(message).unwrap();
            }
        }
    }

    /// The messages that still come, up to the goodbye, which is answered.
    pub fn messages(self) -> Vec<String> {
        let mut stream = BufReader::new(&self.socket);
        let mut messages = Vec::new();
        loop {
            let mut message = Vec::new();
            stream.read_until(b';', &mut message).unwrap();
            match message.strip_suffix(b";").expect("the stream ends without a goodbye") {
                b"disconnect" => break,
                message => messages.push(String::from_utf8(message.to_vec()).unwrap()),
            }
        }
        self.write("disconnect;");
        messages
    }

    /// Everything that still comes, up to the end of the stream.
    pub fn rest(&self) -> Vec<u8> {
        let mut rest = Vec::new();
        (&self.socket).read_to_end(&mut rest).unwrap();
        rest
    }

    /// Asserts that the other end says goodbye, and answers it as LEADS does.
    #[track_caller]
    pub fn expect_goodbye(self) {
        self.expect("disconnect;");
        self.write("disconnect;");
        self.socket.shutdown(Shutdown::Write).unwrap();
        assert_eq!(self.rest().escape_ascii().to_string(), "");
    }

    /// Says goodbye, and waits until the other end has answered.
    #[track_caller]
    pub fn say_goodbye(self) {
        self.write("disconnect;");
        self.socket.shutdown(Shutdown::Write).unwrap();
        assert_eq!(self.rest().escape_ascii().to_string(), "disconnect;");
    }

    /// Ends the stream as a crash does.
    pub fn reset(self) {
        SockRef::from(&self.socket).set_linger(Some(Duration::ZERO)).unwrap();
    }

    /// Ends the stream without a goodbye.
    pub fn hang_up(self) {
        self.socket.shutdown(Shutdown::Both).unwrap();
    }
}

/// A server of bytes.
pub struct Listening {
    /// Where it listens.
    pub port: u16,
    accepted: Receiver<TcpStream>,
}

impl Listening {
    /// On a port of its own.
    pub fn start() -> Self {
        Self::start_on(0)
    }

    /// Listens on a port where somebody else may have listened before.
    pub fn start_on(port: u16) -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        #[cfg(unix)]
        socket.set_reuse_address(true).unwrap();
        // So that a sender of more than this, and of what its own system keeps, has to wait until it is read.
        socket.set_recv_buffer_size(64 * 1024).unwrap();
        let deadline = Instant::now() + PATIENCE;
        // The socket of some other test may pass through this port meanwhile.
        while let Err(error) = socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into()) {
            assert!(Instant::now() < deadline, "{error}");
            thread::yield_now();
        }
        socket.listen(1).unwrap();
        let listener = TcpListener::from(socket);
        let port = listener.local_addr().unwrap().port();
        let (tell, accepted) = mpsc::channel();
        // Ends with the test's process, if nobody connects.
        thread::spawn(move || {
            if let Ok(socket) = accept(&listener) {
                drop(listener);
                let _ = tell.send(socket);
            }
        });
        Self { port, accepted }
    }

    /// The same, by an address.
    pub fn start_at(address: &str) -> Self {
        Self::start_on(address.parse::<SocketAddr>().unwrap().port())
    }

    /// Where that is, for a client.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The one who connects.
    #[track_caller]
    pub fn accept(&self) -> Peer {
        Peer::new(self.accepted.recv_timeout(PATIENCE).expect("nobody has connected"))
    }
}

/// An address at which nobody listens.
pub fn unused_address() -> String {
    format!("127.0.0.1:{}", free_port())
}
