//! Several servers that start at one path at once.

use std::sync::Barrier;
use std::thread;

use rustix::fs::{FlockOperation, flock};

use super::*;

/// Lets so many servers start at once, round after round, where a dead one has left its file; in how many of them there
/// was not exactly one that got the path.
fn race(servers: usize, rounds: usize) -> usize {
    let directory = Directory::new();
    let path = directory.join("leads.sock");
    let mut wrong = 0;
    for _ in 0..rounds {
        abandon(&path);
        let all = Barrier::new(servers);
        let outcomes = thread::scope(|scope| {
            let start = || {
                let (server, _) = echo(&path);
                all.wait();
                server.start(true).map(|()| server)
            };
            let starts: Vec<_> = (0..servers).map(|_| scope.spawn(start)).collect();
            starts.into_iter().map(|start| start.join().unwrap()).collect::<Vec<_>>()
        });
        let (started, failed): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(Result::is_ok);
        for failed in failed {
            match failed {
                Err(Error::Bind { source, .. }) => assert_eq!(source.kind(), io::ErrorKind::AddrInUse, "{source}"),
                other => panic!("{other:?}"),
            }
        }
        if started.len() == 1 {
            reach(&path).close();
        } else {
            wrong += 1;
        }
        started.into_iter().flatten().for_each(|server| server.close());
        let _ = fs::remove_file(&path);
    }
    wrong
}

#[test]
fn one_of_many_gets_the_path_that_a_dead_one_has_left() {
    let wrong = race(8, 30);
    assert_eq!(wrong, 0, "times that not exactly one got the path");
}

#[test]
#[ignore = "long: takes half a minute"]
fn one_of_many_gets_the_path_again_and_again() {
    let wrong = race(8, 2_000);
    println!("not exactly one server at an abandoned path: {wrong} of 2000 races of 8");
    assert_eq!(wrong, 0);
}

/// Whoever may read a directory can lock it.
#[test]
fn a_lock_that_another_user_can_take_holds_nobody_up() {
    let directory = Directory::new();
    let path = directory.join("leads.sock");
    abandon(&path);
    let lock = fs::File::open(&directory.0).unwrap();
    flock(&lock, FlockOperation::LockExclusive).unwrap();
    let (server, _events) = start_echo(&path);
    reach(&path).close();
    assert_eq!(directory.names(), ["leads.sock"]);
    server.close();
}

#[test]
fn a_path_that_is_locked_is_waited_for() {
    let directory = Directory::new();
    let path = directory.join("leads.sock");
    abandon(&path);
    // As by a process that is killed in between.
    let lock = fs::File::create(directory.join("leads.sock.leads-comm-lock")).unwrap();
    flock(&lock, FlockOperation::LockExclusive).unwrap();
    let error = refused(&path);
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    assert!(error.to_string().contains("locked by another process"), "{error}");
    assert!(path.exists());

    let starting = thread::spawn({
        let path = path.clone();
        move || start_echo(path)
    });
    drop(lock);
    let (server, _events) = starting.join().unwrap();
    reach(&path).close();
    assert_eq!(directory.names(), ["leads.sock"]);
    server.close();
    assert_eq!(directory.names(), [""; 0]);
}

/// What somebody has put there is neither followed nor removed.
#[test]
fn a_lock_that_is_a_link_is_refused() {
    let directory = Directory::new();
    let path = directory.join("leads.sock");
    abandon(&path);
    let lock = directory.join("leads.sock.leads-comm-lock");
    std::os::unix::fs::symlink(directory.join("elsewhere"), &lock).unwrap();
    refused(&path);
    assert!(lock.is_symlink() && path.exists() && !directory.join("elsewhere").exists());
}
