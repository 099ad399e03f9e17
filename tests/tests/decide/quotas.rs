//! How many flows a node may open: what takes one, what gives it back, and whose it is. Limits are
//! small, and one flow of either kind comes back every six seconds.

use firewall_common::quota::Limits;
use firewall_policy::explain::Sizes;

use crate::fixture::*;

/// At a thousand ticks a second; so that a flow comes back as seldom as one that was not answered, a
/// second has forty-eight.
const LIMITS: Limits = Limits { half_open: 5, new_flows: 8, second: 48_000 };

fn limited() -> World {
    World::under(POLICY, &Sizes { limits: LIMITS, ..Sizes::default() })
}

fn asks(port: u16) -> Arrival {
    inside(ct() / ipv4(CT4, PACS4) / udp(port, 123))
}

fn answers(port: u16) -> Arrival {
    outside(hospital() / ipv4(PACS4, CT4) / udp(123, port))
}

fn calls(port: u16, segment: impl Fn(Tcp) -> Tcp) -> Arrival {
    inside(ct() / ipv4(CT4, PACS4) / segment(tcp(port, 104)))
}

fn called(port: u16, segment: impl Fn(Tcp) -> Tcp) -> Arrival {
    outside(hospital() / ipv4(PACS4, CT4) / segment(tcp(104, port)))
}

fn visits(last: u8, port: u16) -> Arrival {
    let visitor = eth(Mac::local(last.into()), PORTAL) / vlan(30);
    outside(visitor / ipv4(&*format!("172.16.0.{last}"), PORTAL4) / tcp(port, 443).syn())
}

/// So many are opened and the next is not.
#[track_caller]
fn assert_opens(world: &World, count: u16, flow: impl Fn(u16) -> Arrival) {
    for port in 1..=count {
        let told = world.told(&flow(port));
        assert!(told.starts_with("opened"), "{port} of {count}: {told}");
    }
    assert_eq!(world.told(&flow(count + 1)), "flow_limit");
}

#[test]
fn a_node_opens_as_many_flows_as_may_be_unanswered_and_those_go_on() {
    let world = limited();
    assert_opens(&world, 5, asks);
    assert_eq!(world.memory.flow_counts(), (5, 0));
    for port in 1..=5 {
        world.sequence([("established out 0", asks(port)), ("flow_limit", asks(port + 100))]);
    }
    world.sequence([
        ("flow_limit", calls(1, Tcp::syn)),
        ("flow_limit", inside(ct() / ipv4(CT4, PACS4) / echo_request(1, 1))),
        ("flow_limit", inside(ct() / ipv6(CT6, PACS6) / udp(1, 123))),
        ("arp out 0", inside(ct() / arp_request(CT, CT4, PACS4))),
        ("established out 120", answers(3)),
    ]);
    assert_eq!(world.ledger(), "arp 1, established 6, flow_limit 9, opened 5");
}

#[test]
fn what_was_opened_comes_back_with_time_one_by_one() {
    let world = limited();
    assert_opens(&world, 5, asks);
    world.wait(6);
    assert_opens(&world, 1, |port| asks(port + 10));
    world.wait(12);
    assert_opens(&world, 2, |port| asks(port + 20));
    world.wait(86_400);
    assert_opens(&world, 5, |port| asks(port + 30));
}

#[test]
fn an_answer_gives_back_what_it_answers() {
    let world = limited();
    assert_opens(&world, 5, asks);
    world.sequence([
        ("established out 120", answers(1)),
        // It was given back already.
        ("established out 120", answers(1)),
        ("established out 0", asks(1)),
        ("opened out 0", asks(6)),
        ("flow_limit", asks(7)),
        ("no_rule", answers(9)),
        ("flow_limit", asks(7)),
    ]);
}

#[test]
fn a_handshake_gives_it_back_when_it_is_complete_and_a_refusal_at_once() {
    let world = limited();
    let seen = |segment: Tcp| segment.ack_number(1);
    assert_opens(&world, 5, |port| calls(port, Tcp::syn));
    world.sequence([
        ("established out 120", called(1, |tcp| seen(tcp.syn().ack()).seq(7))),
        // Whoever has not seen the answer completes nothing.
        ("flow_limit", calls(6, Tcp::syn)),
        ("established out 0", calls(1, |tcp| tcp.ack().seq(1).ack_number(8))),
        ("opened out 0", calls(6, Tcp::syn)),
        ("flow_limit", calls(7, Tcp::syn)),
        ("established out 120", called(2, |tcp| seen(tcp.rst().ack()))),
        ("opened out 0", calls(7, Tcp::syn)),
        ("flow_limit", calls(8, Tcp::syn)),
    ]);
}

#[test]
fn who_is_always_answered_is_held_back_by_the_rate_alone() {
    let world = limited();
    for port in 1..=8 {
        world.sequence([("opened out 0", asks(port)), ("established out 120", answers(port))]);
    }
    world.sequence([("flow_limit", asks(9)), ("established out 0", asks(8))]);
    world.wait(6);
    world.sequence([("opened out 0", asks(9)), ("flow_limit", asks(10))]);
}

#[test]
fn a_node_spends_what_is_its_own_and_nobody_elses() {
    let world = limited();
    assert_opens(&world, 5, asks);
    let mr = |port| inside(eth(MR, ROUTER) / vlan(120) / ipv4(MR4, PACS4) / udp(port, 123));
    assert_opens(&world, 5, mr);
    // Both addresses of a node are one node's.
    world.sequence([("flow_limit", inside(ct() / ipv6(CT6, PACS6) / udp(9, 123)))]);
}

#[test]
fn the_undeclared_addresses_of_a_subnetwork_are_as_one_node() {
    let world = limited();
    assert_opens(&world, 5, |port| visits(u8::try_from(port).unwrap() + 1, 40_000));
    let answer = |last: u8| {
        let portal = eth(PORTAL, Mac::local(last.into())) / vlan(120);
        let to = format!("172.16.0.{last}");
        inside(portal / ipv4(PORTAL4, &*to) / tcp(443, 40_000).rst().ack().ack_number(1))
    };
    world.sequence([
        ("flow_limit", visits(77, 40_000)),
        ("established out 30", answer(2)),
        ("opened out 120", visits(77, 40_000)),
        ("flow_limit", visits(78, 40_000)),
    ]);
    assert_opens(&world, 5, asks);
}

#[test]
fn what_would_not_pass_anyway_costs_nothing() {
    let world = limited();
    for port in 1..=20 {
        world.sequence([
            (
                "binding_mac",
                inside(eth(MR, ROUTER) / vlan(120) / ipv4(CT4, PACS4) / udp(port, 123)),
            ),
            ("binding_vlan", inside(eth(CT, ROUTER) / vlan(9) / ipv4(CT4, PACS4) / udp(port, 123))),
            ("no_rule", inside(ct() / ipv4(CT4, PACS4) / udp(port, 124))),
            ("tcp_state", calls(port, Tcp::ack)),
        ]);
    }
    assert_opens(&world, 5, asks);
}
