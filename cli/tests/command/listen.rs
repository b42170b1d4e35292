//! `listen`: what it prints, when it ends, and what its exit code tells.

use std::time::{Duration, Instant};

use leads_comm_testing::wire::{Listening, Peer, unused_address};

use crate::process::{Ended, Process, SIGNALS, run};

/// A `listen`, and its server's end of the connection.
fn start(options: &[&str]) -> (Process, Peer) {
    let listening = Listening::start();
    let listen = Process::start(&[&["listen", "-q", &listening.address()], options].concat());
    (listen, listening.accept())
}

/// What it prints of these bytes of a server that then says goodbye.
fn printed(options: &[&str], bytes: impl AsRef<[u8]>) -> Ended {
    let (listen, peer) = start(&[&["--no-reconnect"], options].concat());
    peer.write(bytes);
    peer.say_goodbye();
    listen.end()
}

#[track_caller]
fn assert_prints(options: &[&str], bytes: impl AsRef<[u8]>, expected: &[&str]) {
    let ended = printed(options, bytes);
    assert_eq!((ended.code, ended.stderr.len()), (0, 0), "{ended:?}");
    assert_eq!(ended.stdout, expected, "{options:?}");
}

/// Asserts that it failed, and said why in one line.
#[track_caller]
fn assert_failed(ended: &Ended, code: i32, why: &str) {
    assert_eq!((ended.code, ended.stderr.len()), (code, 1), "{ended:?}");
    assert!(ended.stderr[0].starts_with(&format!("leads-comm: {why}")), "{ended:?}");
}

#[test]
fn each_message_is_a_line_at_once() {
    let (listen, peer) = start(&[]);
    peer.write("one;tw");
    assert_eq!(listen.line(), "one");
    let bytes: Vec<u8> = (0..=255).filter(|byte| !b";\n".contains(byte)).collect();
    peer.write([b"o;;", &bytes[..], b";"].concat());
    assert_eq!(listen.line(), "two");
    assert_eq!(listen.line(), "");
    assert_eq!(listen.line_bytes(), bytes);
}

#[test]
fn formats_say_what_is_printed() {
    let messages = b"{\"a\": 1.50,\n\"b\":[\"x\"]};time_lap;;\xff\0;";
    assert_prints(&["--format", "text"], "a\tb;;c;", &["a\tb", "", "c"]);
    assert_prints(&["-f", "raw"], "one\n;two;;", &["one", "two"]);
    assert_prints(
        &["-f", "hex"],
        messages,
        &["7b2261223a20312e35302c0a2262223a5b2278225d7d", "74696d655f6c6170", "", "ff00"],
    );
    assert_prints(&["-0"], "a\nb;c;", &["a", "b\0c\0"]);
    assert_prints(&["-0", "-f", "hex"], "a;b;", &["61\x0062\0"]);
    assert_prints(&["--fields", "b.0,a"], messages, &["b.0,a", "x,1.50", ",", ",", ","]);
    assert_prints(&["--fields", "a"], "", &["a"]);
}

#[test]
fn json_has_all_that_is_known() {
    let (listen, peer) = start(&["-f", "json"]);
    let before = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs_f64();
    peer.write(b"{\"a\": 1.50,\n\"b\":1};time_lap;\xff;");
    let lines = [(); 3].map(|()| listen.line());
    let bodies = [
        r#""size":18,"message":{"a": 1.50, "b":1}}"#,
        r#""size":8,"text":"time_lap"}"#,
        r#""size":1,"base64":"/w=="}"#,
    ];
    for (line, body) in lines.iter().zip(bodies) {
        let rest = line.strip_prefix("{\"time\":").expect(line);
        let (time, rest) = rest.split_once(",\"peer\":\"").expect(line);
        let time: f64 = time.parse().unwrap();
        assert!((before - 1.0..before + 600.0).contains(&time), "{line}");
        let (peer_name, rest) = rest.split_once("\",\"id\":1,").expect(line);
        assert_eq!(peer_name.parse::<std::net::SocketAddr>().unwrap(), peer.name());
        assert_eq!(rest, body);
    }
}

#[test]
fn rows_are_for_people() {
    let (listen, peer) = start(&["--format", "line"]);
    peer.write("time\x1blap;x;");
    for expected in ["8B time\\x1blap", "1B x"] {
        let line = listen.line();
        let (time, rest) = line.split_once(" +").expect(&line);
        assert!(time.len() == 12 && time.bytes().filter(|byte| *byte == b':').count() == 2, "{line}");
        let (gap, rest) = rest.split_once(' ').expect(&line);
        assert!(gap.parse::<f64>().is_ok(), "{line}");
        assert_eq!(rest, expected);
    }
}

#[test]
fn it_ends_after_so_many_messages() {
    for format in ["text", "raw", "hex", "json", "line"] {
        let (listen, peer) = start(&["-c", "2", "--format", format]);
        peer.write("1\n;2\n;3\n;4\n;");
        peer.expect_goodbye();
        let ended = listen.end();
        let expected = if format == "text" { 4 } else { 2 };
        assert_eq!((ended.code, ended.stdout.len(), ended.stderr.len()), (0, expected, 0), "{format}: {ended:?}");
    }
    // The one that is wanted may come together with the end of the server.
    assert_prints(&["-c2"], "1;2;", &["1", "2"]);
}

#[test]
fn it_ends_after_so_much_silence() {
    let (listen, peer) = start(&["-W", "300ms"]);
    let begun = Instant::now();
    peer.write("1;");
    peer.expect_goodbye();
    assert!(begun.elapsed() >= Duration::from_millis(200));
    let ended = listen.end();
    assert_eq!((ended.code, &ended.stdout[..], ended.stderr.len()), (0, &["1".to_owned()][..], 0), "{ended:?}");
}

#[test]
fn whichever_comes_first_ends_it() {
    let (listen, peer) = start(&["-c3", "-W", "1h"]);
    peer.write("1;2;3;");
    peer.expect_goodbye();
    assert_eq!(listen.end().code, 0);

    let (listen, peer) = start(&["-c3", "-W0.3"]);
    peer.write("1;2;");
    peer.expect_goodbye();
    assert_failed(&listen.end(), 3, "2 of 3 messages came, and then nothing for 300ms");
}

#[test]
fn silence_is_counted_also_while_there_is_no_server() {
    assert_failed(&run(&["listen", "-q", &unused_address(), "-c1", "-W", "300ms"]), 3, "0 of 1 messages came");
    let ended = run(&["listen", "-q", &unused_address(), "-W", "300ms"]);
    assert_eq!((ended.code, ended.stderr.len()), (0, 0), "{ended:?}");
    // Nor does a server that does not answer hold it up: this one never shakes hands.
    let listening = Listening::start();
    let token = super::folder_with("token", "secret");
    let file = token.path().join("token");
    let options = ["listen", "-q", &listening.address(), "-c1", "-W", "300ms", "--token-file", file.to_str().unwrap()];
    assert_failed(&run(&options), 3, "0 of 1 messages came");
}

#[test]
fn it_connects_again_and_says_so() {
    let address = unused_address();
    let listen = Process::start(&["listen", &address]);
    let line = listen.error_line();
    let start = format!("cannot connect to {address}: Connection refused (os error 111); connecting again");
    assert!(!cfg!(target_os = "linux") || line.starts_with(&start), "{line}");
    for message in ["one", "two"] {
        let peer = Listening::start_at(&address).accept();
        listen.error_line_with(&format!("connected to {address}"));
        peer.write(format!("{message};"));
        assert_eq!(listen.line(), message);
        peer.say_goodbye();
        let line = listen.error_line();
        assert!(line.starts_with("disconnected: the peer said goodbye; connecting again"), "{line}");
    }
}

#[test]
fn without_reconnecting_the_end_of_the_connection_is_its_end() {
    let ended = printed(&[], "1;");
    assert_eq!((ended.code, ended.stdout.len(), ended.stderr.len()), (0, 1, 0), "{ended:?}");
    assert_failed(&printed(&["-c2"], "1;"), 1, "1 of 2 messages came; disconnected: the peer said goodbye");
    let (listen, peer) = start(&["--no-reconnect"]);
    peer.write("1;2");
    peer.hang_up();
    let why = "disconnected: the peer closed the stream without goodbye, 1 bytes of an unfinished message discarded";
    assert_failed(&listen.end(), 1, why);
    let address = unused_address();
    let why = format!("cannot connect to {address}: ");
    assert_failed(&run(&["listen", "--no-reconnect", &address]), 1, &why);
}

#[test]
fn a_message_that_is_too_long_is_told() {
    let (listen, peer) = start(&["--no-reconnect", "--max-message-len", "1k"]);
    peer.write(vec![b'x'; 2000]);
    assert_failed(&listen.end(), 1, "disconnected: the peer sent a message over the limit of 1024 bytes");
    // Pictures of a LEADS vehicle are longer than what the library takes unless told otherwise.
    let picture = "x".repeat(15 << 20);
    let (listen, peer) = start(&["-c1", "-f", "raw"]);
    let sending = std::thread::spawn(move || {
        peer.write(picture + ";");
        peer.expect_goodbye();
    });
    let ended = listen.end();
    assert_eq!((ended.code, ended.stdout[0].len()), (0, 15 << 20));
    sending.join().unwrap();
}

#[test]
fn signals_end_it_with_a_goodbye() {
    for signal in SIGNALS {
        let (listen, peer) = start(&["-c", "100"]);
        peer.write("1;");
        assert_eq!(listen.line(), "1");
        listen.signal(signal);
        peer.expect_goodbye();
        let ended = listen.end();
        assert_eq!((ended.code, ended.stdout.len(), ended.stderr.len()), (0, 0, 0), "{ended:?}");
    }
    let listen = Process::start(&["listen", &unused_address()]);
    listen.error_line();
    listen.signal("INT");
    assert_eq!(listen.end().code, 0);
}

#[test]
fn it_ends_after_so_long_however_much_comes() {
    for (options, code) in [(&[][..], 0), (&["-c", "1000000000"], 3), (&["-W", "1h"], 0)] {
        let (listen, peer) = start(&[&["--duration", "500ms"], options].concat());
        // Until it has gone: more than it could ever miss.
        while peer.try_write(b"m;").is_ok() {}
        let ended = listen.end();
        assert_eq!((ended.code, ended.stderr.len()), (code, usize::from(code > 0)), "{ended:?}");
    }
    // Also when there is nobody to listen to.
    assert_eq!(run(&["listen", "-q", &unused_address(), "--duration", "300ms"]).code, 0);
}
