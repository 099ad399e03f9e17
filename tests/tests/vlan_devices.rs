//! Hosts with VLAN devices of Linux's own (8021q) at the trunk port of a gateway in force. Not every
//! kernel has them; Debian's do.
#![expect(clippy::unwrap_used, reason = "helpers of tests panic like tests")]

use std::time::Duration;

use firewall_tests::{
    gateway::{
        Datagrams, Gateway, Stream, eventually,
        policy::{FAR, NEAR, NODES, allow},
    },
    lab::{Host, Lab},
};

const LONG: Duration = Duration::from_secs(30);

#[test]
#[ignore = "wants 8021q: cargo xtask vmtest"]
fn a_vlan_device_talks_tcp_udp_and_ping_to_an_untagged_host_and_back() {
    let gateway = behind_trunks(Trunk::tagged(120), None);
    assert_talk(&gateway);
}

#[test]
#[ignore = "wants 8021q: cargo xtask vmtest"]
fn vlan_devices_of_different_vlans_talk_as_far_as_a_rule_allows() {
    let gateway = behind_trunks(Trunk::tagged(120), Some(7));
    assert_talk(&gateway);
}

#[test]
#[ignore = "wants 8021q: cargo xtask vmtest"]
fn a_vlan_device_of_another_vlan_reaches_nobody() {
    let gateway = behind_trunks(Trunk::tagged(121), None);
    assert_dropped(&gateway);
}

#[test]
#[ignore = "wants 8021q: cargo xtask vmtest"]
fn a_tag_that_is_left_to_the_card_is_not_in_the_frame_of_a_veth_and_nothing_crosses() {
    let gateway = behind_trunks(Trunk { vlan: 120, card_inserts: true }, None);
    assert_dropped(&gateway);
}

/// How the near host is attached.
#[derive(Clone, Copy)]
struct Trunk {
    /// The VLAN of its device; the policy's is 120.
    vlan: u16,
    /// The tag goes beside the frame, for the card to insert (`ethtool -K eth0 txvlan on`). veth
    /// hands it on like that, where a real card would put it on the wire.
    card_inserts: bool,
}

impl Trunk {
    const fn tagged(vlan: u16) -> Self {
        Self { vlan, card_inserts: false }
    }
}

/// The near host speaks through a VLAN device, the far one through another or untagged.
fn behind_trunks(near: Trunk, far: Option<u16>) -> Gateway {
    let lab = Lab::new();
    let (trunk, plain) = (lab.near().link(), lab.far().link());
    trunk.feature("txvlan", near.card_inserts);
    NEAR.settle(&trunk.vlan(near.vlan), &FAR);
    FAR.settle(&far.map_or_else(|| plain.clone(), |vlan| plain.vlan(vlan)), &NEAR);
    let mut policy = NODES.replacen("port = \"inside\"", "port = \"inside\"\nvlan = 120", 1);
    if let Some(vlan) = far {
        let tagged = format!("port = \"outside\"\nvlan = {vlan}");
        policy = policy.replacen("port = \"outside\"", &tagged, 1);
    }
    policy += &allow("images", &["dicom", "log", "ping"], false);
    let mut gateway = Gateway::in_lab(lab, &policy);
    gateway.restart();
    gateway
}

#[track_caller]
fn assert_talk(gateway: &Gateway) {
    let (near, far) = (gateway.lab().near(), gateway.lab().far());
    let before = gateway.ledger();
    for (source, address) in [(NEAR.v4, FAR.v4), (NEAR.v6, FAR.v6)] {
        let stream = Stream::open(near, far, address, 104);
        stream.assert_flows();
        let datagrams = Datagrams::exchange(near, far, (source, address), 514);
        assert!(eventually(LONG, || datagrams.answered() > 20), "few datagrams are answered");
        let (sent, answered) = datagrams.end();
        assert_eq!(sent, answered, "datagrams were lost");
        assert!(pings(near, address), "no answer from {address}");
    }
    let change = gateway.since(&before);
    change.assert_drops(&[]);
    assert_eq!(
        (change.passed_as("inside", "opened"), change.passed_as("outside", "opened")),
        (6, 0)
    );
}

#[track_caller]
fn assert_dropped(gateway: &Gateway) {
    let (near, far) = (gateway.lab().near(), gateway.lab().far());
    let before = gateway.ledger();
    for address in FAR.addresses() {
        assert!(Stream::try_open(near, far, address, 104).is_err(), "{address} is reached");
        assert!(!pings(near, address), "{address} answers");
    }
    let change = gateway.since(&before);
    change.assert_only(&["binding_vlan"]);
    assert!(change.dropped("inside", "binding_vlan") >= 4, "{change:?}");
    assert_eq!(change.passed("inside") + change.passed("outside"), 0);
}

/// One question, two seconds.
fn pings(host: &Host, address: &str) -> bool {
    let mut command = host.command("ping");
    command.args(["-n", "-q", "-c", "1", "-W", "2", address]);
    command.output().unwrap().status.success()
}
