//! What the tests of the real thing are made of: packets written as they lie on the wire, a
//! runner for loaded programs, a laboratory of network namespaces, and a slow reading of what Cordon
//! promises.
//!
//! Everything here panics, with the reason, rather than return an error: a test that cannot build
//! its surroundings has failed.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "test support panics rather than returns errors"
)]

pub mod dot1x;
pub mod fuzz;
pub mod gateway;
pub mod generate;
pub mod lab;
pub mod management;
pub mod oracle;
pub mod packet;
pub mod runner;
pub mod verifier;
