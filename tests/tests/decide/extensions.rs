//! IPv6 extension headers, where both ends' subnetworks name them.

use firewall_policy::explain::Sizes;

use crate::fixture::*;

/// The policy, with a key for two subnetworks.
fn with(inside: &str, outside: &str) -> String {
    POLICY
        .replace("vlan = 120\n", &format!("vlan = 120\n{inside}\n"))
        .replace("routers = [", &format!("{outside}\nrouters = ["))
}

const BOTH: &str = "extension_headers = [\"hop-by-hop\", \"destination-options\"]";
const HOP_BY_HOP: &str = "extension_headers = [\"hop-by-hop\"]";
const DESTINATION_OPTIONS: &str = "extension_headers = [\"destination-options\"]";

fn world(inside: &str, outside: &str) -> World {
    World::under(&with(inside, outside), &Sizes::default())
}

fn v6() -> Ipv6 {
    ipv6(CT6, PACS6)
}

fn back6() -> Ipv6 {
    ipv6(PACS6, CT6)
}

fn syn() -> Tcp {
    tcp(40000, 104).syn()
}

#[test]
fn named_extension_headers_pass_in_both_directions() {
    let world = world(BOTH, BOTH);
    let (hop, destination) = (hop_by_hop(), destination_options());
    world.sequence([
        ("opened out 0", inside(ct() / v6() / hop.clone() / udp(123, 123))),
        ("established out 120", outside(hospital() / back6() / hop.clone() / udp(123, 123))),
        ("established out 0", inside(ct() / v6() / udp(123, 123))),
        ("established out 0", inside(ct() / v6() / destination.clone() / udp(123, 123))),
        (
            "established out 120",
            outside(hospital() / back6() / hop.clone() / destination.clone() / udp(123, 123)),
        ),
        ("opened out 0", inside(ct() / v6() / hop.clone() / echo_request(7, 1))),
        ("established out 120", outside(hospital() / back6() / hop.clone() / echo_reply(7, 1))),
        ("opened out 0", inside(ct() / v6() / hop.clone() / syn().seq(100))),
        (
            "established out 120",
            outside(hospital() / back6() / tcp(104, 40000).syn().ack().seq(300).ack_number(101)),
        ),
        (
            "established out 0",
            inside(
                ct() / v6() / destination.clone() / tcp(40000, 104).ack().seq(101).ack_number(301),
            ),
        ),
        (
            "tcp_state",
            inside(
                ct() / v6() / destination / tcp(40000, 104).ack().seq(5_000_000).ack_number(301),
            ),
        ),
        ("no_rule", inside(ct() / v6() / hop.clone() / udp(123, 124))),
        ("no_rule", inside(ct() / v6() / hop.clone().next_header(59))),
        ("binding_mac", inside(eth(MR, ROUTER) / vlan(120) / v6() / hop.clone() / udp(123, 123))),
        ("binding_vlan", inside(eth(CT, ROUTER) / v6() / hop.clone() / udp(123, 123))),
        ("transport_header", inside((ct() / v6() / hop / udp(123, 123)).trailing([0; 40]))),
    ]);
}

#[test]
fn a_header_that_one_end_does_not_name_is_dropped() {
    let (hop, destination) = (hop_by_hop(), destination_options());
    for (one, other) in [(BOTH, ""), ("", BOTH), (HOP_BY_HOP, DESTINATION_OPTIONS)] {
        world(one, other).table([
            ("extension_header", inside(ct() / v6() / hop.clone() / syn())),
            ("extension_header", inside(ct() / v6() / destination.clone() / syn())),
            ("opened out 0", inside(ct() / v6() / syn())),
        ]);
    }
    world(HOP_BY_HOP, BOTH).table([
        ("opened out 0", inside(ct() / v6() / hop.clone() / syn())),
        ("extension_header", inside(ct() / v6() / destination.clone() / syn())),
        ("extension_header", inside(ct() / v6() / hop.clone() / destination.clone() / syn())),
        ("extension_header", inside(ct() / ipv6("fd00:20::99", PACS6) / hop.clone() / syn())),
        ("extension_header", inside(ct() / ipv6(CT6, "fd00:99::1") / hop / syn())),
    ]);
}

#[test]
fn an_option_that_is_not_to_be_skipped_is_dropped() {
    let world = world(BOTH, BOTH);
    let with = |kind, length: usize| {
        inside(ct() / v6() / destination_options().option(kind, vec![0; length]) / syn())
    };
    let hop = |kind, length: usize| {
        inside(ct() / v6() / hop_by_hop().option(kind, vec![0; length]) / syn())
    };
    world.table([
        ("opened out 0", with(1, 12)),
        ("opened out 0", with(0x3e, 4)),
        // A router alert (RFC 2711).
        ("opened out 0", hop(5, 2)),
        // A home address (RFC 6275): another source.
        ("extension_header", with(0xc9, 16)),
        // A jumbo payload (RFC 2675): another length.
        ("extension_header", hop(0xc2, 4)),
        ("extension_header", with(0x40, 4)),
        ("extension_header", with(0x80, 4)),
        ("extension_header", with(0x8a, 4)),
        ("opened out 0", with(0x1e, 60)),
        ("extension_header", with(0x1e, 61)),
        ("extension_header", with(0x1e, 250)),
    ]);
}

#[test]
fn malformed_and_misplaced_headers_are_dropped() {
    let world = world(BOTH, BOTH);
    let (hop, destination) = (hop_by_hop(), destination_options());
    let of = |body: &[u8]| inside(ct() / v6() / destination_options().body(body) / syn());
    world.table([
        // Options that end behind their header.
        ("extension_header", of(&[1, 5, 0, 0, 0, 0])),
        ("extension_header", of(&[1, 255, 0, 0, 0, 0])),
        ("extension_header", of(&[0, 0, 0, 0, 0, 1])),
        ("opened out 0", of(&[0, 0, 0, 0, 0, 0])),
        ("extension_header", inside(ct() / v6() / hop_by_hop().length(9) / syn())),
        ("extension_header", inside(ct() / v6() / hop_by_hop().length(255) / syn())),
        ("extension_header", inside(ct() / v6() / hop.clone() / hop.clone() / syn())),
        ("extension_header", inside(ct() / v6() / destination.clone() / hop.clone() / syn())),
        (
            "extension_header",
            inside(ct() / v6() / destination.clone() / destination.clone() / syn()),
        ),
        ("extension_header", inside(ct() / v6() / hop.clone() / routing_header(0, 0, &[]) / syn())),
        ("extension_header", inside(ct() / v6() / hop.clone() / esp(1, 1) / syn())),
        ("extension_header", inside(ct() / v6() / hop.clone() / ah(1, 1) / syn())),
        ("fragment", inside(ct() / v6() / hop.clone() / fragment(0, true, 1) / syn())),
        ("extension_header", inside(ct() / v6() / hop.clone().next_header(135))),
        // Not all of the chain is there (RFC 7112).
        ("transport_header", inside(ct() / v6() / hop.clone().next_header(6))),
        ("extension_header", inside(ct() / v6().next_header(0) / payload([6]))),
        ("fragment", inside(ct() / v6() / fragment(0, false, 1) / hop.clone() / syn())),
        (
            "extension_header",
            inside(ct() / v6().hop_limit(255) / hop.clone() / neighbour_solicitation(PACS6)),
        ),
        (
            "extension_header",
            outside(hospital() / back6() / hop / icmp_unreachable(&(ct() / v6() / syn()))),
        ),
    ]);
}

#[test]
fn a_header_is_forgotten_with_the_policy_that_names_it() {
    let mut world = world(BOTH, BOTH);
    let asked = || inside(ct() / v6() / hop_by_hop() / udp(123, 123));
    world.sequence([("opened out 0", asked()), ("established out 0", asked())]);
    world.reload(POLICY);
    world.sequence([("extension_header", asked())]);
    world.reload(&with(BOTH, BOTH));
    world.sequence([("established out 0", asked())]);
}
