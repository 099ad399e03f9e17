//! Real kernels that fragment what they say, through a bridge and a router.
#![expect(clippy::unwrap_used, reason = "helpers of tests panic like tests")]

use firewall_tests::{
    gateway::{
        Gateway,
        policy::{self, FAR},
        router::{self, PACS},
    },
    lab::Handle,
};

/// Three fragments each way.
const LONG: &str = "4000";

/// The policy, with fragments tracked in every subnetwork.
fn tracked(policy: &str) -> String {
    policy.replace("\nnetworks = [", "\nfragments = \"track\"\nnetworks = [")
}

fn pings(from: &Handle, address: &str, times: &str) -> bool {
    let arguments = ["-n", "-c", times, "-i", "0.2", "-W", "2", "-s", LONG, address];
    from.command("ping").args(arguments).output().unwrap().status.success()
}

#[test]
fn long_pings_cross_a_bridge_only_if_fragments_are_tracked() {
    let gateway = Gateway::start(&policy::images());
    let near = gateway.lab().near().namespace();
    let before = gateway.ledger();
    assert!(!pings(near, FAR.v4, "1") && !pings(near, FAR.v6, "1"));
    gateway.since(&before).assert_drops(&[("inside", "fragment", 6)]);
    gateway.policy(&tracked(&policy::images()));
    gateway.reload();
    let before = gateway.ledger();
    for address in [FAR.v4, FAR.v6] {
        assert!(pings(near, address, "10"), "{address}");
    }
    let change = gateway.since(&before);
    change.assert_drops(&[]);
    assert_eq!(change.passed_as("inside", "opened"), 2);
}

#[test]
fn long_pings_cross_a_router_only_if_fragments_are_tracked() {
    let gateway = Gateway::route(&router::images());
    let near = gateway.lab().near().namespace();
    assert!(!pings(near, PACS.v4, "1") && !pings(near, PACS.v6, "1"));
    gateway.policy(&tracked(&router::images()));
    gateway.reload();
    let before = gateway.ledger();
    for address in [PACS.v4, PACS.v6] {
        assert!(pings(near, address, "10"), "{address}");
    }
    let change = gateway.since(&before);
    change.assert_only(&["egress"]);
    assert!(change.passed_as("inside", "established") > 20, "{change:?}");
}
