//! The checks for transports (`leads_comm_conformance`), over the transports that there are, and over some with one
//! defect each.

mod defective;
mod defects;
mod ours;
#[path = "../../examples/custom_transport/packed.rs"]
mod packed;
