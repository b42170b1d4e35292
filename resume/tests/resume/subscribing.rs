//! What subscribers get.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;

use leads_comm::callback::{self, Event};
use leads_comm::codec::EncodeError;
use leads_comm::{Error, Server};
use leads_comm_resume::{PublishError, subscription};
use leads_comm_testing::folder::Folder;
use leads_comm_testing::{expect_panics_in_callbacks, find, received, recorder, until};

use super::*;

#[test]
fn what_is_kept_comes_first_and_then_what_is_published() {
    let publisher = start_publisher(|builder| builder, in_memory(), ());
    publish(&publisher, 1..=100);
    let (_first, told) = subscribe(publisher.server().port(), None, ());
    assert_messages(&told, 1..=100);
    publish(&publisher, 101..=200);
    let last = assert_messages(&told, 101..=200);
    assert_eq!(last, publisher.last());
    // As if it had been there before.
    let (_second, told_second) =
        subscribe(publisher.server().port(), last.map(|last| Position { number: 150, ..last }), ());
    assert_messages(&told_second, 151..=200);
    publish(&publisher, 201..=300);
    assert_messages(&told, 201..=300);
    assert_messages(&told_second, 201..=300);
    assert_eq!(publisher.num_subscribers(), 2);
    publisher.close();
}

/// Subscribers come while several threads publish as fast as they can: nothing is lost at the seam, nothing is double.
#[test]
fn nothing_is_lost_or_double_at_the_seam() {
    const THREADS: usize = 3;
    const EACH: usize = 2000;
    let publisher = start_publisher(|builder| builder, in_memory(), ());
    let publishing: Vec<_> = (0..THREADS)
        .map(|_| {
            let publisher = publisher.clone();
            thread::spawn(move || {
                for number in 0..EACH {
                    publisher.publish(&numbered(number, 30)).unwrap();
                }
            })
        })
        .collect();
    let subscribers: Vec<_> = (0..20).map(|_| subscribe(publisher.server().port(), None, ())).collect();
    publishing.into_iter().for_each(|thread| thread.join().unwrap());
    let mut all = None;
    for (_subscriber, told) in &subscribers {
        let messages = (1..=THREADS * EACH).map(|number| match next(told) {
            Told::Message(position, message) if position.number == number as u64 => message,
            other => panic!("before {number}: {other:?}"),
        });
        let messages: Vec<_> = messages.collect();
        // All have the same order.
        assert_eq!(*all.get_or_insert_with(|| messages.clone()), messages);
    }
    publisher.close();
}

/// A publisher that has been closed leaves its folder to the next one: both ends, over and over, with the history in
/// files.
#[test]
fn restarts_lose_nothing() {
    let folder = Folder::new("restarts");
    let mut last = None;
    for round in 0..10 {
        let history = History::open(folder.path(), Bounds::new()).unwrap();
        let publisher = start_publisher(|builder| builder, history, ());
        publish(&publisher, 100 * round + 1..=100 * round + 50);
        let (subscriber, told) = subscribe(publisher.server().port(), last, ());
        // What was published when nobody was there is the first.
        let from = last.map_or(1, |last: Position| last.number as usize + 1);
        last = assert_messages(&told, from..=100 * round + 50);
        subscriber.close();
        publish(&publisher, 100 * round + 51..=100 * round + 100);
        publisher.close();
    }
    assert_eq!(last.unwrap().number, 950);
}

/// Its numbers are the same, and not the same messages.
#[test]
fn a_publisher_that_has_begun_anew_is_noticed() {
    let begin = || start_publisher(|builder| builder, in_memory(), ());
    let (before, after) = (begin(), begin());
    [&before, &after].into_iter().for_each(|publisher| publish(publisher, 1..=10));
    let last = before.last().map(|last| Position { number: 5, ..last });
    let (_subscriber, told) = subscribe(after.server().port(), last, ());
    let Told::Gap(gap) = next(&told) else { panic!("a gap comes first") };
    assert_eq!((gap.last, gap.next), (last, Position { number: 1, ..after.last().unwrap() }));
    assert_eq!(gap.missing(), None);
    assert_messages(&told, 1..=10);
    [before, after].iter().for_each(Publisher::close);
}

#[test]
fn a_message_whose_callback_has_panicked_comes_again() {
    expect_panics_in_callbacks();
    let publisher = start_publisher(|builder| builder, in_memory(), ());
    publish(&publisher, 1..=100);
    let (telling, told) = mpsc::channel();
    let calls = AtomicUsize::new(0);
    let panicking = subscription(
        move |position, message| {
            assert_ne!(calls.fetch_add(1, Ordering::Relaxed) % 30, 20, "as asked");
            telling.send(Told::Message(position, message.to_vec())).unwrap();
        },
        |gap| panic!("{gap}"),
    );
    let subscriber = Subscriber::new(client(publisher.server().port()), None, panicking, ()).unwrap();
    let _subscribed = Subscribed::start(subscriber);
    assert_messages(&told, 1..=100);
    publisher.close();
}

/// The connection is one like any other besides.
#[test]
fn what_is_sent_to_one_peer_alone_has_no_number() {
    let (callback, events) = recorder();
    let publisher = start_publisher(|builder| builder, in_memory(), callback);
    let (client_callback, client_events) = recorder();
    publish(&publisher, 1..=3);
    let (subscriber, told) = subscribe(publisher.server().port(), None, client_callback);
    assert_messages(&told, 1..=3);
    subscriber.client().send(b"box this lap").unwrap();
    let connection = find(&events, |event| match event {
        Event::Receive { connection, message } => {
            assert_eq!(message, b"box this lap", "what subscribers ask is told to nobody");
            Some(connection)
        }
        _ => None,
    });
    connection.send(b"copy").unwrap();
    assert_eq!(received(&client_events), b"copy");
    // Nobody with numbers gets what has none.
    assert_eq!(publisher.server().broadcast(b"unnumbered").unwrap(), 0);
    publish(&publisher, 4..=5);
    assert_messages(&told, 4..=5);
    publisher.close();
}

#[test]
fn what_cannot_reach_everybody_is_not_published() {
    let publisher = start_publisher(|builder| builder.max_sent_len(100), in_memory(), ());
    let refused = |message: &[u8]| publisher.publish(message).unwrap_err();
    assert!(matches!(refused(&[b'x'; 80]), PublishError::Message(Error::MessageTooLong { .. })));
    assert!(matches!(refused(b"a;b"), PublishError::Message(Error::InvalidMessage(_))));
    assert!(matches!(refused(b"disconnect"), PublishError::Message(Error::InvalidMessage(EncodeError::IsGoodbye))));
    for word in ["resumed 00000000000000ab:1", "gap 00000000000000ab:17"] {
        assert!(matches!(refused(word.as_bytes()), PublishError::Reserved));
    }
    assert_eq!(publisher.last(), None);
    for message in
        [&[b'x'; 79][..], b"", b"resumed", b"gap of 3 s", b"resume 00000000000000ab:1", b"1:2", b"disconnected"]
    {
        publisher.publish(message).unwrap();
    }
    let (_subscriber, told) = subscribe(publisher.server().port(), None, ());
    for message in
        [&[b'x'; 79][..], b"", b"resumed", b"gap of 3 s", b"resume 00000000000000ab:1", b"1:2", b"disconnected"]
    {
        assert!(matches!(next(&told), Told::Message(_, told) if told == message));
    }
    publisher.close();
    let publisher = start_publisher(|builder| builder.separator("7"), in_memory(), ());
    assert!(matches!(publisher.publish(b"a").unwrap_err(), PublishError::Message(Error::InvalidMessage(_))));
    publisher.close();
}

/// A server that knows nothing of all this.
#[test]
fn a_server_that_is_no_publisher_never_resumes() {
    let (callback, events) = recorder();
    let server = Server::builder().port(0).callback(callback).build().unwrap();
    server.start(true).unwrap();
    let (subscriber, told) = subscribe(server.port(), None, ());
    assert_eq!(received(&events), b"resume 0000000000000000:0");
    server.broadcast(b"1:plain").unwrap();
    subscriber.client().close();
    assert!(!subscriber.is_resumed());
    assert!(told.try_recv().is_err());
    server.close();
    let publisher = start_publisher(|builder| builder, in_memory(), ());
    let (subscriber, _told) = subscribe(publisher.server().port(), None, ());
    until("the publisher has answered", || subscriber.is_resumed());
    publisher.close();
}

/// What the program does in a callback of the publisher goes out as everywhere.
#[test]
fn a_callback_may_publish() {
    let publisher: Arc<OnceLock<Publisher>> = Arc::default();
    let publishing = Arc::clone(&publisher);
    let relay = callback::on_receive(move |_, message: &[u8]| {
        publishing.get().unwrap().publish(message).unwrap();
    });
    let publisher = publisher.get_or_init(|| start_publisher(|builder| builder, in_memory(), relay)).clone();
    let (subscriber, told) = subscribe(publisher.server().port(), None, ());
    until("it is connected", || subscriber.is_resumed());
    (1..=50).for_each(|number| subscriber.client().send(&numbered(number, 30)).unwrap());
    assert_messages(&told, 1..=50);
    publisher.close();
}

/// A history outlives the settings under which it was written.
#[test]
fn a_message_that_cannot_be_sent_any_more_is_told_as_a_gap() {
    let folder = Folder::new("resume");
    let open = || History::open(folder.path(), Bounds::new()).unwrap();
    let publisher = start_publisher(|builder| builder.separator("\n"), open(), ());
    for message in ["m1", "m;2", "m;3", "m4", "m;5"] {
        publisher.publish(message.as_bytes()).unwrap();
    }
    let before = publisher.last().unwrap().epoch;
    publisher.close();
    drop(publisher);
    let publisher = start_publisher(|builder| builder, open(), ());
    let (_subscriber, told) = subscribe(publisher.server().port(), None, ());
    let message = |position, message: &str| Told::Message(position, message.into());
    assert_eq!(next(&told), message(Position::new(before, 1), "m1"));
    let gap = next(&told);
    assert!(matches!(gap, Told::Gap(gap) if gap.missing() == Some(2) && gap.next.number == 4), "{gap:?}");
    assert_eq!(next(&told), message(Position::new(before, 4), "m4"));
    let sixth = publisher.publish(b"m6").unwrap();
    let gap = next(&told);
    assert!(matches!(gap, Told::Gap(gap) if gap.next == sixth), "{gap:?}");
    assert_eq!(next(&told), message(sixth, "m6"));
    publisher.close();
}

/// A separator that occurs across a number and what comes behind it, for some numbers only.
#[test]
fn a_number_that_makes_a_message_impossible_holds_up_no_other() {
    let separated = |builder: ServerBuilder| builder.separator("4:x");
    let publisher = start_publisher(separated, in_memory(), ());
    for _ in 1..=20 {
        publisher.publish(b"x").unwrap();
    }
    let (telling, told) = mpsc::channel();
    let client = client(publisher.server().port()).separator("4:x");
    let _subscribed = Subscribed::start(Subscriber::new(client, None, Telling(telling), ()).unwrap());
    for number in 1..=20 {
        if [4, 14].contains(&number) {
            assert!(matches!(next(&told), Told::Gap(gap) if gap.missing() == Some(1)), "{number}");
            continue;
        }
        assert!(
            matches!(next(&told), Told::Message(position, message) if position.number == number && message == b"x")
        );
    }
    publisher.close();
}

/// What the program gave for a peer that asks is let go then, and may do anything.
#[test]
fn a_filter_that_is_let_go_may_ask_the_publisher() {
    struct Asking(Arc<OnceLock<Publisher>>, Sender<usize>);

    impl Drop for Asking {
        fn drop(&mut self) {
            let subscribers = self.0.get().map_or(0, Publisher::num_subscribers);
            let _ = self.1.send(subscribers);
        }
    }

    let publisher = Arc::default();
    let (let_go, is_let_go) = mpsc::channel();
    let asking = Arc::clone(&publisher);
    let filtered = move |builder: ServerBuilder| {
        builder.delivery_for(move |_| {
            let asking = Asking(Arc::clone(&asking), let_go.clone());
            leads_comm::Delivery::new().filter(move |_, _| size_of_val(&asking) > 0)
        })
    };
    let started = start_publisher(filtered, in_memory(), ());
    let started = publisher.get_or_init(|| started);
    started.publish(b"m1").unwrap();
    let (_subscriber, told) = subscribe(started.server().port(), None, ());
    assert!(is_let_go.recv_timeout(PATIENCE).is_ok(), "it waits for itself");
    assert!(matches!(next(&told), Told::Message(..)));
    started.close();
}

/// Files of the history are damaged, or gone, while the publisher has them: what is left still comes.
#[test]
fn what_is_lost_under_a_publisher_that_runs_is_told_as_a_gap() {
    let folder = Folder::new("resume");
    let history = History::open(folder.path(), Bounds::new().max_bytes(64 * 1024)).unwrap();
    let publisher = start_publisher(|builder| builder, history, ());
    publish(&publisher, 1..=1000);
    let mut files: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some());
    files.sort();
    let first_of = |file: &std::path::PathBuf| -> usize {
        file.file_stem().unwrap().to_str().unwrap().split('-').next().unwrap().parse().unwrap()
    };
    let firsts: Vec<_> = files.iter().map(first_of).collect();
    std::fs::remove_file(&files[1]).unwrap();
    // The fourth message of this one.
    let mut damaged = std::fs::read(&files[3]).unwrap();
    let at: usize = (firsts[3]..firsts[3] + 3).map(|number| 8 + 20 + number % 50).sum();
    damaged[at + 8] ^= 1;
    std::fs::write(&files[3], damaged).unwrap();
    let (_subscriber, told) = subscribe(publisher.server().port(), None, ());
    assert_messages(&told, firsts[0]..=firsts[1] - 1);
    assert!(matches!(next(&told), Told::Gap(gap) if gap.next.number as usize == firsts[2]));
    assert_messages(&told, firsts[2]..=firsts[3] + 2);
    assert!(matches!(next(&told), Told::Gap(gap) if gap.next.number as usize == firsts[4]));
    assert_messages(&told, firsts[4]..=1000);
    publisher.close();
}
