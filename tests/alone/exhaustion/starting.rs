//! A port while processes are started: each has every socket of its parent until it is another program.

use std::io::ErrorKind;
use std::net::TcpStream;
use std::process::Command;
use std::thread;

use leads_comm::Server;
use leads_comm_testing::alone;

use super::restarts::quiet_port;

#[test]
fn a_port_is_free_at_once_while_processes_are_started() {
    alone!();
    let port = quiet_port();
    thread::scope(|scope| {
        let starting = [(); 2].map(|()| {
            scope.spawn(|| {
                for _ in 0..100 {
                    assert!(Command::new("true").status().unwrap().success());
                }
            })
        });
        while !starting.iter().all(thread::ScopedJoinHandle::is_finished) {
            let server = Server::builder().port(port).build().unwrap();
            server.start(true).unwrap();
            server.close();
            let late = TcpStream::connect(("127.0.0.1", port));
            assert_eq!(late.unwrap_err().kind(), ErrorKind::ConnectionRefused);
        }
    });
}
