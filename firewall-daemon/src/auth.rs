//! Who has proved what it is: the sources of proof.

pub mod mtls;
pub mod radius;
