//! A server that does not answer, as one that has vanished.

use std::net::SocketAddr;

use socket2::{Domain, Socket, Type};

/// A listener that accepts nobody, and whose queue is full, so that the system drops every further caller's first
/// packet.
pub struct Silent {
    address: SocketAddr,
    _listener: Socket,
    #[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "they are only kept"))]
    callers: Vec<Socket>,
}

impl Silent {
    /// One on a free port of this machine.
    pub fn new() -> Self {
        Self::at(([127, 0, 0, 1], 0).into())
    }

    /// One at this address.
    pub fn at(address: SocketAddr) -> Self {
        let open = || Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
        let listener = open();
        listener.bind(&address.into()).unwrap();
        listener.listen(0).unwrap();
        let address = listener.local_addr().unwrap().as_socket().unwrap();
        let callers = (0..4).map(|_| {
            let caller = open();
            caller.set_nonblocking(true).unwrap();
            let _ = caller.connect(&address.into());
            caller
        });
        Self { address, callers: callers.collect(), _listener: listener }
    }

    /// Where it is.
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// Whether the system has sent a first packet for somebody who is not one of our own callers. Knows of IPv4 only.
    #[cfg(target_os = "linux")]
    pub fn has_caller(&self) -> bool {
        const SYN_SENT: &str = "02";
        // As the table has them: the address in the order of this machine, and the port, in hexadecimal digits.
        let SocketAddr::V4(address) = self.address else { panic!("not IPv4") };
        let wanted = format!("{:08X}:{:04X}", u32::from_ne_bytes(address.ip().octets()), address.port());
        let own: Vec<_> = self.callers.iter().map(local_port).collect();
        std::fs::read_to_string("/proc/self/net/tcp").unwrap().lines().skip(1).any(|line| {
            let fields: Vec<_> = line.split_whitespace().collect();
            let is_own = own.iter().any(|own| fields[1].ends_with(own));
            fields[2] == wanted && fields[3] == SYN_SENT && !is_own
        })
    }
}

#[cfg(target_os = "linux")]
fn local_port(socket: &Socket) -> String {
    format!(":{:04X}", socket.local_addr().unwrap().as_socket().unwrap().port())
}
