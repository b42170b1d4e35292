//! Where, when and with what it was measured.

use std::fs;
use std::thread;

use serde::Serialize;

use crate::cli::Options;
use crate::peers;
use crate::process::said;

#[derive(Debug, Clone, Serialize)]
pub(crate) struct About {
    /// When it began, in UTC.
    pub(crate) date: String,
    pub(crate) command: String,
    pub(crate) rounds: usize,
    pub(crate) cpu: String,
    pub(crate) cores: usize,
    pub(crate) kernel: String,
    pub(crate) rustc: String,
    /// The commit of the library, and whether it has been changed since.
    pub(crate) commit: String,
    /// How busy the machine was before the first run, and after the last: the mean of a minute.
    pub(crate) load: Vec<String>,
    pub(crate) versions: Vec<(String, String)>,
}

impl About {
    pub(crate) fn here(options: &Options) -> Self {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
        let versions = options.peers.iter().map(|peer| (peer.clone(), peers::version(peer))).collect();
        Self {
            date: said("date", &["-u", "+%Y-%m-%d %H:%M"]),
            command: std::env::args().skip(1).collect::<Vec<_>>().join(" "),
            rounds: options.rounds,
            cpu: model.map_or("unknown", |(_, model)| model.trim()).to_owned(),
            cores: thread::available_parallelism().map_or(0, usize::from),
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned(),
            rustc: said("rustc", &["--version"]),
            commit: said("git", &["-C", env!("CARGO_MANIFEST_DIR"), "describe", "--always", "--dirty"]),
            load: vec![load()],
            versions,
        }
    }

    pub(crate) fn finish(&mut self) {
        self.load.push(load());
    }
}

fn load() -> String {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split(' ').next().unwrap_or_default().to_owned()
}
