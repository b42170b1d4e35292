//! That the fault proxy does what it says, and nothing else: other suites rest on its word.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use leads_comm_testing::proxy::lane::Cutter;
use leads_comm_testing::proxy::{BOTH, Direction, End, Faults, Link, Proxy, Slices};
use leads_comm_testing::seed::Seed;
use leads_comm_testing::stamp::{Book, Faults as Wrongs, Stamp, checksum};
use leads_comm_testing::*;
use socket2::SockRef;

/// A proxy with one connection through it.
struct Pair {
    client: TcpStream,
    server: TcpStream,
    link: Link,
    _proxy: Proxy,
}

fn pair(seed: &Seed, to_server: Faults, to_client: Faults) -> Pair {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = Proxy::start(listener.local_addr().unwrap(), seed.random(0), to_server, to_client);
    let client = TcpStream::connect(proxy.addr()).unwrap();
    let (server, from) = listener.accept().unwrap();
    let link = proxy.link(0);
    assert_eq!(from, link.client_addr());
    for socket in [&client, &server] {
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.set_write_timeout(Some(PATIENCE)).unwrap();
    }
    Pair { client, server, link, _proxy: proxy }
}

impl Pair {
    /// The ends of one direction: who sends, who receives.
    fn ends(&self, direction: Direction) -> (&TcpStream, &TcpStream) {
        match direction {
            Direction::ToServer => (&self.client, &self.server),
            Direction::ToClient => (&self.server, &self.client),
        }
    }
}

/// Faults in one direction only.
fn only(direction: Direction, faults: Faults) -> [Faults; 2] {
    match direction {
        Direction::ToServer => [faults, Faults::default()],
        Direction::ToClient => [Faults::default(), faults],
    }
}

/// Reads to the end, which may be an error: the bytes, and that end.
fn read_to_end(socket: &TcpStream) -> (Vec<u8>, io::Result<()>) {
    let (mut bytes, mut chunk) = (Vec::new(), [0; 16 * 1024]);
    loop {
        match resets::read(socket, &mut chunk) {
            Ok(0) => return (bytes, Ok(())),
            Ok(count) => bytes.extend_from_slice(&chunk[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (bytes, Err(error)),
        }
    }
}

fn is_reset(end: &io::Result<()>) -> bool {
    end.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::ConnectionReset)
}

#[test]
fn what_goes_in_comes_out() {
    let seed = Seed::new();
    let plain = Faults::default();
    let cases = [
        (3_000_000, plain.clone()),
        (20_000, Faults { slices: Slices::Every(1), ..plain.clone() }),
        (1_000_000, Faults { slices: Slices::Every(997), ..plain.clone() }),
        (1_000_000, Faults { slices: Slices::Random(1..=3000), ..plain.clone() }),
        (1_000_000, Faults { slices: Slices::Skewed(64 * 1024), rate: Some(20_000_000), ..plain.clone() }),
        (1_000_000, Faults { buffers: Some(4096), ..plain.clone() }),
        (
            10_000,
            Faults {
                slices: Slices::Random(1..=500),
                delay: Some([Duration::ZERO, Duration::from_millis(2)]),
                ..plain.clone()
            },
        ),
    ];
    for (len, faults) in cases {
        let pair = Arc::new(pair(&seed, faults.clone(), faults.clone()));
        // Both directions at once.
        let sending = BOTH.map(|direction| {
            let (pair, mut random) = (Arc::clone(&pair), seed.random(direction as u64));
            thread::spawn(move || {
                let (mut sender, _) = pair.ends(direction);
                let bytes: Vec<u8> = (0..len).map(|_| random.number() as u8).collect();
                for part in bytes.chunks(random.within(1..=100_000)) {
                    sender.write_all(part).unwrap();
                }
                sender.shutdown(Shutdown::Write).unwrap();
                checksum(&bytes, 0)
            })
        });
        let receiving = BOTH.map(|direction| {
            let pair = Arc::clone(&pair);
            thread::spawn(move || {
                let (bytes, end) = read_to_end(pair.ends(direction).1);
                end.unwrap();
                (bytes.len(), checksum(&bytes, 0))
            })
        });
        for (direction, (sent, received)) in BOTH.into_iter().zip(sending.into_iter().zip(receiving)) {
            assert_eq!((len, sent.join().unwrap()), received.join().unwrap(), "{faults:?}");
            let counts = pair.link.counts(direction);
            assert_eq!((counts.taken, counts.forwarded, counts.discarded), (len as u64, len as u64, 0), "{faults:?}");
            if let Slices::Every(slice) = faults.slices {
                assert!(counts.writes >= (len / slice) as u64, "{faults:?}: only {} writes", counts.writes);
            }
        }
        pair.link.wait_until_over();
    }
}

#[test]
fn the_same_seed_cuts_at_the_same_bytes() {
    let seed = Seed::new();
    let lens = |part, chunk: usize| {
        let mut cutter = Cutter::new(Slices::Skewed(10_000), seed.random(part));
        let mut cuts = Vec::new();
        let mut at = 0;
        while at < 100_000 {
            let passed = cutter.room().min(chunk);
            let is_cut = passed == cutter.room();
            cutter.pass(passed);
            at += passed;
            if is_cut && at < 100_000 {
                cuts.push(at);
            }
        }
        cuts
    };
    assert_eq!(lens(1, 7), lens(1, usize::MAX), "whatever the parts in which they come");
    assert_ne!(lens(1, 7), lens(2, 7));
}

#[test]
fn a_rate_is_not_exceeded() {
    let seed = Seed::new();
    let faults = Faults { slices: Slices::Every(1000), rate: Some(1_000_000), ..Faults::default() };
    let pair = pair(&seed, faults, Faults::default());
    let start = Instant::now();
    (&pair.client).write_all(&[1; 200_000]).unwrap();
    let mut bytes = vec![0; 200_000];
    (&pair.server).read_exact(&mut bytes).unwrap();
    // A little ahead is allowed.
    assert!(start.elapsed() >= Duration::from_millis(190), "{:?}", start.elapsed());
}

#[test]
fn a_delay_is_waited_for_before_each_slice() {
    let seed = Seed::new();
    let delay = Some([Duration::from_millis(5), Duration::from_millis(8)]);
    let pair = pair(&seed, Faults { slices: Slices::Every(1), delay, ..Faults::default() }, Faults::default());
    let start = Instant::now();
    (&pair.client).write_all(&[1; 20]).unwrap();
    (&pair.server).read_exact(&mut [0; 20]).unwrap();
    assert!(start.elapsed() >= Duration::from_millis(100), "{:?}", start.elapsed());
}

#[test]
fn a_stalled_direction_passes_nothing_on_until_it_is_resumed() {
    let seed = Seed::new();
    for direction in BOTH {
        let pair = pair(&seed, Faults::default(), Faults::default());
        let other = BOTH[1 - direction as usize];
        let (mut sender, mut receiver) = pair.ends(direction);
        pair.link.stall(direction);
        sender.write_all(b"late").unwrap();
        // What it was just waiting for, it may take.
        let (mut answerer, mut asker) = pair.ends(other);
        for _ in 0..100 {
            answerer.write_all(b"on it goes").unwrap();
            asker.read_exact(&mut [0; 10]).unwrap();
        }
        assert_eq!(pair.link.counts(direction).forwarded, 0);
        // So the sender is held up in the end.
        SockRef::from(sender).set_nonblocking(true).unwrap();
        let mut sent = 4;
        let error = loop {
            match sender.write(&[b'x'; 64 * 1024]) {
                Ok(count) => sent += count,
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        assert_eq!(pair.link.counts(direction).forwarded, 0);
        pair.link.resume(direction);
        let mut bytes = vec![0; sent];
        receiver.read_exact(&mut bytes).unwrap();
        assert!(bytes.starts_with(b"late") && bytes[4..].iter().all(|byte| *byte == b'x'));
        // Counted when a write has returned, which may be a moment after the bytes have been read.
        until("counted", || pair.link.counts(direction).forwarded == sent as u64);
        assert_eq!(pair.link.counts(direction).taken, sent as u64);
    }
}

#[test]
fn it_ends_at_the_chosen_byte() {
    const MESSAGE: &[u8] = b"0123456789;disconnect;";
    let seed = Seed::new();
    for direction in BOTH {
        for how in [End::HalfClose, End::Reset] {
            for at in 0..=MESSAGE.len() {
                let faults = Faults { end: Some((at as u64, how)), ..Faults::default() };
                let [to_server, to_client] = only(direction, faults);
                let pair = pair(&seed, to_server, to_client);
                let (mut sender, receiver) = pair.ends(direction);
                let sent = sender.write_all(MESSAGE);
                let (bytes, end) = read_to_end(receiver);
                assert_eq!(bytes, &MESSAGE[..at], "{direction:?} {how:?} {at}");
                let counts = pair.link.counts(direction);
                assert_eq!(counts.forwarded, at as u64);
                match how {
                    End::HalfClose => {
                        sent.unwrap();
                        end.unwrap();
                        let (mut answerer, mut asker) = pair.ends(BOTH[1 - direction as usize]);
                        answerer.write_all(b"on it goes").unwrap();
                        asker.read_exact(&mut [0; 10]).unwrap();
                        sender.shutdown(Shutdown::Write).unwrap();
                        answerer.shutdown(Shutdown::Write).unwrap();
                    }
                    End::Reset => {
                        assert!(is_reset(&end), "{direction:?} {at}: {end:?}");
                        // It is told once.
                        assert!(is_reset(&sent) || is_reset(&read_to_end(sender).1), "{direction:?} {at}");
                    }
                }
                pair.link.wait_until_over();
                let counts = pair.link.counts(direction);
                assert_eq!(counts.taken, counts.forwarded + counts.discarded);
                if how == End::HalfClose {
                    assert_eq!(counts.taken, MESSAGE.len() as u64);
                }
            }
        }
    }
}

#[test]
fn both_sides_see_a_reset_whatever_goes_on() {
    let seed = Seed::new();
    for round in 0..100 {
        let pair = Arc::new(pair(&seed, Faults::default(), Faults::default()));
        // In a third of the rounds both directions are full, in another one they are moving.
        let sending: Vec<_> = BOTH
            .into_iter()
            .filter(|_| round % 3 > 0)
            .map(|direction| {
                let pair = Arc::clone(&pair);
                thread::spawn(move || {
                    let (mut sender, mut receiver) = pair.ends(direction);
                    if round % 3 == 1 {
                        while sender.write_all(&[b'x'; 64 * 1024]).is_ok() {}
                    } else {
                        while sender.write_all(&[b'x'; 100]).is_ok() && receiver.read(&mut [0; 100]).is_ok() {}
                    }
                })
            })
            .collect();
        let moved = if round % 3 == 0 { 0 } else { 10_000 };
        BOTH.into_iter().for_each(|direction| pair.link.wait_until_forwarded(direction, moved));
        pair.link.reset();
        pair.link.wait_until_over();
        for sending in sending {
            in_time("sending", || sending.join().unwrap());
        }
        for socket in [&pair.client, &pair.server] {
            // A failed write has told of it already, where one was under way.
            let end = read_to_end(socket).1;
            assert!(is_reset(&end) || round % 3 > 0, "round {round}: {end:?}");
            assert!((&*socket).write_all(b"more").is_err(), "round {round}");
        }
    }
}

#[test]
fn an_end_is_passed_on_as_it_is() {
    let seed = Seed::new();
    for direction in BOTH {
        let slow = Faults { slices: Slices::Every(100), rate: Some(500_000), ..Faults::default() };
        let pair = pair(&seed, slow.clone(), slow);
        let (mut sender, receiver) = pair.ends(direction);
        sender.write_all(&[b'x'; 10_000]).unwrap();
        sender.shutdown(Shutdown::Write).unwrap();
        let (bytes, end) = read_to_end(receiver);
        end.unwrap();
        assert_eq!(bytes.len(), 10_000, "all that was before the end");
        // And the other one goes on.
        let (mut sender, mut receiver) = pair.ends(BOTH[1 - direction as usize]);
        sender.write_all(b"on it goes").unwrap();
        receiver.read_exact(&mut [0; 10]).unwrap();
    }
    for direction in BOTH {
        let Pair { client, server, link, _proxy } = pair(&seed, Faults::default(), Faults::default());
        let (gone, left) = match direction {
            Direction::ToServer => (client, server),
            Direction::ToClient => (server, client),
        };
        SockRef::from(&gone).set_linger(Some(Duration::ZERO)).unwrap();
        drop(gone);
        let end = read_to_end(&left).1;
        assert!(is_reset(&end), "{end:?}");
        link.wait_until_over();
    }
}

#[test]
fn what_follows_a_half_close_is_taken_and_thrown_away() {
    let seed = Seed::new();
    let pair = pair(&seed, Faults::default(), Faults::default());
    (&pair.client).write_all(b"before").unwrap();
    (&pair.server).read_exact(&mut [0; 6]).unwrap();
    pair.link.half_close(Direction::ToServer);
    let (bytes, end) = read_to_end(&pair.server);
    end.unwrap();
    assert_eq!(bytes, b"");
    (&pair.client).write_all(&[b'x'; 1_000_000]).unwrap();
    pair.client.shutdown(Shutdown::Write).unwrap();
    pair.server.shutdown(Shutdown::Write).unwrap();
    pair.link.wait_until_over();
    let counts = pair.link.counts(Direction::ToServer);
    assert_eq!((counts.taken, counts.forwarded, counts.discarded), (1_000_006, 6, 1_000_000));
}

#[test]
fn the_book_tells_lost_from_duplicated_reordered_and_torn() {
    let write = |sender, number| {
        let mut message = Vec::new();
        Stamp { kind: b's', sender, number }.write(100, &mut message);
        assert!(message.len() == 100 && !message.contains(&b';'));
        message
    };
    let mut book = Book::default();
    for number in [0, 1, 3, 2, 3, 6] {
        assert!(book.enter(&write(1, number)).is_some());
        assert_eq!(book.enter(&write(2, book.received)).map(|stamp| stamp.sender), Some(2));
    }
    // Sender 1: 3 before 2, 3 twice, without 4 and 5. Sender 2: every second one.
    assert_eq!(book.faults(), Wrongs { lost: 2 + 6, duplicated: 1, reordered: 1, torn: 0 });
    book.expect(1, 9);
    assert_eq!((book.next_of(1), book.faults().lost), (Some(9), 2 + 6 + 2));
    // No byte of a message may be another one, or missing; but for the first, which is its kind.
    let message = write(7, 1234);
    for at in 1..message.len() {
        let mut torn = message.clone();
        torn[at] ^= 1;
        assert_eq!(Stamp::read(&torn), None, "{at}");
        assert_eq!(Stamp::read(&message[..at]), None, "{at}");
    }
    assert_eq!(book.enter(&message[..99]), None);
    assert_eq!(book.faults().torn, 1);
}
