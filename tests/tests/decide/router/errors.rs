//! ICMP errors about packets that a router has forwarded, or could not.

use super::*;

fn syn() -> Packet {
    ct() / ipv4(CT4, PACS4) / tcp(40000, 104).syn()
}

fn answer() -> Packet {
    hospital() / ipv4(PACS4, CT4) / tcp(104, 40000).syn().ack().ack_number(1)
}

fn own(port: u16, tag: u16, packet: Packet) -> Arrival {
    Arrival::Out(Leaving { origin: Origin::Gateway, port: Port(port), tag: Vlan(tag) }, packet)
}

#[test]
fn an_error_goes_back_the_way_its_quote_came() {
    let world = World::new();
    let from = |address: &str| hospital() / ipv4(address, CT4) / icmp_unreachable(&syn());
    world.sequence([
        ("no_rule", outside(from(PACS4))),
        ("opened outside.0 router", trunk(syn())),
        ("related trunk.120 ct", outside(from(PACS4))),
        // A router on the way has addresses that nobody knows.
        ("related trunk.120 ct", outside(from("172.31.0.2"))),
        ("related trunk.120 ct", outside(from(PHONE4))),
        (
            "unknown_source",
            outside(eth(STRANGER, OUTSIDE) / ipv4("172.31.0.2", CT4) / icmp_unreachable(&syn())),
        ),
        ("binding_port", outside(from(MONITOR4))),
        ("related trunk.120 ct", outside(from(VISITOR4))),
        ("binding_port", side(admin() / ipv4(ADMIN4, CT4) / icmp_unreachable(&syn()))),
        ("binding_port", trunk(monitor() / ipv4(MONITOR4, CT4) / icmp_unreachable(&syn()))),
        ("binding_mac", outside(eth(ROUTER, CT) / ipv4(PACS4, CT4) / icmp_unreachable(&syn()))),
        ("established trunk.120 ct", outside(answer())),
        ("related outside.0 router", trunk(ct() / ipv4(CT4, PACS4) / icmp_unreachable(&answer()))),
        (
            "binding_mac",
            trunk(eth(CT, TRUNK) / vlan(120) / ipv4(MR4, PACS4) / icmp_unreachable(&answer())),
        ),
        (
            "binding_vlan",
            trunk(eth(CT, TRUNK) / vlan(130) / ipv4(CT4, PACS4) / icmp_unreachable(&answer())),
        ),
    ]);
}

#[test]
fn nobody_reports_an_error_in_the_gateways_name_but_its_own_kernel() {
    let world = World::new();
    let from = |address: &str| hospital() / ipv4(address, CT4) / icmp_unreachable(&syn());
    world.sequence([
        ("opened outside.0 router", trunk(syn())),
        ("established trunk.120 ct", outside(answer())),
        ("binding_port", outside(from(HOSPITAL_GATE4))),
        ("binding_port", outside(from(RADIOLOGY_GATE4))),
        ("related trunk.120 ct", outside(from("172.31.0.2"))),
    ]);
}

#[test]
fn an_error_that_has_come_too_far_is_left_to_the_kernel() {
    let mut world = World::new();
    world.sequence([("opened outside.0 router", trunk(syn()))]);
    let error = |hops| outside(hospital() / ipv4(PACS4, CT4).ttl(hops) / icmp_unreachable(&syn()));
    world.sequence([("related gateway", error(1)), ("related trunk.120 ct", error(2))]);
    world.route([CT4], Route::Astray);
    // The way back to the sender is known by now.
    world.sequence([("related trunk.120 ct", error(64))]);
    world.memory.bump();
    world.sequence([
        ("revoked", error(64)),
        ("established outside.0 router", trunk(syn())),
        ("no_route", error(64)),
    ]);
    world.route([CT4], Route::Unresolved);
    world.sequence([("related gateway", error(64))]);
}

#[test]
fn the_gateway_reports_what_it_could_not_forward() {
    let world = World::new();
    let expired = || eth(TRUNK, CT) / ipv4(RADIOLOGY_GATE4, CT4) / icmp_time_exceeded(&syn());
    let too_big = || {
        let error = icmp_packet_too_big(&answer(), 1400);
        eth(OUTSIDE, ROUTER) / ipv4(HOSPITAL_GATE4, PACS4) / error
    };
    world.sequence([
        ("egress", own(0, 120, expired())),
        ("opened outside.0 router", trunk(syn())),
        ("related trunk.120 kept", own(0, 120, expired())),
        ("egress", own(0, 130, expired())),
        ("egress", own(0, 0, expired())),
        ("egress", own(1, 0, expired())),
        // In nobody's name but its own.
        ("egress", own(0, 120, eth(TRUNK, CT) / ipv4(PACS4, CT4) / icmp_time_exceeded(&syn()))),
        ("established trunk.120 ct", outside(answer())),
        ("related outside.0 kept", own(1, 0, too_big())),
        ("egress", own(0, 120, too_big())),
    ]);
    world.memory.stop(Stop::Ordinary);
    world.sequence([("stopped", own(0, 120, expired()))]);
    world.memory.stop(Stop::None);
    world.memory.bump();
    world.sequence([("egress", own(0, 120, expired()))]);
}

#[test]
fn an_error_about_what_the_gateway_has_sent_reaches_it() {
    let world = World::new();
    let asks = || eth(OUTSIDE, ROUTER) / ipv4(HOSPITAL_GATE4, PACS4) / udp(40000, 123);
    let error =
        |source: &str| hospital() / ipv4(source, HOSPITAL_GATE4) / icmp_unreachable(&asks());
    world.sequence([
        ("no_rule", outside(error(PACS4))),
        ("opened outside.0 kept", own(1, 0, asks())),
        ("related gateway", outside(error(PACS4))),
        ("related gateway", outside(error("172.31.0.2"))),
        ("binding_port", trunk(ct() / ipv4(CT4, HOSPITAL_GATE4) / icmp_unreachable(&asks()))),
        ("opened gateway", side(admin() / ipv4(ADMIN4, SIDE_GATE4) / tcp(40000, 443).syn())),
    ]);
    let web = || admin() / ipv4(ADMIN4, SIDE_GATE4) / tcp(40000, 443).syn();
    world.sequence([(
        "related side.0 kept",
        own(2, 0, eth(SIDE, ADMIN) / ipv4(SIDE_GATE4, ADMIN4) / icmp_unreachable(&web())),
    )]);
}
