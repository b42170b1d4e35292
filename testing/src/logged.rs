//! What the library logs, for one test at a time: the logger belongs to the whole process.

use std::sync::{Mutex, MutexGuard, Once, PoisonError};

use log::{Level, LevelFilter, Log, Metadata, Record};

/// A line of the log.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// At which level.
    pub level: Level,
    /// What it says.
    pub text: String,
}

/// Keeps the library's lines.
struct Capture {
    lines: Mutex<Vec<Line>>,
}

static CAPTURE: Capture = Capture { lines: Mutex::new(Vec::new()) };

impl Capture {
    fn lines(&self) -> MutexGuard<'_, Vec<Line>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Log for Capture {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("leads_comm")
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            let line = Line { level: record.level(), text: record.args().to_string() };
            self.lines().push(line);
        }
    }

    fn flush(&self) {}
}

/// One test's turn with the log, which is empty at its beginning.
pub struct Turn {
    _alone: MutexGuard<'static, ()>,
}

impl Turn {
    /// Waits for the turn, and keeps the lines of every level from now on.
    pub fn take() -> Self {
        static ALONE: Mutex<()> = Mutex::new(());
        static INSTALL: Once = Once::new();
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        INSTALL.call_once(|| {
            log::set_logger(&CAPTURE).unwrap();
            log::set_max_level(LevelFilter::Trace);
        });
        CAPTURE.lines().clear();
        Self { _alone: alone }
    }

    /// The lines so far.
    pub fn lines(&self) -> Vec<Line> {
        CAPTURE.lines().clone()
    }

    /// The lines of one level.
    pub fn at(&self, level: Level) -> Vec<String> {
        self.lines().into_iter().filter(|line| line.level == level).map(|line| line.text).collect()
    }

    /// Asserts that exactly one line of a level holds each of `parts`.
    pub fn assert_one(&self, level: Level, parts: &[&str]) {
        let lines = self.at(level);
        let found = lines.iter().filter(|text| parts.iter().all(|part| text.contains(part))).count();
        assert_eq!(found, 1, "{parts:?} in {lines:#?}");
    }
}
