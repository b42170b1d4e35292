use std::net::TcpListener;
use std::sync::mpsc;
use std::thread;

use socket2::{Domain, SockRef, Socket, Type};

use super::*;
use crate::transport::Stream;
use crate::transport::tcp;

const PATIENCE: Duration = Duration::from_secs(20);

/// Longer than any test waits.
const NEVER: Duration = Duration::from_secs(3600);

/// An address of this machine that does not answer: its queue of callers is full.
struct Silent {
    address: SocketAddr,
    _listener: Socket,
    _callers: Vec<Socket>,
}

impl Silent {
    fn new() -> Self {
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        listener.listen(0).unwrap();
        let address = listener.local_addr().unwrap().as_socket().unwrap();
        let callers = (0..4).map(|_| {
            let caller = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            caller.set_nonblocking(true).unwrap();
            let _ = caller.connect(&address.into());
            caller
        });
        Self { address, _callers: callers.collect(), _listener: listener }
    }
}

fn answering() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// Nobody listens there.
fn refusing() -> SocketAddr {
    answering().1
}

/// What becomes of connecting to these addresses, in time.
fn race(addresses: &[SocketAddr], time: Duration) -> io::Result<TcpStream> {
    let (addresses, (told, outcome)) = (addresses.to_vec(), mpsc::channel());
    thread::spawn(move || told.send(open(&StoppableConnect::new(), &addresses, time, Ok)));
    outcome.recv_timeout(PATIENCE).expect("it waits for an address that does not answer")
}

#[test]
fn an_address_that_does_not_answer_holds_up_no_other() {
    let silent = [Silent::new(), Silent::new()];
    let (_listener, address) = answering();
    let stream = race(&[silent[0].address, silent[1].address, address], NEVER).unwrap();
    assert_eq!(stream.peer_addr().unwrap(), address);
    // As any other socket is, once it is taken.
    assert_eq!(SockRef::from(&stream).linger().unwrap(), None);
}

#[test]
fn an_address_that_fails_is_followed_by_the_next() {
    let (_listener, address) = answering();
    let unreachable = "255.255.255.255:1".parse().unwrap();
    for first in [refusing(), unreachable] {
        assert_eq!(race(&[first, address], NEVER).unwrap().peer_addr().unwrap(), address);
    }
}

#[test]
fn a_stream_that_is_refused_by_its_taker_is_followed_by_the_next() {
    let listeners = [answering(), answering()];
    let addresses = [listeners[0].1, listeners[1].1];
    let finish = |stream: TcpStream| match stream.peer_addr()? == addresses[0] {
        true => Err(io::ErrorKind::InvalidData.into()),
        false => Ok(stream),
    };
    let stream = open(&StoppableConnect::new(), &addresses, PATIENCE, finish).unwrap();
    assert_eq!(stream.peer_addr().unwrap(), addresses[1]);
}

#[test]
fn the_error_of_each_address_is_told_in_the_order_of_the_addresses() {
    let silent = Silent::new();
    let addresses = [refusing(), silent.address, refusing()];
    let error = race(&addresses, Duration::from_millis(100)).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    let text = error.to_string();
    let several = error.get_ref().and_then(|inner| inner.downcast_ref::<ConnectErrors>()).unwrap();
    let told: Vec<_> = several.errors().iter().map(|(address, error)| (*address, error.kind())).collect();
    let [refused, timed_out] = [io::ErrorKind::ConnectionRefused, io::ErrorKind::TimedOut];
    assert_eq!(told, [(addresses[0], refused), (addresses[1], timed_out), (addresses[2], refused)]);
    let each: Vec<_> = several.errors().iter().map(|(address, error)| format!("{address}: {error}")).collect();
    assert_eq!(text, each.join("; "));
}

#[test]
fn of_one_address_its_own_error_is_told() {
    let error = race(&[refusing()], PATIENCE).unwrap_err();
    assert!(error.raw_os_error().is_some(), "{error:?}");
    assert_eq!(race(&[], PATIENCE).unwrap_err().kind(), io::ErrorKind::NotFound);
}

#[test]
fn all_attempts_are_stopped_at_once() {
    let silent = [Silent::new(), Silent::new(), Silent::new()];
    let addresses: Vec<_> = silent.iter().map(|silent| silent.address).collect();
    let connecting = StoppableConnect::new();
    thread::scope(|scope| {
        let race = scope.spawn(|| open(&connecting, &addresses, NEVER, Ok));
        connecting.stop();
        assert_eq!(race.join().unwrap().unwrap_err().kind(), io::ErrorKind::ConnectionAborted);
    });
    let later = open(&connecting, &addresses, NEVER, Ok).unwrap_err();
    assert_eq!(later.kind(), io::ErrorKind::ConnectionAborted);
}

/// Who accepts it all the same sees a reset, and no peer that closes.
#[test]
fn what_is_given_up_leaves_by_a_reset() {
    let (listener, address) = answering();
    let connecting = StoppableConnect::new();
    let mut attempts = Attempts::new(&connecting, PATIENCE).unwrap();
    attempts.begin(address);
    let accepted = tcp::TcpStream::new(listener.accept().unwrap().0).unwrap();
    drop(attempts);
    assert!(accepted.wait_readable(PATIENCE).unwrap());
    assert_eq!(accepted.read(&mut [0]).unwrap_err().kind(), io::ErrorKind::ConnectionReset);
}

#[test]
fn both_families_take_turns_beginning_with_the_first() {
    let parse = |text: &str| {
        text.split(' ')
            .filter(|text| !text.is_empty())
            .map(|ip| SocketAddr::new(ip.parse().unwrap(), 1))
            .collect::<Vec<_>>()
    };
    for (given, expected) in [
        ("", ""),
        ("::1", "::1"),
        ("::1 ::2 ::3 1.1.1.1 1.1.1.2", "::1 1.1.1.1 ::2 1.1.1.2 ::3"),
        ("1.1.1.1 1.1.1.2 ::1", "1.1.1.1 ::1 1.1.1.2"),
        ("1.1.1.1 ::1 ::2 ::3", "1.1.1.1 ::1 ::2 ::3"),
        ("1.1.1.2 1.1.1.1", "1.1.1.2 1.1.1.1"),
    ] {
        assert_eq!(in_turn(&parse(given)), parse(expected), "{given}");
    }
}
