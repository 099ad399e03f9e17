//! 802.1X through the real program: hostapd on the gateway's port, `wpa_supplicant` on the node,
//! EAP-TLS or PEAP between them.

use std::{
    thread::sleep,
    time::{Duration, Instant},
};

use firewall_tests::{
    dot1x::{Credentials, NODE, OTHER, PATIENCE, Site},
    gateway::{Gateway, eventually, measured, policy::NEAR},
};

const SHORT: Duration = Duration::from_millis(100);

#[test]
fn a_node_is_let_in_by_hostapd_and_out_by_its_logoff() {
    let site = Site::new();
    let gateway = &site.gateway;
    let before = gateway.ledger();
    gateway.lab().near().port().send(&Gateway::permitted_log());
    gateway.lab().far().port().expect_silence(SHORT);
    gateway.since(&before).assert_drops(&[("inside", "no_lease", 1)]);

    let supplicant = site.supplicant(NODE, Credentials::Password);
    site.is_let_in(true);
    assert!(gateway.since(&before).passed_as("inside", "eapol") > 0);
    assert_eq!(gateway.since(&before).passed_as("outside", "eapol"), 0);
    let nodes = gateway.cordon(&["nodes", "--name", "ct-1"]).done();
    assert!(nodes.contains(&format!("dot1x {NODE}")), "{nodes}");

    supplicant.log_off();
    measured(format_args!("from the logoff to the last frame: {:?}", site.is_let_in(false)));
}

#[test]
fn certificates_of_cordon_pki_are_good_enough_for_eap_tls() {
    let site = Site::new();
    let mut supplicant = site.supplicant(NODE, Credentials::Certificate("ct-1"));
    supplicant.says("CTRL-EVENT-EAP-SUCCESS");
    measured(format_args!("from the success to the first frame: {:?}", site.is_let_in(true)));
    assert_eq!(supplicant.told("method 13 (TLS) selected"), 1);
    supplicant.log_off();
    site.is_let_in(false);
    supplicant.log_on();
    site.is_let_in(true);
}

#[test]
fn the_identity_of_another_node_is_no_lease_for_this_one() {
    let site = Site::new();
    let mut supplicant = site.supplicant(OTHER, Credentials::Password);
    supplicant.says("CTRL-EVENT-EAP-SUCCESS");
    assert!(!site.gateway.crosses());
    drop(supplicant);
    let supplicant = site.supplicant(NODE, Credentials::Password);
    site.is_let_in(true);
    drop(supplicant);
    let _supplicant = site.supplicant(OTHER, Credentials::Password);
    site.is_let_in(false);
}

#[test]
fn a_hostapd_that_is_killed_takes_its_leases_with_it() {
    let mut site = Site::new();
    let supplicant = site.proves();
    site.kill_hostapd();
    measured(format_args!("from hostapd's end to the last frame: {:?}", site.is_let_in(false)));
    assert_eq!(site.gateway.ended_as("source_lost"), 1);
    drop(supplicant);
    site.start_hostapd();
    let _supplicant = site.proves();
}

#[test]
fn a_supplicant_that_is_killed_loses_its_lease_when_it_is_asked_again() {
    let site = Site::new();
    site.proves().kill();
    let took = site.is_let_in(false);
    measured(format_args!("from the supplicant's end to the last frame: {took:?}"));
    assert_eq!(site.gateway.ended_as("unanswered"), 1, "{:?}", site.gateway.events());
    let _supplicant = site.proves();
}

#[test]
fn a_cable_that_is_pulled_ends_the_lease_and_the_node_comes_back_with_it() {
    let site = Site::new();
    let _supplicant = site.proves();
    let link = site.gateway.lab().near().link();
    // Longer than hostapd waits for an answer.
    for (times, out) in [(1, Duration::ZERO), (2, Duration::from_secs(12))] {
        let begun = Instant::now();
        link.down();
        let is_over = || site.gateway.ended_as("carrier") == times;
        assert!(eventually(PATIENCE, is_over), "{:?}", site.gateway.events());
        measured(format_args!("from the cable to the end of the lease: {:?}", begun.elapsed()));
        sleep(out);
        link.up();
        measured(format_args!("from the cable to the first frame: {:?}", site.is_let_in(true)));
    }
}

#[test]
fn a_disconnect_of_a_radius_server_ends_the_lease() {
    let site = Site::new();
    let _supplicant = site.proves();
    site.hostapd().disconnect(NEAR.mac);
    measured(format_args!("from the disconnect to the last frame: {:?}", site.is_let_in(false)));
    assert_eq!(site.gateway.ended_as("logoff"), 1);
}
