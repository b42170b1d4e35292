//! Requests that mean no good.

use super::*;
use crate::web::server::MOST_REQUESTS;

#[test]
fn a_request_is_understood_however_it_is_cut() {
    let web = start();
    let request = "POST /echo?x=%41 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nabcd";
    for at in 1..request.len() {
        let mut socket = open(&web);
        socket.set_nodelay(true).unwrap();
        let (first, second) = request.as_bytes().split_at(at);
        socket.write_all(first).unwrap();
        // The first part is read by itself, or not: each is right.
        std::thread::yield_now();
        socket.write_all(second).unwrap();
        let answer = read(&mut socket);
        assert!(answer.ends_with("Post /echo [(\"x\", \"A\")] None \"abcd\"\n"), "cut at {at}: {answer}");
    }
}

#[test]
fn what_two_readers_would_understand_differently_is_refused() {
    let web = start();
    let long = "x".repeat(20_000);
    let many = "X-Y: z\r\n".repeat(101);
    let post = |headers: &str| format!("POST /echo HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n\r\nabcd");
    for (what, request, expected) in [
        ("two lengths", post("Content-Length: 4\r\nContent-Length: 4"), 400),
        ("two different lengths", post("Content-Length: 4\r\nContent-Length: 5"), 400),
        ("a list of lengths", post("Content-Length: 4, 4"), 400),
        ("a signed length", post("Content-Length: +4"), 400),
        ("a length in hexadecimal", post("Content-Length: 0x4"), 400),
        ("an empty length", post("Content-Length:"), 400),
        ("a negative length", post("Content-Length: -1"), 400),
        ("a length beyond numbers", post("Content-Length: 99999999999999999999999"), 413),
        ("chunks", post("Transfer-Encoding: chunked"), 501),
        ("chunks and a length", post("Content-Length: 4\r\nTransfer-Encoding: chunked"), 501),
        ("chunks in disguise", post("Transfer-Encoding: \tchunked"), 501),
        ("no length", post("X-Y: z"), 411),
        ("a body that is too long", post("Content-Length: 65537"), 413),
        ("an expectation", post("Content-Length: 4\r\nExpect: 100-continue"), 417),
        ("a body of a GET", get("/echo", "Content-Length: 4\r\n"), 400),
        ("a folded header", get("/echo", "X-Y: z\r\n more\r\n"), 400),
        ("a space before the colon", get("/echo", "Content-Length : 4\r\n"), 400),
        ("a line without a carriage return", "GET /echo HTTP/1.1\nHost: localhost\n\r\n\r\n".into(), 400),
        ("one among others", get("/echo", "X-Y: z\nX-Z: y\r\n"), 400),
        ("a carriage return in a header", get("/echo", "X-Y: z\rX-Z: y\r\n"), 400),
        ("a NUL in a header", get("/echo", "X-Y: \0\r\n"), 400),
        ("two hosts", get("/echo", "Host: localhost\r\n"), 400),
        ("two origins", get("/echo", "Origin: http://localhost\r\nOrigin: http://localhost\r\n"), 400),
        ("no host", "GET /echo HTTP/1.1\r\n\r\n".into(), 403),
        ("another host", "GET /echo HTTP/1.1\r\nHost: evil.example\r\n\r\n".into(), 403),
        ("another target", get("http://evil.example/echo", ""), 400),
        ("a target of this host", get("http://localhost/echo", ""), 400),
        ("no path", get("*", ""), 400),
        ("a tunnel", "CONNECT evil.example:443 HTTP/1.1\r\nHost: localhost\r\n\r\n".into(), 405),
        ("another version", "GET /echo HTTP/2.0\r\nHost: localhost\r\n\r\n".into(), 400),
        ("the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".into(), 400),
        ("no request", "\u{16}\u{3}\u{1}hello\r\n\r\n".into(), 400),
        ("a path upwards", get("/../echo", ""), 400),
        ("an encoded path upwards", get("/%2e%2E/echo", ""), 400),
        ("a path upwards by other slashes", get("/..%5cecho", ""), 400),
        ("an encoded slash upwards", get("/x%2f..%2fecho", ""), 400),
        ("a NUL", get("/echo%00", ""), 400),
        ("a line break", get("/echo%0d%0aX-Y:z", ""), 400),
        ("half a byte", get("/echo%4", ""), 400),
        ("no byte", get("/echo%zz", ""), 400),
        ("a signed byte", get("/echo%+1", ""), 400),
        ("no text", get("/echo%ff", ""), 400),
        ("no text in the query", get("/echo?x=%ff", ""), 400),
        ("a fragment", get("/echo#x", ""), 400),
        ("a long target", get(&format!("/{long}"), ""), 431),
        ("a long header", get("/echo", &format!("X-Y: {long}\r\n")), 431),
        ("a head without end", format!("GET /echo HTTP/1.1\r\nX-Y: {long}"), 431),
        ("many headers", get("/echo", &many), 431),
        ("an answer split in two", get("/split?name=x", ""), 200),
    ] {
        let answer = ask(&web, &request);
        assert_eq!(status(&answer), expected, "{what}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{what}: answered more than once: {answer}");
    }
    // A body that never comes whole.
    let mut socket = open(&web);
    socket.write_all(b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nab").unwrap();
    socket.shutdown(Shutdown::Write).unwrap();
    assert_eq!(status(&read(&mut socket)), 400);
}

#[test]
fn no_header_holds_a_line_break() {
    let response = Response::line(200, "").header("X-Y", "z\r\nSet-Cookie: all=mine");
    assert_eq!(response.checked().status, 500);
}

#[test]
fn what_comes_behind_a_request_is_no_other_one() {
    let web = start();
    for first in [get("/", ""), "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n".to_owned()] {
        let answer = ask(&web, first + &get("/echo", ""));
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
    }
}

#[test]
fn a_mebibyte_that_is_no_request_is_refused_and_not_kept() {
    let web = start();
    let answer = ask(&web, vec![b'x'; 1 << 20]);
    // The answer may be lost with what is still on its way.
    assert!(answer.is_empty() || [400, 431].contains(&status(&answer)), "{answer}");
    assert_eq!(status(&ask(&web, get("/", ""))), 200);
}

#[test]
fn random_bytes_do_no_harm() {
    let web = start();
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let valid = get("/echo?x=1", "Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 0\r\n");
    for _ in 0..300 {
        let mut bytes = valid.clone().into_bytes();
        for _ in 0..=random() % 4 {
            let at = random() as usize % bytes.len();
            match random() % 3 {
                0 => bytes[at] = random() as u8,
                1 => bytes.truncate(at.max(1)),
                _ => bytes.insert(at, random() as u8),
            }
        }
        let mut socket = open(&web);
        let _ = socket.write_all(&bytes);
        let _ = socket.shutdown(Shutdown::Write);
        let mut answer = Vec::new();
        let _ = socket.read_to_end(&mut answer);
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 "), "{}", bytes.escape_ascii());
    }
    assert_eq!(status(&ask(&web, get("/", ""))), 200);
}

#[test]
fn large_answers_that_are_not_taken_do_not_pile_up() {
    let web = web().most_waiting(70_000_000).start().unwrap();
    let begin = |target: &str| {
        let mut socket = open(&web);
        socket.write_all(get(target, "").as_bytes()).unwrap();
        let mut begin = [0; 12];
        socket.read_exact(&mut begin).unwrap();
        (socket, String::from_utf8(begin.into()).unwrap())
    };
    let slow: Vec<_> = (0..2).map(|_| begin("/huge")).collect();
    assert!(slow.iter().all(|(_, begin)| begin == "HTTP/1.1 200"));
    assert_eq!(begin("/huge").1, "HTTP/1.1 503");
    // Small ones take no room.
    assert_eq!(status(&ask(&web, get("/echo", ""))), 200);
    drop(slow);
    let deadline = std::time::Instant::now() + PATIENCE;
    while begin("/huge").1 != "HTTP/1.1 200" {
        assert!(std::time::Instant::now() < deadline, "what is left has no room");
        std::thread::yield_now();
    }
}

#[test]
fn one_large_answer_is_always_taken() {
    let web = web().most_waiting(0).start().unwrap();
    assert!(ask(&web, get("/large", "")).len() > 3_000_000);
}

#[test]
fn pages_of_other_origins_are_refused() {
    let web = start();
    let port = web.address().port();
    let origin = |origin: &str| format!("Host: localhost:{port}\r\nOrigin: {origin}\r\n");
    let post = |target: &str, headers: &str| format!("POST {target} HTTP/1.1\r\n{headers}Content-Length: 0\r\n\r\n");
    for (from, expected) in [
        ("https://evil.example", 403),
        ("null", 403),
        ("http://localhost", 403),
        ("http://localhost:1", 403),
        (&format!("http://localhost:{port}"), 200),
        // Let in by the site, for that path.
        ("https://leads.example", 200),
    ] {
        for request in [post("/echo", &origin(from)), format!("GET /echo HTTP/1.1\r\n{}\r\n", origin(from))] {
            let answer = ask(&web, request);
            assert_eq!(status(&answer), expected, "{from}: {answer}");
            let may_read = answer.contains(&format!("Access-Control-Allow-Origin: {from}\r\nVary: Origin\r\n"));
            assert_eq!(may_read, expected == 200 && from.starts_with("https:"), "{from}: {answer}");
            assert!(!answer.contains("Access-Control-Allow-Credentials"), "{answer}");
        }
    }
    let other = ask(&web, format!("GET /save HTTP/1.1\r\n{}\r\n", origin("https://leads.example")));
    assert_eq!(status(&other), 403, "{other}");
    // What a browser asks before.
    let before = |from: &str| {
        let headers = format!("{}Access-Control-Request-Private-Network: true\r\n", origin(from));
        ask(&web, format!("OPTIONS /echo HTTP/1.1\r\n{headers}\r\n"))
    };
    let answer = before("https://leads.example");
    assert_eq!(status(&answer), 204);
    assert!(answer.contains("Access-Control-Allow-Private-Network: true\r\n"), "{answer}");
    assert_eq!(status(&before("https://evil.example")), 403);
    assert_eq!(status(&ask(&web, "OPTIONS /echo HTTP/1.1\r\nHost: localhost\r\n\r\n")), 405);
}

#[test]
fn other_names_of_this_machine_are_let_in_where_they_are_told() {
    let names = ["car.local".to_owned(), "Pit.example".to_owned()];
    let web = web().hosts(&names).start().unwrap();
    let port = web.address().port();
    for (host, expected) in [("car.local", 200), ("pit.example", 200), ("evil.local", 403), ("car.local.evil", 403)] {
        let headers = format!("Host: {host}:{port}\r\nOrigin: http://{host}:{port}\r\n");
        assert_eq!(status(&ask(&web, format!("GET / HTTP/1.1\r\n{headers}\r\n"))), expected, "{host}");
    }
}

#[test]
fn who_comes_when_all_places_are_taken_waits_for_one() {
    let web = start();
    let mut slow: Vec<_> = (0..MOST_REQUESTS)
        .map(|_| {
            let mut socket = open(&web);
            socket.write_all(b"GET / HTTP/1.1\r\nHost: local").unwrap();
            socket
        })
        .collect();
    // They are accepted one after the other, so this one is the first to wait.
    let mut late = open(&web);
    late.write_all(get("/", "").as_ref()).unwrap();
    late.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    late.read(&mut [0]).expect_err("it is not answered yet");
    late.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut first = slow.pop().unwrap();
    first.write_all(b"host\r\n\r\n").unwrap();
    assert_eq!(status(&read(&mut first)), 200);
    drop(first);
    assert_eq!(status(&read(&mut late)), 200);
}

#[test]
fn closing_waits_for_nobody_who_waits() {
    let web = start();
    let idle: Vec<_> = (0..=MOST_REQUESTS).map(|_| open(&web)).collect();
    let (tell, closed) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        web.close();
        let _ = tell.send(());
    });
    closed.recv_timeout(PATIENCE).expect("closing takes longer than those who wait may");
    drop(idle);
}

#[test]
fn a_request_that_takes_too_long_is_told() {
    let web = start();
    let mut socket = open(&web);
    socket.write_all(b"GET / HTTP/1.1\r\n").unwrap();
    assert_eq!(status(&read(&mut socket)), 408);
}
