//! The files of the page, which are a part of the program: `page/` beside its sources.

use crate::web::Response;

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// Path, type, and bytes.
const FILES: &[(&str, &str, &[u8])] = &[
    ("/", HTML, include_bytes!("../../page/index.html")),
    ("/dom.js", SCRIPT, include_bytes!("../../page/dom.js")),
    ("/frames.js", SCRIPT, include_bytes!("../../page/frames.js")),
    ("/history-worker.js", SCRIPT, include_bytes!("../../page/history-worker.js")),
    ("/history.js", SCRIPT, include_bytes!("../../page/history.js")),
    ("/icon.svg", SVG, include_bytes!("../../page/icon.svg")),
    ("/live.js", SCRIPT, include_bytes!("../../page/live.js")),
    ("/main.js", SCRIPT, include_bytes!("../../page/main.js")),
    ("/model/choice.js", SCRIPT, include_bytes!("../../page/model/choice.js")),
    ("/model/escape.js", SCRIPT, include_bytes!("../../page/model/escape.js")),
    ("/model/feed.js", SCRIPT, include_bytes!("../../page/model/feed.js")),
    ("/model/format.js", SCRIPT, include_bytes!("../../page/model/format.js")),
    ("/model/health.js", SCRIPT, include_bytes!("../../page/model/health.js")),
    ("/model/json.js", SCRIPT, include_bytes!("../../page/model/json.js")),
    ("/model/monitor.js", SCRIPT, include_bytes!("../../page/model/monitor.js")),
    ("/model/projection.js", SCRIPT, include_bytes!("../../page/model/projection.js")),
    ("/model/protocol.js", SCRIPT, include_bytes!("../../page/model/protocol.js")),
    ("/model/scales.js", SCRIPT, include_bytes!("../../page/model/scales.js")),
    ("/model/table.js", SCRIPT, include_bytes!("../../page/model/table.js")),
    ("/model/thin.js", SCRIPT, include_bytes!("../../page/model/thin.js")),
    ("/model/window.js", SCRIPT, include_bytes!("../../page/model/window.js")),
    ("/panels/bar.js", SCRIPT, include_bytes!("../../page/panels/bar.js")),
    ("/panels/commands.js", SCRIPT, include_bytes!("../../page/panels/commands.js")),
    ("/panels/fields.js", SCRIPT, include_bytes!("../../page/panels/fields.js")),
    ("/panels/legend.js", SCRIPT, include_bytes!("../../page/panels/legend.js")),
    ("/panels/map.js", SCRIPT, include_bytes!("../../page/panels/map.js")),
    ("/panels/peers.js", SCRIPT, include_bytes!("../../page/panels/peers.js")),
    ("/panels/pictures.js", SCRIPT, include_bytes!("../../page/panels/pictures.js")),
    ("/panels/plot-control.js", SCRIPT, include_bytes!("../../page/panels/plot-control.js")),
    ("/panels/plot.js", SCRIPT, include_bytes!("../../page/panels/plot.js")),
    ("/panels/raw.js", SCRIPT, include_bytes!("../../page/panels/raw.js")),
    ("/panels/timeline.js", SCRIPT, include_bytes!("../../page/panels/timeline.js")),
    ("/style.css", CSS, include_bytes!("../../page/style.css")),
    ("/theme.js", SCRIPT, include_bytes!("../../page/theme.js")),
    ("/uplot/uPlot.iife.min.js", SCRIPT, include_bytes!("../../page/uplot/uPlot.iife.min.js")),
    ("/uplot/uPlot.min.css", CSS, include_bytes!("../../page/uplot/uPlot.min.css")),
];

/// The file at a path.
pub(super) fn file(path: &str) -> Option<Response> {
    let (_, content_type, bytes) = FILES.iter().find(|(known, ..)| *known == path)?;
    Some(Response { status: 200, content_type, headers: Vec::new(), body: bytes.to_vec() })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    /// The files in a folder and in those that are in it, by their paths from `page/` on.
    fn files(folder: &Path, root: &Path, found: &mut Vec<String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => files(&path, root, found),
                false => found.push(format!("/{}", path.strip_prefix(root).unwrap().to_str().unwrap())),
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
        let mut served: Vec<_> = FILES.iter().map(|(path, ..)| (*path).to_owned()).collect();
        served.sort();
        assert_eq!(served, found);
        assert!(file("/../src/main.rs").is_none() && file("").is_none());
    }
}
