//! Takes the programs out of the page with the recipes, so that some of them can be examples as well: each into a file
//! named by its heading.

use std::path::Path;
use std::{env, fs};

fn main() {
    let page = "../../docs/recipes.md";
    println!("cargo::rerun-if-changed={page}");
    let text = fs::read_to_string(page).expect("the page is in the checkout");
    let folder = env::var_os("OUT_DIR").expect("cargo sets it");
    for recipe in text.split("\n## ").skip(1) {
        let heading = recipe.lines().next().unwrap_or_default();
        if let Some((_, program)) = recipe.split_once("```rust").and_then(|(_, block)| block.split_once('\n')) {
            let program = program.split("```").next().unwrap_or_default();
            fs::write(Path::new(&folder).join(heading).with_extension("rs"), program)
                .expect("cargo has made the folder");
        }
    }
}
