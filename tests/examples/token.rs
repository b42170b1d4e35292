//! The examples `server` and `client` with a token.

use std::io::Write;
use std::{env, fs, process};

use crate::process::{Ended, Process, run};

/// A file of the test's own.
fn file(test: &str, content: &[u8]) -> String {
    let path = env::temp_dir().join(format!("leads-comm-{test}-{}.token", process::id()));
    fs::write(&path, content).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_client_with_the_token_is_let_in_and_others_are_not() {
    let right = file("right", b"correct horse\n");
    let same = file("same", b"correct horse\r\n");
    let wrong = file("wrong", b"correct house");
    let server = Process::start("server", &["--port", "0", "--echo", "--token", &right]);
    let port = server.port().to_string();
    let mut client = Process::start("client", &["127.0.0.1", "--port", &port, "--wait", "--token", &same]);
    client.write(b"time_lap\n");
    assert_eq!(client.line(), "time_lap");
    assert!(server.error_line().ends_with(" connected"));

    for options in [&["--token", &wrong, "--wait"][..], &["--token", &wrong], &["--wait"], &[]] {
        let ended = say_hi(&port, options);
        assert_not_let_in(&ended);
        let refused = server.error_line();
        assert_eq!(refused, "server: a caller was refused: not authenticated: its first message is not the token");
    }
    client.close_stdin();
    server.signal("TERM");
    assert_eq!((server.end().code, client.end().code), (0, 0));
    [right, same, wrong].iter().for_each(|file| fs::remove_file(file).unwrap());
}

/// `echo hi | client …`
fn say_hi(port: &str, options: &[&str]) -> Ended {
    let mut client = Process::start("client", &[&["127.0.0.1", "--port", port], options].concat());
    // It may have ended before.
    let _ = client.take_stdin().write_all(b"hi\n");
    client.end()
}

/// In one line.
fn assert_not_let_in(ended: &Ended) {
    assert_eq!((ended.code, ended.stdout.len(), ended.stderr.len()), (1, 0, 1), "{ended:?}");
    assert!(ended.stderr[0].contains(" let the client in"), "{ended:?}");
}

/// Whatever comes first: the end of stdin, or what the server says.
#[test]
fn who_is_not_let_in_hears_of_it_every_time() {
    let wrong = file("always-wrong", b"guess");
    let token = file("asked", b"secret");
    let full = Process::start("server", &["--port", "0", "--max-connections", "1"]);
    let port = full.port().to_string();
    let _inside = Process::start("client", &["127.0.0.1", "--port", &port]);
    assert!(full.error_line().ends_with(" connected"));
    for options in [&["--wait"][..], &[], &["--token", &wrong], &["--token", &wrong, "--wait"]] {
        for _ in 0..15 {
            assert_not_let_in(&say_hi(&port, options));
        }
    }
    for options in [&["--wait"][..], &[], &["--token", &wrong], &["--token", &wrong, "--wait"]] {
        // From an address no more than a few may be wrong, and the others are refused for that.
        let asking = Process::start("server", &["--port", "0", "--token", &token]);
        let port = asking.port().to_string();
        for _ in 0..15 {
            assert_not_let_in(&say_hi(&port, options));
        }
    }
    [wrong, token].iter().for_each(|file| fs::remove_file(file).unwrap());
}

#[test]
fn a_token_that_is_not_there_or_cannot_be_sent_is_one_line() {
    for (example, arguments) in [("server", &["--port", "0"][..]), ("client", &["127.0.0.1"])] {
        let ended = run(example, &[arguments, &["--token", "/no/such/file"]].concat());
        assert_eq!(ended.code, 1);
        let expected = format!("{example}: cannot read the token from /no/such/file: ");
        assert!(ended.stderr[0].starts_with(&expected), "{ended:?}");
        for (test, content) in [("empty", &b""[..]), ("split", b"a;b")] {
            let file = file(&format!("{test}-{example}"), content);
            let ended = run(example, &[arguments, &["--token", &file]].concat());
            assert_eq!((ended.code, ended.stderr.len()), (2, 1), "{ended:?}");
            let expected = format!("{example}: --token: must");
            assert!(ended.stderr[0].starts_with(&expected), "{ended:?}");
            fs::remove_file(file).unwrap();
        }
    }
}
