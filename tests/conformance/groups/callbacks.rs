//! Callbacks: their order, and what a program may do in them.

use leads_comm::Error;

use crate::end::Why::{LocalAbort, LocalClose, Panicked, PeerGoodbye, ServiceClosed};
use crate::group::Group;

pub(crate) fn fill(group: &mut Group) {
    group.section("on_connect");
    group.case("sends the first message", |c| c.on_connect(|_, connection| drop(connection.send(b"hi"))).reads("hi;"));
    group.case("sends several messages", |c| {
        c.on_connect(|_, connection| drop(connection.send_all(["one", "two", "three"]))).reads("one;two;three;")
    });
    group.case("broadcasts, and reaches the newcomer", |c| {
        c.on_connect(|service, _| drop(service.broadcast(b"welcome"))).reads("welcome;")
    });
    group.case("sees the newcomer counted", |c| {
        c.on_connect(|service, connection| drop(connection.send(service.num_connections().to_string().as_bytes())))
            .reads("1;")
    });
    group.case("sends before anything is answered", |c| {
        c.on_connect(|_, connection| drop(connection.send(b"hi"))).echoing().sends("x;").receives(["x"]).reads("hi;x;")
    });
    group.case("closes the connection: goodbye, and nothing is delivered", |c| {
        c.on_connect(|_, connection| connection.close()).sends("never;").ends(LocalClose)
    });
    group.case("sends and closes the connection", |c| {
        c.on_connect(|_, connection| {
            let _ = connection.send(b"full");
            connection.close();
        })
        .reads("full;")
        .ends(LocalClose)
    });
    group.case("aborts the connection", |c| {
        c.on_connect(|_, connection| connection.abort()).reads_reset().ends(LocalAbort)
    });
    group.case("closes the service", |c| c.on_connect(|service, _| service.close()).ends(ServiceClosed));
    group.case("panics: goodbye, and nothing is delivered", |c| {
        c.on_connect(|_, _| panic!("as asked")).sends("never;").ends(Panicked("on_connect"))
    });

    group.section("on_receive");
    group.case("sends several answers to one message", |c| {
        c.on_receive(|_, connection, message| {
            for answer in [&b"you said"[..], message, b"over"] {
                let _ = connection.send(answer);
            }
        })
        .sends("hello;")
        .receives(["hello"])
        .reads("you said;hello;over;")
    });
    group.case("broadcasts", |c| {
        c.on_receive(|service, _, message| drop(service.broadcast(message)))
            .sends("a;b;")
            .receives(["a", "b"])
            .reads("a;b;")
    });
    group.case("cannot send the goodbye by hand", |c| {
        c.on_receive(|_, connection, _| {
            let refused = matches!(connection.send(b"disconnect"), Err(Error::InvalidMessage(_)));
            let _ = connection.send(if refused { b"refused" } else { b"sent" });
        })
        .sends("x;")
        .receives(["x"])
        .reads("refused;")
    });
    group.case("closes the connection: nothing behind is delivered", |c| {
        c.on_receive(|_, connection, _| connection.close()).sends("bye;never;").receives(["bye"]).ends(LocalClose)
    });
    group.case("answers and closes the connection", |c| {
        c.on_receive(|_, connection, message| {
            let _ = connection.send(message);
            connection.close();
        })
        .sends("bye;never;")
        .receives(["bye"])
        .reads("bye;")
        .ends(LocalClose)
    });
    group.case("aborts the connection: nothing behind is delivered", |c| {
        c.on_receive(|_, connection, _| connection.abort())
            .sends("bye;never;")
            .receives(["bye"])
            .reads_reset()
            .ends(LocalAbort)
    });
    group.case("closes the service: nothing behind is delivered", |c| {
        c.on_receive(|service, _, _| service.close()).sends("bye;never;").receives(["bye"]).ends(ServiceClosed)
    });
    group.case("panics: what came before is delivered, what comes behind is not", |c| {
        c.on_receive(|_, _, message| assert_ne!(message, b"panic", "as asked"))
            .sends("one;panic;never;")
            .receives(["one", "panic"])
            .ends(Panicked("on_receive"))
    });
    group.case("panics, and what it sent before arrives before the goodbye", |c| {
        c.on_receive(|_, connection, message| {
            let _ = connection.send(message);
            assert_ne!(message, b"panic", "as asked");
        })
        .sends("one;panic;never;")
        .receives(["one", "panic"])
        .reads("one;panic;")
        .ends(Panicked("on_receive"))
    });
    group.case("panics at a message in pieces", |c| {
        c.on_receive(|_, _, _| panic!("as asked"))
            .sends_in(["pa", "nic", ";"])
            .receives(["panic"])
            .ends(Panicked("on_receive"))
    });
    group.case("is not called for the goodbye", |c| {
        c.on_receive(|_, _, _| panic!("as asked")).says_goodbye().ends(PeerGoodbye)
    });

    group.section("on_disconnect");
    group.case("no longer counts who has left", |c| {
        c.on_disconnect(|service, _| assert_eq!(service.num_connections(), 0)).sends("one;").receives(["one"])
    });
    group.case("knows the reason already", |c| {
        c.on_disconnect(|_, connection| assert!(connection.disconnect_reason().is_some()))
    });
    group.case("cannot send any more", |c| {
        c.on_disconnect(|_, connection| assert!(matches!(connection.send(b"late"), Err(Error::Disconnected))))
    });
    group.case("closes what is closed", |c| c.on_disconnect(|_, connection| connection.close()));
    group.case("closes the service", |c| c.on_disconnect(|service, _| service.close()));
    group.case("panics: on_fail is told", |c| {
        c.on_disconnect(|_, _| panic!("as asked"))
            .says_goodbye()
            .reads_goodbye()
            .reads_end()
            .closes()
            .has_ended(PeerGoodbye)
            .fails("on_disconnect")
    });
}
