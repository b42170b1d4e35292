//! Whether all that a test has made is gone: threads and descriptors of this process, counted.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Instant;

use super::PATIENCE;
use super::vitals::Vitals;

/// Threads and descriptors of this process.
pub fn threads_and_descriptors() -> (usize, usize) {
    let now = Vitals::now();
    (now.threads, now.descriptors)
}

/// Waits until there are as many of them, and says which there are when that does not come to pass.
#[track_caller]
pub fn expect(what: &str, threads: usize, descriptors: usize) {
    let deadline = Instant::now() + PATIENCE;
    while threads_and_descriptors() != (threads, descriptors) {
        assert!(
            Instant::now() < deadline,
            "{what}: {:?} instead of {:?}; threads: {:?}; descriptors: {:?}",
            threads_and_descriptors(),
            (threads, descriptors),
            read("/proc/self/task", |path| fs::read_to_string(path.join("comm")).ok()),
            read("/proc/self/fd", |path| fs::read_link(path).ok()),
        );
        thread::yield_now();
    }
}

fn read<T>(folder: &str, read: impl Fn(&Path) -> Option<T>) -> Vec<T> {
    fs::read_dir(folder).unwrap().filter_map(|entry| read(&entry.unwrap().path())).collect()
}
