//! Peers that speak bytes: what LEADS, netcat or anything else would see.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Instant;

use socket2::{Domain, Socket, Type};

use crate::process::PATIENCE;

/// One end of a connection.
pub(crate) struct Peer {
    socket: TcpStream,
}

impl Peer {
    pub(crate) fn connect(port: u16) -> Self {
        Self::new(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap())
    }

    pub(crate) fn new(socket: TcpStream) -> Self {
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.set_write_timeout(Some(PATIENCE)).unwrap();
        socket.set_nodelay(true).unwrap();
        Self { socket }
    }

    /// This end's name, as the other one prints it.
    pub(crate) fn name(&self) -> SocketAddr {
        self.socket.local_addr().unwrap()
    }

    pub(crate) fn write(&self, bytes: impl AsRef<[u8]>) {
        (&self.socket).write_all(bytes.as_ref()).unwrap();
    }

    /// Asserts that exactly these bytes come next.
    #[track_caller]
    pub(crate) fn expect(&self, bytes: impl AsRef<[u8]>) {
        let mut read = vec![0; bytes.as_ref().len()];
        (&self.socket).read_exact(&mut read).unwrap();
        assert_eq!(read.escape_ascii().to_string(), bytes.as_ref().escape_ascii().to_string());
    }

    /// The next message that ends with `;`.
    pub(crate) fn message(&self) -> String {
        let mut message = Vec::new();
        let mut byte = [0];
        loop {
            (&self.socket).read_exact(&mut byte).unwrap();
            if byte == *b";" {
                return String::from_utf8(message).unwrap();
            }
            message.push(byte[0]);
        }
    }

    /// Everything that still comes, up to the end of the stream.
    pub(crate) fn rest(&self) -> Vec<u8> {
        let mut rest = Vec::new();
        (&self.socket).read_to_end(&mut rest).unwrap();
        rest
    }

    /// Asserts that the other end says goodbye, and answers it as LEADS does.
    #[track_caller]
    pub(crate) fn expect_goodbye(self) {
        self.expect("disconnect;");
        self.write("disconnect;");
        self.socket.shutdown(Shutdown::Write).unwrap();
        assert_eq!(self.rest().escape_ascii().to_string(), "");
    }

    /// Says goodbye, and waits until the other end has answered.
    #[track_caller]
    pub(crate) fn say_goodbye(self) {
        self.write("disconnect;");
        self.socket.shutdown(Shutdown::Write).unwrap();
        assert_eq!(self.rest().escape_ascii().to_string(), "disconnect;");
    }

    /// Ends the stream without a goodbye.
    pub(crate) fn hang_up(self) {
        self.socket.shutdown(Shutdown::Both).unwrap();
    }
}

/// A server of bytes.
pub(crate) struct Listening {
    pub(crate) port: u16,
    accepted: Receiver<TcpStream>,
}

impl Listening {
    pub(crate) fn start() -> Self {
        Self::start_on(0)
    }

    /// Listens on a port where somebody else may have listened before.
    pub(crate) fn start_on(port: u16) -> Self {
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
            if let Ok((socket, _)) = listener.accept() {
                let _ = tell.send(socket);
            }
        });
        Self { port, accepted }
    }

    /// The one who connects.
    pub(crate) fn accept(&self) -> Peer {
        Peer::new(self.accepted.recv_timeout(PATIENCE).expect("nobody has connected"))
    }
}

/// A port on which nobody listens.
pub(crate) fn unused_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}
