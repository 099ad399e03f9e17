//! Leases in the real daemon and the real program. hostapd's part is played by a socket that says what
//! hostapd says.

use std::time::Duration;

use firewall_tests::gateway::{Gateway, eventually, hostapd::Hostapd, measured};

const PATIENCE: Duration = Duration::from_secs(10);
const SHORT: Duration = Duration::from_millis(100);

#[test]
fn a_node_speaks_from_its_proof_to_its_logoff() {
    let (gateway, hostapd) = Gateway::with_hostapd("");
    gateway.assert_dropped_as("no_lease");
    gateway.lab().far().port().expect_silence(SHORT);

    hostapd.lets_in();
    let took = gateway.waits_until_it_crosses(true);
    measured(format_args!("from the success to the first frame: {took:?}"));
    let nodes = gateway.cordon(&["nodes", "--name", "ct-1"]).done();
    assert!(nodes.contains("dot1x ct-1.example"), "{nodes}");

    hostapd.say("AP-STA-DISCONNECTED");
    let took = gateway.waits_until_it_crosses(false);
    measured(format_args!("from the logoff to the last frame: {took:?}"));
    // What crossed meanwhile has waited at the one opened before.
    let far = gateway.lab().far().port();
    gateway.assert_dropped_as("lease_expired");
    far.expect_silence(SHORT);
}

#[test]
fn another_identity_on_the_nodes_mac_cuts_it_off() {
    let (gateway, hostapd) = Gateway::with_hostapd("");
    hostapd.lets_in();
    gateway.waits_until_it_crosses(true);
    hostapd.is_now("ct-2.example");
    hostapd.lets_in();
    gateway.waits_until_it_crosses(false);
}

#[test]
fn a_hostapd_that_ends_takes_its_leases_with_it() {
    let (gateway, hostapd) = Gateway::with_hostapd("");
    hostapd.lets_in();
    gateway.waits_until_it_crosses(true);
    drop(hostapd);
    let took = gateway.waits_until_it_crosses(false);
    measured(format_args!("from hostapd's end to the last frame: {took:?}"));
    let hostapd = Hostapd::start(gateway.hostapd_socket());
    hostapd.lets_in();
    gateway.waits_until_it_crosses(true);
}

#[test]
fn a_port_that_has_no_carrier_has_no_leases() {
    let (gateway, hostapd) = Gateway::with_hostapd("");
    hostapd.lets_in();
    gateway.waits_until_it_crosses(true);
    hostapd.is_there(false);
    gateway.lab().near().link().down();
    assert!(eventually(PATIENCE, || gateway.told("lease", "carrier") >= 1));
    gateway.lab().near().link().up();
    gateway.waits_until_it_crosses(false);
}

#[test]
fn a_lease_outlives_a_daemon_that_is_ended() {
    let (mut gateway, hostapd) = Gateway::with_hostapd("");
    hostapd.lets_in();
    gateway.waits_until_it_crosses(true);
    gateway.stop_daemon();
    gateway.restart();
    assert!(gateway.crosses(), "{:?}", gateway.events());
}
