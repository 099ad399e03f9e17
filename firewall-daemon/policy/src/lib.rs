//! The policy language: from the TOML files of a hospital to the image that the kernel reads.
//!
//! [`Sources::read`] -> [`resolve`](resolve()) -> [`compile`](compile()); each step takes the value
//! that the one before it made; [`check`](check()) does it all for a policy that is not to be loaded.
//! [`Change`] tells two policies apart. Nothing here reads a clock or a
//! socket, and after [`Sources::read`] no file either.

pub mod change;
pub mod check;
pub mod compile;
pub mod diagnostic;
pub mod explain;
pub mod model;
mod parallel;
pub mod resolve;
pub mod source;
mod spec;
mod suggest;

pub use change::{Change, Difference};
pub use check::check;
pub use compile::{
    Capacity, CompileError, Image, Kept, Names, SequentialSlots, SlotSource, compile, lines_for,
};
pub use diagnostic::{Code, Diagnostic, Diagnostics, Severity, Style};
pub use model::Policy;
pub use resolve::{Parsed, Ports, Resolved, parse, resolve};
pub use source::{ReadError, Sources};
