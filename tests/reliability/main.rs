//! The promises of `docs/reliability.md` that are shown by counting: each test does something many times, or to many
//! peers at once, and prints what it counted in a line that begins with the promise's number.
//!
//! Each comes in two lengths. The short ones belong to `cargo test`; the long ones are run by
//! `cargo test --release --test reliability -- --ignored --nocapture --test-threads=1`.
//!
//! They count what systems tell of processes, and kill processes of their own; on Linux they also send signals, stop
//! processes, and have them traced.
#![cfg(any(target_os = "linux", windows))]

mod closing;
#[cfg(target_os = "linux")]
mod cost;
mod figures;
#[cfg(target_os = "linux")]
mod frozen;
mod isolation;
mod lives;
mod order;
mod pending;
mod processes;

/// Makes a short test and a long one of each function: `name::short` and `name::long`, which do the same a different
/// number of times.
macro_rules! in_two_lengths {
    ($($(#[$attribute:meta])* fn $name:ident($count:ident: $short:literal, or $long:literal: $time:literal) $body:block)*) => {
        $(
            mod $name {
                #[allow(unused_imports, reason = "some need nothing")]
                use super::*;

                $(#[$attribute])*
                fn run($count: usize) $body

                #[test]
                fn short() {
                    run($short);
                }

                #[test]
                #[ignore = $time]
                fn long() {
                    run($long);
                }
            }
        )*
    };
}
pub(crate) use in_two_lengths;
