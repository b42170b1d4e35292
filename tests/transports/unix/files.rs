//! How the file comes to be there, and how it goes.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::time::Duration;

use leads_comm::transport::unix;
use leads_comm::{DisconnectKind, Reconnect};
use leads_comm_testing::child::{self, Process};

use super::*;

/// A server at the path that is its task, in the directory of this process; ended by its parent.
#[test]
#[ignore = "what the other tests run in a process of its own"]
fn server() {
    let Some(path) = child::task() else { return };
    let (server, _events) = start_echo(&path);
    child::say("listening");
    // What it has made it finds again.
    env::set_current_dir("/").unwrap();
    child::wait_for_parent();
    server.close();
    child::say("closed");
}

/// Such a server in a directory.
fn server_in(directory: &Directory, path: &str) -> Process {
    let mut command = child::command(&[], "unix::files::server", path);
    command.current_dir(&directory.0);
    let process = Process::spawn(command);
    assert_eq!(process.line(), "listening");
    process
}

#[test]
fn the_file_comes_and_goes_with_the_server() {
    let directory = Directory::new();
    let path = directory.join("leads.sock");
    for _ in 0..3 {
        let (server, _) = echo(&path);
        assert!(directory.names().is_empty(), "nothing is bound before the start");
        server.start(true).unwrap();
        assert!(fs::symlink_metadata(&path).unwrap().file_type().is_socket());
        assert_eq!(directory.names(), ["leads.sock"]);
        let client = reach(&path);
        server.close();
        assert!(directory.names().is_empty(), "the server has closed, and its file is there");
        client.close();
    }
}

#[test]
fn the_file_of_a_relative_path_goes_although_the_process_has_moved() {
    let directory = Directory::new();
    let mut process = server_in(&directory, "leads.sock");
    assert_eq!(directory.names(), ["leads.sock"]);
    reach(directory.join("leads.sock")).close();
    process.release();
    assert_eq!(process.line(), "closed");
    assert!(directory.names().is_empty());
}

#[test]
fn what_a_killed_server_leaves_behind_makes_way() {
    let directory = Directory::new();
    let path = directory.join("leads.sock");
    let mut killed = server_in(&directory, path.to_str().unwrap());
    reach(&path).close();
    killed.kill();
    killed.wait(PATIENCE).expect("it was killed");
    assert!(path.exists());

    let (server, _events) = start_echo(&path);
    reach(&path).close();
    server.close();
    assert!(directory.names().is_empty());
}

#[test]
fn a_path_that_somebody_listens_on_is_in_use_and_the_somebody_not_disturbed() {
    let directory = Directory::new();
    let path = directory.join("leads.sock");
    let (first, events) = start_echo(&path);
    let (second, _) = echo(&path);
    for _ in 0..3 {
        match second.start(true) {
            Err(Error::Bind { source, .. }) => assert_eq!(source.kind(), ErrorKind::AddrInUse),
            other => panic!("{other:?}"),
        }
    }
    reach(&path).close();
    first.close();
    let connections = events.iter().filter(|event| matches!(event, Event::Connect { .. })).count();
    assert_eq!(connections, 1, "whoever finds the path in use is a caller");

    // The start may be tried again.
    second.start(true).unwrap();
    reach(&path).close();
    second.close();

    // Nor does it matter what kind of socket is there, or that its owner is not accepting.
    let datagrams = UnixDatagram::bind(&path).unwrap();
    assert_eq!(refused(&path).kind(), ErrorKind::AddrInUse);
    datagrams.send_to(b"still reached", &path).unwrap();
    fs::remove_file(&path).unwrap();
    let _not_accepting = UnixListener::bind(&path).unwrap();
    assert_eq!(refused(&path).kind(), ErrorKind::AddrInUse);
    assert!(path.exists());
}

#[test]
fn what_is_no_socket_is_left_alone() {
    let directory = Directory::new();
    let [file, folder, link, dangling, abandoned] =
        ["file", "folder", "link", "dangling", "abandoned"].map(|name| directory.join(name));
    fs::write(&file, "precious").unwrap();
    fs::create_dir(&folder).unwrap();
    abandon(&abandoned);
    symlink(&abandoned, &link).unwrap();
    symlink(directory.join("nothing"), &dangling).unwrap();
    for path in [&file, &folder, &link, &dangling] {
        let error = refused(path);
        assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{error}");
        assert_eq!(error.to_string(), "something is there that is not a socket");
    }
    assert_eq!(directory.names().len(), 5);
    assert_eq!(fs::read(&file).unwrap(), b"precious");
    assert_eq!(refused(directory.join("no such directory/leads.sock")).kind(), ErrorKind::NotFound);
}

#[test]
fn what_has_taken_the_place_of_the_file_is_left_alone() {
    let directory = Directory::new();
    let path = directory.join("leads.sock");

    let (server, _events) = start_echo(&path);
    fs::remove_file(&path).unwrap();
    let other = UnixListener::bind(&path).unwrap();
    server.close();
    assert!(path.exists(), "another server's file was removed");
    drop(other);

    let (server, _events) = start_echo(&path);
    fs::remove_file(&path).unwrap();
    fs::write(&path, "precious").unwrap();
    server.close();
    assert_eq!(fs::read(&path).unwrap(), b"precious");
    fs::remove_file(&path).unwrap();

    let (server, _events) = start_echo(&path);
    fs::remove_file(&path).unwrap();
    server.close();
    assert!(directory.names().is_empty());
}

#[test]
fn a_socket_that_was_given_is_served_and_its_file_left_to_whoever_made_it() {
    let directory = Directory::new();
    let path = directory.join("leads.sock");
    let listener = unix::UnixListener::new(UnixListener::bind(&path).unwrap()).unwrap();
    let (callback, events) = recorder();
    let server = Server::builder().transport(listener).callback(callback).build().unwrap();
    server.start(true).unwrap();
    let client = Client::builder().transport(unix::UnixConnector::new()).build().unwrap();
    client.start(path.to_str().unwrap(), true).unwrap();
    client.send(b"hello").unwrap();
    assert_eq!(received(&events), b"hello");
    client.close();
    server.close();
    assert!(path.exists());
}

#[test]
fn the_files_permissions_are_what_was_asked_for() {
    let directory = Directory::new();
    let path = directory.join("leads.sock");
    for mode in [0o600, 0o660, 0o666] {
        let server = Server::builder().unix(&path).unix_mode(mode).build().unwrap();
        server.start(true).unwrap();
        assert_eq!(fs::symlink_metadata(&path).unwrap().permissions().mode() & 0o777, mode);
        server.close();
    }
    let error = Server::builder().unix_mode(0o600).build().unwrap_err();
    assert_eq!(error.to_string(), "invalid setting: unix_mode is only for a server with a path");
}

#[test]
fn a_client_connects_again_when_a_server_is_back_at_the_path() {
    let directory = Directory::new();
    let path = directory.join("leads.sock");
    let quick = Reconnect::new().first_delay(Duration::from_millis(1)).longest_delay(Duration::from_millis(20));
    let (callback, events) = recorder();
    let client = Client::builder().unix().reconnect(quick).callback(callback).build().unwrap();
    let mut killed = server_in(&directory, path.to_str().unwrap());
    client.start(path.to_str().unwrap(), true).unwrap();
    connected(&events);
    // One that has not been accepted would be reset.
    client.send(b"are you there").unwrap();
    assert_eq!(received(&events), b"are you there");
    killed.kill();
    assert_eq!(disconnected(&events).kind(), DisconnectKind::PeerClosed);
    killed.wait(PATIENCE).expect("it was killed");
    for _ in 0..2 {
        let (server, server_events) = start_echo(&path);
        // One more may have waited for the server that has closed.
        connected(&server_events);
        until("the client is connected", || client.send(b"again").is_ok());
        assert_eq!(received(&server_events), b"again");
        server.close();
    }
    client.close();
    assert_eq!(client.num_connections(), 0);
}
