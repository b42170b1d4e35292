//! Connections that break at any byte.

use std::time::Instant;

use leads_comm_testing::proxy::{End, Faults, Proxy, Slices};
use leads_comm_testing::seed::Seed;

use super::*;

/// Each connection ends somewhere, in one direction or the other, by a reset or by a regular end.
#[test]
fn a_connection_that_breaks_at_any_byte_loses_nothing() {
    const COUNT: usize = 3000;
    let seed = Seed::new();
    let mut random = seed.random(0);
    let publisher = start_publisher(|builder| builder, in_memory(), ());
    let target = ([127, 0, 0, 1], publisher.server().port()).into();
    let proxy = Proxy::start(target, seed.random(1), Faults::default(), Faults::default());
    let mut cut = || {
        let ways = [End::Reset, End::HalfClose];
        let to_client = Faults {
            slices: Slices::Skewed(500),
            end: Some((random.skewed(4000) as u64, *random.pick(&ways))),
            ..Faults::default()
        };
        // The request has 27 bytes.
        let to_server =
            Faults { end: random.once_in(4).then(|| (random.within(0..=40) as u64, End::Reset)), ..Faults::default() };
        proxy.set_faults(to_server, to_client);
    };
    cut();
    let (subscriber, told) = subscribe(proxy.addr().port(), None, ());
    for number in 1..=COUNT {
        publish(&publisher, number..=number);
        if number % 10 == 0 {
            cut();
        }
        // Now and then it is waited for; otherwise much is behind.
        if number % 500 == 0 {
            for expected in number - 499..=number {
                assert_eq!(next_while(&told, &mut cut), expected);
            }
        }
    }
    let connections = subscriber.client().stats().opened;
    assert!(connections > 10, "{connections}");
    println!("{connections} connections for {COUNT} messages");
    publisher.close();
}

/// The number of the next message. What is cut is that of the next connection, and where it lets nothing through, it is
/// something else for the one after that.
fn next_while(told: &Receiver<Told>, mut cut: impl FnMut()) -> usize {
    let deadline = Instant::now() + 3 * PATIENCE;
    loop {
        match told.recv_timeout(Duration::from_millis(20)) {
            Ok(Told::Message(position, message)) => {
                assert_eq!(position.number as usize, number_of(&message));
                return number_of(&message);
            }
            Ok(gap) => panic!("{gap:?}"),
            Err(_) => assert!(Instant::now() < deadline, "nothing more is told"),
        }
        cut();
    }
}
