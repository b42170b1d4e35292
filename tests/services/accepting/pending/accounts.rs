//! Every caller is accounted for, whatever it does and whenever the server is closed.

use std::net::Shutdown;
use std::thread;

use super::seed::{self, Random};
use super::*;
use leads_comm::Timeouts;

/// What a caller may say: nothing, a part, something wrong, or what is right.
const WORDS: [&[u8]; 8] =
    [b"", b"h", b"oh\n", b"hi\nsec", b"hi\nwrong;", b"hi\ndisconnect;", b"hi\nsecret;m1;", b"hi\nsecret;m1;m2"];

/// Says something, and leaves in one way or another.
fn act(raw: Raw, random: &mut Random) {
    let _ = raw.try_write(WORDS[random.within(0..=WORDS.len() - 1)]);
    match random.within(0..=3) {
        0 => raw.reset(),
        1 => drop(raw),
        2 => drop(raw.read_to_end()),
        _ => {
            let _ = raw.stream.shutdown(Shutdown::Write);
            drop(raw.read_to_end());
        }
    }
}

#[test]
fn callers_are_let_in_or_refused_and_told_of_once() {
    const ROUNDS: usize = 16;
    const CALLERS: usize = 40;
    let seed = seed::fresh();
    println!("seed {seed}");
    let mut random = Random::new(seed);
    let (mut let_in, mut refused) = (0, 0);
    for round in 0..ROUNDS {
        let net = if round % 4 < 2 { Net::Tcp } else { Net::Memory };
        let started = shaking::start(
            net,
            || (),
            |builder| {
                let builder =
                    builder.token("secret").timeouts(Timeouts::new().handshake_timeout(Duration::from_millis(100)));
                builder.max_handshakes(20).max_connections(30)
            },
        );
        let raws: Vec<_> = (0..CALLERS).map(|_| (started.raw(), Random::new(random.number()))).collect();
        thread::scope(|scope| {
            for (raw, mut random) in raws {
                scope.spawn(move || act(raw, &mut random));
            }
            // In the middle of it, or when many have what they came for.
            if round % 2 == 1 {
                until("a quarter of them are let in or refused", || {
                    let stats = started.server.stats();
                    stats.callers_refused.total() + stats.opened >= CALLERS as u64 / 4
                });
            }
            let server = started.server.clone();
            in_time("closing", move || server.close());
        });
        let stats = started.server.stats();
        let (mut connects, mut disconnects, mut told) = (0, 0, 0);
        for event in started.events.try_iter() {
            match event {
                Event::Connect { .. } => connects += 1,
                Event::Disconnect { .. } => disconnects += 1,
                Event::Fail { error: Error::Refused { callers, .. }, .. } => told += callers,
                // A caller may be gone before it was accepted.
                Event::Fail { error: Error::Accept { .. }, .. } | Event::Initialize { .. } | Event::Receive { .. } => {}
                other => panic!("{other:?}"),
            }
        }
        assert_eq!((connects, connects), (disconnects, stats.opened), "{stats}");
        assert_eq!(told, stats.callers_refused.total(), "{stats}");
        assert_eq!(stats.connections, 0);
        let_in += connects;
        refused += told;
    }
    println!("S2: of {} callers {let_in} were let in, {refused} refused, each told of once", ROUNDS * CALLERS);
    assert!(let_in > 0 && refused > 0);
}
