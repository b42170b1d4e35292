//! Devices at unknown ports.

#[cfg(target_os = "linux")]
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use leads_comm::{Error, Reconnect};
use leads_comm_serial::{Identity, IdentityError, Outcome, Ports, SerialConnector};

use crate::support::pty::{Device, Names, Wire};
use crate::support::{PATIENCE, connected, disconnected, in_time, received, until};
use crate::{client, connected_to, impatient, patient, ports};

/// Answers with a tag when asked for it, and otherwise with what it is told.
fn device(tag: &'static str) -> Device {
    Device::new(move |wire, message| match message {
        b"ic" => wire.say(format!("{tag} 1.0;")),
        message => wire.say([tag.as_bytes(), b":", message, b";"].concat()),
    })
}

/// What became of the ports when a client looked for its device in vain.
fn searched(connector: SerialConnector) -> Vec<(String, Outcome)> {
    let (client, _events) = client(connector, |builder| builder);
    let Err(Error::Connect { source, .. }) = client.start("auto", true) else { panic!("it has been found") };
    assert_eq!(source.kind(), std::io::ErrorKind::NotFound);
    let Some(IdentityError::NoAvailablePort { tried }) = IdentityError::of(&source) else { panic!("{source}") };
    tried.iter().map(|tried| (tried.port.clone(), tried.outcome.clone())).collect()
}

#[test]
fn three_clients_find_their_devices_at_once() {
    const TAGS: [&str; 3] = ["VeC", "WSC", "BMS"];
    for turn in 0..3 {
        let mut devices = TAGS.map(device);
        devices.rotate_left(turn);
        let ports = ports(&devices);
        // All of them are there before any looks.
        let clients = TAGS.map(|tag| {
            let connector = SerialConnector::new().identity(patient(tag)).ports(ports.clone());
            let (client, events) = client(connector, |builder| builder);
            (tag, client, events)
        });
        let clients = clients.map(|(tag, client, events)| {
            let starting = client.clone();
            (tag, client, events, thread::spawn(move || starting.start("auto", true).unwrap()))
        });
        for (tag, client, events, starting) in clients {
            in_time("the start", move || starting.join().unwrap());
            client.send(b"hello").unwrap();
            assert_eq!(received(&events), format!("{tag}:hello").as_bytes());
            client.close();
        }
        for device in devices {
            let questions = device.heard().into_iter().filter(|message| message == b"ic").count();
            // Once more by who came only when others had found it.
            assert!((1..=2).contains(&questions), "asked {questions} times");
        }
    }
}

#[test]
fn what_one_finds_is_given_to_who_waits() {
    let (asked, release) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let slow = {
        let (asked, release) = (Arc::clone(&asked), Arc::clone(&release));
        Device::new(move |wire, message| {
            if message == b"ic" {
                asked.store(true, Ordering::SeqCst);
                until("the answer may be given", || release.load(Ordering::SeqCst));
                wire.say("WSC;behind it;");
            }
        })
    };
    let other = device("VeC");
    let ports = ports([&slow, &other]);
    let [(first, first_events), (second, second_events)] = ["VeC", "WSC"]
        .map(|tag| client(SerialConnector::new().identity(patient(tag)).ports(ports.clone()), |builder| builder));
    let start = |client: &leads_comm::Client| {
        let client = client.clone();
        thread::spawn(move || client.start("auto", true).unwrap())
    };
    let first_starting = start(&first);
    until("the first device is asked", || asked.load(Ordering::SeqCst));
    let second_starting = start(&second);
    // It waits for its turn, however long it takes to get there; if it came later, it would ask once more.
    thread::sleep(Duration::from_millis(300));
    release.store(true, Ordering::SeqCst);
    in_time("the starts", move || {
        first_starting.join().unwrap();
        second_starting.join().unwrap();
    });
    assert_eq!(connected(&second_events).to_string(), slow.port());
    assert_eq!(connected(&first_events).to_string(), other.port());
    assert_eq!(received(&second_events), b"behind it");
    first.close();
    second.close();
}

#[test]
fn a_port_is_remembered_for_whom_it_belongs_to() {
    let (theirs, mine) = (device("WSC"), device("VeC"));
    let ports = ports([&theirs, &mine]);
    // Known, and not looking at the moment.
    let other = SerialConnector::new().identity(patient("WSC")).ports(ports.clone());
    let (other, other_events) = client(other, |builder| builder);
    other.start("auto", true).unwrap();
    assert_eq!(connected(&other_events).to_string(), theirs.port());
    other.close();
    disconnected(&other_events);

    let connector = SerialConnector::new().identity(patient("VeC")).ports(ports.clone());
    let (client, events) = client(connector, |builder| builder);
    client.start("auto", true).unwrap();
    assert_eq!(connected(&events).to_string(), mine.port());
    client.close();
    let heard = theirs.heard();
    assert_eq!(heard, [b"ic".to_vec(), b"disconnect".to_vec()], "its port has been left alone");
    drop(other);
}

#[test]
fn a_port_in_use_is_not_asked() {
    let (busy, mine) = (device("VeC"), device("VeC"));
    let (user, _user_events) = connected_to(&busy);
    // In use by the same program, of which these ports do not know; and by a client of these ports.
    let ports = ports([&busy, &mine]);
    let find = || {
        let connector = SerialConnector::new().identity(patient("VeC")).ports(ports.clone());
        client(connector, |builder| builder)
    };
    let (first, first_events) = find();
    first.start("auto", true).unwrap();
    assert_eq!(connected(&first_events).to_string(), mine.port());
    let outcomes = searched(SerialConnector::new().identity(patient("VeC")).ports(ports.clone()));
    let in_use = |outcome: &Outcome| matches!(outcome, Outcome::InUse | Outcome::OfAnother);
    assert!(outcomes.iter().all(|(_, outcome)| in_use(outcome)), "{outcomes:?}");
    user.close();
    first.close();
    assert_eq!(busy.heard(), [b"disconnect".to_vec()]);
    assert_eq!(mine.heard(), [b"ic".to_vec(), b"disconnect".to_vec()]);
}

/// Ends with the test.
#[cfg(target_os = "linux")]
struct Killed(Child);

#[cfg(target_os = "linux")]
impl Drop for Killed {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// Without a lock, as most programs do it.
#[test]
#[cfg(target_os = "linux")]
fn a_port_that_another_program_has_open_is_not_asked() {
    use std::os::unix::fs::OpenOptionsExt;
    let (theirs, mine) = (device("VeC"), device("VeC"));
    let no_terminal = rustix::fs::OFlags::NOCTTY.bits().try_into().unwrap();
    let port = std::fs::File::options().read(true).write(true).custom_flags(no_terminal).open(theirs.port()).unwrap();
    let mut sleep = std::process::Command::new("sleep");
    let other = Killed(sleep.arg("600").stdin(port).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    let find = |ports| client(SerialConnector::new().identity(patient("VeC")).ports(ports), |builder| builder);
    let (first, events) = find(ports([&theirs, &mine]));
    first.start("auto", true).unwrap();
    assert_eq!(connected(&events).to_string(), mine.port());
    first.close();
    let outcomes = searched(SerialConnector::new().identity(patient("VeC")).ports(ports([&theirs])));
    assert!(matches!(&outcomes[..], [(_, Outcome::InUse)]), "{outcomes:?}");
    let heard = theirs.heard();
    assert!(heard.is_empty(), "{heard:?}");
    drop(other);

    let (second, events) = find(ports([&theirs]));
    second.start("auto", true).unwrap();
    assert_eq!(connected(&events).to_string(), theirs.port());
    second.close();
}

#[test]
fn all_that_can_be_wrong_with_ports_is_survived() {
    let names = Names::new();
    let name = |name: &str| names.name(name);
    let port = |name: &str| names.name(name).to_str().unwrap().to_owned();
    std::fs::write(name("0 a file"), "").unwrap();
    std::os::unix::fs::symlink("/dev/pts/none", name("1 gone")).unwrap();
    let _silent = Device::at(&name("2 silent"), |_, _| {});
    let babbling = Device::at(&name("3 babbling"), |_, _| {});
    let _other = Device::at(&name("4 other"), |wire, message| {
        if message == b"ic" {
            wire.say("a;bc;");
        }
    });
    let _unplugged = Device::at(&name("5 stuck"), |_, _| {});
    let _mine = Device::at(&name("6 mine"), |wire, message| {
        if message == b"ic" {
            wire.say("noise;;VeC;");
        }
    });
    let babble = Arc::new(AtomicBool::new(true));
    let babbler = {
        let (babble, wire) = (Arc::clone(&babble), babbling.wire());
        thread::spawn(move || {
            while babble.load(Ordering::SeqCst) {
                wire.say("UUUUUUUUUUUUUUUU");
                thread::yield_now();
            }
        })
    };
    let ports = Ports::with_list(names.list());
    let outcomes = searched(SerialConnector::new().identity(impatient("none")).ports(ports.clone()));
    let of = |name: &str| outcomes.iter().find(|(tried, _)| *tried == port(name)).map(|(_, outcome)| outcome);
    assert!(matches!(of("0 a file"), Some(Outcome::NotOpened(_))), "{outcomes:?}");
    assert!(matches!(of("1 gone"), Some(Outcome::NotOpened(_))), "{outcomes:?}");
    assert!(matches!(of("2 silent"), Some(Outcome::Silent { .. })), "{outcomes:?}");
    let babbled = |outcome: &Outcome| match outcome {
        Outcome::Unrecognised { messages, bytes } => *messages == 0 && *bytes > 0,
        // Should its thread have had no turn.
        outcome => matches!(outcome, Outcome::Silent { .. }),
    };
    assert!(of("3 babbling").is_some_and(babbled), "{outcomes:?}");
    assert_eq!(outcomes.len(), 7);

    // Again and again, should its thread have no turn in time.
    let again = Reconnect::new().first_delay(Duration::from_millis(20)).at_start(true);
    let identity = Identity::new("VeC").deadline(Duration::from_millis(300));
    let connector = SerialConnector::new().identity(identity).ports(ports);
    let (client, events) = client(connector, |builder| builder.reconnect(again));
    client.start("auto", true).unwrap();
    assert_eq!(connected(&events).to_string(), port("6 mine"));
    client.close();
    babble.store(false, Ordering::SeqCst);
    // It may wait to be read.
    drop(babbling);
    in_time("the babbler", move || babbler.join().unwrap());
}

/// A device that hears and says garbage unless the line has its own speed.
#[test]
fn a_device_is_found_at_its_own_speed_only() {
    let device = Device::new(|wire: &Wire, _| match wire.speed() {
        115_200 => wire.say("VeC;"),
        _ => wire.say(b"\xf0\x0f;\x80\xfe"),
    });
    let ports = ports([&device]);
    let connector = |speed, identity| SerialConnector::new().baud_rate(speed).identity(identity).ports(ports.clone());
    let outcomes = searched(connector(9600, impatient("VeC")));
    assert!(
        matches!(&outcomes[..], [(_, Outcome::Unrecognised { bytes: 5, .. } | Outcome::Silent { .. })]),
        "{outcomes:?}"
    );
    let (client, events) = client(connector(115_200, patient("VeC")), |builder| builder);
    client.start("auto", true).unwrap();
    assert_eq!(connected(&events).to_string(), device.port());
    client.close();
}

#[test]
fn a_device_may_say_who_it_is_without_being_asked() {
    let device = Device::silent();
    let identity = Identity::by(|message| message.ends_with(b"rc")).question("").deadline(PATIENCE);
    let (client, events) = client(SerialConnector::new().identity(identity).ports(ports([&device])), |builder| builder);
    let starting = client.clone();
    let starting = thread::spawn(move || starting.start("auto", true).unwrap());
    // Until it is listened to: what was said before is thrown away.
    let found = || starting.is_finished();
    until("it is found", || {
        device.say("a;barc;");
        thread::sleep(Duration::from_millis(1));
        found()
    });
    connected(&events);
    client.close();
    assert_eq!(device.heard(), [b"disconnect".to_vec()]);
}

#[test]
fn a_device_gets_a_moment_after_the_opening_of_its_port() {
    let settle = Duration::from_millis(150);
    let device = Device::answering("ic", "VeC;");
    let (client, events) =
        client(SerialConnector::new().identity(patient("VeC").settle(settle)).ports(ports([&device])), |b| b);
    let began = std::time::Instant::now();
    client.start("auto", true).unwrap();
    assert!(began.elapsed() >= settle);
    connected(&events);
    client.close();
}

/// In the middle of asking a device that never answers, of leaving it alone, and of waiting for a turn.
#[test]
fn closing_ends_the_search_at_once() {
    let hours = Duration::from_secs(3600);
    let device = Device::silent();
    let ports = ports([&device]);
    for (identity, asks) in [(Identity::new("VeC").deadline(hours), true), (Identity::new("VeC").settle(hours), false)]
    {
        let clients = [0, 1].map(|_| {
            let connector = SerialConnector::new().identity(identity.clone()).ports(ports.clone());
            let (client, _events) = client(connector, |builder| builder);
            let (done, started) = mpsc::channel();
            let starting = client.clone();
            thread::spawn(move || done.send(starting.start("auto", true)).unwrap());
            (client, started)
        });
        if asks {
            assert_eq!(device.next(), b"ic");
        }
        for (client, started) in clients {
            let closing = client.clone();
            in_time("the close", move || closing.close());
            let result = started.recv_timeout(PATIENCE).unwrap();
            assert!(matches!(result, Err(Error::Closed)), "{result:?}");
            assert_eq!(client.num_connections(), 0);
        }
        // It may have been asked by the other one, too, whose turn it was when the first had been closed.
        device.heard();
    }
}
