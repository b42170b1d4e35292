//! The table of dependencies (`docs/dependencies.md`) names those of the manifest, and no other.

use std::collections::BTreeMap;
use std::fs;

fn read(path: &str) -> String {
    fs::read_to_string(leads_comm_testing::checkout().join(path)).unwrap()
}

/// The library's direct dependencies, and whether each is optional.
fn of_the_manifest() -> BTreeMap<String, bool> {
    let manifest = read("Cargo.toml");
    let mut section = "";
    let mut found = BTreeMap::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            section = line;
        } else if section == "[dependencies]"
            || (section.starts_with("[target.") && section.ends_with(".dependencies]"))
        {
            if let Some((name, what)) = line.split_once(" = ").filter(|_| !line.starts_with('#')) {
                found.insert(name.to_owned(), what.contains("optional = true"));
            }
        }
    }
    found
}

/// Those of the table, and whether each is said to need a feature of the library.
fn of_the_table() -> BTreeMap<String, bool> {
    let rows = read("docs/dependencies.md");
    let rows = rows.lines().filter_map(|line| line.strip_prefix("| `")).map(|row| {
        let mut columns = row.split('|').map(str::trim);
        let name = columns.next().unwrap().trim_end_matches('`').to_owned();
        (name, columns.next().unwrap().starts_with('`'))
    });
    rows.collect()
}

#[test]
fn the_table_of_dependencies_is_complete() {
    let (manifest, table) = (of_the_manifest(), of_the_table());
    assert!(manifest.contains_key("log") && manifest.contains_key("rustix"), "not read as it should be: {manifest:?}");
    assert_eq!(table, manifest, "docs/dependencies.md differs from Cargo.toml");
    let required = manifest.iter().filter(|(name, optional)| !*optional && *name != "loom").count();
    println!("S6: unsafe 0; direct dependencies without features {required}, with all features {}", manifest.len() - 1);
}
