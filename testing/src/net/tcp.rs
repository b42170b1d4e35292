//! TCP on this machine.

use leads_comm::transport::tcp::TcpStream;
use leads_comm::{Client, ClientBuilder, Server, ServerBuilder};
use socket2::{Domain, Socket, Type};

use super::raw::Raw;
use super::{Dial, Transport};

/// See [`Net::Tcp`](super::Net::Tcp).
pub struct Tcp;

impl Transport for Tcp {
    fn server(&self) -> (ServerBuilder, Box<dyn Dial>) {
        (Server::builder().port(0), Box::new(Tcp))
    }

    fn holds(&self) -> usize {
        20_000_000
    }

    fn has_addresses(&self) -> bool {
        true
    }
}

impl Dial for Tcp {
    fn client(&self, server: &Server) -> ClientBuilder {
        Client::builder().port(server.port())
    }

    fn raw(&self, server: &Server) -> Raw {
        Raw::over_tcp(std::net::TcpStream::connect(server.local_addr().unwrap()).unwrap())
    }

    fn stalled(&self, server: &Server) -> Raw {
        let address = server.local_addr().unwrap();
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        socket.connect(&address.into()).unwrap();
        Raw::of(Box::new(TcpStream::new(socket.into()).unwrap()))
    }
}
