//! Which message answers which call, and that every other one goes to the callback.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use leads_comm::answer::{self, Numbers};
use leads_comm::callback::{self, Event};
use leads_comm::{Error, Server};
use leads_comm_testing::*;

use super::{call_in_background, result};

over_every_transport! {
    fn either_side_asks_the_other(net: Net) {
        let answer = |prefix: &'static str| callback::on_receive(move |connection, message| {
            if message.starts_with(b"?") {
                connection.send(b"not an answer").unwrap();
                connection.send(&[prefix.as_bytes(), message].concat()).unwrap();
            }
        });
        let (callback, server_events) = recorder();
        let (builder, dial) = net.server();
        let server = leads_comm::CloseOnDrop::new(builder.callback((answer("server:"), callback)).build().unwrap());
        server.start(true).unwrap();
        let (callback, client_events) = recorder();
        let client = dial.client(&server).callback((answer("client:"), callback)).build().unwrap();
        client.start(dial.address(), true).unwrap();

        assert_eq!(client.call(b"?a", answer::prefix("server:"), PATIENCE).unwrap(), b"server:?a");
        assert_eq!(received(&client_events), b"not an answer");
        let connection = connected(&server_events);
        assert_eq!(received(&server_events), b"?a");
        assert_eq!(connection.call(b"?b", answer::prefix("client:"), PATIENCE).unwrap(), b"client:?b");
        assert_eq!(received(&server_events), b"not an answer");
        // Each message went to one place, and all of them are counted.
        assert_eq!(client.connection().unwrap().stats().traffic.received.messages, 3);
        client.close();
        let told: Vec<_> = client_events.try_iter().filter(|event| matches!(event, Event::Receive { .. })).collect();
        assert!(matches!(&told[..], [Event::Receive { message, .. }] if message == b"?b"), "{told:?}");
    }
}

const CALLERS: usize = 100;
const CALLS: usize = 100;

/// A server that answers whatever has come by then in the opposite order, with something else in between.
#[test]
fn each_of_many_calls_at_once_gets_its_own_answer() {
    let started = Net::Tcp.start_server(|builder| builder);
    let events = started.events.clone();
    let server = thread::spawn(move || {
        let mut others = 0;
        while let Ok(first) = events.recv() {
            for event in [first].into_iter().chain(events.try_iter().collect::<Vec<_>>()).rev() {
                if let Event::Receive { connection, message } = event {
                    let number: u64 = std::str::from_utf8(&message).unwrap().parse().unwrap();
                    if number % 10 == 0 {
                        connection.send(b"a state").unwrap();
                        others += 1;
                    }
                    connection.send(format!("{number}:{}", 3 * number).as_bytes()).unwrap();
                }
            }
        }
        others
    });
    let (client, client_events) = started.start_client();
    let numbers = Numbers::new();
    thread::scope(|scope| {
        for _ in 0..CALLERS {
            scope.spawn(|| {
                for _ in 0..CALLS {
                    let number = numbers.next();
                    let is_answer = answer::prefix(format!("{number}:"));
                    let answer = client.call(number.to_string().as_bytes(), is_answer, PATIENCE).unwrap();
                    assert_eq!(answer, format!("{number}:{}", 3 * number).as_bytes());
                }
            });
        }
    });
    assert_eq!(numbers.next(), (CALLERS * CALLS) as u64 + 1);
    client.close();
    drop(started);
    let others = server.join().unwrap();
    assert_eq!(others, CALLERS * CALLS / 10);
    let told = client_events.try_iter().filter(|event| matches!(event, Event::Receive { .. })).count();
    assert_eq!(told, others, "an answer was delivered twice, or something else not at all");
}

#[test]
fn a_message_goes_to_the_first_call_that_wants_it() {
    let started = Net::Memory.start_server(|builder| builder);
    let (client, client_events) = started.start_client();
    let (here, there) = (client.connection().unwrap(), connected(&started.events));
    let first = call_in_background(&here, b"first", |message| message.starts_with(b"a"), &started.events);
    let second = call_in_background(&here, b"second", |_| true, &started.events);
    let third = call_in_background(&here, b"third", |_| true, &started.events);
    // Each is asked about a message until one takes it, and no more when it has its answer.
    for message in ["b1", "a1", "a2", "a3"] {
        there.send(message.as_bytes()).unwrap();
    }
    assert_eq!(result(&second).unwrap(), b"b1");
    assert_eq!(result(&first).unwrap(), b"a1");
    assert_eq!(result(&third).unwrap(), b"a2");
    assert_eq!(received(&client_events), b"a3");
}

/// What has come before the answer has been delivered by then, and what comes behind it waits for nobody.
#[test]
fn an_answer_keeps_its_place_among_the_messages() {
    let (callback, events) = recorder();
    let server = Server::builder().port(0).callback(callback::on_receive(|connection, _| {
        connection.send_all(["before", "answer", "behind"]).unwrap();
    }));
    let server = leads_comm::CloseOnDrop::new(server.build().unwrap());
    server.start(true).unwrap();
    let client = leads_comm::Client::connect(&format!("127.0.0.1:{}", server.port()), callback).unwrap();
    for _ in 0..100 {
        assert_eq!(client.call(b"go", |message| message == b"answer", PATIENCE).unwrap(), b"answer");
        let before = events.try_iter().find(|event| matches!(event, Event::Receive { .. }));
        assert!(matches!(before, Some(Event::Receive { message, .. }) if message == b"before"));
        assert_eq!(received(&events), b"behind");
    }
}

#[test]
fn an_answer_that_comes_too_late_is_a_message_like_any_other() {
    let started = Net::Memory.start_server(|builder| builder);
    let (client, client_events) = started.start_client();
    let there = connected(&started.events);
    for time in [Duration::ZERO, Duration::from_millis(1)] {
        let error = client.call(b"request", |_| true, time).unwrap_err();
        assert!(matches!(error, Error::TimedOut { timeout } if timeout == time), "{error:?}");
        assert_eq!(received(&started.events), b"request");
        there.send(b"late").unwrap();
        assert_eq!(received(&client_events), b"late");
    }
    // What tells an answer is let go with its call, whatever comes or does not.
    let kept = Arc::new(());
    let held = Arc::clone(&kept);
    client.call(b"request", move |_| Arc::strong_count(&held) == 0, Duration::ZERO).unwrap_err();
    assert_eq!(Arc::strong_count(&kept), 1);
}

/// The reader is still asking when the time is over: its answer counts for nothing, and the message is not lost.
#[test]
fn a_call_is_over_at_its_time_also_while_it_is_asked() {
    let started = Net::Memory.start_server(|builder| builder);
    let (client, client_events) = started.start_client();
    let there = connected(&started.events);
    let (asking, asked) = std::sync::mpsc::channel();
    let (over, is_over) = std::sync::mpsc::channel();
    let kept = Arc::new(());
    let held = Arc::clone(&kept);
    let is_answer = move |_: &[u8]| {
        let _held = &held;
        asking.send(()).unwrap();
        is_over.recv_timeout(PATIENCE).unwrap();
        true
    };
    there.send(b"for whom").unwrap();
    assert_eq!(received(&client_events), b"for whom");
    let caller = client.clone();
    let call = thread::spawn(move || caller.call(b"request", is_answer, Duration::from_millis(200)));
    assert_eq!(received(&started.events), b"request");
    there.send(b"for whom now").unwrap();
    let is_asked = asked.recv_timeout(PATIENCE).is_ok();
    let error = call.join().unwrap().unwrap_err();
    // On a machine that stands still the time may be over before anything is asked.
    if is_asked {
        assert!(matches!(error, Error::TimedOut { .. }), "{error:?}");
        over.send(()).unwrap();
    }
    assert_eq!(received(&client_events), b"for whom now");
    until("it is let go", || Arc::strong_count(&kept) == 1);
}

#[test]
fn answers_are_told_by_number() {
    static NUMBERS: Numbers = Numbers::new();
    assert_eq!([NUMBERS.next(), NUMBERS.next()], [1, 2]);
    let prefix = {
        let text = String::from("17:");
        answer::prefix(text.as_bytes())
    };
    for (message, is_answer) in [("17:", true), ("17:done", true), ("170:", false), ("17", false), (" 17:", false)] {
        assert_eq!(prefix(message.as_bytes()), is_answer, "{message}");
    }
    let field = {
        let (name, value) = (String::from("id"), String::from("17"));
        answer::json_field(&name, &value)
    };
    for (message, is_answer) in [
        (r#"{"id":17}"#, true),
        (r#"{"result":{"id":1},"id":"17"}"#, true),
        (r#"{"id":170}"#, false),
        (r#"{"result":{"id":17}}"#, false),
        (r#"{"id":[17]}"#, false),
        ("17", false),
    ] {
        assert_eq!(field(message.as_bytes()), is_answer, "{message}");
    }
}
