//! Out of threads.

use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use leads_comm_testing::{PATIENCE, alone, skipped, until};

use super::millis;
use super::server_process::{Process, Setup};

/// Where a process can be denied threads: by a control group where that is allowed, else by its own limit.
enum Threads {
    Group(PathBuf),
    Own,
}

impl Threads {
    fn new(server: &Process) -> Option<Self> {
        for root in ["/sys/fs/cgroup/pids", "/sys/fs/cgroup"] {
            let group = PathBuf::from(root).join(format!("leads-comm-{}", server.pid()));
            if fs::create_dir(&group).is_ok() {
                if group.join("pids.max").exists()
                    && fs::write(group.join("cgroup.procs"), server.pid().to_string()).is_ok()
                {
                    return Some(Self::Group(group));
                }
                let _ = fs::remove_dir(&group);
            }
        }
        // Nobody's limit binds the superuser.
        if rustix::process::geteuid().is_root() {
            skipped("there is no control group to limit threads with");
            return None;
        }
        Some(Self::Own)
    }

    fn deny(&self, server: &mut Process) {
        match self {
            Self::Group(group) => {
                let current = fs::read_to_string(group.join("pids.current")).unwrap();
                fs::write(group.join("pids.max"), current.trim()).unwrap();
            }
            Self::Own => {
                server.tell("threads none");
                // Behind it, so that it has been done.
                server.tell("hold");
                assert!(server.line().starts_with("held "));
                server.tell("release");
            }
        }
    }

    fn allow(&self, server: &mut Process) {
        match self {
            Self::Group(group) => fs::write(group.join("pids.max"), "max").unwrap(),
            Self::Own => server.tell("threads"),
        }
    }
}

#[test]
fn a_process_out_of_threads_turns_callers_away_and_goes_on() {
    alone!();
    const CALLERS: u64 = 50;
    let mut server = Process::start(&Setup::default());
    let Some(threads) = Threads::new(&server) else { return };
    let mut established = server.connect();
    assert!(established.is_let_in());
    threads.deny(&mut server);
    for number in 0..CALLERS {
        let mut caller = server.connect();
        caller.send("hello");
        assert!(!caller.is_let_in(), "let in without a thread");
        established.echo(&format!("number {number}"));
    }
    let mut refused = CALLERS;
    let begin = Instant::now();
    threads.allow(&mut server);
    let mut next = server.connect();
    while !next.is_let_in() {
        assert!(begin.elapsed() < PATIENCE, "nobody is let in");
        refused += 1;
        next = server.connect();
    }
    let delay = begin.elapsed();
    next.echo("served");
    established.echo("served");
    let (reported, failed) = server.close();
    assert!(failed.is_empty(), "{failed:?}");
    assert_eq!(reported, refused);
    println!("A3: server alive; refused {refused} = reported {reported}; accepts again after {:.1} ms", millis(delay));
    drop(server);
    if let Threads::Group(group) = threads {
        until("the control group is empty", || fs::remove_dir(&group).is_ok());
    }
}
