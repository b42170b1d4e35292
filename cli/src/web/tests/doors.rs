//! WebSockets, on their way to a server.

use leads_comm::callback::{self, Event};
use leads_comm::codec::Framing;
use leads_comm::crossbeam_channel::Receiver;
use leads_comm::transport::Listener;
use leads_comm::{Client, Server};
use leads_comm_conformance::{ListenerCheck, Suite};
use leads_comm_websocket::WebSocketConnector;

use super::super::door;
use super::*;

const VIEW: &str = "view.1";

/// A server behind a door, and what it tells.
fn behind(listener: impl Listener) -> (Server, Receiver<Event>) {
    let (callback, events) = callback::channel(100);
    let server = Server::builder().transport(listener).framing(Framing::Length).callback(callback).build().unwrap();
    server.start(true).unwrap();
    (server, events)
}

fn message(events: &Receiver<Event>) -> Vec<u8> {
    loop {
        if let Event::Receive { message, .. } = events.recv_timeout(PATIENCE).unwrap() {
            return message;
        }
    }
}

fn client(web: &WebServer, connector: WebSocketConnector, query: &str) -> Result<(Client, Receiver<Event>), String> {
    let (callback, events) = callback::channel(100);
    let builder = Client::builder().transport(connector).framing(Framing::Length).callback(callback);
    let client = builder.build().unwrap();
    let started = client.start(&format!("ws://{}/{query}", web.address()), true);
    started.map(|()| (client, events)).map_err(|error| format!("{error:#}"))
}

#[test]
fn each_goes_to_the_server_of_its_subprotocol() {
    let (view, view_listener) = door(&[VIEW]);
    let (other, other_listener) = door(&["other.2", "other.1"]);
    let (bare, bare_listener) = door(&[]);
    let servers = [behind(view_listener), behind(other_listener), behind(bare_listener)];
    let web = web().door(view).door(other).door(bare).start().unwrap();
    for (subprotocols, at) in [(&[VIEW][..], 0), (&["other.1"], 1), (&["unknown", "other.2"], 1), (&[], 2)] {
        let connector =
            subprotocols.iter().fold(WebSocketConnector::tcp(), |connector, name| connector.subprotocol(*name));
        let (client, events) = client(&web, connector, "").unwrap();
        client.send(b"up").unwrap();
        let (server, seen) = &servers[at];
        assert_eq!(message(seen), b"up");
        server.broadcast(b"down").unwrap();
        assert_eq!(message(&events), b"down");
        client.close();
    }
    let refused = client(&web, WebSocketConnector::tcp().subprotocol("unknown"), "").unwrap_err();
    assert!(refused.contains("status 400"), "{refused}");
    // What has gone through a door lives on; nobody comes after it.
    let (first, events) = client(&web, WebSocketConnector::tcp().subprotocol(VIEW), "").unwrap();
    first.send(b"before").unwrap();
    assert_eq!(message(&servers[0].1), b"before");
    web.close();
    servers[0].0.broadcast(b"after").unwrap();
    assert_eq!(message(&events), b"after");
    assert!(client(&web, WebSocketConnector::tcp(), "").is_err());
    servers.into_iter().for_each(|(server, _)| server.close());
}

#[test]
fn pages_of_other_origins_do_not_get_through() {
    let (view, listener) = door(&[VIEW]);
    let (server, seen) = behind(listener);
    let web = web().door(view.lets_in_origin("https://app.example")).start().unwrap();
    let from = |origin: &str| client(&web, WebSocketConnector::tcp().subprotocol(VIEW).origin(origin), "");
    for origin in ["https://evil.example", "null", "http://127.0.0.1:1", "https://leads.example"] {
        let refused = from(origin).unwrap_err();
        assert!(refused.contains("status 403"), "{origin}: {refused}");
    }
    for origin in ["https://app.example".to_owned(), format!("http://{}", web.address())] {
        let (client, _) = from(&origin).unwrap();
        client.send(origin.as_bytes()).unwrap();
        assert_eq!(message(&seen), origin.as_bytes());
        client.close();
    }
    // Through the door, and nowhere else.
    let get = format!("GET /echo HTTP/1.1\r\nHost: {}\r\nOrigin: https://app.example\r\n\r\n", web.address());
    assert_eq!(status(&ask(&web, get)), 403);
    server.close();
}

#[test]
fn a_token_is_asked_for_at_the_door_too() {
    let (view, listener) = door(&[VIEW]);
    let (server, _) = behind(listener);
    let web = web().door(view).token(Some(b"a token of some length".to_vec())).start().unwrap();
    let with = |query: &str| client(&web, WebSocketConnector::tcp().subprotocol(VIEW), query);
    assert!(with("").unwrap_err().contains("status 401"));
    assert!(with("?token=another%20token").unwrap_err().contains("status 401"));
    with("?token=a%20token%20of%20some%20length").unwrap().0.close();
    server.close();
}

#[test]
fn nobody_waits_at_a_door_behind_which_there_is_no_server() {
    let (view, listener) = door(&[VIEW]);
    let web = web().door(view).start().unwrap();
    let connect = || client(&web, WebSocketConnector::tcp().subprotocol(VIEW), "");
    // They wait for it. A client may hear that it was let in a moment before its place is taken.
    let mut waiting: Vec<_> = (0..64).map(|_| connect().unwrap()).collect();
    let refused = loop {
        match connect() {
            Ok(one) => waiting.push(one),
            Err(refused) => break refused,
        }
    };
    assert!(refused.contains("status 503"), "{refused}");
    listener.stop();
    drop(listener);
    for (_, events) in &waiting {
        while !matches!(events.recv_timeout(PATIENCE).unwrap(), Event::Disconnect { .. }) {}
    }
}

#[test]
fn what_is_behind_a_door_is_a_listener() {
    for check in ListenerCheck::ALL {
        check
            .run(&Suite::new(), || {
                let (door, listener) = door(&[]);
                let connect = move |_: &str| {
                    let (one, other) = leads_comm::transport::memory::pair();
                    door.pass(Box::new(one));
                    Ok(Box::new(other) as Box<dyn leads_comm::transport::Stream>)
                };
                (Box::new(listener), Box::new(connect), "here".to_owned())
            })
            .unwrap();
    }
}
