//! What a program calls, and what it is told.

mod addresses;
mod dependencies;
mod documents;
mod errors;
mod keys;
mod leads_defects;
mod lifecycle;
mod proxy;
mod reports;
mod stats;
