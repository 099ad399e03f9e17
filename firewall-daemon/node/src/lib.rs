//! What nodes and gateway say to each other, and the node's side of it.

pub mod backoff;
pub mod client;
pub mod protocol;
pub mod settings;
