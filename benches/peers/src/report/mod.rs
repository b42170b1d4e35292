//! What has been measured, for people and for programs.

use std::fs;
use std::io;
use std::path::Path;

use crate::results::Results;

pub(crate) mod json;
pub(crate) mod markdown;
pub(crate) mod svg;
pub(crate) mod targets;
pub(crate) mod terminal;

/// Writes the tables, the rounds and the charts.
pub(crate) fn write(results: &Results, directory: &Path) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    fs::write(directory.join("results.json"), json::render(results))?;
    fs::write(directory.join("results.md"), markdown::render(results))?;
    for chart in svg::charts(results) {
        fs::write(directory.join(chart.file), chart.svg)?;
    }
    Ok(())
}
