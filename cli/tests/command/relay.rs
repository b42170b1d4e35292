//! `relay`: what goes up, what comes back, and what becomes of messages while the way up is gone.

use std::fs;
use std::path::PathBuf;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use leads_comm_testing::folder::Folder;
use leads_comm_testing::wire::{Listening, Peer, unused_address};

use crate::endpoint::{certificates, path};
use crate::folder_with;
use crate::process::{PATIENCE, Process, run};

/// The lines of stderr that begin so, in whatever order they come: each side has threads of its own.
#[track_caller]
fn lines<const N: usize>(relay: &Process, beginnings: [&str; N]) -> [String; N] {
    let mut found = beginnings.map(|_| None);
    while found.iter().any(Option::is_none) {
        let line = relay.error_line();
        if let Some(which) = beginnings.iter().position(|beginning| line.starts_with(beginning)) {
            found[which].get_or_insert(line);
        }
    }
    found.map(|line| line.expect("all are there"))
}

/// The port at the end of a line.
#[track_caller]
fn port(line: &str) -> u16 {
    line.rsplit_once(':').and_then(|(_, port)| port.parse().ok()).unwrap_or_else(|| panic!("{line}"))
}

/// A relay from a vehicle, to which it is connected, to viewers; and their port.
fn serving(vehicle: &Listening, options: &[&str]) -> (Process, u16) {
    let words = ["relay", "--pull", &vehicle.address(), "--serve", "127.0.0.1:0"];
    let relay = Process::start(&[&words, options].concat());
    let [listens, _] = lines(&relay, ["to: listening on ", "from: connected to "]);
    (relay, port(&listens))
}

/// A relay that listens on either side; the ports for vehicles, and for viewers.
fn accepting(options: &[&str]) -> (Process, u16, u16) {
    let relay = Process::start(&[&["relay", "--serve", "127.0.0.1:0", "--accept"], options].concat());
    let [from, to] = lines(&relay, ["from: listening on ", "to: listening on "]);
    (relay, port(&from), port(&to))
}

/// A relay from a vehicle to a server at this address.
fn pushing(vehicle: &Listening, address: &str, options: &[&str]) -> Process {
    Process::start(&[&["relay", "--pull", &vehicle.address(), "--push", address], options].concat())
}

/// A viewer whom the relay has accepted.
#[track_caller]
fn viewer(relay: &Process, port: u16) -> Peer {
    let viewer = Peer::connect(port);
    relay.error_line_with("viewer #");
    viewer
}

/// The messages `m:FIRST;…;m:LAST;`.
fn messages(numbers: impl IntoIterator<Item = u32>) -> String {
    numbers.into_iter().map(|number| format!("m:{number};")).collect()
}

/// Ends it as Ctrl-C does; what it says of all it has done.
#[track_caller]
fn summary(relay: Process) -> String {
    relay.signal("INT");
    let ended = relay.end();
    assert_eq!(ended.code, 0, "{ended:?}");
    ended.stderr.last().expect("it says what it has done").clone()
}

#[test]
fn each_viewer_gets_what_the_vehicle_says() {
    let vehicle = Listening::start();
    let (relay, port) = serving(&vehicle, &[]);
    let car = vehicle.accept();
    let viewers = [viewer(&relay, port), viewer(&relay, port)];
    car.write(messages(1..=3));
    viewers.iter().for_each(|viewer| viewer.expect(messages(1..=3)));
    relay.signal("INT");
    car.expect_goodbye();
    viewers.into_iter().for_each(Peer::expect_goodbye);
    let ended = relay.end();
    assert_eq!(ended.code, 0, "{ended:?}");
    assert_eq!(ended.stderr.last().unwrap(), "3 messages passed on");
}

#[test]
fn several_relays_make_a_way_with_tokens_and_tls() {
    let (_, folder) = certificates();
    fs::write(folder.path().join("token"), "a secret").unwrap();
    let file = |name: &str| path(&folder, name);
    let (ca, certificate, key, token) = (file("ca.pem"), file("server.pem"), file("server.key"), file("token"));
    let vehicle = Listening::start();
    let (above, for_vehicles, for_viewers) = accepting(&[
        "tls://127.0.0.1:0",
        "--from-tls-cert",
        &certificate,
        "--from-tls-key",
        &key,
        "--from-token-file",
        &token,
        "--allow",
        "time_lap",
    ]);
    let address = format!("tls://localhost:{for_vehicles}");
    let options = ["--to-tls-ca", &ca, "--to-token-file", &token, "--allow", "time_lap,hazard"];
    let below = pushing(&vehicle, &address, &options);
    let car = vehicle.accept();
    // Until it has been let in, what comes is lost.
    lines(&below, ["from: connected to ", "to: connected to "]);
    let viewer = viewer(&above, for_viewers);
    car.write(messages(1..=2));
    viewer.expect(messages(1..=2));
    // What comes back passes both, or not.
    viewer.write("hazard;time_lap;");
    car.expect("time_lap;");
    assert_eq!(summary(below), "2 messages passed on, 1 command passed back");
    assert_eq!(summary(above), "2 messages passed on, 1 command passed back, 1 not allowed");

    // One without the token is not let in, and told so.
    let vehicle = Listening::start();
    let (_above, for_vehicles, _) = accepting(&["127.0.0.1:0", "--from-token-file", &token]);
    let below = pushing(&vehicle, &format!("127.0.0.1:{for_vehicles}"), &[]);
    below.error_line_with("it may be full, or want a token");
}

#[test]
fn commands_come_back_only_where_they_are_allowed() {
    let vehicle = Listening::start();
    let (relay, port) = serving(&vehicle, &["--allow", "time_lap", "--allow", "hazard"]);
    let car = vehicle.accept();
    let viewer = viewer(&relay, port);
    viewer.write("time_lap;reboot;time_lap ;hazard;");
    car.expect("time_lap;hazard;");
    relay.error_line_with("a command was not passed on: --allow names those that are");
    assert_eq!(summary(relay), "0 messages passed on, 2 commands passed back, 2 not allowed");
    // None are, unless somebody says so.
    let vehicle = Listening::start();
    let (relay, port) = serving(&vehicle, &[]);
    let car = vehicle.accept();
    let viewer = self::viewer(&relay, port);
    viewer.write("time_lap;");
    relay.error_line_with("a command was not passed on: --allow names those that are");
    assert_eq!(summary(relay), "0 messages passed on, 0 commands passed back, 1 not allowed");
    car.expect("disconnect;");
}

#[test]
fn newcomers_get_the_last_of_each_key() {
    let vehicle = Listening::start();
    let (relay, port) = serving(&vehicle, &["--key", "prefix=:"]);
    let car = vehicle.accept();
    let first = viewer(&relay, port);
    car.write("a:1;b:1;event;a:2;");
    first.expect("a:1;b:1;event;a:2;");
    let second = viewer(&relay, port);
    second.expect("b:1;a:2;");
    car.write("b:2;");
    second.expect("b:2;");
}

#[test]
fn what_comes_while_the_way_up_is_gone_is_lost_unless_it_may_wait() {
    let folder = Folder::new("spool");
    let spool = format!("spool={}", path(&folder, "spool"));
    for (options, expected, outcome) in [
        (&[][..], "", "1 message passed on, 4 lost"),
        (&["--offline", "drop"], "", "1 message passed on, 4 lost"),
        (&["--offline", "latest", "--key", "prefix=:"], "m:9;n:1;", "3 messages passed on, 2 replaced or lost"),
        (&["--offline", "memory=1M"], "m:1;m:2;n:1;m:9;", "5 messages passed on"),
        (&["--offline", &spool], "m:1;m:2;n:1;m:9;", "5 messages passed on"),
    ] {
        let (vehicle, address) = (Listening::start(), unused_address());
        let relay = pushing(&vehicle, &address, options);
        let car = vehicle.accept();
        relay.error_line_with("cannot connect to ");
        car.write("m:1;m:2;n:1;m:9;");
        // It has them when it has said goodbye to the vehicle, which goes on.
        car.say_goodbye();
        relay.error_line_with("the peer said goodbye");
        let above = Listening::start_at(&address).accept();
        above.expect(expected);
        let vehicle = Listening::start_on(vehicle.port);
        vehicle.accept().write("m:10;");
        above.expect("m:10;");
        assert_eq!(summary(relay), outcome, "{options:?}");
    }
}

#[test]
fn a_spool_outlives_the_relay() {
    let folder = Folder::new("spool");
    let spool = format!("spool={},max=1M", path(&folder, "spool"));
    let address = unused_address();
    let mut next = 1;
    for _ in 0..3 {
        let vehicle = Listening::start();
        let mut relay = pushing(&vehicle, &address, &["--offline", &spool]);
        let car = vehicle.accept();
        car.write(messages(next..next + 1000));
        next += 1000;
        car.say_goodbye();
        relay.error_line_with("the peer said goodbye");
        wait_for(&folder, &format!("m:{}", next - 1));
        relay.kill();
    }
    let vehicle = Listening::start();
    let relay = pushing(&vehicle, &address, &["--offline", &spool]);
    let car = vehicle.accept();
    let above = Listening::start_at(&address).accept();
    above.expect(messages(1..next));
    relay.error_line_with("3000 messages that waited are sent first");
    car.write("live;");
    above.expect("live;");
    assert_eq!(summary(relay), "3001 messages passed on");
    let files = fs::read_dir(folder.path().join("spool")).unwrap().map(|file| file.unwrap().file_name());
    let mut files: Vec<_> = files.collect();
    files.sort();
    assert_eq!(files, ["acknowledged", "lock"], "nothing waits any more");
}

/// Waits until a file of the folder has this.
fn wait_for(folder: &Folder, text: &str) {
    let deadline = Instant::now() + PATIENCE;
    let has_it =
        |path: PathBuf| fs::read(path).is_ok_and(|bytes| bytes.windows(text.len()).any(|part| part == text.as_bytes()));
    let folder = folder.path().join("spool");
    while !fs::read_dir(&folder).unwrap().any(|file| has_it(file.unwrap().path())) {
        assert!(Instant::now() < deadline, "{text} is not in {}", folder.display());
        thread::yield_now();
    }
}

/// What a connection was given and has not sent goes to the next one; what the system had taken is lost with it.
#[test]
fn what_was_not_out_when_the_way_up_broke_comes_on_the_next_one_in_order() {
    const COUNT: u32 = 20_000;
    let message = |number: u32| format!("{number:06}{}", "x".repeat(494));
    let folder = Folder::new("spool");
    let spool = format!("spool={},max=64M", path(&folder, "spool"));
    for options in [["--offline", "memory=64M"], ["--offline", &spool]] {
        let (vehicle, above) = (Listening::start(), Listening::start());
        let address = above.address();
        let relay = pushing(&vehicle, &address, &options);
        let (car, first) = (vehicle.accept(), above.accept());
        lines(&relay, ["from: connected to ", "to: connected to "]);
        // More than any system takes for one who does not read.
        let all: String = (0..COUNT).map(|number| format!("{};", message(number))).collect();
        car.write(all);
        car.say_goodbye();
        relay.error_line_with("the peer said goodbye");
        assert_eq!(first.message(), message(0));
        first.reset();
        let mut from = 1;
        for is_last in [false, false, true] {
            let next = Listening::start_at(&address).accept();
            let number: u32 = next.message()[..6].parse().unwrap();
            // None is lost where all that the system had taken was read.
            assert!((from..COUNT).contains(&number), "{number}, and before it {} was the last", from - 1);
            from = number + 1;
            while from < COUNT && (is_last || from < number + 100) {
                assert_eq!(next.message(), message(from));
                from += 1;
            }
            if !is_last {
                next.reset();
            }
        }
        let said = summary(relay);
        assert!(said.starts_with("20000 messages passed on"), "{said}");
    }
}

/// It may be full, or want a token; that takes a moment to say, and what is sent until then is thrown away.
#[test]
fn nothing_is_taken_from_what_waits_for_a_server_that_refuses() {
    let folder = Folder::new("spool");
    let spool = format!("spool={}", path(&folder, "spool"));
    let (vehicle, address) = (Listening::start(), unused_address());
    let relay = pushing(&vehicle, &address, &["--offline", &spool]);
    let car = vehicle.accept();
    relay.error_line_with("cannot connect to ");
    car.write(messages(0..100));
    car.say_goodbye();
    relay.error_line_with("the peer said goodbye");
    for told in ["it may be full, or want a token", "to: attempt "] {
        // A refusal is a goodbye, an empty message, and the end.
        let server = Listening::start_at(&address).accept();
        server.write("disconnect;;");
        // Nothing else is sent before it would be let in.
        server.expect("disconnect;");
        server.hang_up();
        relay.error_line_with(told);
    }
    Listening::start_at(&address).accept().expect(messages(0..100));
    assert_eq!(summary(relay), "100 messages passed on");
}

#[test]
fn a_vehicle_waits_for_nobody() {
    let folder = Folder::new("spool");
    let spool = format!("spool={},max=1M", path(&folder, "spool"));
    let options: [&[&str]; 4] = [
        &["--offline", "drop"],
        &["--offline", "latest", "--key", "prefix=:"],
        &["--offline", "memory=1M"],
        &["--offline", &spool],
    ];
    for options in options {
        let (vehicle, above) = (Listening::start(), Listening::start());
        let _relay = pushing(&vehicle, &above.address(), options);
        let (car, _never_reads) = (vehicle.accept(), above.accept());
        // Far more than anybody keeps for one who does not read.
        let frame = format!("frame:{};", "x".repeat(1 << 20));
        for _ in 0..60 {
            car.write(&frame);
        }
        car.say_goodbye();
    }
}

#[test]
fn messages_that_go_round_end_it() {
    let (first, accepts, serves) = accepting(&["127.0.0.1:0"]);
    let (from, to) = (format!("127.0.0.1:{serves}"), format!("127.0.0.1:{accepts}"));
    let second = Process::start(&["relay", "--pull", &from, "--push", &to]);
    lines(&first, ["vehicle #1 ", "viewer #1 "]);
    let car = Peer::connect(accepts);
    // One of them ends; the other goes on, in no ring.
    let (tell, told) = mpsc::channel();
    for mut relay in [first, second] {
        let tell = tell.clone();
        thread::spawn(move || drop(tell.send(relay.wait())));
    }
    let mut number = 0;
    let ended = loop {
        // When the first one ends it takes no more.
        let _ = car.try_write(messages(number..number + 50).as_bytes());
        number += 50;
        match told.recv_timeout(Duration::from_millis(100)) {
            Ok(ended) => break ended,
            Err(_) => assert!(number < 50 * 10 * PATIENCE.as_secs() as u32, "neither has noticed it"),
        }
    };
    let why = "leads-comm: messages come back that were passed on: this relay is a part of a ring";
    assert!(ended.code == 1 && ended.stderr.iter().any(|line| line == why), "{ended:?}");
}

#[test]
fn wrong_calls_are_told() {
    let folder = folder_with("file", "");
    let in_a_file = format!("spool={}", path(&folder, "file"));
    for (words, why) in [
        (&["--pull", "car"][..], "the following required arguments were not provided: <--push <TO>|--serve <TO>>"),
        (
            &["--pull", "car", "--accept", ":1", "--serve", ":2"],
            "the argument '--pull <FROM>' cannot be used with '--accept",
        ),
        (&["--pull", "car", "--push", "car"], "messages of car cannot be passed on to car"),
        (&["--pull", "car", "--push", "serial:x?baud=0"], "invalid value 'serial:x?baud=0' for '--push <TO>': 0 is no"),
        (&["--accept", "serial:x", "--push", "vm"], "a serial line has a device at its other end, not clients"),
        (&["--pull", "car", "--push", "tls://vm"], "tls:// needs --to-tls-ca, the authority"),
        (&["--pull", "tls://car", "--push", "vm"], "tls:// needs --from-tls-ca, the authority"),
        (&["--accept", "tls://:0", "--push", "vm"], "a tls:// server needs --from-tls-cert and --from-tls-key"),
        (
            &["--pull", "car", "--push", "vm", "--to-tls-ca", "x"],
            "--to-tls-... need an address that begins with tls://",
        ),
        (&["--pull", "car", "--push", "vm", "--offline", "latest"], "--offline latest needs a --key"),
        (
            &["--pull", "car", "--push", "vm", "--offline", "never"],
            "invalid value 'never' for '--offline <WHAT>': not drop,",
        ),
        (
            &["--pull", "car", "--push", "vm", "--offline", "memory=1k"],
            "--offline: the bounds of the history: max_bytes must be",
        ),
        (&["--pull", "car", "--push", "vm", "--offline", &in_a_file], "--offline: the history in "),
        (&["--pull", "car", "--serve", ":0", "--offline", "drop"], "--offline is for --push"),
        (&["--pull", "car", "--push", "vm", "--slow", "drop"], "--slow is for --serve"),
        (
            &["--pull", "car", "--push", "vm", "--key", "x"],
            "invalid value 'x' for '--key <WHAT>': not all, prefix=CHARACTER",
        ),
        (
            &["--pull", "car", "--push", "vm", "--allow", ""],
            "invalid value '' for '--allow <COMMANDS>': a command has 1 to 100",
        ),
    ] {
        let ended = run(&[&["relay"], words].concat());
        assert_eq!((ended.code, ended.stderr.len()), (2, 1), "{words:?}: {ended:?}");
        assert!(ended.stderr[0].starts_with(&format!("leads-comm: {why}")), "instead of {why}: {ended:?}");
    }
}
