//! What a router forwards, where to, and what it leaves to its kernel.

use super::*;

const MDNS: Mac = Mac([1, 0, 0x5e, 0, 0, 0xfb]);

fn image() -> Packet {
    ipv4(CT4, PACS4) / tcp(40000, 104).syn()
}

fn stored() -> Packet {
    ipv4(PACS4, CT4) / tcp(104, 40000).syn().ack().ack_number(1)
}

#[test]
fn a_connection_goes_where_the_routes_lead() {
    let world = World::new();
    let out = || ipv4(CT4, PACS4) / tcp(40000, 104).seq(1).ack().ack_number(1);
    world.sequence([
        ("opened outside.0 router", trunk(ct() / image())),
        ("established trunk.120 ct", outside(hospital() / stored())),
        ("established outside.0 router", trunk(ct() / out())),
        ("opened outside.0 router", trunk(ct() / ipv6(CT6, PACS6) / tcp(40000, 104).syn())),
        (
            "established trunk.120 ct",
            outside(hospital() / ipv6(PACS6, CT6) / tcp(104, 40000).syn().ack().ack_number(1)),
        ),
        ("opened outside.0 router", trunk(ct() / ipv4(CT4, PACS4) / echo_request(7, 1))),
        ("established trunk.120 ct", outside(hospital() / ipv4(PACS4, CT4) / echo_reply(7, 1))),
    ]);
    assert_eq!(world.ledger(), "established 4, opened 3");
}

#[test]
fn a_router_on_a_stick_changes_the_tag() {
    let world = World::new();
    let alarm = || ct() / ipv4(CT4, MONITOR4) / udp(40000, 5000);
    let heard = || monitor() / ipv4(MONITOR4, CT4) / udp(5000, 40000);
    world.sequence([
        ("opened trunk.130 monitor", trunk(alarm())),
        ("established trunk.120 ct", trunk(heard())),
        ("opened trunk.130 monitor", trunk(ct() / ipv6(CT6, MONITOR6) / udp(40000, 5000))),
        (
            "binding_vlan",
            trunk(eth(MONITOR, TRUNK) / vlan(120) / ipv4(MONITOR4, CT4) / udp(5000, 40000)),
        ),
        (
            "binding_vlan",
            trunk(eth(CT, TRUNK) / vlan(130) / ipv4(CT4, MONITOR4) / udp(40000, 5000)),
        ),
        ("binding_vlan", trunk(eth(CT, TRUNK) / ipv4(CT4, MONITOR4) / udp(40000, 5000))),
        ("binding_port", outside(eth(CT, OUTSIDE) / ipv4(CT4, MONITOR4) / udp(40000, 5000))),
    ]);
}

#[test]
fn only_what_a_rule_allows_is_forwarded() {
    let world = World::new();
    world.table([
        ("no_rule", trunk(ct() / ipv4(CT4, PACS4) / tcp(40000, 443).syn())),
        ("no_rule", outside(hospital() / ipv4(PACS4, CT4) / tcp(40000, 104).syn())),
        ("no_rule", trunk(ct() / ipv4(CT4, ADMIN4) / echo_request(1, 1))),
        ("no_rule", trunk(ct() / ipv4(CT4, RADIOLOGY_GATE4) / echo_request(1, 1))),
        ("no_rule", trunk(ct() / ipv4(CT4, PACS4) / gre() / payload([0; 8]))),
        ("tcp_state", trunk(ct() / ipv4(CT4, PACS4) / tcp(40000, 104).ack())),
        (
            "no_lease",
            trunk(
                eth(WORKSTATION, TRUNK)
                    / vlan(120)
                    / ipv4(WORKSTATION4, PACS4)
                    / tcp(40000, 443).syn(),
            ),
        ),
        (
            "unknown_source",
            trunk(
                eth(STRANGER, TRUNK)
                    / vlan(120)
                    / ipv4("192.168.9.9", PACS4)
                    / tcp(40000, 104).syn(),
            ),
        ),
        ("unknown_destination", trunk(ct() / ipv4(CT4, "192.168.9.9") / tcp(40000, 104).syn())),
        ("binding_mac", trunk(eth(MR, TRUNK) / vlan(120) / image())),
        ("binding_mac", outside(eth(STRANGER, OUTSIDE) / ipv4(PACS4, MONITOR4) / udp(1, 5000))),
        ("vlan", outside(eth(ROUTER, OUTSIDE) / vlan(30) / ipv4(PACS4, MONITOR4) / udp(1, 5000))),
        ("binding_port", side(eth(CT, SIDE) / image())),
        ("ip_source", trunk(ct() / ipv4("127.0.0.1", PACS4) / tcp(40000, 104).syn())),
        ("fragment", trunk(ct() / ipv4(CT4, PACS4).fragment_offset(8) / tcp(40000, 104).syn())),
    ]);
}

#[test]
fn two_of_one_subnetwork_do_not_talk_through_the_gateway() {
    let world = World::new();
    world.table([
        ("no_rule", trunk(ct() / ipv4(CT4, MR4) / tcp(40000, 104).syn())),
        (
            "no_rule",
            trunk(eth(STRANGER, TRUNK) / vlan(130) / ipv4(VISITOR4, MONITOR4) / tcp(1, 443).syn()),
        ),
        ("no_rule", outside(hospital() / ipv4(PHONE4, PACS4) / tcp(1, 443).syn())),
    ]);
}

#[test]
fn only_frames_for_the_port_itself_are_forwarded() {
    let world = World::new();
    world.sequence([
        ("binding_mac", trunk(eth(CT, ROUTER) / vlan(120) / image())),
        ("binding_mac", trunk(eth(CT, OUTSIDE) / vlan(120) / image())),
        ("ip_destination", trunk(eth(CT, Mac::BROADCAST) / vlan(120) / image())),
        ("opened outside.0 router", trunk(ct() / image())),
        ("binding_mac", trunk(eth(CT, MR) / vlan(120) / image())),
        ("binding_mac", outside(eth(ROUTER, CT) / stored())),
        ("binding_mac", outside(eth(ROUTER, TRUNK) / stored())),
        ("established trunk.120 ct", outside(hospital() / stored())),
    ]);
}

#[test]
fn the_longest_prefix_says_whose_an_undeclared_address_is() {
    let world = World::new();
    let browse = |target| ipv4(VISITOR4, target) / tcp(40000, 443).syn();
    let visitor = || eth(STRANGER, TRUNK) / vlan(130);
    let page = |source| ipv4(source, MONITOR4) / udp(40000, 5000);
    world.table([
        ("opened outside.0 router", trunk(visitor() / browse(PHONE4))),
        ("opened outside.0 router", trunk(visitor() / browse(PACS4))),
        // Of the wards, and of radiology, whose strangers no rule names.
        ("no_rule", trunk(visitor() / browse("10.30.0.98"))),
        ("no_rule", trunk(visitor() / browse("10.20.0.99"))),
        // Nobody has the addresses of a network and of its broadcast.
        ("unknown_destination", trunk(visitor() / browse("10.20.0.0"))),
        ("unknown_destination", trunk(visitor() / browse("10.20.0.255"))),
        ("opened trunk.130 monitor", outside(hospital() / page(PHONE4))),
        ("binding_port", outside(hospital() / page(VISITOR4))),
        ("binding_port", outside(hospital() / page("10.20.0.99"))),
        ("binding_port", outside(hospital() / page(CT4))),
        ("binding_port", trunk(visitor() / page(PHONE4))),
        ("binding_vlan", trunk(eth(STRANGER, TRUNK) / vlan(120) / browse(PHONE4))),
    ]);
}

#[test]
fn what_only_the_kernel_can_do_is_left_to_it() {
    let mut world = World::new();
    let log = |length: usize| ipv4(CT4, PACS4) / udp(40000, 123) / payload(vec![0; length]);
    world.sequence([
        ("opened gateway", trunk(ct() / ipv4(CT4, PACS4).ttl(1) / udp(40000, 123))),
        ("kernel gateway", trunk(ct() / ipv4(CT4, PACS4).ttl(1) / udp(40000, 123))),
        ("ip_header", trunk(ct() / ipv4(CT4, PACS4).ttl(0) / udp(40000, 123))),
        ("established outside.0 router", trunk(ct() / ipv4(CT4, PACS4).ttl(2) / udp(40000, 123))),
        ("established outside.0 router", trunk(ct() / log(1472))),
        ("kernel gateway", trunk(ct() / log(1473))),
        ("opened gateway", trunk(ct() / ipv6(CT6, PACS6).hop_limit(1) / udp(40000, 123))),
        ("kernel gateway", trunk(ct() / ipv6(CT6, PACS6) / udp(40000, 123) / payload([0; 1453]))),
    ]);
    world.route([PACS4], Route::Unresolved);
    world.memory.bump();
    world.sequence([("kernel gateway", trunk(ct() / log(8)))]);
    world.route([PACS4], hop(ROUTER));
    // Asked again until there is an answer.
    world.sequence([("established outside.0 router", trunk(ct() / log(8)))]);
    world.memory.set_port(Port(1), firewall_common::Mac(OUTSIDE.octets()), 1400);
    world.sequence([
        ("kernel gateway", trunk(ct() / log(1400))),
        ("established outside.0 router", trunk(ct() / log(1372))),
    ]);
}

#[test]
fn a_packet_goes_nowhere_but_where_the_policy_has_its_receiver() {
    let mut world = World::new();
    world.route([PACS4], Route::Astray);
    world.sequence([("no_route", trunk(ct() / image()))]);
    assert_eq!(world.memory.flow_counts(), (0, 0));
    world.route([PACS4], hop(ROUTER));
    world.sequence([("opened outside.0 router", trunk(ct() / image()))]);
    world.route([CT4], Route::Astray);
    world.sequence([("no_route", outside(hospital() / stored()))]);
    world.route([CT4], hop(CT));
    world.sequence([("established trunk.120 ct", outside(hospital() / stored()))]);
}

#[test]
fn the_next_hop_is_kept_until_something_changes() {
    let mut world = World::new();
    let ask = || trunk(ct() / ipv4(CT4, PACS4) / udp(40000, 123));
    let answer = |router| outside(eth(router, OUTSIDE) / ipv4(PACS4, CT4) / udp(123, 40000));
    world.sequence([
        ("opened outside.0 router", ask()),
        ("established trunk.120 ct", answer(ROUTER)),
    ]);
    world.route([PACS4], hop(OTHER_ROUTER));
    world.sequence([
        ("established outside.0 router", ask()),
        // The answers come by the other router from now on: that says nothing of the way there.
        ("established trunk.120 ct", answer(OTHER_ROUTER)),
        ("established outside.0 router", ask()),
    ]);
    world.memory.bump();
    world.sequence([
        ("established outside.0 other router", ask()),
        ("established trunk.120 ct", answer(OTHER_ROUTER)),
    ]);
    // The answer notices the new generation first.
    world.route([PACS4], hop(ROUTER));
    world.memory.bump();
    world.sequence([
        ("established trunk.120 ct", answer(ROUTER)),
        ("established outside.0 router", ask()),
        ("established trunk.120 ct", answer(ROUTER)),
    ]);
    world.route([PACS4], Route::Astray);
    world.sequence([("established outside.0 router", ask())]);
    world.memory.bump();
    world.sequence([("no_route", ask()), ("established trunk.120 ct", answer(ROUTER))]);
}

#[test]
fn the_gateway_is_spoken_to_only_by_rule() {
    let world = World::new();
    world.sequence([
        ("opened gateway", side(admin() / ipv4(ADMIN4, SIDE_GATE4) / tcp(40000, 443).syn())),
        ("established gateway", side(admin() / ipv4(ADMIN4, SIDE_GATE4) / tcp(40000, 443).syn())),
        // Any address of its own, but not in the name of any.
        ("opened gateway", side(admin() / ipv4(ADMIN4, HOSPITAL_GATE4) / echo_request(1, 1))),
        ("opened gateway", side(admin() / ipv6(ADMIN6, SIDE_GATE6) / echo_request(1, 1))),
        ("no_rule", side(admin() / ipv4(ADMIN4, SIDE_GATE4) / tcp(40000, 22).syn())),
        ("binding_port", side(admin() / ipv4(SIDE_GATE4, PACS4) / udp(40000, 123))),
        ("binding_port", outside(hospital() / ipv4(RADIOLOGY_GATE4, MONITOR4) / udp(40000, 5000))),
        ("no_rule", outside(hospital() / ipv4(PHONE4, HOSPITAL_GATE4) / tcp(40000, 443).syn())),
        ("ip_destination", trunk(ct() / ipv4(CT4, "224.0.0.1") / udp(1, 5353))),
        ("no_rule", trunk(eth(CT, MDNS) / vlan(120) / ipv4(CT4, "224.0.0.251") / udp(1, 5353))),
    ]);
}
