//! ARP and neighbour discovery: between nodes that a rule connects, about what is one's own.

use std::net::Ipv6Addr;

use crate::fixture::*;

/// The CT's gateway: an undeclared address of its own network, on the router.
const GATEWAY4: &str = "10.20.0.1";
const GATEWAY6: &str = "fe80::fe";

fn asks(target: &str) -> Arrival {
    inside(eth(CT, Mac::BROADCAST) / vlan(120) / arp_request(CT, CT4, target))
}

fn solicited(target: &str) -> (Mac, Ipv6Addr) {
    let [.., a, b, c] = target.parse::<Ipv6Addr>().unwrap().octets();
    let low = u16::from_be_bytes([b, c]);
    let group = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | u16::from(a), low);
    (Mac::multicast(group), group)
}

/// `mac` at `source` asks the group of `target` for it.
fn solicits(mac: Mac, source: &str, target: &str) -> (Packet, Packet) {
    let (group_mac, group) = solicited(target);
    let body = neighbour_solicitation(target).source_link(mac);
    (eth(mac, group_mac).into(), ipv6(source, group).hop_limit(255) / body)
}

fn ct_solicits(target: &str) -> Arrival {
    let (link, message) = solicits(CT, CT6, target);
    inside(link / vlan(120) / message)
}

fn advertises(source: &str, target: &str) -> Packet {
    ipv6(source, CT6).hop_limit(255) / neighbour_advertisement(target).target_link(ROUTER)
}

#[test]
fn the_gateway_is_found_and_finds_its_nodes() {
    let world = World::new();
    world.sequence([
        ("arp_spoof", outside(hospital() / arp_reply(ROUTER, GATEWAY4, CT, CT4))),
        ("arp out 0", asks(GATEWAY4)),
        ("arp out 120", outside(hospital() / arp_reply(ROUTER, GATEWAY4, CT, CT4))),
        ("arp out 120", outside(eth(ROUTER, Mac::BROADCAST) / arp_request(ROUTER, GATEWAY4, CT4))),
        ("arp out 0", inside(ct() / arp_reply(CT, CT4, ROUTER, GATEWAY4))),
    ]);
    world.wait(30);
    world.sequence([("arp_spoof", outside(hospital() / arp_reply(ROUTER, GATEWAY4, CT, CT4)))]);
    assert_eq!(world.ledger(), "arp 4, arp_spoof 2");
}

#[test]
fn two_nodes_on_one_wire_find_each_other() {
    let world = World::new();
    let analyser = Mac::local(0x20);
    world.sequence([
        (
            "arp out 0",
            left(eth(PIPETTE, Mac::BROADCAST) / arp_request(PIPETTE, PIPETTE4, ANALYSER4)),
        ),
        (
            "arp out 0",
            right(eth(analyser, PIPETTE) / arp_reply(analyser, ANALYSER4, PIPETTE, PIPETTE4)),
        ),
        (
            "arp out 0",
            right(eth(analyser, Mac::BROADCAST) / arp_request(analyser, ANALYSER4, PIPETTE4)),
        ),
        (
            "arp out 0",
            left(
                (eth(PIPETTE, analyser) / arp_reply(PIPETTE, PIPETTE4, analyser, ANALYSER4))
                    .padded(),
            ),
        ),
        (
            "arp_target",
            left(eth(PIPETTE, Mac::BROADCAST) / arp_request(PIPETTE, PIPETTE4, "192.168.7.99")),
        ),
        (
            "unknown_source",
            left(eth(STRANGER, Mac::BROADCAST) / arp_request(STRANGER, "192.168.7.99", ANALYSER4)),
        ),
    ]);
}

#[test]
fn a_claim_of_what_is_not_ones_own_is_dropped() {
    let world = World::new();
    let link = || eth(CT, Mac::BROADCAST) / vlan(120);
    let request = || arp_request(CT, CT4, PACS4);
    world.table([
        ("arp out 0", inside(link() / request())),
        ("arp_spoof", inside(link() / request().sender(MR))),
        ("arp_spoof", inside(link() / request().sender(Mac::ZERO))),
        (
            "arp_spoof",
            inside(
                link()
                    / request().sender_address("10.20.0.12".parse::<std::net::Ipv4Addr>().unwrap()),
            ),
        ),
        ("arp_spoof", inside(link() / arp_request(CT, PACS4, CT4))),
        ("arp_spoof", inside(link() / arp_request(CT, MR4, MR4))),
        ("arp_target", inside(link() / arp_request(CT, CT4, CT4))),
        ("arp_target", inside(link() / arp_reply(CT, CT4, Mac::BROADCAST, CT4).operation(1))),
        ("arp_spoof", inside(link() / arp_reply(CT, CT4, Mac::BROADCAST, CT4))),
        ("arp_target", inside(link() / arp_request(CT, "0.0.0.0", CT4))),
        ("unknown_source", inside(link() / arp_request(CT, "0.0.0.0", PACS4))),
        ("unknown_source", inside(link() / arp_request(CT, "10.20.0.99", PACS4))),
        ("arp_spoof", inside(link() / request().hardware(6))),
        ("arp_spoof", inside(link() / request().protocol(0x86dd))),
        ("arp_spoof", inside(link() / request().hardware_length(8))),
        ("arp_spoof", inside(link() / request().protocol_length(16))),
        ("arp_spoof", inside(link() / request().operation(0))),
        ("arp_spoof", inside(link() / request().operation(3))),
        ("arp_spoof", inside((link() / request()).padded_to(65))),
        ("truncated", inside((link() / request()).truncated(45))),
        ("arp_target", asks(MR4)),
        ("arp_spoof", inside(eth(CT, Mac::BROADCAST) / request())),
        ("arp_spoof", outside(link() / request())),
        ("unknown_source", outside(eth(STRANGER, CT) / arp_request(STRANGER, GATEWAY4, CT4))),
        (
            "unknown_source",
            outside(eth(ROUTER, CT) / vlan(30) / arp_request(ROUTER, GATEWAY4, CT4)),
        ),
        ("arp_spoof", outside(eth(ROUTER, CT) / arp_request(ROUTER, MR4, CT4))),
        ("arp_spoof", outside(eth(STRANGER, CT) / arp_request(STRANGER, PACS4, CT4))),
    ]);
}

#[test]
fn an_answer_passes_only_to_the_one_who_asked() {
    let world = World::new();
    world.sequence([
        ("arp out 0", asks(PACS4)),
        ("arp_spoof", outside(eth(ROUTER, MR) / arp_reply(ROUTER, PACS4, MR, MR4))),
        ("arp_spoof", outside(eth(ROUTER, MR) / arp_reply(ROUTER, PACS4, CT, CT4))),
        ("arp_spoof", outside(eth(ROUTER, MR) / arp_reply(ROUTER, PACS4, MR, CT4))),
        (
            "arp_spoof",
            outside(eth(ROUTER, Mac::BROADCAST) / arp_reply(ROUTER, PACS4, Mac::BROADCAST, CT4)),
        ),
        ("arp_spoof", outside(eth(STRANGER, CT) / arp_reply(STRANGER, PACS4, CT, CT4))),
        ("arp_spoof", outside(eth(STRANGER, CT) / arp_reply(ROUTER, PACS4, CT, CT4))),
        ("arp_spoof", outside(hospital() / arp_reply(ROUTER, MONITOR4, CT, CT4))),
        ("arp out 120", outside(hospital() / arp_reply(ROUTER, PACS4, CT, CT4))),
        ("arp out 120", outside(eth(OTHER_ROUTER, CT) / arp_reply(OTHER_ROUTER, PACS4, CT, CT4))),
    ]);
}

#[test]
fn neighbours_are_discovered_through_their_group_and_directly() {
    let world = World::new();
    let advertised = || outside(hospital() / advertises(PACS6, PACS6));
    let direct = ipv6(CT6, PACS6).hop_limit(255) / neighbour_solicitation(PACS6);
    world.sequence([
        ("nd_spoof", advertised()),
        ("nd out 0", ct_solicits(PACS6)),
        ("nd out 120", advertised()),
        ("nd out 0", inside(ct() / direct)),
        ("nd out 0", ct_solicits(GATEWAY6)),
        ("nd out 120", outside(hospital() / advertises(GATEWAY6, GATEWAY6))),
    ]);
    let (link, message) = solicits(ROUTER, GATEWAY6, CT6);
    let answer = ipv6(CT6, GATEWAY6).hop_limit(255) / neighbour_advertisement(CT6).target_link(CT);
    world.sequence([("nd out 120", outside(link / message)), ("nd out 0", inside(ct() / answer))]);
    assert_eq!(world.ledger(), "nd 7, nd_spoof 1");
}

#[test]
fn two_nodes_on_one_wire_discover_each_other() {
    let world = World::new();
    let analyser = Mac::local(0x20);
    let (link, message) = solicits(PIPETTE, PIPETTE6, ANALYSER6);
    let answer = ipv6(ANALYSER6, PIPETTE6).hop_limit(255)
        / neighbour_advertisement(ANALYSER6).target_link(analyser);
    world.sequence([
        ("nd out 0", left(link / message)),
        ("nd out 0", right(eth(analyser, PIPETTE) / answer)),
    ]);
}

#[test]
fn messages_that_lie_about_neighbours_are_dropped() {
    let world = World::new();
    let (group_mac, group) = solicited(PACS6);
    let to_group = |message: Icmp| {
        inside(eth(CT, group_mac) / vlan(120) / ipv6(CT6, group).hop_limit(255) / message)
    };
    let from = |mac: Mac, source: &str| {
        let (link, message) = solicits(mac, source, PACS6);
        inside(link / vlan(120) / message)
    };
    let hops = |limit: u8| {
        let header = ipv6(CT6, group).hop_limit(limit);
        inside(eth(CT, group_mac) / vlan(120) / header / neighbour_solicitation(PACS6))
    };
    let ask = || neighbour_solicitation(PACS6);
    let tell = |message: Icmp| inside(ct() / ipv6(CT6, PACS6).hop_limit(255) / message);
    world.table([
        ("nd out 0", to_group(ask())),
        ("nd_spoof", hops(254)),
        ("nd_spoof", hops(64)),
        ("nd_spoof", to_group(ask().code(1))),
        ("nd_spoof", to_group(ask().source_link(MR))),
        ("nd_spoof", to_group(ask().target_link(CT))),
        ("nd_spoof", to_group(ask().option_of_length(1, 0, CT.octets()))),
        ("nd_spoof", to_group(ask().option_of_length(1, 2, CT.octets()))),
        ("nd_spoof", to_group(ask().source_link(CT).source_link(MR))),
        ("nd_spoof", to_group(ask().option(14, [0; 6]))),
        ("nd_spoof", to_group(neighbour_solicitation("fd00:1::31:20"))),
        ("nd_spoof", from(MR, CT6)),
        ("nd_spoof", from(CT, MR6)),
        ("ip_source", from(CT, "::")),
        ("unknown_source", from(CT, "fe80::11")),
        ("nd_spoof", inside(eth(CT, ROUTER) / vlan(120) / ipv6(CT6, group).hop_limit(255) / ask())),
        ("nd_spoof", tell(router_solicitation())),
        ("nd_spoof", tell(router_advertisement().prefix("fd00:66::", 64))),
        ("nd_spoof", tell(redirect(PACS6, "fd00:1::99"))),
        ("nd_spoof", tell(neighbour_advertisement(CT6).target_link(CT))),
        ("nd_spoof", tell(neighbour_advertisement(MR6).target_link(CT))),
        ("nd_spoof", tell(neighbour_advertisement(PACS6).target_link(CT))),
        (
            "nd_spoof",
            outside(hospital() / ipv6(PACS6, CT6).hop_limit(255) / router_advertisement()),
        ),
        ("nd_spoof", outside(hospital() / ipv6(PACS6, CT6).hop_limit(255) / redirect(PACS6, MR6))),
        ("nd_spoof", ct_solicits(MR6)),
    ]);
    let all_nodes = inside(
        eth(CT, "33:33:00:00:00:01")
            / vlan(120)
            / ipv6(CT6, "ff02::1").hop_limit(255)
            / neighbour_advertisement(CT6).advertising(false, false, true).target_link(CT),
    );
    world.table([("nd_spoof", all_nodes)]);
}
