//! The documents name what exists: files that they link to, and those that the architecture speaks of.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The checkout.
fn root() -> &'static Path {
    let mut folders = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    folders.find(|folder| folder.join("docs/architecture.md").exists()).expect("the documents are not there")
}

/// The text without blocks of code.
fn prose(document: &Path) -> String {
    let text = fs::read_to_string(document).unwrap();
    text.split("```").step_by(2).collect()
}

fn documents() -> Vec<PathBuf> {
    let folders = ["", "docs", "docs/performance", "examples", "benches/peers"];
    let files = folders.iter().flat_map(|folder| fs::read_dir(root().join(folder)).unwrap());
    let found: Vec<_> =
        files.map(|file| file.unwrap().path()).filter(|path| path.extension().is_some_and(|e| e == "md")).collect();
    assert!(found.len() >= 10, "{found:?}");
    found
}

#[test]
fn every_link_between_the_documents_leads_to_a_file() {
    let mut dead = Vec::new();
    for document in documents() {
        // What the guide links to are items of the crate; rustdoc checks them.
        if document.ends_with("docs/guide.md") {
            continue;
        }
        for link in prose(&document).split("](").skip(1) {
            let target = link.split([')', '#']).next().unwrap();
            if !target.is_empty() && !target.contains(':') && !document.parent().unwrap().join(target).exists() {
                dead.push(format!("{}: {target}", document.display()));
            }
        }
    }
    assert!(dead.is_empty(), "{dead:#?}");
}

#[test]
fn every_file_that_the_architecture_speaks_of_exists() {
    let text = prose(&root().join("docs/architecture.md"));
    let named: Vec<_> =
        text.split('`').skip(1).step_by(2).filter(|name| name.ends_with(".rs") && name.contains('/')).collect();
    assert!(named.len() > 30, "{named:?}");
    // `outbox/` and `link/` are said without their folder.
    let exists = |name: &str| ["src", "src/connection"].iter().any(|folder| root().join(folder).join(name).exists());
    let missing: Vec<_> = named.into_iter().filter(|name| !exists(name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// The variants of a public enum, as its source has them.
fn variants(file: &str, name: &str) -> BTreeSet<String> {
    let source = fs::read_to_string(root().join("src").join(file)).unwrap();
    let (_, body) = source.split_once(&format!("pub enum {name} {{\n")).expect("the enum is somewhere else");
    let body = body.lines().take_while(|line| *line != "}").filter_map(|line| line.strip_prefix("    "));
    let named = body.filter(|line| line.starts_with(|first: char| first.is_ascii_uppercase()));
    named.map(|line| line.split(|char: char| !char.is_alphanumeric()).next().unwrap().to_owned()).collect()
}

/// What the table with this heading is about, by the first cell of each row, each with its other cells.
fn rows<'a>(text: &'a str, heading: &str) -> Vec<(&'a str, Vec<&'a str>)> {
    let cells = |line: &'a str| line.trim_matches('|').split('|').map(str::trim).collect::<Vec<_>>();
    let mut lines = text.lines().skip_while(|line| !line.starts_with(&format!("| `{heading}` |")));
    let columns = cells(lines.next().unwrap_or_else(|| panic!("no table about {heading}"))).len();
    let rows = lines.skip(1).map_while(|line| line.starts_with('|').then(|| cells(line)));
    rows.inspect(|row| assert_eq!(row.len(), columns, "{row:?}")).map(|row| (row[0], row[1..].to_vec())).collect()
}

#[test]
fn the_recipes_say_what_to_do_about_every_error_and_every_reason() {
    let recipes = fs::read_to_string(root().join("docs/recipes.md")).unwrap();
    let enums = [
        ("error/mod.rs", "Error"),
        ("error/disconnect.rs", "DisconnectCause"),
        ("error/refusal.rs", "RefusalCause"),
        ("error/denial.rs", "DenialCause"),
    ];
    for (file, name) in enums {
        let rows = rows(&recipes, name);
        let told: BTreeSet<_> = rows.iter().map(|(variant, _)| variant.trim_matches('`').to_owned()).collect();
        assert_eq!(told, variants(file, name), "the table about {name}, and what there is");
        assert_eq!(told.len(), rows.len(), "{name} has a row twice");
        for (variant, cells) in rows {
            assert!(cells.iter().all(|cell| !cell.is_empty()), "{name}::{variant} has an empty cell");
        }
    }
}

#[test]
fn the_programs_of_the_readme_end_with_an_error_that_can_be_read() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let mains: Vec<_> = readme.lines().filter(|line| line.starts_with("fn main")).collect();
    assert_eq!(mains, ["fn main() -> Result<(), Report> {"; 2]);
}

#[test]
fn the_readme_is_short_and_begins_with_programs() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    assert!(readme.lines().count() <= 200, "what else there is to say has a better home");
    assert!(readme.lines().take(15).any(|line| line.starts_with("```rust")));
}
