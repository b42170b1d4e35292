//! The real thing, over TCP, asked by what may come.

mod doors;
mod hostile;
mod tokens;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use super::{File, Files, Request, Response, Site, Web, WebServer};

/// How long anything may take: far longer than it ever should.
const PATIENCE: Duration = Duration::from_secs(20);

const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Tells what it has been asked.
struct Echo;

impl Site for Echo {
    fn answer(&self, request: &Request) -> Option<Response> {
        let Request { method, path, query, origin, body } = request;
        match path.as_str() {
            "/echo" => {
                let body = String::from_utf8_lossy(body);
                Some(Response::line(200, &format!("{method:?} {path} {query:?} {origin:?} {body:?}")))
            }
            "/save" => Some(Response::download("text/csv", "messages.csv", "t,v\n")),
            "/split" => Some(Response::line(200, "").header("X-Name", request.value("name").unwrap_or_default())),
            "/panic" => panic!("as it was asked to"),
            "/large" => Some(Response::new("application/octet-stream", vec![b'x'; 3_000_000])),
            // More than systems take for a caller that reads nothing.
            "/huge" => Some(Response::new("application/octet-stream", vec![b'x'; 32_000_000])),
            _ => None,
        }
    }

    fn lets_in(&self, origin: &str, path: &str) -> bool {
        origin == "https://leads.example" && path == "/echo"
    }
}

const PAGE: &[u8] = b"<!doctype html><title>page</title>";

fn web() -> Web {
    let page = File { path: "/", content_type: "text/html; charset=utf-8", bytes: PAGE };
    Web::new(LOOPBACK).site(Files(Box::leak(Box::new([page])))).site(Echo)
}

fn start() -> WebServer {
    web().start().unwrap()
}

/// What is answered to these bytes, all of it.
fn ask(web: &WebServer, bytes: impl AsRef<[u8]>) -> String {
    let mut socket = open(web);
    // It may be answered before all is written.
    let _ = socket.write_all(bytes.as_ref());
    read(&mut socket)
}

fn open(web: &WebServer) -> TcpStream {
    let socket = TcpStream::connect(web.address()).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

fn read(socket: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let _ = socket.read_to_end(&mut answer);
    String::from_utf8(answer).unwrap()
}

fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_else(|| panic!("{answer:?}"))
}

/// A request for `target`, with these headers and the host.
fn get(target: &str, headers: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n")
}

#[test]
fn a_page_is_answered_with_what_keeps_others_out() {
    let web = start();
    let answer = ask(&web, get("/", ""));
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert_eq!(body.as_bytes(), PAGE);
    for header in [
        "Content-Type: text/html; charset=utf-8",
        "Content-Length: 34",
        "Cache-Control: no-store",
        "X-Content-Type-Options: nosniff",
        "X-Frame-Options: DENY",
        "Referrer-Policy: no-referrer",
        "Cross-Origin-Resource-Policy: same-origin",
        "Connection: close",
    ] {
        assert!(head.contains(header), "{header} in {head}");
    }
    assert!(head.contains("Content-Security-Policy: default-src 'self'; img-src 'self' blob: data:;"), "{head}");
    assert!(head.contains("frame-ancestors 'none'"), "{head}");
    assert!(head.contains(" GMT\r\n"), "{head}");
    assert!(!head.contains("Access-Control"), "{head}");
    web.close();
}

#[test]
fn a_head_says_what_there_would_be() {
    let web = start();
    let answer = ask(&web, "HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(status(&answer), 200);
    assert!(answer.contains("Content-Length: 34\r\n") && answer.ends_with("\r\n\r\n"), "{answer}");
}

#[test]
fn requests_arrive_decoded() {
    let web = start();
    let answer = ask(&web, get("/%65cho?a=1%202&b=%C3%BC+x&c&&=d", ""));
    assert!(
        answer.ends_with("Get /echo [(\"a\", \"1 2\"), (\"b\", \"ü x\"), (\"c\", \"\"), (\"\", \"d\")] None \"\"\n"),
        "{answer}"
    );
    let post = "POST /echo HTTP/1.1\r\nHost: 127.0.0.1:80\r\nContent-Length: 5\r\n\r\nhello, and more";
    let answer = ask(&web, post);
    assert!(answer.ends_with("Post /echo [] None \"hello\"\n"), "{answer}");
    // An offer that is not taken up.
    let offer = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n";
    assert_eq!(status(&ask(&web, get("/echo", offer))), 200);
    let answer = ask(&web, get("/save", ""));
    assert!(answer.contains("Content-Disposition: attachment; filename=\"messages.csv\"\r\n"), "{answer}");
}

#[test]
fn a_large_answer_arrives_whole() {
    let web = start();
    assert_eq!(ask(&web, get("/large", "")).split_once("\r\n\r\n").unwrap().1.len(), 3_000_000);
}

#[test]
fn what_is_not_there_is_told() {
    let web = start();
    for (request, expected) in [
        (get("/nothing", ""), 404),
        ("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n".to_owned(), 405),
        ("DELETE / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(), 405),
        (get("/panic", ""), 500),
    ] {
        let answer = ask(&web, &request);
        assert_eq!(status(&answer), expected, "{request}");
        assert!(answer.contains(&format!("\r\n\r\n{expected} ")), "{answer}");
    }
    // And it goes on.
    assert_eq!(status(&ask(&web, get("/", ""))), 200);
}

#[test]
fn closing_frees_the_address_and_ends_what_is_being_asked() {
    let web = start();
    let mut waiting = open(&web);
    waiting.write_all(b"GET / HTTP/1.1\r\n").unwrap();
    let mut answered = open(&web);
    answered.write_all(get("/", "").as_bytes()).unwrap();
    assert_eq!(status(&read(&mut answered)), 200);
    let address = web.address();
    web.close();
    web.close();
    read(&mut waiting);
    // Bound anew, also while the system remembers the old connections.
    let again = Web::new(address).start().unwrap();
    assert_eq!(again.address(), address);
    again.close();
}
