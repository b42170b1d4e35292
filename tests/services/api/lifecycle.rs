//! The life of services and connections, over every transport: what is told, to whom, in what order.

use std::sync::{Arc, Barrier, OnceLock, mpsc};
use std::thread;

use leads_comm::callback::{self, Event};
use leads_comm::{Callback, Connection, DisconnectCause, DisconnectReason, Error, Server, Service};
use leads_comm_testing::*;

over_every_transport! {
    fn messages_travel_both_ways(net: Net) {
        let started = net.start_server(|builder| builder);
        let (client, client_events) = started.start_client();
        let connection = connected(&started.events);

        for message in [&b"speed=12"[..], b"", b"\0\xff\xfe", b"disconnected"] {
            client.send(message).unwrap();
            assert_eq!(received(&started.events), message);
            connection.send(message).unwrap();
            assert_eq!(received(&client_events), message);
            assert_eq!(started.server.broadcast(message).unwrap(), 1);
            assert_eq!(received(&client_events), message);
        }
    }

    fn events_come_in_order_and_on_disconnect_last(net: Net) {
        let started = net.start_server(|builder| builder);
        let (client, client_events) = started.start_client();
        for number in 0..100 {
            client.send(format!("{number}").as_bytes()).unwrap();
        }
        client.close();

        assert!(matches!(next(&started.events), Event::Initialize { .. }));
        assert!(matches!(next(&started.events), Event::Connect { .. }));
        for number in 0..100 {
            match next(&started.events) {
                Event::Receive { message, .. } => assert_eq!(message, format!("{number}").into_bytes()),
                other => panic!("expected message {number}, got {other:?}"),
            }
        }
        assert!(matches!(
            next(&started.events),
            Event::Disconnect { reason: DisconnectReason { cause: DisconnectCause::PeerGoodbye, .. }, .. }
        ));

        assert!(matches!(next(&client_events), Event::Initialize { .. }));
        assert!(matches!(next(&client_events), Event::Connect { .. }));
        assert!(matches!(
            next(&client_events),
            Event::Disconnect { reason: DisconnectReason { cause: DisconnectCause::ServiceClosed, .. }, .. }
        ));
        assert!(client_events.try_recv().is_err());
    }

    fn a_broadcast_in_on_connect_reaches_the_newcomer_and_on_disconnect_does_not_count_the_leaver(net: Net) {
        struct Welcome(mpsc::Sender<(&'static str, usize)>);
        impl Callback for Welcome {
            fn on_connect(&self, service: &dyn Service, _: &Connection) {
                assert_eq!(service.broadcast(b"welcome").unwrap(), 1);
                self.0.send(("connect", service.num_connections())).unwrap();
            }

            fn on_disconnect(&self, service: &dyn Service, connection: &Connection, _: &DisconnectReason) {
                assert!(!service.connections().contains(connection));
                self.0.send(("disconnect", service.num_connections())).unwrap();
            }
        }
        let (counts, counted) = mpsc::channel();
        let started = net.start_server(|builder| builder.callback(Welcome(counts)));
        let (client, client_events) = started.start_client();
        assert_eq!(received(&client_events), b"welcome");
        assert_eq!(counted.recv_timeout(PATIENCE).unwrap(), ("connect", 1));
        client.close();
        assert_eq!(counted.recv_timeout(PATIENCE).unwrap(), ("disconnect", 0));
    }

    fn a_client_can_send_in_on_connect(net: Net) {
        struct Hello;
        impl Callback for Hello {
            fn on_connect(&self, service: &dyn Service, connection: &Connection) {
                connection.send(b"first").unwrap();
                service.broadcast(b"second").unwrap();
            }
        }
        let started = net.start_server(|builder| builder);
        let client = started.start_client_with(Hello);
        assert_eq!(received(&started.events), b"first");
        assert_eq!(received(&started.events), b"second");
        client.close();
    }

    fn broadcast_where_reaches_the_wanted_only(net: Net) {
        let started = net.start_server(|builder| builder);
        let (_one, one_events) = started.start_client();
        let one = connected(&started.events);
        let (_two, two_events) = started.start_client();
        connected(&started.events);

        assert_eq!(started.server.broadcast_where(b"to the other", |connection| *connection != one).unwrap(), 1);
        assert_eq!(started.server.broadcast(b"to both").unwrap(), 2);
        assert_eq!(received(&two_events), b"to the other");
        assert_eq!(received(&two_events), b"to both");
        assert_eq!(received(&one_events), b"to both");
    }

    fn a_slow_callback_delays_its_own_peer_only(net: Net) {
        let (entered, stuck) = mpsc::channel();
        let gate = Arc::new(Barrier::new(2));
        let (callback, events) = recorder();
        let started = {
            let gate = Arc::clone(&gate);
            let hold = callback::on_receive(move |_, message| {
                if message == b"hold" {
                    entered.send(()).unwrap();
                    gate.wait();
                }
            });
            net.start_server(|builder| builder.callback((hold, callback)))
        };
        let (slow, _slow_events) = started.start_client();
        slow.send(b"hold").unwrap();
        stuck.recv_timeout(PATIENCE).unwrap();

        let (other, other_events) = started.start_client();
        other.send(b"heard").unwrap();
        assert_eq!(received(&events), b"heard");
        assert_eq!(started.server.broadcast(b"to all").unwrap(), 2);
        assert_eq!(received(&other_events), b"to all");
        gate.wait();
        assert_eq!(received(&events), b"hold");
    }

    fn a_slow_on_connect_does_not_delay_accepting(net: Net) {
        let (entered, connecting) = mpsc::channel();
        let release = Arc::new(Barrier::new(9));
        let held = Arc::clone(&release);
        let started = net.start_server(move |builder| {
            builder.callback(callback::closures().on_connect(move |_, _| {
                entered.send(()).unwrap();
                held.wait();
            }))
        });
        let clients: Vec<_> = (0..8).map(|_| started.start_client()).collect();
        for _ in &clients {
            connecting.recv_timeout(PATIENCE).unwrap();
        }
        assert_eq!(started.server.num_connections(), 8);
        release.wait();
    }

    fn start_returns_on_this_thread_when_the_service_is_closed(net: Net) {
        let (builder, dial) = net.server();
        let (callback, events) = recorder();
        let server = builder.callback(callback).build().unwrap();
        let serving = thread::spawn({
            let server = server.clone();
            move || server.start(false)
        });
        find(&events, |event| matches!(event, Event::Initialize { .. }).then_some(()));

        let (callback, client_events) = recorder();
        let client = dial.client(&server).callback(callback).build().unwrap();
        let receiving = thread::spawn({
            let client = client.clone();
            move || client.start(dial.address(), false)
        });
        connected(&client_events);
        client.send(b"hello").unwrap();
        assert_eq!(received(&events), b"hello");

        server.close();
        in_time("the client's start", || receiving.join().unwrap()).unwrap();
        in_time("the server's start", || serving.join().unwrap()).unwrap();
        assert!(matches!(disconnected(&client_events).cause, DisconnectCause::PeerGoodbye));
    }

    fn a_service_starts_once(net: Net) {
        let started = net.start_server(|builder| builder);
        assert!(matches!(started.server.start(true), Err(Error::AlreadyStarted)));
        let (client, _events) = started.start_client();
        assert!(matches!(client.start(started.address(), true), Err(Error::AlreadyStarted)));
        client.close();
        started.server.close();
        assert!(matches!(started.server.start(true), Err(Error::AlreadyStarted)));
        assert!(matches!(client.start(started.address(), true), Err(Error::AlreadyStarted)));
    }

    fn eight_threads_start_one_server_once(net: Net) {
        let (builder, _dial) = net.server();
        let server = builder.build().unwrap();
        let all = Arc::new(Barrier::new(8));
        let starts: Vec<_> = (0..8)
            .map(|_| {
                let (server, all) = (server.clone(), Arc::clone(&all));
                thread::spawn(move || {
                    all.wait();
                    server.start(true)
                })
            })
            .collect();
        let outcomes: Vec<_> = starts.into_iter().map(|start| start.join().unwrap()).collect();
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
        assert!(outcomes.iter().flat_map(|outcome| outcome.as_ref().err()).all(|e| matches!(e, Error::AlreadyStarted)));
        server.close();
    }

    fn a_service_closed_before_its_start_does_not_start(net: Net) {
        let (builder, dial) = net.server();
        let server = builder.build().unwrap();
        let client = dial.client(&server).build().unwrap();
        server.close();
        client.close();
        assert!(matches!(server.start(true), Err(Error::Closed)));
        assert!(matches!(client.start(dial.address(), true), Err(Error::Closed)));
        server.wait();
        client.wait();
    }

    fn sending_needs_a_connection(net: Net) {
        let started = net.start_server(|builder| builder);
        let client = started.client().build().unwrap();
        assert!(matches!(client.send(b"too early"), Err(Error::NotConnected)));
        assert!(client.connection().is_none());
        client.start(started.address(), true).unwrap();
        let connection = client.connection().unwrap();
        client.close();
        assert!(matches!(client.send(b"too late"), Err(Error::NotConnected)));
        assert!(matches!(connection.send(b"too late"), Err(Error::Disconnected)));
        assert!(connection.is_closed());
        assert!(matches!(connection.disconnect_reason().unwrap().cause, DisconnectCause::ServiceClosed));
        assert_eq!(started.server.broadcast_where(b"nobody", |_| false).unwrap(), 0);
    }

    fn connections_have_identity(net: Net) {
        let started = net.start_server(|builder| builder);
        let (_one, _events) = started.start_client();
        let one = connected(&started.events);
        let (two_client, _events) = started.start_client();
        let two = connected(&started.events);
        assert!(one.id() < two.id());
        assert_ne!(one, two);
        assert_eq!(started.server.connections(), [one.clone(), two.clone()]);
        two_client.send(b"me").unwrap();
        let sender = find(&started.events, |event| match event {
            Event::Receive { connection, .. } => Some(connection),
            _ => None,
        });
        assert_eq!(sender, two);
        assert!(!two.to_string().is_empty());
        assert!(format!("{two:?}").contains(&two.to_string()));
        if net.has_addresses() {
            assert_eq!(two.to_string(), two.peer_addr().unwrap().to_string());
            assert_eq!(two.peer_addr(), two_client.local_addr());
            assert_eq!(two.local_addr(), started.server.local_addr());
        }
    }

    fn dropping_handles_does_not_stop_a_service(net: Net) {
        let (callback, events) = recorder();
        let (builder, dial) = net.server();
        let server = builder.callback(callback).build().unwrap();
        server.start(true).unwrap();
        let client = dial.client(&server).build().unwrap();
        let (callback, client_events) = recorder();
        client.set_callback(callback);
        client.start(dial.address(), true).unwrap();
        let connection = connected(&client_events);
        drop((server, client));
        connection.send(b"still here").unwrap();
        assert_eq!(received(&events), b"still here");
        connection.close();
        assert!(matches!(disconnected(&events).cause, DisconnectCause::PeerGoodbye));
    }

    fn callbacks_are_dropped_with_the_service_whatever_they_hold(net: Net) {
        struct Holding {
            _server: Server,
            _dropped: mpsc::Sender<()>,
        }
        impl Callback for Holding {}

        let (dropped, drops) = mpsc::channel();
        for start in [true, false] {
            let (builder, dial) = net.server();
            let server = builder.build().unwrap();
            server.set_callback(Holding { _server: server.clone(), _dropped: dropped.clone() });
            if start {
                server.start(true).unwrap();
                dial.client(&server).build().unwrap().start(dial.address(), true).unwrap();
            }
            server.close();
        }
        drop(dropped);
        assert_eq!(drops.recv_timeout(PATIENCE), Err(mpsc::RecvTimeoutError::Disconnected));

        // So a channel of events ends behind the last one.
        let started = net.start_server(|builder| builder);
        let (client, client_events) = started.start_client();
        connected(&started.events);
        client.close();
        started.server.close();
        assert!(matches!(started.events.iter().last(), Some(Event::Disconnect { .. })));
        assert!(matches!(client_events.iter().last(), Some(Event::Disconnect { .. })));
    }

    fn a_callback_may_start_another_server(net: Net) {
        let second: Arc<OnceLock<Server>> = Arc::default();
        let callback = {
            let second = Arc::clone(&second);
            callback::on_receive(move |connection, _| {
                let server = Server::builder().port(0).build().unwrap();
                server.start(true).unwrap();
                let port = server.port();
                second.set(server).unwrap();
                connection.send(port.to_string().as_bytes()).unwrap();
            })
        };
        let started = net.start_server(|builder| builder.callback(callback));
        let (client, events) = started.start_client();
        client.send(b"start another").unwrap();
        let port: u16 = String::from_utf8(received(&events)).unwrap().parse().unwrap();
        assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
        second.get().unwrap().close();
    }
}
