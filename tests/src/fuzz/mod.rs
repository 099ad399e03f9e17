//! What fuzzers try: any bytes, and what must hold of them. The targets of `tests/fuzz` search with
//! these functions for inputs that break them; `tests/tests/corpus.rs` tries what they found once
//! more, on a stable compiler.

mod frame;
mod policy;
mod request;
mod state;

pub use frame::frame;
pub use policy::policy;
pub use request::request;
pub use state::state;

/// A target's name, as its directory of inputs is called, and its body.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: [Target; 4] =
    [("frame", frame), ("policy", policy), ("request", request), ("state", state)];
