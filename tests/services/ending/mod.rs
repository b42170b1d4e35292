//! How connections and services end.

mod closing;
mod discarding;
mod endings;
mod handed_back;
mod port;
mod reasons;
