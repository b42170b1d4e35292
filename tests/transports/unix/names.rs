//! Names that sockets can have, and cannot.

use std::io::ErrorKind;
use std::os::unix::net::UnixStream;

use leads_comm_testing::child;

use super::*;

/// Connects to the path that is its task, and stays.
#[test]
#[ignore = "what the other tests run in a process of its own"]
fn peer() {
    let Some(path) = child::task() else { return };
    let _stream = UnixStream::connect(path).unwrap();
    child::wait_for_parent();
}

/// Listens on the path that is its task, and says what its callers are called.
#[test]
#[ignore = "what the other tests run in a process of its own"]
fn server() {
    let Some(path) = child::task() else { return };
    let (server, events) = start_echo(path);
    child::say("listens");
    child::say(&connected(&events).to_string());
    child::wait_for_parent();
    server.close();
}

/// A client's error, which must name the path.
fn not_reached(path: &str) -> Arc<io::Error> {
    match Client::builder().unix().build().unwrap().start(path, true) {
        Err(Error::Connect { address, source }) => {
            assert_eq!(address, path);
            source
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_path_that_is_too_long_is_refused_and_the_longest_is_not() {
    let directory = Directory::new();
    let room = if cfg!(any(target_os = "linux", target_os = "android")) { 107 } else { 103 };
    let of_len = |len: usize| directory.join(&"x".repeat(len - directory.0.to_str().unwrap().len() - 1));
    let longest = of_len(room);
    let (server, _events) = start_echo(&longest);
    reach(&longest).close();
    server.close();

    let too_long = of_len(room + 1);
    let error = refused(&too_long);
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    let expected = format!("the path has {} bytes, and that of a socket no more than {room} here", room + 1);
    assert_eq!(error.to_string(), expected);
    assert_eq!(not_reached(too_long.to_str().unwrap()).kind(), ErrorKind::InvalidInput);
    assert!(directory.names().is_empty());
}

#[test]
fn names_that_cannot_be_are_refused() {
    for (name, reason) in [
        ("", "the path is empty"),
        ("/tmp/with\0zero", "the path has a zero byte in it"),
        #[cfg(target_os = "linux")]
        ("@", "the abstract name is empty"),
    ] {
        for error in [refused(name), not_reached(name)] {
            assert_eq!((error.kind(), error.to_string()), (ErrorKind::InvalidInput, reason.to_owned()));
        }
    }
}

#[test]
fn a_server_that_is_not_there_is_an_error_of_connecting() {
    let directory = Directory::new();
    let path = directory.join("leads.sock");
    assert_eq!(not_reached(path.to_str().unwrap()).kind(), ErrorKind::NotFound);
    abandon(&path);
    assert_eq!(not_reached(path.to_str().unwrap()).kind(), ErrorKind::ConnectionRefused);
}

#[test]
fn there_are_no_addresses_and_the_port_means_nothing() {
    let directory = Directory::new();
    let path = directory.join("leads.sock");
    let (server, events) = start_echo(&path);
    let client = reach(&path);
    let (here, there) = (connected(&events), client.connection().unwrap());
    assert_eq!((server.local_addr(), client.local_addr()), (None, None));
    assert_eq!((server.port(), client.port()), (leads_comm::DEFAULT_PORT, leads_comm::DEFAULT_PORT));
    for connection in [&here, &there] {
        assert_eq!((connection.peer_addr(), connection.local_addr()), (None, None));
    }
    assert_eq!(there.to_string(), path.to_str().unwrap(), "to a client, its server is the path");
    server.close();
}

#[cfg(target_os = "linux")]
mod linux {
    use std::os::linux::fs::MetadataExt;

    use leads_comm::Connection;
    use leads_comm_testing::child::Process;
    use leads_comm_testing::skipped;

    use super::*;

    fn own_uid() -> u32 {
        fs::metadata("/proc/self").unwrap().st_uid()
    }

    #[test]
    fn an_abstract_name_is_no_file() {
        let name = format!("@leads-comm-{}", process::id());
        let (server, events) = start_echo(&name);
        assert!(!Path::new(&name).exists());
        let client = reach(&name);
        assert_eq!(client.connection().unwrap().to_string(), name);
        assert_eq!(connected(&events).to_string(), format!("pid {} uid {}", process::id(), own_uid()));
        assert_eq!(refused(&name).kind(), ErrorKind::AddrInUse);
        server.close();
        // A process that another test starts has it for a moment, too.
        until("the name is free", || is_free(Path::new(&format!("\0{}", &name[1..]))));
        assert_eq!(not_reached(&name).kind(), ErrorKind::ConnectionRefused);

        let server = Server::builder().unix(&name).unix_mode(0o600).build().unwrap();
        match server.start(true) {
            Err(Error::Bind { source, .. }) => assert_eq!(source.to_string(), "an abstract name has no permissions"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_peer_without_a_name_is_called_by_its_process() {
        let directory = Directory::new();
        let path = directory.join("leads.sock");
        let (server, events) = start_echo(&path);
        let process = Process::start("unix::names::peer", path.to_str().unwrap());
        let connection = connected(&events);
        assert_eq!(connection.to_string(), format!("pid {} uid {}", process.id(), own_uid()));
        server.close();
    }

    /// Its number would mean another process here.
    #[test]
    #[cfg_attr(leads_comm_emulated, ignore = "qemu passes no questions on to NETLINK_SOCK_DIAG")]
    fn a_peer_in_another_pid_namespace_is_called_by_its_user() {
        let can_be_had = || process::Command::new("unshare").args(["--pid", "--fork", "true"]).status();
        if !can_be_had().is_ok_and(|status| status.success()) {
            return skipped("a PID namespace needs root and `unshare`");
        }
        let directory = Directory::new();
        let path = directory.join("leads.sock");
        // In a namespace one sees nobody outside of it.
        let wrap = ["unshare", "--pid", "--fork"];
        let mut server = Process::start_under(&wrap, "unix::names::server", path.to_str().unwrap());
        assert_eq!(server.line(), "listens");
        let client = reach(&path);
        assert_eq!(server.line(), format!("uid {}", own_uid()));
        client.close();
        server.release();
        server.wait(PATIENCE);
    }

    /// Also where the program would rather be taken for something else.
    #[test]
    fn a_peer_with_a_name_is_called_by_it() {
        let directory = Directory::new();
        let path = directory.join("leads.sock");
        let (server, events) = start_echo(&path);
        let connect_from = |name: &str| -> (socket2::Socket, Connection) {
            let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None).unwrap();
            socket.bind(&socket2::SockAddr::unix(name).unwrap()).unwrap();
            socket.connect(&socket2::SockAddr::unix(&path).unwrap()).unwrap();
            (socket, connected(&events))
        };
        let named = directory.join("named").to_str().unwrap().to_owned();
        let forged = directory.join("two\nlines\u{2028}\u{202e}\u{200b}").to_str().unwrap().to_owned();
        let (_socket, connection) = connect_from(&named);
        assert_eq!(connection.to_string(), named);
        let (_socket, connection) = connect_from(&forged);
        let shown = directory.join("two\\nlines\\u{2028}\\u{202e}\\u{200b}");
        assert_eq!(connection.to_string(), shown.to_str().unwrap());
        let (_socket, connection) = connect_from(&format!("\0leads-comm-peer-{}", process::id()));
        assert_eq!(connection.to_string(), format!("@leads-comm-peer-{}", process::id()));

        let relative = format!("pid {} uid 0", process::id());
        let (_socket, connection) = connect_from(&relative);
        fs::remove_file(&relative).unwrap();
        assert_eq!(connection.to_string(), format!("./{relative}"));
        server.close();
    }
}
