//! UDP and echo: an answer passes if it was asked for.

use firewall_policy::explain::Sizes;

use crate::fixture::*;

fn asks() -> Arrival {
    inside(ct() / ipv4(CT4, PACS4) / udp(40000, 123) / payload(b"time?"))
}

fn answers() -> Arrival {
    outside(hospital() / ipv4(PACS4, CT4) / udp(123, 40000) / payload(b"noon"))
}

fn ping() -> Arrival {
    inside(ct() / ipv4(CT4, PACS4) / echo_request(7, 1))
}

fn pong() -> Arrival {
    outside(hospital() / ipv4(PACS4, CT4) / echo_reply(7, 1))
}

#[test]
fn a_reply_without_a_request_is_dropped() {
    let world = World::new();
    world.sequence([
        ("no_rule", answers()),
        ("no_rule", pong()),
        ("opened out 0", asks()),
        ("established out 120", answers()),
        ("opened out 0", ping()),
        ("established out 120", pong()),
    ]);
    assert_eq!(world.ledger(), "established 2, no_rule 2, opened 2");
}

#[test]
fn a_question_and_its_answer_pass_in_ipv6_too() {
    let world = World::new();
    let back = || hospital() / ipv6(PACS6, CT6);
    let out = || ct() / ipv6(CT6, PACS6);
    world.sequence([
        ("opened out 0", inside(out() / udp(40000, 123))),
        ("established out 120", outside(back() / udp(123, 40000))),
        ("opened out 0", inside(out() / echo_request(7, 1))),
        ("established out 120", outside(back() / echo_reply(7, 1))),
        ("no_rule", outside(back() / echo_request(7, 1))),
        ("no_rule", outside(back() / echo_reply(8, 1))),
    ]);
}

#[test]
fn an_answer_that_comes_too_late_is_dropped() {
    let world = World::new();
    world.sequence([("opened out 0", asks()), ("opened out 0", ping())]);
    world.wait(30);
    world.sequence([("no_rule", answers()), ("no_rule", pong())]);
    world.sequence([("opened out 0", asks()), ("established out 120", answers())]);
    world.wait(179);
    world.sequence([("established out 120", answers())]);
    world.wait(180);
    world.sequence([("no_rule", answers()), ("opened out 0", asks())]);
}

#[test]
fn only_the_one_that_was_asked_may_answer() {
    let world = World::new();
    world.sequence([
        ("opened out 0", asks()),
        ("no_rule", outside(hospital() / ipv4(MONITOR4, CT4) / udp(123, 40000))),
        ("no_rule", outside(hospital() / ipv4(PACS4, CT4) / udp(124, 40000))),
        ("no_rule", outside(hospital() / ipv4(PACS4, CT4) / udp(123, 40001))),
        ("binding_mac", outside(eth(STRANGER, CT) / ipv4(PACS4, CT4) / udp(123, 40000))),
        ("binding_mac", outside(eth(ROUTER, MR) / ipv4(PACS4, CT4) / udp(123, 40000))),
        ("vlan", outside(hospital() / vlan(30) / ipv4(PACS4, CT4) / udp(123, 40000))),
        ("binding_port", inside(hospital() / ipv4(PACS4, CT4) / udp(123, 40000))),
        ("established out 120", answers()),
    ]);
}

#[test]
fn an_echo_has_a_direction_of_its_own() {
    let world = World::new();
    let out = || ct() / ipv4(CT4, PACS4);
    let back = || hospital() / ipv4(PACS4, CT4);
    world.sequence([
        ("opened out 0", ping()),
        ("no_rule", outside(back() / echo_request(7, 1))),
        ("no_rule", inside(out() / echo_reply(7, 1))),
        ("no_rule", outside(back() / icmp(0, 1).rest([0, 7, 0, 1]))),
        ("established out 120", pong()),
        ("established out 0", inside(out() / echo_request(7, 2))),
        ("no_rule", inside(out() / icmp(13, 0))),
        ("no_rule", inside(out() / icmp(5, 1).body([0; 28]))),
    ]);
}

#[test]
fn a_full_table_refuses_the_new_and_keeps_the_old() {
    // As many as a bucket of the kernel's table has slots: there it takes no more than that.
    let world = World::under(POLICY, &Sizes { flows: 6, ..Sizes::default() });
    for number in 10..15 {
        world.sequence([
            ("opened out 0", inside(ct() / ipv4(CT4, PACS4) / echo_request(number, 1))),
            ("established out 120", outside(hospital() / ipv4(PACS4, CT4) / echo_reply(number, 1))),
        ]);
    }
    world.sequence([
        ("opened out 0", asks()),
        ("established out 120", answers()),
        ("flow_table_full", ping()),
        ("no_rule", pong()),
        ("established out 0", asks()),
        ("established out 120", answers()),
    ]);
    assert_eq!(world.memory.flow_counts(), (0, 6));
    world.wait(180);
    // What has expired is forgotten on its next frame, which makes room.
    world.sequence([
        ("no_rule", answers()),
        ("opened out 0", ping()),
        ("established out 120", pong()),
    ]);
}

#[test]
fn any_address_of_a_network_is_known_by_its_port_and_tag() {
    let world = World::new();
    let from = |source: &str| eth(STRANGER, PORTAL) / vlan(30) / ipv4(source, PORTAL4);
    let syn = || tcp(40000, 443).syn();
    world.table([
        ("opened out 120", outside(from(VISITOR4) / syn())),
        ("opened out 120", outside(from("172.16.1.1") / syn())),
        ("opened out 120", outside(from("172.16.1.2") / syn())),
        ("unknown_source", outside(from("172.16.0.0") / syn())),
        ("unknown_source", outside(from("172.16.0.255") / syn())),
        ("unknown_source", outside(from("172.16.1.0") / syn())),
        ("unknown_source", outside(from("172.16.1.3") / syn())),
        ("unknown_source", outside(from("172.16.2.1") / syn())),
        ("unknown_source", inside(from(VISITOR4) / syn())),
        (
            "binding_vlan",
            outside(eth(STRANGER, PORTAL) / vlan(31) / ipv4(VISITOR4, PORTAL4) / syn()),
        ),
        (
            "opened out 120",
            outside(eth(STRANGER, PORTAL) / vlan(30) / ipv6("fd00:30::9", "fd00:20::80") / syn()),
        ),
        ("no_rule", outside(from(VISITOR4) / tcp(40000, 22).syn())),
        ("no_rule", outside(eth(STRANGER, CT) / vlan(30) / ipv4(VISITOR4, CT4) / syn())),
    ]);
}
