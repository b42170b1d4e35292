//! The example, as the README has it: both programs, killed and started again.

use std::path::PathBuf;
use std::process::Child;
use std::{env, fs};

use leads_comm_testing::folder::Folder;
use leads_comm_testing::{free_port, runner, until};

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(arguments: &[&str]) -> Killed {
    let mut path: PathBuf = env::current_exe().unwrap();
    path.pop();
    path.pop();
    let path = path.join("examples").join(format!("recorder{}", env::consts::EXE_SUFFIX));
    Killed(runner::command(path).args(arguments).spawn().expect("cargo has built the example for the tests"))
}

#[test]
fn the_recorder_loses_nothing() {
    let folder = Folder::new("recorder");
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (history, record, port) = (path("history"), path("record.txt"), free_port().to_string());
    let numbers = || -> Vec<u64> {
        let record = fs::read_to_string(&record).unwrap_or_default();
        let position = |line: &str| line.split([':', ' ']).nth(1).and_then(|number| number.parse().ok());
        record.lines().filter(|line| line.contains("speed:")).filter_map(position).collect()
    };
    for round in 1..=3 {
        let vehicle = start(&["vehicle", &port, &history]);
        let recorder = start(&["record", &format!("127.0.0.1:{port}"), &record]);
        until("some are recorded", || numbers().len() >= 3 * round);
        drop(recorder);
        drop(vehicle);
    }
    let numbers = numbers();
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
}

/// A record of which nobody can tell where it ends is not begun anew in its place.
#[test]
fn a_record_that_cannot_be_read_is_left_alone() {
    let folder = Folder::new("recorder");
    let record = folder.path().join("record.txt");
    let damaged = b"00c0ffee00c0ffee:1 speed:0\n00c0ffee00c0ffee:2 sp\xff\xff:1\n00c0ffee00c0ffee:3 speed:2\n";
    fs::write(&record, damaged).unwrap();
    let mut recorder = start(&["record", &format!("127.0.0.1:{}", free_port()), record.to_str().unwrap()]);
    until("it has said so", || recorder.0.try_wait().unwrap().is_some_and(|code| !code.success()));
    assert_eq!(fs::read(&record).unwrap(), damaged);
}
