//! What nodes and gateway say to each other, and the node's side of it.

pub mod backoff;
pub mod client;
pub mod protocol;
mod sentence;
pub mod settings;

pub use self::sentence::sentence;
