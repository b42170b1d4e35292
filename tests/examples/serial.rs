//! The example `serial`, with the device that it plays itself.

use crate::process::{Process, run};

/// The played device, once it is connected.
fn demo(arguments: &[&str]) -> Process {
    let process = Process::start("serial", &[&["--demo"], arguments].concat());
    let at = process.error_line();
    let port = at.strip_prefix("serial: a device is at ").unwrap_or_else(|| panic!("{at:?}"));
    assert_eq!(process.error_line(), format!("serial: connected to {port}"));
    process
}

#[test]
#[cfg_attr(leads_comm_emulated, ignore = "qemu does not know TCGETS2, which tells of terminals")]
fn it_talks_to_the_device_that_it_plays() {
    for arguments in [&["--baud", "115200"][..], &["--separator", "\r\n"]] {
        let mut process = demo(arguments);
        process.write(b"temperature\nled:1\n");
        assert_eq!(process.line(), "temperature:21.5");
        assert_eq!(process.line(), "led:1 ok");
        let ended = process.end_input();
        assert_eq!((ended.code, ended.stderr.len()), (0, 0), "{ended:?}");
    }
}

#[test]
#[cfg_attr(leads_comm_emulated, ignore = "qemu does not know TCGETS2, which tells of terminals")]
fn what_was_asked_at_the_end_of_stdin_is_answered() {
    for _ in 0..5 {
        // Like `printf 'temperature\nled:1' | serial --demo`.
        let mut process = Process::start("serial", &["--demo"]);
        process.write(b"temperature\nled:1");
        let ended = process.end_input();
        assert_eq!((ended.code, &ended.stdout[..]), (0, &["temperature:21.5", "led:1 ok"].map(str::to_owned)[..]));
    }
}

#[test]
fn a_wrong_value_is_told_with_its_option_and_what_it_may_be() {
    let wrong: [(&[&str], &str); 3] = [
        (&["x", "--baud", "fast"], "--baud: fast is not a number from 1 to 4294967295"),
        (&["x", "--baud", "0"], "--baud: 0 is not a number from 1 to 4294967295"),
        (&["x", "--settle", "-1"], "--settle: -1 is not a number from 0 to 3600"),
    ];
    for (arguments, expected) in wrong {
        let ended = run("serial", arguments);
        assert_eq!((ended.code, &ended.stderr[..]), (2, &[format!("serial: {expected} (see --help)")][..]));
    }
}

#[test]
#[cfg_attr(leads_comm_emulated, ignore = "qemu does not know TCGETS2, which tells of terminals")]
fn a_line_that_cannot_be_sent_is_told() {
    let mut process = demo(&[]);
    process.write(b"a;b\n");
    let line = process.error_line();
    assert!(line.starts_with("serial: line 1 was not sent: "), "{line}");
    let ended = process.end_input();
    assert_eq!((ended.code, &ended.stderr[..]), (1, &["serial: lines that were not sent: 1".to_owned()][..]));
}

#[test]
#[cfg_attr(leads_comm_emulated, ignore = "qemu does not know TCGETS2, which tells of terminals")]
fn ctrl_c_ends_it() {
    for arguments in [&["--reconnect"][..], &[]] {
        let process = demo(arguments);
        process.signal("INT");
        assert_eq!(process.end().code, 0);
    }
}

#[test]
fn it_lists_ports() {
    let ended = run("serial", &["--list"]);
    assert_eq!((ended.code, ended.stderr.len()), (0, 0), "{ended:?}");
    assert!(ended.stdout.iter().all(|port| port.starts_with("/dev/")), "{ended:?}");
}

#[test]
fn it_says_what_is_wrong() {
    let ended = run("serial", &["/dev/there is none"]);
    assert_eq!(ended.code, 1);
    assert!(ended.stderr[0].starts_with("serial: cannot connect to /dev/there is none: "), "{ended:?}");
    let ended = run("serial", &["/dev/null"]);
    assert_eq!(ended.stderr, ["serial: cannot connect to /dev/null: not a serial port"]);
    for wrong in [&["auto"][..], &[], &["--demo", "--list"], &["--demo", "--tag", "x"], &["x", "--baud", "fast"]] {
        assert_eq!(run("serial", wrong).code, 2, "{wrong:?}");
    }
    let help = run("serial", &["--help"]);
    assert_eq!((help.code, help.stderr.len()), (0, 0));
    assert!(help.stdout.iter().any(|line| line.starts_with("Usage: serial PORT")));
}
