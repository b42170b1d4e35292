//! A server whose queue is full: Linux lets its callers wait, other systems refuse them.

use std::thread;
use std::time::{Duration, Instant};

use socket2::{Domain, SockAddr, Socket, Type};

use super::*;

/// A socket that listens, accepts nobody by itself, and whose queue is full.
struct Full {
    listener: Socket,
    waiting: Vec<Socket>,
}

impl Full {
    fn new(path: &Path) -> Self {
        let address = SockAddr::unix(path).unwrap();
        let listener = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        listener.bind(&address).unwrap();
        listener.listen(1).unwrap();
        let mut waiting = Vec::new();
        loop {
            let socket = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
            socket.set_nonblocking(true).unwrap();
            match socket.connect(&address) {
                Ok(()) => waiting.push(socket),
                Err(error) => {
                    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                    return Self { listener, waiting };
                }
            }
        }
    }
}

#[test]
fn a_client_waits_for_room_in_the_servers_queue() {
    let directory = Directory::new();
    let path = directory.join("leads.sock");
    let full = Full::new(&path);
    let path = path.to_str().unwrap();

    const SHORT: Duration = Duration::from_millis(50);
    let client = Client::builder().unix().connect_timeout(SHORT).build().unwrap();
    let begin = Instant::now();
    match client.start(path, true) {
        Err(Error::Connect { source, .. }) => assert_eq!(source.kind(), io::ErrorKind::TimedOut),
        other => panic!("{other:?}"),
    }
    assert!(begin.elapsed() >= SHORT);

    // Until it is closed,
    let client = Client::builder().unix().connect_timeout(2 * PATIENCE).build().unwrap();
    thread::scope(|scope| {
        let starting = scope.spawn(|| client.start(path, true));
        thread::sleep(SHORT);
        assert!(!starting.is_finished(), "there was room");
        let closing = client.clone();
        in_time("close", move || closing.close());
        let outcome = starting.join().unwrap();
        assert!(matches!(outcome, Err(Error::Closed)), "{outcome:?}");
    });

    // or there is.
    let client = Client::builder().unix().connect_timeout(2 * PATIENCE).build().unwrap();
    thread::scope(|scope| {
        let starting = scope.spawn(|| client.start(path, true));
        for _ in &full.waiting {
            full.listener.accept().unwrap();
        }
        starting.join().unwrap().unwrap();
    });
    client.close();
}
