//! Leases by mutual TLS: `cordon-node` proves to the real daemon who it is, with certificates of
//! `cordon pki`.

use std::{fs, time::Duration};

use firewall_tests::{
    gateway::{
        eventually, measured,
        policy::{IDLE, NEAR, Station},
    },
    management::Management,
};
use nix::sys::signal::Signal;

const LONG: Duration = Duration::from_secs(20);

#[test]
fn a_node_speaks_from_its_proof_to_its_farewell() {
    let network = Management::new();
    network.gateway.assert_dropped_as("no_lease");
    let mut node = network.node("node", "a lease of 60 s");
    // Whoever is told of a lease has it.
    assert!(network.gateway.crosses(), "{:?}", network.gateway.events());
    let nodes = network.gateway.cordon(&["nodes", "--name", "ct-1"]).done();
    assert!(nodes.contains("lease ct-1.example"), "{nodes}");
    assert!(node.stop(LONG).success());
    network.gateway.waits_until_it_crosses(false);
    network.gateway.assert_dropped_as("lease_expired");
}

#[test]
fn a_revoked_certificate_cuts_the_node_off() {
    let network = Management::new();
    let _node = network.node("node", "a lease of");
    assert!(network.gateway.crosses());
    network.pki(&["revoke", "ct-1"]);
    let took = network.gateway.waits_until_it_crosses(false);
    measured(format_args!("from the revocation to the last frame: {took:?}"));
    assert!(network.gateway.told("lease", "revoked") >= 1);
}

#[test]
fn a_node_that_is_gone_keeps_its_lease_to_its_end_and_over_a_restart_and_no_longer() {
    let mut network = Management::new();
    let node = network.node("node", "a lease of");
    node.signal(Signal::SIGSTOP);
    assert!(network.gateway.crosses());
    let before = network.gateway.lease_seconds().unwrap();
    network.gateway.stop_daemon();
    network.gateway.restart();
    assert!(network.gateway.crosses(), "{:?}", network.gateway.events());
    let after = network.gateway.lease_seconds().unwrap();
    assert!((1..=before).contains(&after), "{before} s, then {after} s");
    // It finds the daemon again, and goes on.
    node.signal(Signal::SIGCONT);
    assert!(eventually(Duration::from_secs(60), || network.gateway.told("lease", "goes on") >= 1));
    assert!(network.gateway.crosses());
}

#[test]
fn nobody_has_a_lease_who_is_isolated_or_elsewhere() {
    let network = Management::new();
    network.gateway.isolate("ct-1");
    let mut node = network.node("isolated", "isolated");
    network.gateway.assert_dropped_as("isolated");
    node.kill();
    network.gateway.release("ct-1");
    network.gateway.assert_dropped_as("no_lease");
    // A node that needs no such lease, with the certificate of one that does.
    let Station { v4, .. } = IDLE;
    network.own().address(&format!("{v4}/24"));
    let mut moved = network.own().namespace().command("ip");
    moved.args(["address", "delete", &format!("{}/24", NEAR.v4), "dev", "eth0"]);
    assert!(moved.status().unwrap().success());
    let _elsewhere = network.node("elsewhere", "cordon-node: ");
    network.gateway.assert_dropped_as("no_lease");
}

#[test]
fn certificates_that_cannot_be_checked_are_a_failure_that_is_told() {
    let network = Management::new();
    let check = |state: &str| {
        eventually(LONG, || network.gateway.check("authentication sources").0 == state)
    };
    assert!(check("ok"));
    let crl = network.pki_directory().join("crl.pem");
    let list = fs::read(&crl).unwrap();
    fs::write(&crl, "no list\n").unwrap();
    assert!(check("fail"));
    fs::write(&crl, list).unwrap();
    assert!(check("ok"));
    network.node("node", "a lease of");
    assert!(network.gateway.crosses());
}

#[test]
fn a_certificate_that_is_revoked_while_the_daemon_is_dead_or_after_it_cuts_the_node_off() {
    for is_after in [false, true] {
        let mut network = Management::new();
        let node = network.node("node", "a lease of");
        // It does not prove itself to the daemon that comes.
        node.signal(Signal::SIGSTOP);
        assert!(network.gateway.crosses());
        network.gateway.stop_daemon();
        if !is_after {
            network.pki(&["revoke", "ct-1"]);
        }
        network.gateway.restart();
        if is_after {
            assert!(network.gateway.crosses(), "{:?}", network.gateway.events());
            network.pki(&["revoke", "ct-1"]);
        }
        let took = network.gateway.waits_until_it_crosses(false);
        measured(format_args!("from revocation or restart to the last frame: {took:?}"));
        assert!(network.gateway.told("lease", "revoked") >= 1);
    }
}
