//! ICMP errors: they pass if they are about a packet of a live flow.

use firewall_common::abi::Stop;

use crate::fixture::*;

fn syn() -> Packet {
    ct() / ipv4(CT4, PACS4) / tcp(40000, 104).syn()
}

fn syn6() -> Packet {
    ct() / ipv6(CT6, PACS6) / tcp(40000, 104).syn()
}

#[test]
fn an_error_about_a_live_flow_passes_in_both_families() {
    let world = World::new();
    let v4 = || hospital() / ipv4(PACS4, CT4);
    let v6 = || hospital() / ipv6(PACS6, CT6);
    world.sequence([
        ("no_rule", outside(v4() / icmp_unreachable(&syn()))),
        ("no_rule", outside(v6() / icmp_packet_too_big(&syn6(), 1280))),
        ("opened out 0", inside(syn())),
        ("opened out 0", inside(syn6())),
        ("related out 120", outside(v4() / icmp_unreachable(&syn()))),
        ("related out 120", outside(v4() / icmp_packet_too_big(&syn(), 1400))),
        ("related out 120", outside(v4() / icmp_time_exceeded(&syn()))),
        ("related out 120", outside(v6() / icmp_unreachable(&syn6()))),
        ("related out 120", outside(v6() / icmp_packet_too_big(&syn6(), 1280))),
        ("related out 120", outside(v6() / icmp_time_exceeded(&syn6()))),
    ]);
    assert_eq!(world.ledger(), "no_rule 2, opened 2, related 6");
}

#[test]
fn a_router_on_the_way_may_report_from_its_own_address() {
    let world = World::new();
    let error = || icmp_packet_too_big(&syn(), 1400);
    world.sequence([
        ("opened out 0", inside(syn())),
        ("related out 120", outside(hospital() / ipv4("10.0.0.1", CT4) / error())),
        ("related out 120", outside(hospital() / ipv4("192.0.2.1", CT4) / error())),
        ("related out 120", outside(eth(OTHER_ROUTER, CT) / ipv4("192.0.2.1", CT4) / error())),
        ("unknown_source", outside(eth(STRANGER, CT) / ipv4("192.0.2.1", CT4) / error())),
        ("binding_mac", outside(eth(STRANGER, CT) / ipv4(PACS4, CT4) / error())),
        ("binding_vlan", outside(hospital() / vlan(30) / ipv4(PACS4, CT4) / error())),
        ("no_rule", outside(eth(ROUTER, MR) / ipv4(PACS4, MR4) / error())),
        ("ip_source", outside(hospital() / ipv4("127.0.0.1", CT4) / error())),
    ]);
}

#[test]
fn nobody_reports_in_the_name_of_another_node() {
    let world = World::new();
    let answer = || hospital() / ipv4(PACS4, CT4) / tcp(104, 40000).syn().ack().ack_number(1);
    world.sequence([
        ("opened out 0", inside(syn())),
        ("binding_port", outside(hospital() / ipv4(MR4, CT4) / icmp_unreachable(&syn()))),
        ("established out 120", outside(answer())),
        ("related out 0", inside(ct() / ipv4(CT4, PACS4) / icmp_unreachable(&answer()))),
        ("binding_mac", inside(ct() / ipv4(MR4, PACS4) / icmp_unreachable(&answer()))),
        ("binding_port", inside(ct() / ipv4(MONITOR4, PACS4) / icmp_unreachable(&answer()))),
        ("binding_port", outside(hospital() / ipv4(MR4, CT4) / icmp_unreachable(&syn()))),
    ]);
}

#[test]
fn a_node_that_may_not_speak_reports_nothing_of_others() {
    let world = World::new();
    let answer = || hospital() / ipv4(PACS4, CT4) / tcp(104, 40000).syn().ack().ack_number(1);
    let from_monitor = || outside(hospital() / ipv4(MONITOR4, CT4) / icmp_unreachable(&syn()));
    let from_workstation = || {
        let link = eth(WORKSTATION, ROUTER) / vlan(120);
        inside(link / ipv4(WORKSTATION4, PACS4) / icmp_unreachable(&answer()))
    };
    world.sequence([
        ("opened out 0", inside(syn())),
        ("established out 120", outside(answer())),
        ("related out 120", from_monitor()),
        ("no_lease", from_workstation()),
    ]);
    world.memory.isolate(world.node("monitor"), true);
    world.sequence([("established out 0", inside(syn())), ("isolated", from_monitor())]);
    world.memory.isolate(world.node("monitor"), false);
    world.sequence([("established out 0", inside(syn())), ("related out 120", from_monitor())]);
}

#[test]
fn an_error_must_quote_what_its_receiver_sent() {
    let world = World::new();
    let v4 = || hospital() / ipv4(PACS4, CT4);
    let quoting = |packet: Packet| outside(v4() / icmp_unreachable(&packet));
    let quoted = || ct() / ipv4(CT4, PACS4);
    world.sequence([
        ("opened out 0", inside(syn())),
        ("no_rule", quoting(quoted() / tcp(40001, 104).syn())),
        ("no_rule", quoting(quoted() / udp(40000, 104))),
        ("no_rule", quoting(ct() / ipv4(MR4, PACS4) / tcp(40000, 104).syn())),
        ("no_rule", quoting(ct() / ipv4(CT4, MONITOR4) / tcp(40000, 104).syn())),
        ("no_rule", quoting(ct() / ipv4(PACS4, CT4) / tcp(104, 40000).syn())),
        ("no_rule", quoting(quoted() / gre() / payload([0; 8]))),
        ("ip_options", quoting(ct() / ipv4(CT4, PACS4).options([1]) / tcp(40000, 104).syn())),
        ("fragment", quoting(ct() / ipv4(CT4, PACS4).fragment_offset(8) / tcp(40000, 104).syn())),
        ("truncated", outside(v4() / icmp_unreachable(&syn()).quote_length(27))),
        ("truncated", outside(v4() / icmp_unreachable(&syn()).quote_length(0))),
        ("no_rule", outside(v4() / icmp_quoting(&syn(), 5, 1))),
        ("no_rule", outside(v4() / icmp_quoting(&syn(), 4, 0))),
        ("binding_port", inside(ct() / ipv4(PACS4, CT4) / icmp_unreachable(&syn()))),
        ("related out 120", outside(v4() / icmp_unreachable(&syn()))),
    ]);
}

#[test]
fn an_error_about_an_echo_needs_the_request() {
    let world = World::new();
    let request = || ct() / ipv4(CT4, PACS4) / echo_request(7, 1);
    let reply = || hospital() / ipv4(PACS4, CT4) / echo_reply(7, 1);
    let v4 = || hospital() / ipv4(PACS4, CT4);
    world.sequence([
        ("no_rule", outside(v4() / icmp_unreachable(&request()))),
        ("opened out 0", inside(request())),
        ("related out 120", outside(v4() / icmp_unreachable(&request()))),
        ("established out 120", outside(reply())),
        ("no_rule", inside(ct() / ipv4(CT4, PACS4) / icmp_unreachable(&reply()))),
    ]);
}

#[test]
fn an_error_ends_with_its_flow_its_policy_and_its_stop() {
    let world = World::new();
    let error = || outside(hospital() / ipv4(PACS4, CT4) / icmp_unreachable(&syn()));
    world.sequence([("opened out 0", inside(syn())), ("related out 120", error())]);
    world.memory.stop(Stop::Ordinary);
    world.sequence([("stopped", error())]);
    world.memory.stop(Stop::None);
    world.memory.bump();
    world.sequence([
        ("revoked", error()),
        ("established out 0", inside(syn())),
        ("related out 120", error()),
    ]);
    world.wait(30);
    world.sequence([("no_rule", error())]);
}
