//! The daemon dies or fails at each step of what it does, under a flood: nothing passes that may not,
//! what was in force stays in force, and the next start mends it.
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests panic like tests")]

mod running;
mod starts;
mod world;

use std::fs;

use firewall_daemon::fault::Step;
use firewall_tests::gateway::binary;

#[test]
fn no_fail_point_is_in_the_program_that_is_installed() {
    let holds = |name| {
        let program = fs::read(binary(name)).unwrap();
        program.windows(11).any(|part| part == b"CORDON_FAIL")
    };
    assert!(holds("cordond-faulty"));
    assert!(!holds("cordond"));
}

#[test]
fn every_step_goes_wrong_somewhere() {
    let tried: Vec<_> = starts::steps().chain(running::steps()).collect();
    let forgotten = Step::ALL.into_iter().filter(|step| !tried.contains(step));
    assert_eq!(forgotten.collect::<Vec<_>>(), []);
}
