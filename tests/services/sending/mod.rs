//! What is sent, and to peers that do not read.

mod bad_moments;
mod catching_up;
mod conflation;
mod delivery;
mod dropping;
mod flush;
mod holding;
mod isolation;
mod large_sums;
mod order;
mod outbound;
mod peers;
mod queue;
mod send_all;
mod slow_consumers;
mod snapshot;
mod total_limit;
mod unsent;
mod viewers;
