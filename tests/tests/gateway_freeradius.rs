//! An access switch with the real hostapd and the real FreeRADIUS: who authenticates there speaks
//! here.

use std::time::Duration;

use firewall_tests::{
    dot1x::Switch,
    gateway::{eventually, measured, policy::NEAR},
};

const LONG: Duration = Duration::from_secs(20);

/// Every Proxy-State that went out or came in, in this order.
fn proxy_states(log: &str) -> Vec<String> {
    let states = log.lines().filter_map(|line| line.split_once("Proxy-State = "));
    states.map(|(_, state)| state.to_owned()).collect()
}

#[test]
fn whom_freeradius_lets_in_speaks_from_the_switchs_start_to_its_stop() {
    let switch = Switch::new(false);
    switch.gateway.assert_dropped_as("no_lease");
    let mut supplicant = switch.supplicant("ct-1");
    supplicant.says("CTRL-EVENT-EAP-SUCCESS");
    let took = switch.gateway.waits_until_it_crosses(true);
    measured(format_args!("from the success to the first frame: {took:?}"));
    let nodes = switch.gateway.cordon(&["nodes", "--name", "ct-1"]).done();
    assert!(nodes.contains("radius ct-1.example"), "{nodes}");

    switch.hostapd.disconnect(NEAR.mac);
    let took = switch.gateway.waits_until_it_crosses(false);
    measured(format_args!("from the disconnect to the last frame: {took:?}"));
}

#[test]
fn the_certificate_of_another_node_proves_nothing_to_freeradius() {
    let switch = Switch::new(false);
    let mut supplicant = switch.supplicant("ct-2");
    supplicant.says("CTRL-EVENT-EAP-FAILURE");
    switch.gateway.assert_dropped_as("no_lease");
}

#[test]
fn accounting_by_way_of_freeradius_is_signed_and_answered() {
    let switch = Switch::new(true);
    let _supplicant = switch.supplicant("ct-1");
    switch.gateway.waits_until_it_crosses(true);
    // That hostapd is there, and that the node is: each goes there and comes back.
    let states = || proxy_states(&switch.freeradius.log());
    assert!(eventually(LONG, || states().len() == 4), "{}", switch.freeradius.log());
    let [on, on_again, start, start_again] = &states()[..] else { panic!("{:?}", states()) };
    assert_eq!((on, start), (on_again, start_again));
    assert_ne!(on, start);
    assert!(switch.freeradius.log().contains("Message-Authenticator := 0x00"));
    let mib = switch.hostapd.ask(&["mib"]);
    assert!(!mib.contains("radiusAccClientResponses=0"), "{mib}");
    assert!(mib.contains("radiusAccClientBadAuthenticators=0"), "{mib}");
}
