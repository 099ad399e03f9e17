//! The decision, frame by frame, over a compiled policy in host memory: tables of rows, the verdict
//! first. What leaves is written `opened out 120`: the reason, and the tag on the way out.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot build its surroundings has failed"
)]

mod arbitrary;
mod attacks;
mod datagrams;
mod eapol;
mod errors;
mod extensions;
mod fixture;
mod fragments;
mod frames;
mod handshakes;
mod neighbours;
mod quotas;
mod reasons;
mod router;
mod standing;
mod tcp;
mod windows;
