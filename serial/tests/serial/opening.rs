//! Opening ports, and the ways in which that fails.

use std::fs;
use std::io;
use std::process::Command;
use std::thread;
use std::time::Duration;

use leads_comm::Error;
use leads_comm::transport::Connector;
use leads_comm_serial::{
    CharSize, FlowControl, Identity, IdentityError, Outcome, SerialConnector, SerialStream, StopBits,
};
use rustix::fs::{FlockOperation, OFlags, fcntl_getfl, flock};
use rustix::termios::{ControlModes, InputModes, tcgetattr};

use crate::support::pty::{Device, Names, Pair};
use crate::support::{PATIENCE, received};
use crate::{client, connected_to, patient, ports};

/// Why a client does not start.
fn refused(connector: SerialConnector, address: &str) -> std::sync::Arc<io::Error> {
    let (client, _events) = client(connector, |builder| builder);
    match client.start(address, true) {
        Err(Error::Connect { source, address: shown }) => {
            assert_eq!(shown, address);
            source
        }
        other => panic!("{other:?}"),
    }
}

/// That its other users' reads block is a property of the open terminal, and not of the descriptor.
#[test]
fn a_terminal_that_was_given_is_given_back_as_it_was() {
    let pair = Pair::open();
    let blocks = || !fcntl_getfl(&pair.device).unwrap().contains(OFlags::NONBLOCK);
    assert!(blocks());
    drop(SerialStream::new(pair.device.try_clone().unwrap(), "client").unwrap());
    assert!(blocks());
}

#[test]
fn the_line_is_set_as_told() {
    let pair = Pair::open();
    let connector = SerialConnector::new()
        .baud_rate(115_200)
        .char_size(CharSize::Bits8)
        .stop_bits(StopBits::Two)
        .flow_control(FlowControl::XonXoff);
    let (client, _events) = client(connector, |builder| builder);
    client.start(&pair.name, true).unwrap();
    let settings = tcgetattr(&pair.port).unwrap();
    assert_eq!(settings.output_speed(), 115_200);
    assert!(settings.control_modes.contains(ControlModes::CSTOPB | ControlModes::CS8));
    assert!(settings.input_modes.contains(InputModes::IXON | InputModes::IXOFF));
    client.close();
}

#[test]
fn the_default_is_that_of_leads() {
    let pair = Pair::open();
    let (client, _events) = client(SerialConnector::new(), |builder| builder);
    client.start(&pair.name, true).unwrap();
    let settings = tcgetattr(&pair.port).unwrap();
    assert_eq!(settings.output_speed(), 9600);
    assert!(!settings.control_modes.intersects(ControlModes::CSTOPB | ControlModes::PARENB | ControlModes::CRTSCTS));
    assert!(!settings.input_modes.intersects(InputModes::IXON | InputModes::IXOFF | InputModes::ICRNL));
    client.close();
}

#[test]
fn what_had_arrived_before_is_thrown_away() {
    let device = Device::silent();
    device.say("the rest of a message;");
    let (client, events) = connected_to(&device);
    device.say("new;");
    assert_eq!(received(&events), b"new");
    client.close();
}

#[test]
fn a_port_is_opened_once() {
    let device = Device::silent();
    let (client, _events) = connected_to(&device);
    assert_eq!(refused(SerialConnector::new(), device.port()).kind(), io::ErrorKind::ResourceBusy);
    // Nor by clients that know nothing of each other.
    assert_eq!(refused(SerialConnector::new().ports(ports([])), device.port()).kind(), io::ErrorKind::ResourceBusy);
    client.close();
    // Nor under another name.
    let names = Names::new();
    std::os::unix::fs::symlink(device.port(), names.name("alias")).unwrap();
    let (client, _events) = connected_to(&device);
    let alias = names.name("alias");
    assert_eq!(refused(SerialConnector::new(), alias.to_str().unwrap()).kind(), io::ErrorKind::ResourceBusy);
    client.close();
}

/// A process that is being started has the port as well, until it has become another program.
#[test]
fn a_port_is_free_at_once_while_processes_are_started() {
    let device = Device::silent();
    thread::scope(|scope| {
        let starting = [(); 2].map(|()| {
            scope.spawn(|| {
                for _ in 0..50 {
                    assert!(Command::new("true").status().unwrap().success());
                }
            })
        });
        let connector = SerialConnector::new().ports(ports([]));
        while !starting.iter().all(thread::ScopedJoinHandle::is_finished) {
            drop(connector.connect(device.port()).unwrap());
        }
    });
}

#[test]
fn a_port_that_another_program_has_is_in_use() {
    let pair = Pair::open();
    flock(&pair.port, FlockOperation::NonBlockingLockExclusive).unwrap();
    assert_eq!(refused(SerialConnector::new(), &pair.name).kind(), io::ErrorKind::ResourceBusy);
    // The line has been left as that program has set it.
    assert_eq!(tcgetattr(&pair.port).unwrap().output_speed(), 38_400);
    flock(&pair.port, FlockOperation::Unlock).unwrap();
    let (client, _events) = client(SerialConnector::new(), |builder| builder);
    client.start(&pair.name, true).unwrap();
    client.close();
}

#[test]
fn what_is_no_port_is_refused() {
    let names = Names::new();
    let missing = names.name("missing");
    assert_eq!(refused(SerialConnector::new(), missing.to_str().unwrap()).kind(), io::ErrorKind::NotFound);
    let file = names.name("file");
    fs::write(&file, "content").unwrap();
    assert_eq!(refused(SerialConnector::new(), file.to_str().unwrap()).kind(), io::ErrorKind::InvalidInput);
    assert_eq!(fs::read(&file).unwrap(), b"content");
    assert_eq!(refused(SerialConnector::new(), "auto").kind(), io::ErrorKind::InvalidInput);
    let pair = Pair::open();
    assert_eq!(refused(SerialConnector::new().baud_rate(0), &pair.name).kind(), io::ErrorKind::InvalidInput);
    let unframed = Identity::new("x").question("a;b");
    let error = refused(SerialConnector::new().identity(unframed), &pair.name);
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
}

#[test]
fn a_named_port_must_have_the_right_device() {
    let device = Device::answering("ic", "noise;WSC 3;spd:0;");
    let mut deadline = Duration::from_millis(200);
    let said = loop {
        let identity = Identity::new("VeC").deadline(deadline);
        let error = refused(SerialConnector::new().identity(identity), device.port());
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        assert!(!error.to_string().contains("WSC"), "{error}");
        let Some(IdentityError::UnexpectedIdentity { tried }) = IdentityError::of(&error) else { panic!("{error}") };
        assert_eq!(tried.port, device.port());
        match tried.outcome {
            Outcome::Unrecognised { messages, bytes } => break (messages, bytes),
            Outcome::Silent { time } => assert_eq!(time, deadline),
            _ => panic!("{tried}"),
        }
        // A device whose thread has had no turn yet; it answers late then, and once more.
        deadline *= 2;
    };
    let answers = said.0.div_ceil(3);
    assert!((1..=2).contains(&answers) && said.1 <= 18 * answers, "{said:?}");

    let (client, events) = client(SerialConnector::new().identity(patient("VeC").or("WSC")), |builder| builder);
    client.start(device.port(), true).unwrap();
    // What follows the answer is the first message.
    assert_eq!(events.recv_timeout(PATIENCE).map(drop), Ok(()));
    assert_eq!(received(&events), b"spd:0");
    client.close();
}
