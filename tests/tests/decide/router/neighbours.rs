//! ARP and neighbour discovery beside a router: it speaks for itself and passes nothing on.

use std::net::Ipv6Addr;

use super::*;

fn solicited(target: &str) -> (Mac, Ipv6Addr) {
    let [.., a, b, c] = target.parse::<Ipv6Addr>().unwrap().octets();
    let low = u16::from_be_bytes([b, c]);
    let group = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | u16::from(a), low);
    (Mac::multicast(group), group)
}

fn solicits(target: &str) -> Arrival {
    let (mac, group) = solicited(target);
    let message = neighbour_solicitation(target).source_link(CT);
    trunk(eth(CT, mac) / vlan(120) / ipv6(CT6, group).hop_limit(255) / message)
}

fn out(port: u16, tag: u16, packet: impl Into<Packet>) -> Arrival {
    let leaving = Leaving { origin: Origin::Gateway, port: Port(port), tag: Vlan(tag) };
    Arrival::Out(leaving, packet.into())
}

#[test]
fn a_neighbour_asks_for_the_gateway_and_is_answered() {
    let world = World::new();
    let asks = || eth(CT, Mac::BROADCAST) / vlan(120) / arp_request(CT, CT4, RADIOLOGY_GATE4);
    let answers = || eth(TRUNK, CT) / arp_reply(TRUNK, RADIOLOGY_GATE4, CT, CT4);
    world.sequence([
        ("egress", out(0, 120, answers())),
        ("arp gateway", trunk(asks())),
        ("arp gateway", out(0, 120, answers())),
        ("arp gateway", trunk(ct() / arp_request(CT, CT4, RADIOLOGY_GATE4))),
        // The kernel answers for each of its addresses on every interface.
        ("arp gateway", trunk(ct() / arp_request(CT, CT4, HOSPITAL_GATE4))),
        ("nd gateway", solicits(RADIOLOGY_GATE6)),
        (
            "nd gateway",
            out(
                0,
                120,
                eth(TRUNK, CT)
                    / ipv6(RADIOLOGY_GATE6, CT6).hop_limit(255)
                    / neighbour_advertisement(RADIOLOGY_GATE6).target_link(TRUNK),
            ),
        ),
        ("nd gateway", solicits(LINK_GATE6)),
    ]);
    world.wait(30);
    world.sequence([("egress", out(0, 120, answers()))]);
}

#[test]
fn the_gateway_asks_for_a_neighbour_and_hears_the_answer() {
    let world = World::new();
    let asks = || eth(TRUNK, Mac::BROADCAST) / arp_request(TRUNK, RADIOLOGY_GATE4, CT4);
    let answers = || ct() / arp_reply(CT, CT4, TRUNK, RADIOLOGY_GATE4);
    let (mac, group) = solicited(CT6);
    let question = neighbour_solicitation(CT6).source_link(TRUNK);
    let answer = || {
        let message = neighbour_advertisement(CT6).target_link(CT);
        ct() / ipv6(CT6, RADIOLOGY_GATE6).hop_limit(255) / message
    };
    world.sequence([
        ("arp_spoof", trunk(answers())),
        ("arp gateway", out(0, 120, asks())),
        ("arp gateway", trunk(answers())),
        (
            "arp_spoof",
            trunk(eth(CT, TRUNK) / vlan(130) / arp_reply(CT, CT4, TRUNK, RADIOLOGY_GATE4)),
        ),
        (
            "arp_spoof",
            trunk(eth(MR, TRUNK) / vlan(120) / arp_reply(MR, CT4, TRUNK, RADIOLOGY_GATE4)),
        ),
        ("arp_spoof", trunk(eth(CT, MR) / vlan(120) / arp_reply(CT, CT4, MR, RADIOLOGY_GATE4))),
        ("nd_spoof", trunk(answer())),
        (
            "nd gateway",
            out(0, 120, eth(TRUNK, mac) / ipv6(RADIOLOGY_GATE6, group).hop_limit(255) / question),
        ),
        ("nd gateway", trunk(answer())),
    ]);
    world.wait(30);
    world.sequence([("arp_spoof", trunk(answers())), ("nd_spoof", trunk(answer()))]);
}

#[test]
fn a_router_speaks_for_an_address_that_is_nobodys() {
    let world = World::new();
    let router4 = "10.0.0.2";
    let asks = |mac: Mac, source| {
        outside(eth(mac, Mac::BROADCAST) / arp_request(mac, source, HOSPITAL_GATE4))
    };
    let answers = |mac: Mac, source: &str| {
        outside(eth(mac, OUTSIDE) / arp_reply(mac, source, OUTSIDE, HOSPITAL_GATE4))
    };
    let question = |target: &str| {
        out(1, 0, eth(OUTSIDE, Mac::BROADCAST) / arp_request(OUTSIDE, HOSPITAL_GATE4, target))
    };
    world.sequence([
        ("arp gateway", asks(ROUTER, router4)),
        ("arp gateway", asks(OTHER_ROUTER, "172.31.0.2")),
        ("arp gateway", question("172.31.0.2")),
        ("arp gateway", answers(OTHER_ROUTER, "172.31.0.2")),
        // A transit network that the policy does not know needs one of its routers.
        ("unknown_source", asks(STRANGER, "172.31.0.3")),
        (
            "unknown_source",
            side(eth(ROUTER, Mac::BROADCAST) / arp_request(ROUTER, "172.31.0.2", SIDE_GATE4)),
        ),
        (
            "unknown_source",
            outside(
                eth(ROUTER, Mac::BROADCAST)
                    / vlan(9)
                    / arp_request(ROUTER, "172.31.0.2", HOSPITAL_GATE4),
            ),
        ),
        // Not for a node, an address behind another port, or the gateway.
        ("arp_spoof", asks(ROUTER, CT4)),
        ("arp_spoof", asks(ROUTER, VISITOR4)),
        ("arp_spoof", asks(ROUTER, "10.20.0.99")),
        ("arp_spoof", asks(ROUTER, HOSPITAL_GATE4)),
        ("arp_spoof", answers(ROUTER, RADIOLOGY_GATE4)),
        ("arp_target", outside(eth(ROUTER, Mac::BROADCAST) / arp_request(ROUTER, router4, PACS4))),
        (
            "arp gateway",
            outside(eth(ROUTER, Mac::BROADCAST) / arp_request(ROUTER, "172.31.0.2", "172.31.0.2")),
        ),
    ]);
    // A router asks from its link-local address (RFC 4861, 7.2.2).
    let (mac, group) = solicited(HOSPITAL_GATE6);
    let asks = |router: Mac| {
        let message = neighbour_solicitation(HOSPITAL_GATE6).source_link(router);
        outside(eth(router, mac) / ipv6("fe80::fe", group).hop_limit(255) / message)
    };
    world.sequence([("nd gateway", asks(ROUTER)), ("unknown_source", asks(STRANGER))]);
}

#[test]
fn nothing_is_learned_of_others_through_the_gateway() {
    let world = World::new();
    let link = || eth(CT, Mac::BROADCAST) / vlan(120);
    let (mac, group) = solicited(PACS6);
    world.table([
        // For a neighbour of one's own, which a switch floods; for one that the gateway hides.
        ("arp_target", trunk(link() / arp_request(CT, CT4, MR4))),
        ("arp_target", trunk(link() / arp_request(CT, CT4, PACS4))),
        ("arp_target", trunk(link() / arp_request(CT, CT4, "172.31.0.2"))),
        ("arp_target", trunk(ct() / arp_reply(CT, CT4, TRUNK, MR4))),
        (
            "nd_spoof",
            trunk(
                eth(CT, mac)
                    / vlan(120)
                    / ipv6(CT6, group).hop_limit(255)
                    / neighbour_solicitation(PACS6).source_link(CT),
            ),
        ),
        (
            "nd_spoof",
            trunk(
                ct() / ipv6(CT6, RADIOLOGY_GATE6).hop_limit(64)
                    / neighbour_solicitation(RADIOLOGY_GATE6).source_link(CT),
            ),
        ),
        (
            "nd_spoof",
            trunk(
                ct() / ipv6(CT6, RADIOLOGY_GATE6).hop_limit(255)
                    / neighbour_solicitation(RADIOLOGY_GATE6).source_link(MR),
            ),
        ),
        (
            "nd_spoof",
            outside(
                hospital()
                    / ipv6(CT6, RADIOLOGY_GATE6).hop_limit(255)
                    / neighbour_solicitation(RADIOLOGY_GATE6).source_link(ROUTER),
            ),
        ),
        // Announcements: of oneself, as a question (RFC 5227); of others never.
        ("arp gateway", trunk(link() / arp_request(CT, CT4, CT4))),
        ("arp_spoof", trunk(link() / arp_reply(CT, CT4, Mac::BROADCAST, CT4))),
        ("arp_spoof", trunk(link() / arp_request(CT, MR4, MR4))),
        ("arp_spoof", trunk(link() / arp_request(CT, RADIOLOGY_GATE4, RADIOLOGY_GATE4))),
        ("unknown_source", trunk(link() / arp_request(CT, "0.0.0.0", RADIOLOGY_GATE4))),
        (
            "unknown_source",
            trunk(
                eth(STRANGER, Mac::BROADCAST)
                    / vlan(120)
                    / arp_request(STRANGER, "192.168.9.9", RADIOLOGY_GATE4),
            ),
        ),
        (
            "arp gateway",
            trunk(
                eth(STRANGER, Mac::BROADCAST)
                    / vlan(130)
                    / arp_request(STRANGER, VISITOR4, WARDS_GATE4),
            ),
        ),
        (
            "nd_spoof",
            outside(
                hospital() / ipv6("fe80::fe", "ff02::1").hop_limit(255) / router_advertisement(),
            ),
        ),
        ("arp_spoof", trunk(link() / arp_request(MR, CT4, RADIOLOGY_GATE4))),
        ("arp_spoof", outside(eth(CT, Mac::BROADCAST) / arp_request(CT, CT4, RADIOLOGY_GATE4))),
    ]);
}

#[test]
fn stops_and_isolation_hold_for_neighbours_too() {
    let world = World::new();
    let asks =
        || trunk(eth(CT, Mac::BROADCAST) / vlan(120) / arp_request(CT, CT4, RADIOLOGY_GATE4));
    let routers =
        || outside(eth(ROUTER, Mac::BROADCAST) / arp_request(ROUTER, "172.31.0.2", HOSPITAL_GATE4));
    // What is essential needs its neighbours, too.
    world.memory.stop(Stop::Ordinary);
    world.sequence([("arp gateway", asks()), ("arp gateway", routers())]);
    world.memory.stop(Stop::Hard);
    world.sequence([("stopped", asks()), ("stopped", routers())]);
    world.memory.stop(Stop::None);
    world.stop_subnetwork("radiology", Stop::Ordinary);
    world.sequence([("arp gateway", asks())]);
    world.stop_subnetwork("radiology", Stop::Hard);
    world.sequence([("stopped_subnetwork", asks()), ("arp gateway", routers())]);
    world.stop_subnetwork("radiology", Stop::None);
    world.stop_subnetwork("hospital", Stop::Hard);
    world.sequence([("arp gateway", asks()), ("stopped_subnetwork", routers())]);
    world.memory.isolate(world.node("ct"), true);
    world.sequence([("isolated", asks())]);
}
