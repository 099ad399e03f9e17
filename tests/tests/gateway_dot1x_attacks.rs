//! Who would speak as a node that hostapd has let in: with its MAC, with its name, or in its place.

use std::time::Duration;

use firewall_tests::{
    dot1x::{Credentials, NODE, OTHER, PATIENCE, Site, logoff},
    gateway::{Gateway, eventually, measured, policy::NEAR},
};

/// For a proof that leads to nothing.
const WATCHED: Duration = Duration::from_secs(2);

#[test]
fn another_identity_on_the_same_mac_is_let_in_by_hostapd_and_not_by_cordon() {
    let site = Site::new();
    site.proves().kill();
    let connected = site.hostapd().told("AP-STA-CONNECTED");
    let mut other = site.supplicant(OTHER, Credentials::Certificate("ct-2"));
    other.says("CTRL-EVENT-EAP-SUCCESS");
    let took = site.is_let_in(false);
    measured(format_args!("from another identity's success to the last frame: {took:?}"));
    site.stays_let_in(false, WATCHED);
    assert_eq!(site.gateway.ended_as("replaced"), 1, "{:?}", site.gateway.events());
    // hostapd has told of a success, and of nobody new.
    assert_eq!(site.hostapd().told("AP-STA-CONNECTED"), connected);
}

#[test]
fn a_forged_logoff_ends_the_lease_and_the_node_comes_back_by_itself() {
    let site = Site::new();
    let _supplicant = site.proves();
    site.gateway.lab().near().port().send(&logoff(NEAR.mac));
    let out = site.is_let_in(false);
    // hostapd asks who is there and lets the node in again, and forgets it 10 ms after the logoff all
    // the same; for some 5 s more it hears nothing of it.
    let is_forgotten = || site.hostapd().told("deauthenticated due to local deauth request") == 1;
    assert!(eventually(PATIENCE, is_forgotten), "{}", site.hostapd().log());
    let back = site.is_let_in(true);
    measured(format_args!("from a forged logoff to the last frame: {out:?}, back after {back:?}"));
    assert!(site.gateway.ended_as("logoff") >= 1);
    site.stays_let_in(true, WATCHED);
}

#[test]
fn a_clone_that_fails_behind_the_same_port_cuts_the_node_off_and_is_not_let_in() {
    let site = Site::shared();
    let clone = site.gateway.lab().near_host(1);
    clone.link().set_mac(NEAR.mac);
    site.proves().kill();
    // 802.1X authenticates a port, not frames.
    let before = site.gateway.glance();
    clone.port().send(&Gateway::permitted_log());
    site.stays_let_in(true, Duration::from_millis(100));
    assert_eq!(site.gateway.drops_since(&before), []);

    let mut intruder = site.supplicant_on(clone, "nobody.example", Credentials::Password);
    intruder.says("CTRL-EVENT-EAP-STARTED");
    let took = site.is_let_in(false);
    measured(format_args!("from a clone's start to the last frame: {took:?}"));
    site.stays_let_in(false, WATCHED);
    intruder.kill();
    let _supplicant = site.proves();
}

#[test]
fn a_clone_behind_another_port_gets_no_lease_and_takes_none() {
    let site = Site::on_both_ports();
    let lab = site.gateway.lab();
    lab.far().link().set_mac(NEAR.mac);
    let outside = site.another_hostapd("outside");
    let mut clone = site.supplicant_on(lab.far(), NODE, Credentials::Certificate("ct-1"));
    clone.says("CTRL-EVENT-EAP-SUCCESS");
    let refused = || site.gateway.refused_as("port") > 0;
    assert!(eventually(PATIENCE, refused), "{:?}\n{}", site.gateway.events(), outside.log());
    site.gateway.assert_dropped_as("no_lease");

    let _supplicant = site.proves();
    clone.log_off();
    site.stays_let_in(true, WATCHED);
    clone.log_on();
    let is_refused_again = || site.gateway.refused_as("port") > 1;
    assert!(eventually(PATIENCE, is_refused_again), "{:?}", site.gateway.events());
    site.stays_let_in(true, WATCHED);
}
