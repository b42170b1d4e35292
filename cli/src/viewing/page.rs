//! The files of the page, which are a part of the program: `page/` beside its sources.

use crate::web::{File, Files};

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// All of them.
pub(crate) const FILES: Files = Files(&[
    file("/", HTML, include_bytes!("../../page/index.html")),
    file("/boot.js", SCRIPT, include_bytes!("../../page/boot.js")),
    file("/dom.js", SCRIPT, include_bytes!("../../page/dom.js")),
    file("/frames.js", SCRIPT, include_bytes!("../../page/frames.js")),
    file("/history-worker.js", SCRIPT, include_bytes!("../../page/history-worker.js")),
    file("/history.js", SCRIPT, include_bytes!("../../page/history.js")),
    file("/icon.svg", SVG, include_bytes!("../../page/icon.svg")),
    file("/live.js", SCRIPT, include_bytes!("../../page/live.js")),
    file("/main.js", SCRIPT, include_bytes!("../../page/main.js")),
    file("/model/choice.js", SCRIPT, include_bytes!("../../page/model/choice.js")),
    file("/model/escape.js", SCRIPT, include_bytes!("../../page/model/escape.js")),
    file("/model/feed.js", SCRIPT, include_bytes!("../../page/model/feed.js")),
    file("/model/format.js", SCRIPT, include_bytes!("../../page/model/format.js")),
    file("/model/health.js", SCRIPT, include_bytes!("../../page/model/health.js")),
    file("/model/json.js", SCRIPT, include_bytes!("../../page/model/json.js")),
    file("/model/monitor.js", SCRIPT, include_bytes!("../../page/model/monitor.js")),
    file("/model/projection.js", SCRIPT, include_bytes!("../../page/model/projection.js")),
    file("/model/protocol.js", SCRIPT, include_bytes!("../../page/model/protocol.js")),
    file("/model/remembered.js", SCRIPT, include_bytes!("../../page/model/remembered.js")),
    file("/model/scales.js", SCRIPT, include_bytes!("../../page/model/scales.js")),
    file("/model/table.js", SCRIPT, include_bytes!("../../page/model/table.js")),
    file("/model/thin.js", SCRIPT, include_bytes!("../../page/model/thin.js")),
    file("/model/window.js", SCRIPT, include_bytes!("../../page/model/window.js")),
    file("/outcome.js", SCRIPT, include_bytes!("../../page/outcome.js")),
    file("/panels/bar.js", SCRIPT, include_bytes!("../../page/panels/bar.js")),
    file("/panels/commands.js", SCRIPT, include_bytes!("../../page/panels/commands.js")),
    file("/panels/fields.js", SCRIPT, include_bytes!("../../page/panels/fields.js")),
    file("/panels/legend.js", SCRIPT, include_bytes!("../../page/panels/legend.js")),
    file("/panels/map.js", SCRIPT, include_bytes!("../../page/panels/map.js")),
    file("/panels/peers.js", SCRIPT, include_bytes!("../../page/panels/peers.js")),
    file("/panels/pictures.js", SCRIPT, include_bytes!("../../page/panels/pictures.js")),
    file("/panels/plot-control.js", SCRIPT, include_bytes!("../../page/panels/plot-control.js")),
    file("/panels/plot.js", SCRIPT, include_bytes!("../../page/panels/plot.js")),
    file("/panels/raw.js", SCRIPT, include_bytes!("../../page/panels/raw.js")),
    file("/panels/save.js", SCRIPT, include_bytes!("../../page/panels/save.js")),
    file("/panels/timeline.js", SCRIPT, include_bytes!("../../page/panels/timeline.js")),
    file("/sizes.css", CSS, include_bytes!("../../page/sizes.css")),
    file("/style.css", CSS, include_bytes!("../../page/style.css")),
    file("/theme.js", SCRIPT, include_bytes!("../../page/theme.js")),
    file("/uplot/uPlot.iife.min.js", SCRIPT, include_bytes!("../../page/uplot/uPlot.iife.min.js")),
    file("/uplot/uPlot.min.css", CSS, include_bytes!("../../page/uplot/uPlot.min.css")),
]);

const fn file(path: &'static str, content_type: &'static str, bytes: &'static [u8]) -> File {
    File { path, content_type, bytes }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{MAIN_SEPARATOR, Path};

    use super::*;

    /// The files in a folder and in those that are in it, by their paths from `page/` on.
    fn files(folder: &Path, root: &Path, found: &mut Vec<String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => files(&path, root, found),
                false => {
                    let path = path.strip_prefix(root).unwrap().to_str().unwrap();
                    found.push(format!("/{}", path.replace(MAIN_SEPARATOR, "/")));
                }
            }
        }
    }

    #[test]
    fn all_files_of_the_page_are_served_and_no_others() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("page");
        let mut found = Vec::new();
        files(&root, &root, &mut found);
        found.retain(|path| [".html", ".css", ".js", ".svg"].iter().any(|ending| path.ends_with(ending)));
        found.iter_mut().filter(|path| *path == "/index.html").for_each(|path| *path = "/".into());
        found.sort();
        let mut served: Vec<_> = FILES.0.iter().map(|file| file.path.to_owned()).collect();
        served.sort();
        assert_eq!(served, found);
    }
}
