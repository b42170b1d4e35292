//! Sockets that a program gives, and goes on to use by a clone: a service leaves them as it has found them.

use std::net::{TcpListener, TcpStream};
use std::thread;

use leads_comm::{Client, Server};
use leads_comm_testing::*;

/// A server of a clone of the socket has had a client.
fn serve(owner: &TcpListener) {
    let server = Server::builder().listener(owner.try_clone().unwrap()).build().unwrap();
    server.start(true).unwrap();
    let client = Client::builder().port(server.port()).build().unwrap();
    client.start("127.0.0.1", true).unwrap();
    until("the client is there", || server.num_connections() == 1);
    client.close();
    server.close();
}

#[test]
fn a_listener_that_blocked_blocks_again() {
    let owner = TcpListener::bind("127.0.0.1:0").unwrap();
    for _ in 0..2 {
        serve(&owner);
        let address = owner.local_addr().unwrap();
        let caller = thread::spawn(move || TcpStream::connect(address).unwrap());
        owner.accept().unwrap();
        caller.join().unwrap();
    }
}

/// One of them gives it back while the other one accepts.
#[test]
fn two_servers_may_share_a_listener() {
    let owner = TcpListener::bind("127.0.0.1:0").unwrap();
    let servers = [0, 1].map(|_| {
        let server = Server::builder().listener(owner.try_clone().unwrap()).build().unwrap();
        server.start(true).unwrap();
        server
    });
    let [first, second] = servers;
    first.close();
    let client = Client::builder().port(second.port()).build().unwrap();
    client.start("127.0.0.1", true).unwrap();
    until("the client is there", || second.num_connections() == 1);
    in_time("the close", move || second.close());
    client.close();
}

/// Windows does not tell whether a socket blocks.
#[cfg(unix)]
mod looked_at {
    use std::io;
    use std::os::fd::AsFd;
    use std::os::unix::net as unix;

    use leads_comm::transport::{self, Stream};
    use rustix::fs::{OFlags, fcntl_getfl};

    use super::*;

    fn blocks(socket: impl AsFd) -> bool {
        !fcntl_getfl(socket).unwrap().contains(OFlags::NONBLOCK)
    }

    #[test]
    fn a_listener_is_given_back_as_it_was() {
        let owner = TcpListener::bind("127.0.0.1:0").unwrap();
        for _ in 0..2 {
            serve(&owner);
            assert!(blocks(&owner));
        }
        owner.set_nonblocking(true).unwrap();
        serve(&owner);
        assert!(!blocks(&owner));
        assert_eq!(owner.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn so_is_that_of_a_server_that_never_starts() {
        let owner = TcpListener::bind("127.0.0.1:0").unwrap();
        drop(Server::builder().listener(owner.try_clone().unwrap()).build().unwrap());
        assert!(blocks(&owner));
        let server = Server::builder().listener(owner.try_clone().unwrap()).build().unwrap();
        server.close();
        drop(server);
        assert!(blocks(&owner));
    }

    #[test]
    fn so_is_that_of_a_unix_socket() {
        let path = std::env::temp_dir().join(format!("leads-comm-given-{}.sock", free_port()));
        let owner = unix::UnixListener::bind(&path).unwrap();
        let listener = transport::unix::UnixListener::new(owner.try_clone().unwrap()).unwrap();
        let server = Server::builder().transport(listener).build().unwrap();
        server.start(true).unwrap();
        let client = Client::builder().unix().build().unwrap();
        client.start(path.to_str().unwrap(), true).unwrap();
        server.close();
        assert!(blocks(&owner));
        std::fs::remove_file(&path).unwrap();
    }

    /// A stream blocks in reading all the same.
    #[test]
    fn streams_are_left_as_they_were() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (owner, _) = listener.accept().unwrap();
        owner.set_nonblocking(true).unwrap();
        let stream = transport::tcp::TcpStream::new(owner.try_clone().unwrap()).unwrap();
        let reading = thread::spawn(move || {
            let mut bytes = [0; 8];
            let count = stream.read(&mut bytes).unwrap();
            bytes[..count].to_vec()
        });
        io::Write::write_all(&mut &peer, b"m;").unwrap();
        assert_eq!(in_time("the read", move || reading.join().unwrap()), b"m;");
        assert!(!blocks(&owner));

        let (one, other) = unix::UnixStream::pair().unwrap();
        one.set_nonblocking(true).unwrap();
        let stream = transport::unix::UnixStream::new(one.try_clone().unwrap()).unwrap();
        io::Write::write_all(&mut &other, b"m;").unwrap();
        assert_eq!(stream.read(&mut [0; 8]).unwrap(), 2);
        assert!(!blocks(&one));
    }
}
