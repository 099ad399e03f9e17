//! The real program, frame by frame, under `BPF_PROG_TEST_RUN`: the rows of the decision once more,
//! what leaves byte for byte, and random frames under random policies against the same decision in
//! host memory and against a reference that knows nothing of either.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot build its surroundings has failed"
)]

mod authenticator;

/// The rows, and the policy they are written for, are those of the decision's own tests.
#[path = "../decide/attacks.rs"]
mod attacks;
#[path = "../decide/datagrams.rs"]
mod datagrams;
#[path = "../decide/errors.rs"]
mod errors;
#[path = "../decide/extensions.rs"]
mod extensions;
#[path = "../decide/fragments.rs"]
mod fragments;
#[path = "../decide/frames.rs"]
mod frames;
#[path = "../decide/handshakes.rs"]
mod handshakes;
#[expect(dead_code, reason = "its gateway in host memory is for the other tests")]
#[path = "../decide/fixture.rs"]
mod hospital;
#[path = "../decide/neighbours.rs"]
mod neighbours;
#[path = "../decide/quotas.rs"]
mod quotas;
#[path = "../decide/standing.rs"]
mod standing;
#[path = "../decide/tcp.rs"]
mod tcp;
#[path = "../decide/windows.rs"]
mod windows;

mod conversations;
mod differential;
mod fixture;
mod floods;
mod gateway;
mod guard;
mod limits;
mod mutate;
mod play;
mod policies;
mod random;
mod router;
mod routes;
mod stateless;
mod sweeps;
mod talk;
