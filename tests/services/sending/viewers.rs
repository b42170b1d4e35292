//! Several viewers of one server, each served in its own way.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use leads_comm::{Closing, Connection, Delivery, DisconnectCause, Error, MemoryLimits, ServerBuilder, SlowConsumer};
use leads_comm_testing::valve::{self, EITHER, Valve, Valves, Writes};
use leads_comm_testing::*;

/// Long enough never to be over in a test.
const PATIENT: SlowConsumer = SlowConsumer::Block(Duration::from_secs(60));

const LEN: usize = 1000;
const QUEUE: usize = 20_000;

fn small(builder: ServerBuilder) -> ServerBuilder {
    let closing = Closing::new().flush_timeout(Duration::from_millis(100));
    builder.max_sent_len(LEN).max_queued_bytes(QUEUE).closing(closing)
}

fn served(policy: SlowConsumer) -> Delivery {
    Delivery::new().slow_consumer(policy).max_queued_bytes(QUEUE)
}

fn viewer(started: &Started, valves: &Valves, policy: SlowConsumer) -> (Valve, Connection) {
    let viewer = (valves.connect(), connected(&started.events));
    viewer.1.set_delivery(served(policy)).unwrap();
    viewer
}

/// As many messages as no queue holds, each broadcast.
const MESSAGES: usize = 100;

#[test]
fn each_viewer_is_served_in_its_own_way() {
    for writes in EITHER {
        let (started, valves) = valve::start_server(writes, small);
        let [newest, oldest, recorder, impatient] =
            [SlowConsumer::DropOldest, SlowConsumer::DropNewest, PATIENT, SlowConsumer::Disconnect]
                .map(|policy| viewer(&started, &valves, policy));
        assert_eq!(newest.1.delivery(), served(SlowConsumer::DropOldest));
        let server = started.server.clone();
        let broadcasting = thread::spawn(move || {
            for number in 0..MESSAGES {
                server.broadcast(&numbered(number, LEN)).unwrap();
            }
        });
        // The only one who is waited for, and so the only one who has to read.
        recorder.0.open();
        broadcasting.join().unwrap();
        recorder.1.flush(PATIENCE).unwrap();
        let numbers = |valve: &Valve| valve.messages().iter().map(|message| number_of(message)).collect::<Vec<_>>();
        assert_eq!(numbers(&recorder.0), (0..MESSAGES).collect::<Vec<_>>(), "{writes:?}");
        let (gone, reason) = find(&started.events, |event| match event {
            leads_comm::callback::Event::Disconnect { connection, reason } => Some((connection, reason)),
            _ => None,
        });
        assert!(gone == impatient.1 && matches!(reason.cause, DisconnectCause::SlowConsumer { .. }), "{reason}");
        [&newest, &oldest].iter().for_each(|viewer| {
            viewer.0.open();
            viewer.1.flush(PATIENCE).unwrap();
            assert_eq!(numbers(&viewer.0).len() + viewer.1.dropped_messages() as usize, MESSAGES, "{writes:?}");
        });
        assert_eq!(numbers(&newest.0).last(), Some(&(MESSAGES - 1)));
        assert!(numbers(&oldest.0).iter().enumerate().all(|(position, number)| position == *number));
        assert_eq!(started.server.num_connections(), 3);
    }
}

/// Whoever keeps up has a message before anybody is waited for.
#[test]
fn nobody_waits_for_a_viewer_that_is_waited_for_but_the_broadcaster() {
    for writes in EITHER {
        let (started, valves) = valve::start_server(writes, small);
        // The first in the table.
        let recorder = viewer(&started, &valves, PATIENT);
        let healthy = viewer(&started, &valves, SlowConsumer::Disconnect);
        healthy.0.open();
        while recorder.1.queued_bytes() + LEN < QUEUE - 100 {
            recorder.1.send(&numbered(0, LEN)).unwrap();
        }
        let server = started.server.clone();
        let broadcasting = thread::spawn(move || server.broadcast(&numbered(1, LEN)).unwrap());
        healthy.0.wait_for("the message", |taken| !taken.is_empty());
        assert!(!broadcasting.is_finished(), "{writes:?}");
        recorder.0.open();
        assert_eq!(broadcasting.join().unwrap(), 2);
    }
}

/// Those who wait for different times do so at the same time.
#[test]
fn broadcasts_wait_for_all_at_once() {
    let (started, valves) = valve::start_server(Writes::Direct, small);
    let time = Duration::from_millis(500);
    let recorders: Vec<_> =
        (1..=20).map(|times| viewer(&started, &valves, SlowConsumer::Block(time + times * time / 20))).collect();
    let server = started.server.clone();
    // One after the other they would take 15 s, and then more each.
    let left = in_time("broadcasting", move || {
        while server.broadcast(&numbered(0, LEN)).unwrap() > 0 {}
        server.num_connections()
    });
    assert!(left <= recorders.len());
    recorders.iter().for_each(|_| {
        assert!(matches!(disconnected(&started.events).cause, DisconnectCause::SlowConsumer { .. }));
    });
}

#[test]
fn a_sender_that_waits_goes_by_what_is_set_meanwhile() {
    for writes in EITHER {
        for (policy, wanted) in [
            (SlowConsumer::DropNewest, "dropped"),
            (SlowConsumer::DropOldest, "accepted"),
            (SlowConsumer::Disconnect, "ended"),
        ] {
            let (started, valves) = valve::start_server(writes, small);
            let (_valve, connection) = viewer(&started, &valves, PATIENT);
            let (full, is_full) = mpsc::channel();
            let sending = {
                let connection = connection.clone();
                thread::spawn(move || {
                    while connection.queued_bytes() + LEN + 65 <= QUEUE {
                        connection.send(&numbered(0, LEN)).unwrap();
                    }
                    full.send(()).unwrap();
                    match connection.send(&numbered(0, LEN)) {
                        Ok(()) => "accepted",
                        Err(Error::Dropped { .. }) => "dropped",
                        Err(Error::SlowConsumer { .. }) => "ended",
                        Err(error) => panic!("{error}"),
                    }
                })
            };
            is_full.recv_timeout(PATIENCE).unwrap();
            connection.set_delivery(served(policy)).unwrap();
            assert_eq!(sending.join().unwrap(), wanted, "{writes:?} {policy:?}");
        }
    }
}

#[test]
fn a_longer_queue_makes_room_and_a_shorter_one_takes_nothing_back() {
    for writes in EITHER {
        let (started, valves) = valve::start_server(writes, small);
        let (valve, connection) = viewer(&started, &valves, SlowConsumer::DropNewest);
        let fill = |number: &mut usize| {
            while connection.send(&numbered(*number, LEN)).is_ok() {
                *number += 1;
            }
        };
        let mut number = 0;
        fill(&mut number);
        let short = number;
        connection.set_delivery(served(SlowConsumer::DropNewest).max_queued_bytes(2 * QUEUE)).unwrap();
        fill(&mut number);
        assert!(number > short + 10, "{writes:?}: {short} {number}");
        connection.set_delivery(served(SlowConsumer::DropNewest)).unwrap();
        assert!(connection.send(&numbered(number, LEN)).is_err());
        valve.open();
        connection.flush(PATIENCE).unwrap();
        assert_eq!(valve.messages().len(), number);
    }
}

#[test]
fn a_delivery_that_does_not_fit_is_refused_and_the_old_one_stays() {
    let (started, valves) = valve::start_server(Writes::Direct, |builder| {
        small(builder).memory_limits(MemoryLimits::new().max_total_queued_bytes(4 * QUEUE))
    });
    let (_valve, connection) = viewer(&started, &valves, SlowConsumer::DropNewest);
    for bytes in [0, LEN, LEN + 64, 4 * QUEUE + 1, usize::MAX] {
        let error = connection.set_delivery(Delivery::new().max_queued_bytes(bytes)).unwrap_err();
        assert!(matches!(error, Error::InvalidSetting { setting: "max_queued_bytes", .. }), "{bytes}: {error}");
    }
    assert_eq!(connection.delivery(), served(SlowConsumer::DropNewest));
    connection.set_delivery(Delivery::new().max_queued_bytes(LEN + 65)).unwrap();
    assert!(matches!(
        started.server.connections()[0].delivery(),
        delivery if delivery == Delivery::new().max_queued_bytes(LEN + 65)
    ));
}

/// Whoever is waited for goes last: of two whose queues fill the memory, the one whose senders do not wait.
#[test]
fn nobody_that_is_waited_for_is_ended_while_there_are_others() {
    const TOTAL: usize = 4 * QUEUE;
    for writes in EITHER {
        let (started, valves) = valve::start_server(writes, |builder| {
            small(builder).memory_limits(MemoryLimits::new().max_total_queued_bytes(TOTAL))
        });
        let long = served(PATIENT).max_queued_bytes(TOTAL);
        let (_valve, recorder) = viewer(&started, &valves, PATIENT);
        recorder.set_delivery(long).unwrap();
        for number in 0..(TOTAL * 3 / 4) / (LEN + 65) {
            recorder.send(&numbered(number, LEN)).unwrap();
        }
        let display = viewer(&started, &valves, SlowConsumer::Disconnect).1;
        display.set_delivery(served(SlowConsumer::Disconnect).max_queued_bytes(TOTAL)).unwrap();
        in_time("the display", {
            let display = display.clone();
            move || while display.send(&numbered(0, LEN)).is_ok() {}
        });
        assert!(display.is_closed() && !recorder.is_closed(), "{writes:?}");
    }
}

/// Those who may lose messages give way to those who may not, and stay: also what they share.
#[test]
fn displays_make_room_for_a_recorder() {
    const TOTAL: usize = 8 * QUEUE;
    for writes in EITHER {
        for policy in [PATIENT, SlowConsumer::Disconnect] {
            for shared in [false, true] {
                let (started, valves) = valve::start_server(writes, |builder| {
                    small(builder).memory_limits(MemoryLimits::new().max_total_queued_bytes(TOTAL))
                });
                let displays: Vec<_> = (0..20).map(|_| viewer(&started, &valves, SlowConsumer::DropNewest)).collect();
                // What a thread is writing stays.
                for (valve, display) in &displays {
                    display.send(&numbered(0, LEN)).unwrap();
                    valve.wait_until_blocked();
                }
                for number in 0..QUEUE / LEN {
                    for (_, display) in &displays {
                        let message = numbered(number, LEN);
                        match shared {
                            // To two of them, each with another partner for each message.
                            true => {
                                let partner = &displays[number % displays.len()].1;
                                let both = |connection: &Connection| connection == display || connection == partner;
                                started.server.broadcast_where(&message, both).unwrap();
                            }
                            false => drop(display.send(&message)),
                        }
                    }
                }
                let recorder = viewer(&started, &valves, policy);
                let (sender, whole) = (recorder.1.clone(), QUEUE / (LEN + 65));
                in_time("the recorder", move || {
                    (0..whole).for_each(|number| sender.send(&numbered(number, LEN)).unwrap());
                });
                assert_eq!(recorder.1.dropped_messages(), 0);
                assert_eq!(started.server.num_connections(), 21, "{writes:?} {policy:?} {shared}");
                recorder.0.open();
                recorder.1.flush(PATIENCE).unwrap();
                assert_eq!(recorder.0.messages().len(), whole);
            }
        }
    }
}
