//! Frames longer than a page, between real kernels.
#![expect(clippy::unwrap_used, reason = "helpers of tests panic like tests")]

use firewall_control::Counters;
use firewall_tests::{
    gateway::{
        Gateway,
        policy::{self, FAR, NEAR},
        router::{self, PACS},
    },
    lab::{Handle, Lab},
    packet::{eth, ipv4, ipv6, payload, udp},
};

const MTU: u32 = 9000;

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
