//! The other side is another implementation: that of the crate `tungstenite`, with its own handshake and its own state.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

use leads_comm::codec::Framing;
use leads_comm::{Client, DisconnectCause, Server};
use leads_comm_websocket::WebSocketConnector;
use tungstenite::client::IntoClientRequest;
use tungstenite::protocol::frame::CloseFrame;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Message, WebSocket};

use crate::support::{PATIENCE, connected, disconnected, in_time, received, recorder};
use crate::{serve, server};

fn open(server: &Server, subprotocols: Option<&str>) -> Result<WebSocket<TcpStream>, String> {
    let address = SocketAddr::from(([127, 0, 0, 1], server.port()));
    let socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut request = format!("ws://{address}/live?x=1").into_client_request().unwrap();
    if let Some(names) = subprotocols {
        request.headers_mut().insert("Sec-WebSocket-Protocol", names.parse().unwrap());
    }
    tungstenite::client(request, socket).map(|(socket, _)| socket).map_err(|error| error.to_string())
}

#[test]
fn a_client_of_another_make_sends_and_receives() {
    let (server, seen) = serve(|listener| listener.path("/live").subprotocol("b").subprotocol("a"), |server| server);
    let mut socket = open(&server, Some("x, a, b")).unwrap();
    connected(&seen);
    let long = vec![b'z'; 200_000];
    let picture = [&[0xff, 0xd8][..], &long].concat();
    for (sent, kind) in [
        (&b"{\"speed\": 12.5}"[..], Message::text("{\"speed\": 12.5}")),
        (b"[]", Message::text("[]")),
        (b"plain", Message::binary(&b"plain"[..])),
        (b"", Message::binary(&b""[..])),
        (&picture, Message::binary(picture.clone())),
    ] {
        server.broadcast(sent).unwrap();
        assert_eq!(socket.read().unwrap(), kind);
        socket.send(kind).unwrap();
        assert_eq!(received(&seen), sent);
    }
    socket.send(Message::Ping((&b"?"[..]).into())).unwrap();
    assert_eq!(socket.read().unwrap(), Message::Pong((&b"?"[..]).into()));
    assert!(open(&server, Some("x")).unwrap_err().contains("400"));
    assert!(open(&server, None).unwrap_err().contains("400"));

    // Its Close is the goodbye.
    socket.close(Some(CloseFrame { code: CloseCode::Away, reason: "".into() })).unwrap();
    assert!(matches!(disconnected(&seen).cause, DisconnectCause::PeerGoodbye));
    let Message::Close(Some(close)) = socket.read().unwrap() else { panic!("no Close") };
    assert_eq!(close.code, CloseCode::Away);
    assert!(matches!(socket.read(), Err(tungstenite::Error::ConnectionClosed)));
    server.close();
}

#[test]
fn a_server_that_closes_says_so() {
    let (server, seen) = server();
    let mut socket = open(&server, None).unwrap();
    connected(&seen);
    server.broadcast(b"last words").unwrap();
    let closing = thread::spawn(move || server.close());
    assert_eq!(socket.read().unwrap(), Message::binary(&b"last words"[..]));
    let Message::Close(Some(close)) = socket.read().unwrap() else { panic!("no Close") };
    assert_eq!(close.code, CloseCode::Normal);
    assert!(matches!(socket.read(), Err(tungstenite::Error::ConnectionClosed)));
    in_time("closing", move || closing.join().unwrap());
}

#[test]
fn a_caller_that_is_not_let_in_is_told_to_try_again_later() {
    let (server, _) = serve(|listener| listener, |server| server.token("the right token"));
    let mut socket = open(&server, None).unwrap();
    socket.send(Message::text("a wrong token")).unwrap();
    match socket.read() {
        Ok(Message::Close(Some(close))) => assert_eq!(close.code, CloseCode::Again),
        other => panic!("no Close: {other:?}"),
    }
    let mut socket = open(&server, None).unwrap();
    socket.send(Message::text("the right token")).unwrap();
    server.close();
}

#[test]
fn a_message_that_is_too_long_is_told() {
    let (server, seen) = server();
    let mut socket = open(&server, None).unwrap();
    connected(&seen);
    // It may be told before all of it has been sent.
    let _ = socket.send(Message::binary(vec![0; (1 << 20) + 1]));
    let reason = disconnected(&seen);
    assert!(format!("{reason:#}").contains("more than 1048576 bytes"), "{reason:#}");
    let Message::Close(Some(close)) = socket.read().unwrap() else { panic!("no Close") };
    assert_eq!(close.code, CloseCode::Size);
    server.close();
}

/// A server of another make, for one client.
fn other_server(serve: impl FnOnce(WebSocket<TcpStream>) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || serve(tungstenite::accept(listener.accept().unwrap().0).unwrap()));
    address
}

#[test]
fn a_server_of_another_make_is_spoken_with() {
    let address = other_server(|mut socket| {
        loop {
            match socket.read() {
                Ok(message @ (Message::Text(_) | Message::Binary(_))) => socket.send(message).unwrap(),
                Ok(_) => {}
                Err(tungstenite::Error::ConnectionClosed) => return,
                Err(error) => panic!("{error}"),
            }
        }
    });
    let (callback, events) = recorder();
    let builder = Client::builder().transport(WebSocketConnector::tcp()).framing(Framing::Length).callback(callback);
    let client = builder.build().unwrap();
    client.start(&format!("ws://{address}/"), true).unwrap();
    for message in [&b"{}"[..], b"", b"x", &[b'y'; 125], &[b'y'; 126], &[b'y'; 65_536], &vec![b'z'; 500_000]] {
        client.send(message).unwrap();
        assert_eq!(received(&events), message);
    }
    client.close();
    assert!(matches!(disconnected(&events).cause, DisconnectCause::ServiceClosed));
}

#[test]
fn a_server_of_another_make_may_leave_or_turn_away() {
    for (code, is_let_in) in [(CloseCode::Normal, true), (CloseCode::Again, false)] {
        let address = other_server(move |mut socket| {
            socket.close(Some(CloseFrame { code, reason: "".into() })).unwrap();
            while socket.read().is_ok() {}
        });
        let (callback, events) = recorder();
        let builder = Client::builder().transport(WebSocketConnector::tcp()).framing(Framing::Length);
        let client = builder.callback(callback).build().unwrap();
        client.start(&format!("ws://{address}/"), true).unwrap();
        let cause = disconnected(&events).cause;
        let right = if is_let_in {
            matches!(cause, DisconnectCause::PeerGoodbye)
        } else {
            matches!(cause, DisconnectCause::NotLetIn)
        };
        assert!(right, "{code}: {cause:?}");
    }
}
