//! The programs of the page with the recipes, which is where their text is.

/// Compiles and runs them.
#[cfg(doctest)]
#[doc = include_str!("../../docs/recipes.md")]
struct Recipes;
