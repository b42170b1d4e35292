//! Servers and clients of the library, over WebSockets.

use leads_comm::DisconnectCause;

use crate::support::{connected, disconnected, received};
use crate::{client, serve, server};

#[test]
fn messages_of_every_kind_arrive_both_ways() {
    let (server, seen) = server();
    let (client, events) = client(&server);
    connected(&seen);
    for message in
        [&b""[..], b"x", br#"{"speed": 1}"#, b"[1, 2]", b"disconnected", b"\0\xff;end;", &vec![b'y'; 300_000]]
    {
        client.send(message).unwrap();
        assert_eq!(received(&seen), message);
        server.broadcast(message).unwrap();
        assert_eq!(received(&events), message);
    }
    server.close();
}

#[test]
fn a_close_is_the_goodbye() {
    let (server, seen) = server();
    let (first, events) = client(&server);
    first.close();
    assert!(matches!(disconnected(&events).cause, DisconnectCause::ServiceClosed));
    assert!(matches!(disconnected(&seen).cause, DisconnectCause::PeerGoodbye));
    let (_second, events) = client(&server);
    connected(&seen);
    server.close();
    assert!(matches!(disconnected(&events).cause, DisconnectCause::PeerGoodbye));
}

#[test]
fn a_caller_for_whom_there_is_no_room_is_told() {
    let (server, seen) = serve(|listener| listener, |builder| builder.max_connections(1));
    let (_first, _) = client(&server);
    connected(&seen);
    let refused = crate::try_client(&server).unwrap_err();
    assert!(refused.contains("status 503"), "{refused}");
    server.close();
}
