//! What this process takes of the machine.

use std::fs;

/// One look at it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Vitals {
    /// Resident memory, in bytes.
    pub memory: u64,
    pub threads: u64,
    pub descriptors: u64,
}

impl Vitals {
    pub fn now() -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let field = |name: &str| -> u64 {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
            line.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or_default()
        };
        // The folder that is being read is a descriptor too.
        let descriptors = fs::read_dir("/proc/self/fd").map_or(0, |folder| folder.count().saturating_sub(1) as u64);
        Self { memory: field("VmRSS:") * 1024, threads: field("Threads:"), descriptors }
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
