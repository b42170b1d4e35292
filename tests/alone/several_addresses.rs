//! Servers whose name has several addresses, by a hosts file of the test's own.
#![cfg(target_os = "linux")]

use std::iter;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use leads_comm::transport::tcp::ConnectErrors;
use leads_comm::{Client, CloseOnDrop, Error, Reconnect};
use leads_comm_testing::child::{self, Process};
use leads_comm_testing::leftovers::{self, threads_and_descriptors};
use leads_comm_testing::silent::Silent;
use leads_comm_testing::*;

/// Where the server is, where nobody answers, and where nobody listens. No other program uses these addresses.
const SERVER: Ipv4Addr = Ipv4Addr::new(127, 79, 0, 1);
const SILENT: [Ipv4Addr; 2] = [Ipv4Addr::new(127, 79, 0, 2), Ipv4Addr::new(127, 79, 0, 3)];
const NOBODY: [Ipv4Addr; 2] = [Ipv4Addr::new(127, 79, 0, 4), Ipv4Addr::new(127, 79, 0, 5)];

/// Longer than any test waits.
const NEVER: Duration = Duration::from_secs(3600);

/// What the names here stand for. The resolver may have an order of its own, so that each comes in two.
fn hosts() -> String {
    let ([silent, other], [nobody, either]) = (SILENT, NOBODY);
    let names = [
        ("silent-first", vec![IpAddr::V4(silent), SERVER.into()]),
        ("silent-last", vec![SERVER.into(), silent.into()]),
        ("refused-first", vec![nobody.into(), SERVER.into()]),
        ("refused-last", vec![SERVER.into(), nobody.into()]),
        ("silent-ipv6", vec![Ipv6Addr::LOCALHOST.into(), SERVER.into()]),
        ("all-silent", vec![silent.into(), other.into()]),
        ("nobody", vec![nobody.into(), either.into()]),
    ];
    names.iter().flat_map(|(name, ips)| ips.iter().map(move |ip| format!("{ip} {name}\n"))).collect()
}

/// Whether these names are known in this process. If not, runs the test in one in which they are, where this machine
/// allows that.
fn knows_the_names(test: &str) -> bool {
    if child::task().is_some() {
        return true;
    }
    let hosts = std::env::temp_dir().join(format!("leads-comm-hosts-{}", std::process::id()));
    std::fs::write(&hosts, self::hosts()).unwrap();
    let mount = format!("mount --bind '{}' /etc/hosts && exec \"$0\" \"$@\"", hosts.display());
    let wrap = ["unshare", "--map-root-user", "--mount", "sh", "-c", &mount];
    if Command::new(wrap[0]).args(&wrap[1..]).arg("true").status().is_ok_and(|status| status.success()) {
        let process = Process::start_under(&wrap, test, "connect");
        // What it says until then are figures.
        iter::repeat_with(|| process.line()).take_while(|line| line != "done").for_each(|line| println!("{line}"));
    } else {
        skipped("a hosts file of one's own needs `unshare`, with namespaces of users and of mounts");
    }
    std::fs::remove_file(hosts).unwrap();
    false
}

#[test]
fn a_client_takes_whichever_address_answers() {
    alone!();
    if !knows_the_names("several_addresses::a_client_takes_whichever_address_answers") {
        return;
    }
    deadlocks::watch();
    let started = Net::Tcp.start_server(|builder| builder.bind(SERVER));
    let port = started.addr().port();
    let _silent = SILENT.map(|ip| Silent::at((ip, port).into()));
    let has_ipv6 = TcpListener::bind((Ipv6Addr::LOCALHOST, port)).is_ok();
    let _silent_ipv6 = has_ipv6.then(|| Silent::at((Ipv6Addr::LOCALHOST, port).into()));
    for name in ["silent-first", "silent-last", "refused-first", "refused-last", "silent-ipv6"] {
        let (callback, events) = recorder();
        let reconnect = Reconnect::new().first_delay(Duration::from_millis(1));
        let client = Client::builder().port(port).connect_timeout(NEVER).reconnect(reconnect).callback(callback);
        let client = CloseOnDrop::new(client.build().unwrap());
        let (starting, began) = (client.clone(), Instant::now());
        in_time(name, move || starting.start(name, true)).unwrap();
        child::say(&format!("L9: {name}: connected after {:.1?}", began.elapsed()));
        // And once more, when it connects again.
        for _ in 0..2 {
            let connection = connected(&events);
            assert_eq!(connection.peer_addr(), Some(started.addr()), "{name}");
            connection.send(name.as_bytes()).unwrap();
            assert_eq!(received(&started.events), name.as_bytes());
            connection.close();
            disconnected(&events);
        }
    }
    child::say("done");
}

#[test]
fn what_went_wrong_with_each_address_is_told() {
    alone!();
    if !knows_the_names("several_addresses::what_went_wrong_with_each_address_is_told") {
        return;
    }
    let port = TcpListener::bind((NOBODY[0], 0)).unwrap().local_addr().unwrap().port();
    let error = Client::builder().port(port).build().unwrap().start("nobody", true).unwrap_err();
    let Error::Connect { address, source } = &error else { panic!("{error:?}") };
    assert_eq!((address, source.kind()), (&format!("nobody:{port}"), std::io::ErrorKind::ConnectionRefused));
    let several = source.get_ref().and_then(|inner| inner.downcast_ref::<ConnectErrors>()).unwrap();
    let mut tried: Vec<_> = several.errors().iter().map(|(address, _)| *address).collect();
    tried.sort();
    assert_eq!(tried, NOBODY.map(|ip| SocketAddr::from((ip, port))));
    for (address, error) in several.errors() {
        assert!(source.to_string().contains(&format!("{address}: {error}")), "{source}");
    }
    child::say("done");
}

#[test]
fn attempts_that_are_given_up_leave_nothing() {
    alone!();
    if !knows_the_names("several_addresses::attempts_that_are_given_up_leave_nothing") {
        return;
    }
    let started = Net::Tcp.start_server(|builder| builder.bind(SERVER));
    let port = started.addr().port();
    let silent = SILENT.map(|ip| Silent::at((ip, port).into()));
    let (threads, descriptors) = threads_and_descriptors();
    // By an address that answers.
    for name in ["silent-first", "silent-last"] {
        let client = Client::builder().port(port).connect_timeout(NEVER).build().unwrap();
        client.start(name, true).unwrap();
        until("the other attempt is given up", || !silent[0].has_caller());
        client.close();
    }
    // By being closed, while both are under way.
    let client = Client::builder().port(port).connect_timeout(NEVER).build().unwrap();
    let starting = client.clone();
    let start = thread::spawn(move || starting.start("all-silent", true));
    until("both are tried", || silent.iter().all(Silent::has_caller));
    in_time("closing", move || client.close());
    assert!(matches!(in_time("the start", || start.join().unwrap()), Err(Error::Closed)));
    until("both are given up", || !silent.iter().any(Silent::has_caller));
    leftovers::expect("attempts", threads, descriptors);
    child::say("done");
}
