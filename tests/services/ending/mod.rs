//! How connections and services end.

mod closing;
mod discarding;
mod endings;
mod port;
mod reasons;
