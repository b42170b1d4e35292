//! The examples `server` and `client` over a Unix socket.

use std::path::Path;
use std::{env, fs, process};

use crate::process::{Process, run};

/// A path of the test's own.
fn path_for(test: &str) -> String {
    env::temp_dir().join(format!("leads-comm-{test}-{}.sock", process::id())).to_str().unwrap().to_owned()
}

#[test]
fn a_client_and_a_server_meet_at_a_path() {
    let path = path_for("meet");
    let mut server = Process::start("server", &["--unix", &path, "--echo"]);
    assert_eq!(server.line(), format!("listening on {path}"));
    let mut client = Process::start("client", &["--unix", &path, "--wait"]);
    client.write(b"time_lap\n");
    assert_eq!(client.line(), "time_lap");
    let line = server.line();
    assert!(line.ends_with(" time_lap"), "{line}");
    if cfg!(target_os = "linux") {
        assert!(line.starts_with(&format!("pid {} uid ", client.id())), "{line}");
    }
    server.write(b"hazard\n");
    assert_eq!(client.line(), "hazard");

    client.close_stdin();
    server.signal("TERM");
    let (server, client) = (server.end(), client.end());
    assert_eq!((server.code, client.code), (0, 0), "{server:?} {client:?}");
    assert!(!Path::new(&path).exists(), "the server has left its file behind");
}

#[test]
fn what_is_not_possible_is_one_line_that_names_the_path() {
    let path = path_for("file");
    let ended = run("client", &["--unix", &path]);
    assert_eq!(ended.code, 1);
    assert!(ended.stderr[0].starts_with(&format!("client: cannot connect to {path}: ")), "{ended:?}");

    fs::write(&path, "precious").unwrap();
    let ended = run("server", &["--unix", &path]);
    assert_eq!((ended.code, ended.stdout.len()), (1, 0), "{ended:?}");
    let expected = format!("server: cannot listen on {path}: something is there that is not a socket");
    assert_eq!(ended.stderr, [expected]);
    assert_eq!(fs::read(&path).unwrap(), b"precious");
    fs::remove_file(&path).unwrap();
}
