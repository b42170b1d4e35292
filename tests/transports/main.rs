//! Transports: what is particular to each, and the checks for transports (`leads_comm_conformance`) over those that
//! there are, and over some with one defect each.

mod defective;
mod defects;
mod given;
mod layers;
mod ours;
#[path = "../../examples/custom_transport/packed.rs"]
mod packed;
#[cfg(feature = "tls")]
mod tls;
mod transport;
mod unix;
