//! Who is let in, who waits, and who is sent away.

use leads_comm::{DisconnectKind, RefusalCause};

use super::*;

#[test]
fn the_program_admits_by_what_the_peer_is_called() {
    let directory = Directory::new();
    let path = directory.join("leads.sock");
    let (callback, events) = recorder();
    let server = Server::builder()
        .unix(&path)
        .max_connections(2)
        .max_connections_per_address(1)
        .admit(|caller| {
            assert_eq!((caller.peer_addr(), caller.num_connections_from_address()), (None, 0));
            !cfg!(target_os = "linux") || caller.peer().starts_with(&format!("pid {} ", process::id()))
        })
        .callback(callback)
        .build()
        .unwrap();
    server.start(true).unwrap();
    // No address, so none has too many.
    let clients: Vec<_> = (0..2)
        .map(|_| {
            let client = Client::builder().unix().build().unwrap();
            client.start(path.to_str().unwrap(), true).unwrap();
            connected(&events);
            client
        })
        .collect();
    let (callback, third_events) = recorder();
    let third = Client::builder().unix().callback(callback).build().unwrap();
    third.start(path.to_str().unwrap(), true).unwrap();
    assert_eq!(disconnected(&third_events).kind(), DisconnectKind::NotLetIn);
    let cause = find(&events, |event| match event {
        Event::Fail { error: Error::Refused { cause, .. }, .. } => Some(cause),
        _ => None,
    });
    assert!(matches!(cause, RefusalCause::MaxConnections { limit: 2 }), "{cause:?}");
    drop(clients);
    server.close();
}

#[cfg(target_os = "linux")]
mod exhausted {
    use std::fs::File;
    use std::io::{BufRead, Read, Write};
    use std::iter;
    use std::os::unix::net::UnixStream;

    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    use super::*;
    use leads_comm_testing::child::{self, Process};

    /// A server at a path, in a process that may have so many descriptors: that is its task. Told to hold, it takes all
    /// that are left.
    #[test]
    #[ignore = "what the other tests run in a process of its own"]
    fn server() {
        let Some(task) = child::task() else { return };
        let (descriptors, path) = task.split_once(' ').unwrap();
        let maximum = getrlimit(Resource::Nofile).maximum;
        setrlimit(Resource::Nofile, Rlimit { current: Some(descriptors.parse().unwrap()), maximum }).unwrap();
        let (server, events) = start_echo(path);
        child::say("listening");
        let mut held: Vec<File> = Vec::new();
        for line in io::stdin().lock().lines() {
            assert_eq!(line.unwrap(), "hold");
            held.extend(iter::from_fn(|| File::open("/dev/null").ok()));
            child::say("held");
        }
        server.close();
        let (mut descriptor, mut limit) = (0, 0);
        for event in events.try_iter() {
            match event {
                Event::Fail { error: Error::Refused { callers, cause }, .. } => match cause {
                    RefusalCause::NoDescriptor { .. } => descriptor += callers,
                    RefusalCause::MaxConnections { .. } => limit += callers,
                    other => panic!("{other}"),
                },
                Event::Fail { error, .. } => panic!("{error}"),
                _ => {}
            }
        }
        child::tell("refused", format_args!("{descriptor} for want of a descriptor, {limit} over the limit"));
    }

    fn start(path: &Path, descriptors: u64) -> Process {
        let process = Process::start("unix::callers::exhausted::server", &format!("{descriptors} {}", path.display()));
        assert_eq!(process.line(), "listening");
        process
    }

    /// A caller, and whether it is let in.
    fn call(path: &Path) -> (UnixStream, bool) {
        let mut caller = UnixStream::connect(path).unwrap();
        caller.set_read_timeout(Some(PATIENCE)).unwrap();
        // To one that is refused it may be closed already.
        let _ = caller.write_all(b"disconnected?;");
        let mut answer = [0; 11];
        caller.read_exact(&mut answer).unwrap();
        let is_let_in = &answer == b"disconnecte";
        assert!(is_let_in || &answer == b"disconnect;", "{}", answer.escape_ascii());
        (caller, is_let_in)
    }

    #[test]
    fn a_process_out_of_descriptors_turns_callers_away_and_serves_the_others() {
        const CALLERS: usize = 50;
        let directory = Directory::new();
        let path = directory.join("leads.sock");
        let mut process = start(&path, 100);
        let (mut inside, is_let_in) = call(&path);
        assert!(is_let_in);
        process.tell("hold");
        assert_eq!(process.line(), "held");

        let told = (0..CALLERS).filter(|_| !call(&path).1).count();
        println!("A2: callers told {told} of {CALLERS}");
        assert_eq!(told, CALLERS);
        inside.write_all(b"served;").unwrap();
        let mut answer = [0; 10];
        inside.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"d?;served;");

        process.release();
        assert_eq!(process.hear("refused"), "50 for want of a descriptor, 0 over the limit");
    }

    #[test]
    fn the_limit_on_connections_fits_the_limit_on_descriptors() {
        let directory = Directory::new();
        let path = directory.join("leads.sock");
        let mut process = start(&path, 50);
        let callers: Vec<_> = (0..30).map(|_| call(&path)).collect();
        assert_eq!(callers.iter().filter(|(_, is_let_in)| *is_let_in).count(), 50 - 32);
        process.release();
        assert_eq!(process.hear("refused"), "0 for want of a descriptor, 12 over the limit");
    }
}
