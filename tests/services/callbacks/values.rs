//! What a program keeps with a connection.

use std::sync::{Arc, mpsc};
use std::thread;

use leads_comm::callback::{Event, closures};
use leads_comm::{Connection, Server};
use leads_comm_testing::*;

/// Says on which thread it is dropped.
struct Told(&'static str, mpsc::Sender<(&'static str, Option<String>)>);

impl Drop for Told {
    fn drop(&mut self) {
        let _ = self.1.send((self.0, thread::current().name().map(str::to_owned)));
    }
}

struct Name(String);

over_every_transport! {
    fn there_is_one_value_of_each_type_until_the_end(net: Net) {
        let (callback, events) = recorder();
        let (drops, dropped) = mpsc::channel();
        let (last, seen) = mpsc::channel();
        let closures = closures()
            .on_connect({
                let drops = drops.clone();
                move |_, connection| {
                    assert!(connection.insert(Name("first".into())).is_none());
                    let before = connection.insert(Name("second".into())).unwrap();
                    assert_eq!(before.0, "first");
                    assert!(connection.insert(Told("kept", drops.clone())).is_none());
                    // A circle: it holds what it is kept with.
                    assert!(connection.insert(connection.clone()).is_none());
                }
            })
            .on_disconnect(move |_, connection, _| {
                last.send(connection.get::<Name>().map(|name| name.0.clone())).unwrap();
            });
        let (builder, dial) = net.server();
        let server = leads_comm::CloseOnDrop::new(builder.callback((closures, callback)).build().unwrap());
        server.start(true).unwrap();
        let client = dial.client(&server).build().unwrap();
        client.start(dial.address(), true).unwrap();
        let connection = connected(&events);
        assert_eq!(connection.get::<Name>().unwrap().0, "second");
        assert!(connection.get::<Connection>().unwrap().get::<u8>().is_none());
        // A client's connection has its own.
        let ours = client.connection().unwrap();
        assert!(ours.get::<Name>().is_none() && ours.insert(Name("ours".into())).is_none());
        assert!(dropped.try_recv().is_err());
        client.close();
        assert_eq!(seen.recv_timeout(PATIENCE).unwrap().as_deref(), Some("second"));
        let (what, thread) = dropped.recv_timeout(PATIENCE).unwrap();
        assert_eq!(what, "kept");
        assert!(thread.is_some_and(|name| name.starts_with("leads-comm reader") || name.starts_with("lc-")));
        until("nothing is kept", || connection.get::<Connection>().is_none());
        // Nor is anything from now on.
        assert!(connection.insert(Told("late", drops.clone())).is_none());
        assert_eq!(dropped.try_recv().unwrap().0, "late");
        assert!(connection.get::<Told>().is_none());
    }
}

#[test]
fn values_whose_destructors_panic_cost_nobody_anything() {
    expect_panics_in_callbacks();
    struct Bomb<const NUMBER: usize>;
    impl<const NUMBER: usize> Drop for Bomb<NUMBER> {
        fn drop(&mut self) {
            panic!("boom");
        }
    }

    let (callback, events) = recorder();
    let bombs = closures().on_connect(|_, connection| {
        connection.insert(Bomb::<1>);
        connection.insert(Bomb::<2>);
    });
    let server = Server::builder().port(0).callback((bombs, callback)).build().unwrap();
    server.start(true).unwrap();
    for _ in 0..3 {
        let client = leads_comm::Client::builder().port(server.port()).build().unwrap();
        client.start("127.0.0.1", true).unwrap();
        connected(&events);
        client.close();
        find(&events, |event| matches!(event, Event::Disconnect { .. }).then_some(()));
    }
    server.close();
    assert!(server.wait_timeout(PATIENCE));
    assert_eq!(server.stats().ended.total(), 3);
}

/// From any thread, while the connection ends.
#[test]
fn values_come_and_go_from_every_thread() {
    let (callback, events) = recorder();
    let server = Server::builder().port(0).callback(callback).build().unwrap();
    server.start(true).unwrap();
    let client = leads_comm::Client::builder().port(server.port()).build().unwrap();
    client.start("127.0.0.1", true).unwrap();
    let connection = connected(&events);
    let alive = Arc::new(());
    let writers: Vec<_> = (0..4)
        .map(|_| {
            let (connection, alive) = (connection.clone(), Arc::clone(&alive));
            thread::spawn(move || {
                let mut kept = 0;
                while connection.disconnect_reason().is_none() {
                    connection.insert(Arc::clone(&alive));
                    kept += usize::from(connection.get::<Arc<()>>().is_some());
                }
                kept
            })
        })
        .collect();
    until("kept", || connection.get::<Arc<()>>().is_some());
    client.close();
    assert!(writers.into_iter().map(|writer| writer.join().unwrap()).sum::<usize>() > 0);
    server.close();
    assert!(server.wait_timeout(PATIENCE));
    until("let go", || Arc::strong_count(&alive) == 1);
}
