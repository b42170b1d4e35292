//! What a process takes of the machine, as Linux counts it.

use std::fs;
use std::time::Duration;

/// One look at it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Vitals {
    /// Resident memory, in bytes.
    pub memory: usize,
    /// How many threads.
    pub threads: usize,
    /// How many descriptors are open.
    pub descriptors: usize,
}

impl Vitals {
    /// Those of this process.
    pub fn now() -> Self {
        let seen = Self::look("self");
        // The folder that is being read is a descriptor too.
        Self { descriptors: seen.descriptors.saturating_sub(1), ..seen }
    }

    /// Those of another process.
    pub fn of(process: u32) -> Self {
        Self::look(&process.to_string())
    }

    fn look(process: &str) -> Self {
        Self {
            memory: status(process, "VmRSS:") * 1024,
            threads: status(process, "Threads:"),
            descriptors: fs::read_dir(format!("/proc/{process}/fd")).expect("the process is there").count(),
        }
    }

    /// The larger one of each.
    pub fn max(self, other: Self) -> Self {
        Self {
            memory: self.memory.max(other.memory),
            threads: self.threads.max(other.threads),
            descriptors: self.descriptors.max(other.descriptors),
        }
    }
}

/// The memory that this process has resident, in bytes.
pub fn memory() -> usize {
    status("self", "VmRSS:") * 1024
}

/// The most memory that this process has had resident so far, in bytes.
pub fn peak_memory() -> usize {
    status("self", "VmHWM:") * 1024
}

/// For how long a process has had a processor so far.
pub fn cpu_of(process: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).expect("the process is there");
    let fields: Vec<_> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    // USER_HZ is 100 wherever Linux runs these tests.
    Duration::from_millis(ticks * 10)
}

/// The number in a line of `/proc/PROCESS/status`.
fn status(process: &str, name: &str) -> usize {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("the process is there");
    let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("Linux tells it");
    line.split_whitespace().next().expect("it is a number").parse().expect("it is a number")
}
