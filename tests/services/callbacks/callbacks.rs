//! What makes up a callback: objects behind pointers, pairs, closures, and the chain that `set_callback` builds.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};

use leads_comm::callback::{self, Closures, Event};
use leads_comm::{
    Callback, Client, ClientBuilder, Connection, DisconnectReason, Error, Server, ServerBuilder, Service,
};
use leads_comm_testing::*;

/// One call: which callback was called, by which method, and with what.
type Call = (&'static str, &'static str, String);

/// Tells every call under a name of its own.
#[derive(Clone)]
struct Teller {
    name: &'static str,
    calls: mpsc::Sender<Call>,
}

impl Teller {
    fn tell(&self, method: &'static str, facts: impl ToString) {
        self.calls.send((self.name, method, facts.to_string())).unwrap();
    }
}

impl Callback for Teller {
    fn on_initialize(&self, _: &dyn Service) {
        self.tell("on_initialize", "");
    }

    fn on_connect(&self, service: &dyn Service, _: &Connection) {
        self.tell("on_connect", service.num_connections());
    }

    fn on_receive(&self, _: &dyn Service, _: &Connection, message: &[u8]) {
        self.tell("on_receive", message.escape_ascii());
    }

    fn on_disconnect(&self, _: &dyn Service, _: &Connection, reason: &DisconnectReason) {
        self.tell("on_disconnect", reason);
    }

    fn on_fail(&self, _: &dyn Service, error: &Error) {
        self.tell("on_fail", error);
    }
}

/// Makes tellers that share one list of calls.
struct Tellers {
    calls: mpsc::Sender<Call>,
    called: mpsc::Receiver<Call>,
}

impl Tellers {
    fn new() -> Self {
        let (calls, called) = mpsc::channel();
        Self { calls, called }
    }

    fn teller(&self, name: &'static str) -> Teller {
        Teller { name, calls: self.calls.clone() }
    }

    fn next(&self) -> Call {
        self.called.recv_timeout(PATIENCE).expect("no further call")
    }

    fn assert_next(&self, expected: &[(&str, &str, &str)]) {
        for expected in expected {
            let (name, method, facts) = self.next();
            assert_eq!((name, method, &*facts), *expected);
        }
    }

    /// Asserts that a whole life called each method of `names` once, and in this order within each method.
    fn assert_whole_life(&self, names: &[&str]) {
        let facts = [
            ("on_initialize", ""),
            ("on_connect", "1"),
            ("on_receive", "hello"),
            ("on_disconnect", "the peer said goodbye"),
            ("on_fail", "the callback on_disconnect panicked: provoked"),
        ];
        let expected: Vec<_> =
            facts.iter().flat_map(|(method, facts)| names.iter().map(move |name| (*name, *method, *facts))).collect();
        self.assert_next(&expected);
        self.assert_no_more();
    }

    fn assert_no_more(&self) {
        assert_eq!(self.called.try_iter().collect::<Vec<_>>(), []);
    }
}

/// Set behind all others: brings about `on_fail`, and tells that everything before it has been called.
fn provoke(done: mpsc::Sender<()>) -> Closures {
    callback::closures().on_disconnect(|_, _, _| panic!("provoked")).on_fail(move |_, _| done.send(()).unwrap())
}

/// A server's whole life, in which every method is called once.
fn serve(net: Net, prepare: impl FnOnce(ServerBuilder) -> Server) {
    expect_panics_in_callbacks();
    let (builder, dial) = net.server();
    let server = prepare(builder);
    let (tell, done) = mpsc::channel();
    server.set_callback(provoke(tell));
    server.start(true).unwrap();

    let client = dial.client(&server).build().unwrap();
    client.start(dial.address(), true).unwrap();
    client.send(b"hello").unwrap();
    client.close();
    done.recv_timeout(PATIENCE).expect("on_fail is not called");
    server.close();
}

/// A client's whole life, in which every method is called once.
fn connect(net: Net, prepare: impl FnOnce(ClientBuilder) -> Client) {
    expect_panics_in_callbacks();
    let started = net.start_server(|builder| {
        builder.callback(callback::closures().on_connect(|_, connection| {
            connection.send(b"hello").unwrap();
            connection.close();
        }))
    });
    let client = prepare(started.client());
    let (tell, done) = mpsc::channel();
    client.set_callback(provoke(tell));
    client.start(started.address(), true).unwrap();
    done.recv_timeout(PATIENCE).expect("on_fail is not called");
    client.close();
}

over_every_transport! {
    fn a_server_calls_those_set_before_first(net: Net) {
        let told = Tellers::new();
        serve(net, |builder| {
            let server = builder.callback(told.teller("first")).build().unwrap();
            server.set_callback(told.teller("second"));
            server.set_callback(told.teller("third"));
            server
        });
        told.assert_whole_life(&["first", "second", "third"]);
    }

    fn a_client_calls_those_set_before_first(net: Net) {
        let told = Tellers::new();
        connect(net, |builder| {
            let client = builder.callback(told.teller("first")).build().unwrap();
            client.set_callback(told.teller("second"));
            client.set_callback(told.teller("third"));
            client
        });
        told.assert_whole_life(&["first", "second", "third"]);
    }

    fn replacing_overrides_all_that_were_set(net: Net) {
        let told = Tellers::new();
        serve(net, |builder| {
            let server = builder.callback(told.teller("first")).build().unwrap();
            server.set_callback(told.teller("second"));
            server.replace_callback(told.teller("instead"));
            server.set_callback(told.teller("behind"));
            server
        });
        told.assert_whole_life(&["instead", "behind"]);

        connect(net, |builder| {
            let client = builder.callback(told.teller("first")).build().unwrap();
            client.set_callback(told.teller("second"));
            client.replace_callback(told.teller("instead"));
            client.set_callback(told.teller("behind"));
            client
        });
        told.assert_whole_life(&["instead", "behind"]);
    }

    fn a_servers_connection_keeps_the_callbacks_that_it_began_with(net: Net) {
        let told = Tellers::new();
        let started = net.start_server(|builder| builder.callback(told.teller("old")));
        let early = started.start_client_with(());
        told.assert_next(&[("old", "on_initialize", ""), ("old", "on_connect", "1")]);

        started.server.set_callback(told.teller("added"));
        early.send(b"early").unwrap();
        told.assert_next(&[("old", "on_receive", "early")]);
        let later = started.start_client_with(());
        told.assert_next(&[("old", "on_connect", "2"), ("added", "on_connect", "2")]);

        started.server.replace_callback(told.teller("new"));
        later.send(b"later").unwrap();
        told.assert_next(&[("old", "on_receive", "later"), ("added", "on_receive", "later")]);
        let latest = started.start_client_with(());
        told.assert_next(&[("new", "on_connect", "3")]);

        let goodbye = "the peer said goodbye";
        early.close();
        told.assert_next(&[("old", "on_disconnect", goodbye)]);
        later.close();
        told.assert_next(&[("old", "on_disconnect", goodbye), ("added", "on_disconnect", goodbye)]);
        latest.close();
        told.assert_next(&[("new", "on_disconnect", goodbye)]);
        started.server.close();
        told.assert_no_more();
    }

    fn a_clients_connection_keeps_the_callbacks_that_it_began_with(net: Net) {
        let told = Tellers::new();
        let started = net.start_server(|builder| builder);
        let client = started.start_client_with(told.teller("old"));
        let connection = connected(&started.events);
        told.assert_next(&[("old", "on_initialize", ""), ("old", "on_connect", "1")]);

        client.set_callback(told.teller("added"));
        connection.send(b"one").unwrap();
        told.assert_next(&[("old", "on_receive", "one")]);
        client.replace_callback(told.teller("new"));
        connection.send(b"two").unwrap();
        told.assert_next(&[("old", "on_receive", "two")]);
        client.close();
        told.assert_next(&[("old", "on_disconnect", "the service was closed")]);
        told.assert_no_more();
    }

    fn what_is_set_once_a_client_has_started_is_not_told_of_its_connection(net: Net) {
        let started = net.start_server(|builder| builder);
        for _ in 0..50 {
            let tellers = Tellers::new();
            let client = started.start_client_with(());
            client.set_callback(tellers.teller("late"));
            client.close();
            tellers.assert_no_more();
        }
    }

    fn pairs_may_be_nested(net: Net) {
        let told = Tellers::new();
        let (first, second) = (told.teller("first"), told.teller("second"));
        let (third, fourth) = (told.teller("third"), told.teller("fourth"));
        serve(net, |builder| builder.callback(((first, (second, ())), (third, fourth))).build().unwrap());
        told.assert_whole_life(&["first", "second", "third", "fourth"]);
    }

    fn pointers_serve(net: Net) {
        let told = Tellers::new();
        let arc = Arc::new(told.teller("arc"));
        let shared: Arc<dyn Callback> = Arc::new(told.teller("arc of any"));
        let boxed: Box<dyn Callback> = Box::new(told.teller("box of any"));
        serve(net, |builder| {
            let server = builder.callback(arc).build().unwrap();
            server.set_callback(Arc::clone(&shared));
            server.set_callback(Box::new(told.teller("box")));
            server.set_callback(boxed);
            server
        });
        told.assert_whole_life(&["arc", "arc of any", "box", "box of any"]);

        connect(net, |builder| builder.callback(shared).build().unwrap());
        told.assert_whole_life(&["arc of any"]);
    }

    fn nothing_at_all_serves(net: Net) {
        serve(net, |builder| builder.build().unwrap());
        serve(net, |builder| builder.callback(()).build().unwrap());
        connect(net, |builder| builder.build().unwrap());
    }

    fn closures_serve_each_method(net: Net) {
        let told = Tellers::new();
        serve(net, |builder| builder.callback(closures_of(&told.teller("closures"))).build().unwrap());
        told.assert_whole_life(&["closures"]);
        connect(net, |builder| builder.callback(closures_of(&told.teller("closures"))).build().unwrap());
        told.assert_whole_life(&["closures"]);
    }
}

/// Closures that tell what the teller itself would.
fn closures_of(teller: &Teller) -> Closures {
    add_closures(callback::closures(), teller)
}

fn add_closures(closures: Closures, teller: &Teller) -> Closures {
    let [initialize, connect, receive, disconnect, fail] = [(); 5].map(|()| teller.clone());
    closures
        .on_initialize(move |service| initialize.on_initialize(service))
        .on_connect(move |service, connection| connect.on_connect(service, connection))
        .on_receive(move |_, message| receive.tell("on_receive", message.escape_ascii()))
        .on_disconnect(move |service, connection, reason| disconnect.on_disconnect(service, connection, reason))
        .on_fail(move |service, error| fail.on_fail(service, error))
}

#[test]
fn the_later_of_two_closures_for_a_method_is_kept() {
    let told = Tellers::new();
    let callback = add_closures(closures_of(&told.teller("earlier")), &told.teller("later"));
    serve(Net::Memory, |builder| builder.callback(callback).build().unwrap());
    told.assert_whole_life(&["later"]);
}

#[test]
fn a_closure_for_messages_is_told_whose_they_are() {
    let echo = callback::on_receive(|connection, message| connection.send(message).unwrap());
    let started = Net::Memory.start_server(|builder| builder.callback(echo));
    let (one, one_events) = started.start_client();
    let (_two, two_events) = started.start_client();
    one.send(b"who said that?").unwrap();
    assert_eq!(received(&one_events), b"who said that?");
    started.server.close();
    let heard = two_events.try_iter().filter(|event| matches!(event, Event::Receive { .. })).count();
    assert_eq!(heard, 0);
}

/// Counts the messages of everyone who shares it.
#[derive(Default)]
struct Counter {
    messages: AtomicUsize,
}

impl Callback for Counter {
    fn on_receive(&self, _: &dyn Service, connection: &Connection, _: &[u8]) {
        let count = self.messages.fetch_add(1, Ordering::Relaxed) + 1;
        connection.send(count.to_string().as_bytes()).unwrap();
    }
}

#[test]
fn several_services_can_share_one_callback() {
    let counter = Arc::new(Counter::default());
    let servers = [Net::Tcp, Net::Memory].map(|net| net.start_server(|builder| builder.callback(counter.clone())));
    for (number, server) in servers.iter().enumerate() {
        let (client, events) = server.start_client();
        client.send(b"count me").unwrap();
        assert_eq!(received(&events), (number + 1).to_string().into_bytes());
    }
    assert_eq!(counter.messages.load(Ordering::Relaxed), 2);
}

/// What replacing drops is the program's code, and no lock is held over it.
#[test]
fn a_callback_may_set_another_while_it_is_dropped() {
    struct Heir {
        server: Server,
        teller: Teller,
    }
    impl Callback for Heir {}
    impl Drop for Heir {
        fn drop(&mut self) {
            self.server.set_callback(self.teller.clone());
        }
    }
    let told = Tellers::new();
    let (instead, heir) = (told.teller("instead"), told.teller("heir"));
    in_time("replacing a callback that sets another when it is dropped", || {
        serve(Net::Memory, |builder| {
            let server = builder.build().unwrap();
            server.replace_callback(Heir { server: server.clone(), teller: heir });
            server.replace_callback(instead);
            server
        });
    });
    told.assert_whole_life(&["instead", "heir"]);
}
