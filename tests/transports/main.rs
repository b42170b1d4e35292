//! The checks for transports (`transport::conformance`), over the transports that there are.

mod ours;
#[path = "../../examples/custom_transport/packed.rs"]
mod packed;
