//! What both sides of the kernel boundary agree on, and the decision itself.
//!
//! The XDP program, the host tests, the fuzzers and `cordon explain` all run [`decide()`] from this
//! crate. Nothing here reads a clock, a file or a socket: time is an argument, the frame and the
//! tables are traits. Open `decide.rs` first, then follow the calls.
#![cfg_attr(not(test), no_std)]
#![cfg_attr(target_arch = "bpf", feature(asm_experimental_arch))]

pub mod abi;
pub mod addr;
pub mod decide;
pub mod eapol;
pub mod event;
pub mod flow;
pub mod fragment;
pub mod frame;
pub mod guard;
pub mod id;
pub mod identity;
pub mod image;
pub mod parse;
pub mod quota;
pub mod tables;
pub mod verdict;
pub mod word;

pub use addr::{Addr, Hop, Mac};
pub use decide::{Note, decide};
pub use frame::Frame;
pub use id::{Generation, NodeSlot, Port, RuleSlot, Service, SubnetworkSlot, Ticks, Vlan};
pub use tables::Tables;
pub use verdict::{DropReason, PassReason, Verdict};
