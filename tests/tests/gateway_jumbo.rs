//! Frames longer than a page, between real kernels.
#![expect(clippy::unwrap_used, reason = "helpers of tests panic like tests")]

use std::time::Duration;

use firewall_control::Counters;
use firewall_tests::{
    gateway::{
        Gateway, eventually,
        policy::{self, FAR, NEAR},
        router::{self, PACS},
    },
    lab::{Handle, Lab},
    packet::{eth, ipv4, ipv6, payload, udp},
};

const MTU: u32 = 9000;
const SHORT: Duration = Duration::from_millis(200);
const LONG: Duration = Duration::from_secs(10);

fn widen(lab: &Lab, mtu: u32) {
    for link in [lab.near().link(), lab.inside(), lab.outside(), lab.far().link()] {
        link.mtu(mtu);
    }
}

/// Whether a ping crosses whose packet is that long, and that nobody may fragment.
fn pings(from: &Handle, address: &str, packet: u32) -> bool {
    let headers = if address.contains(':') { 48 } else { 28 };
    let data = (packet - headers).to_string();
    let arguments = ["-n", "-c", "3", "-i", "0.2", "-W", "2", "-M", "do", "-s", &data, address];
    from.command("ping").args(arguments).output().unwrap().status.success()
}

fn jumbo(gateway: &Gateway) {
    let config = std::fs::read_to_string(gateway.config_path()).unwrap();
    gateway.write_config(&config.replace("\ninterface", "\njumbo = true\ninterface"));
}

#[test]
fn a_bridge_carries_jumbo_frames_where_it_is_told_to() {
    let mut gateway = Gateway::prepare(&policy::images());
    widen(gateway.lab(), MTU);
    let refused = gateway.daemon_fails();
    assert!(refused.errors.contains("or jumbo = true if its MTU"), "{}", refused.errors);
    refused.refused(1, "cannot run XDP programs in its driver");
    jumbo(&gateway);
    gateway.restart();
    let near = gateway.lab().near().namespace();
    let before = gateway.ledger();
    for (address, times) in [(FAR.v4, 1), (FAR.v6, 2)] {
        for packet in [100, 1500, 3500, 4000, MTU] {
            assert!(pings(near, address, packet), "{address}, {packet} bytes");
        }
        assert_eq!(gateway.since(&before).passed_as("inside", "opened"), 5 * times);
    }
    gateway.since(&before).assert_drops(&[]);
}

#[test]
fn a_bridge_whose_ports_have_different_mtus_warns_until_they_have_the_same() {
    let mut gateway = Gateway::prepare(&policy::images());
    jumbo(&gateway);
    let (near, inside) = (gateway.lab().near().link().clone(), gateway.lab().inside().clone());
    near.mtu(MTU);
    inside.mtu(MTU);
    gateway.restart();
    let words = "inside takes packets of up to 9000 bytes and outside, where they leave, 1500";
    assert_eq!(gateway.told("health", words), 1, "it says so when it starts");
    assert!(gateway.log().contains(words), "{}", gateway.log());
    let warned = gateway.cordon(&["status", "--check"]).done();
    assert!(warned.contains("warn") && warned.contains(words), "{warned}");
    assert_eq!(gateway.check("port outside").0, "ok");
    // What it warns of: the program lets it pass, and nobody gets it.
    let far = gateway.lab().far().port();
    let before = gateway.ledger();
    let long = eth(NEAR.mac, FAR.mac) / ipv4(NEAR.v4, FAR.v4) / udp(40_000, 514);
    gateway.lab().near().port().send(&(long / payload(vec![7; 4000])));
    assert_eq!(gateway.since(&before).passed_as("inside", "opened"), 1);
    far.expect_silence(SHORT);
    let is = |state: &str| eventually(LONG, || gateway.check("port inside").0 == state);
    gateway.lab().far().link().mtu(MTU);
    gateway.lab().outside().mtu(MTU);
    assert!(is("ok"), "{:?}", gateway.status().health);
    assert_eq!(gateway.cordon(&["status", "--check"]).done(), "ok\n");
    // While it runs, too, and of the port that is wider now.
    near.mtu(1400);
    inside.mtu(1400);
    let narrower = || gateway.check("port outside").1.contains("inside, where they leave, 1400");
    assert!(eventually(LONG, narrower), "{:?}", gateway.status().health);
    assert_eq!(gateway.check("port inside").0, "ok");
}

#[test]
fn what_lies_behind_a_packet_in_another_page_is_found() {
    let mut gateway = Gateway::prepare(&policy::images());
    jumbo(&gateway);
    gateway.restart();
    // Wider only now: a card whose program takes whole frames would refuse.
    widen(gateway.lab(), MTU);
    let (near, far) = (gateway.lab().near().port(), gateway.lab().far().port());
    let datagram = |data: usize| udp(40_000, 514) / payload(vec![7; data]);
    let link = || eth(NEAR.mac, FAR.mac);
    for packet in [
        link() / ipv4(NEAR.v4, FAR.v4) / datagram(8000),
        link() / ipv6(NEAR.v6, FAR.v6) / datagram(8000),
    ] {
        let before = gateway.counters();
        near.send(&packet);
        far.expect(&packet);
        let bytes = |counters: &Counters| -> u64 {
            let received = counters.ports.iter().filter(|row| row.port == "inside");
            received.map(|row| row.received.bytes).sum()
        };
        let counted = bytes(&gateway.counters()) - bytes(&before);
        assert_eq!(counted, packet.bytes().len() as u64, "the bytes in all pages");
    }
    let before = gateway.ledger();
    for length in [100, 1400, 3400, 7900] {
        let mut frame = (link() / ipv4(NEAR.v4, FAR.v4) / datagram(length)).bytes();
        frame.resize(8000, 7);
        near.try_send(&frame).unwrap();
    }
    gateway.since(&before).assert_drops(&[("inside", "transport_header", 4)]);
}

#[test]
fn a_router_forwards_jumbo_frames_and_says_where_they_are_too_long() {
    let mut gateway = Gateway::prepare_router(&router::images());
    jumbo(&gateway);
    widen(gateway.lab(), MTU);
    gateway.restart();
    let near = gateway.lab().near().namespace();
    for address in [PACS.v4, PACS.v6] {
        for packet in [100, 1500, 3500, 4000, MTU] {
            assert!(pings(near, address, packet), "{address}, {packet} bytes");
        }
    }
    gateway.lab().outside().mtu(4000);
    gateway.lab().far().link().mtu(4000);
    for address in [PACS.v4, PACS.v6] {
        assert!(!pings(near, address, MTU), "{address}");
        let route = near.command("ip").args(["route", "get", address]).output().unwrap();
        let route = String::from_utf8(route.stdout).unwrap();
        assert!(route.contains("mtu 4000"), "{route}");
        assert!(pings(near, address, 4000), "{address}");
    }
}
