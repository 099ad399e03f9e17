//! What a segmentation gateway is held to, row by row: frames that must be decided by name, in both
//! directions, by the program itself and across a real gateway in native and in generic mode; and
//! the checks of the firewalls' protection profile, each a test of its number for a bridge and for a
//! router.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot build its surroundings has failed"
)]

#[expect(dead_code, unused_imports, reason = "the program's own tests need more of it")]
#[path = "../program/fixture.rs"]
mod fixture;
#[expect(dead_code, reason = "the program's own tests need more of it")]
#[path = "../program/gateway.rs"]
mod gateway;
#[expect(dead_code, reason = "its gateway in host memory is for the other tests")]
#[path = "../decide/fixture.rs"]
mod hospital;

mod across;
mod checks;
mod connections;
mod link;
mod log;
mod neighbours;
mod network;
mod routed;
mod row;
mod transport;
mod world;
