//! Hosts with VLAN devices of Linux's own (8021q) at the trunk port of a gateway in force. Not every
//! kernel has them; Debian's do.
#![expect(clippy::unwrap_used, reason = "helpers of tests panic like tests")]

use std::{fs, time::Duration};

use firewall_tests::{
    gateway::{
        Datagrams, Gateway, Stream, eventually,
        policy::{FAR, NEAR, NODES, Station, allow},
        router::{self, INSIDE, OUTSIDE, PACS},
    },
    lab::{Host, Lab, RawPort},
    packet::{Mac, Packet, eth, ipv4, ipv6, payload, udp, vlan},
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
fn a_router_on_a_stick_carries_vlan_devices_of_one_port_to_each_other() {
    let gateway = on_a_stick();
    let (near, far) = (gateway.lab().near_host(0), gateway.lab().near_host(1));
    let before = gateway.ledger();
    for (source, address) in [(NEAR.v4, PACS.v4), (NEAR.v6, PACS.v6)] {
        assert!(pings(near, address), "no answer from {address}");
        let stream = Stream::open(near, far, address, 104);
        stream.assert_flows();
        let datagrams = Datagrams::exchange(near, far, (source, address), 514);
        assert!(eventually(LONG, || datagrams.answered() > 20), "few datagrams are answered");
        stream.assert_flows();
        let (sent, answered) = datagrams.end();
        assert_eq!(sent, answered, "datagrams were lost");
    }
    let change = gateway.since(&before);
    // The gateway's kernel reports the groups that it joins.
    change.assert_only(&["egress"]);
    assert_eq!(change.passed_as("inside", "opened"), 6);
    assert!(change.passed_as("inside", "established") > 20, "{change:?}");
    // What waits for its neighbour is left to the kernel, and leaves by the guard with its tag
    // beside it.
    let slow = change.passed_as("inside", "kernel");
    assert!((1..60).contains(&slow), "{slow} frames were left to the kernel");
    assert!(Stream::try_open(near, far, PACS.v4, 2575).is_err(), "no rule allows it");
}

#[test]
#[ignore = "wants 8021q: cargo xtask vmtest"]
fn a_router_on_a_stick_replaces_the_tag() {
    let gateway = on_a_stick();
    let (near, far) = (gateway.lab().near_host(0), gateway.lab().near_host(1));
    // So that every next hop is known.
    assert!(pings(near, PACS.v4) && pings(near, PACS.v6));
    let (near, far) = (near.port(), far.port());
    let ask = || udp(40_000, 514) / payload(b"<13>a log");
    let answer = || udp(514, 40_000) / payload(b"heard");
    let question = |hops: u8| {
        let v4 = ipv4(NEAR.v4, PACS.v4).ttl(hops) / ask();
        [v4, ipv6(NEAR.v6, PACS.v6).hop_limit(hops) / ask()]
    };
    let reply = |hops: u8| {
        let v4 = ipv4(PACS.v4, NEAR.v4).ttl(hops) / answer();
        [v4, ipv6(PACS.v6, NEAR.v6).hop_limit(hops) / answer()]
    };
    for family in 0..2 {
        near.send(&(eth(NEAR.mac, INSIDE.mac) / vlan(120) / question(64)[family].clone()));
        arrives(&far, &(eth(INSIDE.mac, TRUNKED.mac) / vlan(130) / question(63)[family].clone()));
        far.send(&(eth(TRUNKED.mac, INSIDE.mac) / vlan(130) / reply(2)[family].clone()));
        arrives(&near, &(eth(INSIDE.mac, NEAR.mac) / vlan(120) / reply(1)[family].clone()));
    }
    // In another's VLAN, nobody is who he says.
    let before = gateway.ledger();
    near.send(&(eth(NEAR.mac, INSIDE.mac) / vlan(130) / question(64)[0].clone()));
    assert_eq!(gateway.since(&before).passed("inside"), 0);
}

/// `pacs` behind the same port as `ct-1`, in VLAN 130.
const TRUNKED: Station = Station { mac: Mac([2, 0, 0, 0, 1, 2]), ..PACS };

/// A router with one port, whose VLAN devices have its addresses.
fn on_a_stick() -> Gateway {
    let policy = router::images()
        .replacen("port = \"inside\"", "port = \"inside\"\nvlan = 120", 1)
        .replacen("port = \"outside\"", "port = \"inside\"\nvlan = 130", 1)
        .replacen(&PACS.mac.to_string(), &TRUNKED.mac.to_string(), 1);
    let mut gateway = Gateway::router_in_lab(Lab::with_hosts(2, 1), &policy);
    let config = fs::read_to_string(gateway.config_path()).unwrap();
    gateway.write_config(&config.replace("[port.outside]\ninterface = \"outside\"\n", ""));
    let lab = gateway.lab();
    let sides = [(120, lab.near_host(0), NEAR, INSIDE), (130, lab.near_host(1), TRUNKED, OUTSIDE)];
    for (vlan, host, station, gate) in sides {
        router::address(&lab.inside().vlan(vlan), &gate);
        router::settle(&host.link().vlan(vlan), &station, &gate);
    }
    gateway.restart();
    gateway
}

fn arrives(port: &RawPort, packet: &Packet) {
    let wanted = packet.bytes();
    let frame = port.receive_where(LONG, |frame| frame == wanted);
    assert!(frame.is_some(), "{packet:?} does not arrive");
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
