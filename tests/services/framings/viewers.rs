//! Keys, filters and snapshots see messages, whatever goes over the wire for them.

use std::sync::Arc;
use std::sync::Mutex;

use leads_comm::codec::Framing;
use leads_comm::{Client, Delivery, Key, Snapshot, key};
use leads_comm_testing::account::assert_adds_up;
use leads_comm_testing::valve;
use leads_comm_testing::*;

use super::{frame, framings};

#[test]
fn a_newcomer_gets_the_last_message_of_each_key_that_its_filter_wants() {
    for framing in framings() {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let sees = Arc::clone(&seen);
        let delivery = Delivery::new().conflate(true).filter(move |key: Option<&Key>, message: &[u8]| {
            sees.lock().unwrap().push((key.map(|key| key.as_bytes().to_vec()), message.to_vec()));
            !message.ends_with(b"\0no")
        });
        let started = Net::Memory.start_server(|builder| {
            let builder = builder.framing(framing.clone()).key(key::prefix(b':')).delivery(delivery);
            builder.snapshot(Snapshot::new())
        });
        let last: [&[u8]; 3] = [b"a:\0\x02", b"b:\0no", b"c:\0;\xff"];
        for message in [&b"a:\0\x01"[..], b"c:\0"].into_iter().chain(last) {
            assert_eq!(started.server.broadcast(message).unwrap(), 0);
        }
        let (callback, events) = recorder();
        let client = started.client().framing(framing.clone()).callback(callback).build().unwrap();
        client.start(started.address(), true).unwrap();
        assert_eq!([received(&events), received(&events)], [last[0], last[2]]);
        let mut asked = seen.lock().unwrap().clone();
        asked.sort();
        let expected: Vec<_> = last.iter().map(|message| (Some(message[..1].to_vec()), message.to_vec())).collect();
        assert_eq!(asked, expected, "{framing:?}");
        // The same on request, and for what is broadcast now.
        let connection = connected(&started.events);
        assert_eq!(connection.send_snapshot().unwrap(), 2);
        assert_eq!([received(&events), received(&events)], [last[0], last[2]]);
        assert_eq!(started.server.broadcast(b"d:\0no").unwrap(), 0);
        assert_eq!(started.server.broadcast(b"d:\0").unwrap(), 1);
        assert_eq!(received(&events), b"d:\0");
        let traffic = connection.stats().traffic;
        let filtered = frame(last[1], &framing).len() * 2 + frame(b"d:\0no", &framing).len();
        assert_eq!((traffic.filtered.messages, traffic.filtered.bytes), (3, filtered as u64));
        assert_adds_up(&traffic);
        client.close();
    }
}

#[test]
fn for_who_is_behind_the_newest_of_a_key_waits() {
    for framing in framings() {
        for writes in valve::EITHER {
            let (started, valves) = valve::start_server(writes, |builder| {
                builder.framing(framing.clone()).key(key::prefix(b':')).delivery(Delivery::new().conflate(true))
            });
            let valve = valves.connect();
            let connection = connected(&started.events);
            connection.send(b"first").unwrap();
            valve.wait_until_blocked();
            for message in [&b"a:\0one"[..], b"\0event", b"a:\0two", b"b:\0"] {
                assert_eq!(started.server.broadcast(message).unwrap(), 1);
            }
            assert_eq!(connection.send_all([&b"b:\0\0"[..], b"a:\0three"]).unwrap(), 2);
            let traffic = connection.stats().traffic;
            assert_eq!(traffic.conflated.messages, 3);
            assert_adds_up(&traffic);
            valve.open();
            connection.flush(PATIENCE).unwrap();
            let expected = [&b"first"[..], b"a:\0three", b"\0event", b"b:\0\0"].map(|message| frame(message, &framing));
            assert_eq!(valve.taken(), expected.concat(), "{framing:?}, {writes:?}");
        }
    }
}

#[test]
fn what_a_client_keeps_is_conflated_by_what_its_key_sees() {
    for framing in framings() {
        let (callback, events) = recorder();
        let port = free_port();
        let client = Client::builder()
            .port(port)
            .framing(framing.clone())
            .key(key::prefix(b':'))
            .delivery(Delivery::new().conflate(true))
            .reconnect(leads_comm::Reconnect::new().keep_bytes(1 << 16))
            .build()
            .unwrap();
        let server = || leads_comm::Server::builder().port(port).framing(framing.clone());
        let first = server().build().unwrap();
        first.start(true).unwrap();
        client.start("127.0.0.1", true).unwrap();
        first.close();
        until("the end has been noticed", || client.connection().is_none_or(|connection| connection.is_closed()));
        for message in [&b"a:\0one"[..], b"\0event", b"a:\0two"] {
            client.send(message).unwrap();
        }
        let second = server().callback(callback).build().unwrap();
        second.start(true).unwrap();
        assert_eq!([received(&events), received(&events)], [&b"a:\0two"[..], b"\0event"]);
        client.close();
        second.close();
    }
}

/// Once for all, however many there are.
#[test]
fn a_broadcast_is_framed_once() {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use leads_comm::codec::{CustomFraming, Frame, FramingError};

    use super::cobs::Cobs;

    struct Counted(Arc<AtomicUsize>);
    impl CustomFraming for Counted {
        fn encode(&self, message: &[u8], frame: &mut Vec<u8>) -> Result<(), FramingError> {
            self.0.fetch_add(1, Ordering::SeqCst);
            Cobs.encode(message, frame)
        }

        fn decode(&self, bytes: &mut [u8], seen: usize) -> Result<Option<Frame>, FramingError> {
            Cobs.decode(bytes, seen)
        }
    }
    let count = Arc::new(AtomicUsize::new(0));
    let framing = Framing::custom(Counted(Arc::clone(&count))).unwrap();
    let started = super::start(Net::Memory, &framing);
    let raws: Vec<_> = (0..5).map(|_| started.raw()).collect();
    raws.iter().for_each(|_| drop(connected(&started.events)));
    count.store(0, Ordering::SeqCst);
    assert_eq!(started.server.broadcast(b"\0").unwrap(), 5);
    assert_eq!(started.server.broadcast_where(b"\0", |_| true).unwrap(), 5);
    assert_eq!(count.load(Ordering::SeqCst), 2);
    raws.iter().for_each(|raw| assert_eq!(raw.read_exact(6), b"\x01\x01\0\x01\x01\0"));
}
