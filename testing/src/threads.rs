//! How many threads a process has, as its system counts them: those of the system's libraries as well.

#[cfg(not(target_os = "linux"))]
use std::process::Command;

/// Those of this process.
pub fn count() -> usize {
    of(std::process::id())
}

/// Those of another process.
#[cfg(target_os = "linux")]
pub fn of(process: u32) -> usize {
    crate::vitals::Vitals::of(process).threads
}

/// Those of another process.
///
/// Asks a program of the system's: the older one, which not every Windows has any more, or the newer, which Wine has not.
#[cfg(windows)]
pub fn of(process: u32) -> usize {
    let listed = output("wmic", &["process", "get", "ProcessId,ThreadCount"]);
    let of_it = |line: &str| {
        let (id, threads) = line.trim().split_once(char::is_whitespace)?;
        (id.parse() == Ok(process)).then(|| threads.trim().parse().expect("it is a number"))
    };
    listed.lines().find_map(of_it).unwrap_or_else(|| {
        let script = format!("(Get-Process -Id {process}).Threads.Count");
        output("powershell", &["-NoProfile", "-Command", &script]).trim().parse().expect("Windows tells it")
    })
}

/// Those of another process.
#[cfg(not(any(target_os = "linux", windows)))]
pub fn of(process: u32) -> usize {
    let process = process.to_string();
    if cfg!(target_os = "macos") {
        // A line for each, below the columns' names.
        return output("ps", &["-M", &process]).lines().count() - 1;
    }
    output("ps", &["-o", "nlwp=", "-p", &process]).trim().parse().expect("the system tells it")
}

/// What a program prints; Windows has several encodings for it.
#[cfg(not(target_os = "linux"))]
fn output(program: &str, arguments: &[&str]) -> String {
    let printed = Command::new(program).args(arguments).output().map(|output| output.stdout).unwrap_or_default();
    String::from_utf8_lossy(&printed).replace('\0', "")
}
