//! What hostapd does not tell: that a cable was pulled for a moment, that a supplicant is gone, that it
//! is another hostapd itself. Its part is played by a socket that says what hostapd says.

use std::{thread::sleep, time::Duration};

use firewall_tests::gateway::{Gateway, eventually, hostapd::Hostapd, measured};

const PATIENCE: Duration = Duration::from_secs(10);

#[test]
fn a_carrier_that_flaps_within_milliseconds_ends_the_leases_of_the_port() {
    let (gateway, hostapd) = Gateway::with_hostapd("");
    hostapd.lets_in();
    gateway.waits_until_it_crosses(true);
    hostapd.is_there(false);
    let link = gateway.lab().near().link();
    link.down();
    link.up();
    let took = gateway.waits_until_it_crosses(false);
    measured(format_args!("from a flap to the last frame: {took:?}"));
    assert!(gateway.told("lease", "carrier") >= 1);
    // Whoever is there after it proves itself, and goes on.
    hostapd.is_there(true);
    link.down();
    link.up();
    gateway.waits_until_it_crosses(true);
}

#[test]
fn a_supplicant_that_was_killed_is_found_when_it_is_next_asked() {
    let (gateway, hostapd) = Gateway::with_hostapd("reauthenticate = \"10s\"\n");
    hostapd.lets_in();
    gateway.waits_until_it_crosses(true);
    // It answers twice, and goes on.
    sleep(Duration::from_secs(21));
    assert!(gateway.crosses(), "{:?}", gateway.events());
    hostapd.is_there(false);
    assert!(eventually(Duration::from_secs(12), || gateway.told("lease", "unanswered") >= 1));
    assert!(!gateway.crosses());
    // It may come again.
    hostapd.is_there(true);
    hostapd.lets_in();
    gateway.waits_until_it_crosses(true);
}

#[test]
fn a_lease_whose_station_another_hostapd_does_not_know_ends_when_the_daemon_comes_back() {
    let (mut gateway, hostapd) = Gateway::with_hostapd("");
    hostapd.lets_in();
    gateway.waits_until_it_crosses(true);
    gateway.stop_daemon();
    drop(hostapd);
    let _another = Hostapd::start(gateway.hostapd_socket());
    gateway.restart();
    assert!(eventually(PATIENCE, || gateway.told("lease", "forgotten") >= 1));
    gateway.assert_dropped_as("lease_expired");
}

#[test]
fn a_lease_whose_station_is_gone_ends_within_seconds_of_the_daemons_return() {
    let (mut gateway, hostapd) = Gateway::with_hostapd("");
    hostapd.lets_in();
    gateway.waits_until_it_crosses(true);
    gateway.stop_daemon();
    hostapd.is_there(false);
    gateway.restart();
    let took = gateway.waits_until_it_crosses(false);
    measured(format_args!("from the daemon's return to the last frame: {took:?}"));
    assert!(gateway.told("lease", "unanswered") >= 1);
}
