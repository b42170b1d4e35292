//! Requests for a WebSocket: right ones, wrong ones, and none at all.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use leads_comm::{Server, Timeouts};
use leads_comm_websocket::Access;

use crate::support::{PATIENCE, connected};
use crate::{client, serve, server, try_client};

const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

fn ask(server: &Server, bytes: &[u8]) -> String {
    let mut socket = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let _ = socket.write_all(bytes);
    let _ = socket.shutdown(Shutdown::Write);
    let mut answer = Vec::new();
    let _ = socket.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

/// A right request, with something else in the place of a part of it.
fn request(part: &str, instead: &str) -> Vec<u8> {
    let right = format!(
        "GET /live HTTP/1.1\r\nHost: localhost\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\r\n"
    );
    assert!(right.contains(part));
    right.replace(part, instead).into_bytes()
}

#[test]
fn a_right_request_is_answered_with_its_key() {
    let (server, _) = server();
    let answer = ask(&server, &request("", ""));
    assert!(answer.starts_with("HTTP/1.1 101 Switching Protocols\r\n"), "{answer}");
    // The example of RFC 6455, section 1.3.
    assert!(answer.contains("\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"), "{answer}");
    assert!(!answer.contains("Sec-WebSocket-Protocol") && !answer.contains("Extensions"), "{answer}");
    server.close();
}

#[test]
fn wrong_requests_are_told_what_is_wrong() {
    let access = Access::new().host("car.example").origin("https://app.example");
    let (server, _) = serve(|listener| listener.path("/live").access(access), |server| server);
    let long = format!("X-Y: {}\r\nHost", "x".repeat(20_000));
    let many = format!("{}Host", "X-Y: z\r\n".repeat(101));
    for (part, instead, expected) in [
        ("", "", 101),
        ("localhost", "car.example:1", 101),
        ("/live", "/live?x=1", 101),
        ("Host: localhost", "Host: localhost\r\nOrigin: http://localhost", 101),
        ("Host: localhost", "Host: localhost\r\nOrigin: https://app.example", 101),
        ("Host: localhost", "Host: localhost\r\nOrigin: https://evil.example", 403),
        ("Host: localhost", "Host: localhost\r\nOrigin: null", 403),
        ("Host: localhost", "Host: localhost\r\nOrigin: http://localhost\r\nOrigin: http://localhost", 400),
        ("localhost", "evil.example", 403),
        ("Host: localhost\r\n", "", 403),
        ("Host: localhost", "Host: localhost\r\nHost: localhost", 400),
        ("/live", "/", 404),
        ("/live", "/live/", 404),
        ("GET", "POST", 405),
        ("HTTP/1.1", "HTTP/1.0", 405),
        ("HTTP/1.1", "HTTP/9.9", 400),
        ("Upgrade: WebSocket", "Upgrade: h2c", 426),
        ("keep-alive, Upgrade", "keep-alive", 426),
        ("13", "8", 426),
        (KEY, "short", 400),
        ("Host: localhost", "Host: localhost\r\nContent-Length: 4", 400),
        ("Host: localhost", "Host: localhost\r\nTransfer-Encoding: chunked", 400),
        ("Host", &long, 431),
        ("Host", &many, 400),
        ("GET", "\u{16}\u{3}\u{1}", 400),
    ] {
        let answer = ask(&server, &request(part, instead));
        assert!(answer.starts_with(&format!("HTTP/1.1 {expected} ")), "{part} -> {instead}: {answer}");
    }
    let answer = ask(&server, &vec![b'x'; 1 << 20]);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    server.close();
}

#[test]
fn a_slow_caller_is_given_up_and_holds_up_nobody() {
    let timeouts = Timeouts::new().handshake_timeout(Duration::from_millis(500));
    let (server, seen) = serve(|listener| listener, |server| server.timeouts(timeouts));
    let mut slow = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
    slow.set_read_timeout(Some(PATIENCE)).unwrap();
    slow.write_all(b"GET /live HT").unwrap();
    let (_client, _) = client(&server);
    connected(&seen);
    let mut rest = Vec::new();
    // Ended by the server, regularly or by a reset.
    let _ = slow.read_to_end(&mut rest);
    assert!(rest.is_empty());
    server.close();
}

#[test]
fn a_client_is_told_why_it_is_not_let_in() {
    let (server, _) = serve(|listener| listener.path("/elsewhere"), |server| server);
    let refused = try_client(&server).unwrap_err();
    assert!(refused.contains("the server refuses the WebSocket, with status 404"), "{refused}");
    server.close();
}
