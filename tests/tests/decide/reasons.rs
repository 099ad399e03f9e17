//! Every drop reason that the decision can give, each from a frame of its own.

use std::collections::BTreeSet;

use firewall_common::abi::Stop;
use firewall_common::decide::{Leaving, Origin};
use firewall_common::quota::Limits;
use firewall_common::tables::Way;
use firewall_common::{DropReason, Port, Ticks, Vlan};
use firewall_policy::explain::{Memory, Sizes};

use crate::fixture::*;

fn syn() -> Tcp {
    tcp(40000, 104).syn()
}

fn v4() -> Ipv4 {
    ipv4(CT4, PACS4)
}

fn stopped(world: &World) -> Arrival {
    world.memory.stop(Stop::Ordinary);
    inside(ct() / v4() / syn())
}

fn stopped_subnetwork(world: &World) -> Arrival {
    world.stop_subnetwork("radiology", Stop::Ordinary);
    inside(ct() / v4() / syn())
}

fn isolated(world: &World) -> Arrival {
    world.memory.isolate(world.node("ct"), true);
    inside(ct() / v4() / syn())
}

fn lease_expired(world: &World) -> Arrival {
    world.memory.grant(world.node("workstation"), world.now());
    no_lease(world)
}

fn no_lease(_: &World) -> Arrival {
    let to_pacs = ipv4(WORKSTATION4, PACS4) / tcp(40000, 443).syn();
    inside(eth(WORKSTATION, ROUTER) / vlan(120) / to_pacs)
}

/// Makes the surroundings and the frame.
type Arrange = fn(&World) -> Arrival;

#[test]
fn every_reason_that_the_decision_can_give_is_given() {
    let frames: [(DropReason, Arrange); 28] = [
        (DropReason::Stopped, stopped),
        (DropReason::StoppedSubnetwork, stopped_subnetwork),
        (DropReason::Isolated, isolated),
        (DropReason::Truncated, |_| inside((ct() / v4() / syn()).truncated(30))),
        (DropReason::Ethertype, |_| inside(eth(CT, ROUTER).ethertype(0x8847) / payload([0; 46]))),
        (DropReason::Vlan, |_| inside(eth(CT, ROUTER) / vlan(0) / v4() / syn())),
        (DropReason::MacSource, |_| inside(eth(Mac::BROADCAST, ROUTER) / vlan(120) / v4() / syn())),
        (DropReason::ArpSpoof, |_| inside(ct() / arp_request(CT, MR4, "10.20.0.1"))),
        (DropReason::ArpTarget, |_| inside(ct() / arp_request(CT, CT4, MR4))),
        (DropReason::NdSpoof, |_| {
            inside(ct() / ipv6(CT6, PACS6).hop_limit(64) / neighbour_solicitation(PACS6))
        }),
        (DropReason::IpHeader, |_| inside(ct() / v4().ttl(0) / syn())),
        (DropReason::IpOptions, |_| inside(ct() / v4().options([1]) / syn())),
        (DropReason::IpSource, |_| inside(ct() / ipv4("127.0.0.1", PACS4) / syn())),
        (DropReason::IpDestination, |_| inside(ct() / ipv4(CT4, "240.0.0.1") / syn())),
        (DropReason::ExtensionHeader, |_| inside(ct() / ipv6(CT6, PACS6) / hop_by_hop() / syn())),
        (DropReason::Fragment, |_| inside(ct() / v4().more_fragments() / syn())),
        (DropReason::TransportHeader, |_| inside(ct() / v4() / tcp(0, 104).syn())),
        (DropReason::TcpFlags, |_| inside(ct() / v4() / syn().fin())),
        (DropReason::TcpState, |_| inside(ct() / v4() / tcp(40000, 104).ack())),
        (DropReason::UnknownSource, |_| inside(ct() / ipv4("10.20.0.99", PACS4) / syn())),
        (DropReason::UnknownDestination, |_| inside(ct() / ipv4(CT4, "10.0.9.9") / syn())),
        (DropReason::BindingMac, |_| inside(eth(MR, ROUTER) / vlan(120) / v4() / syn())),
        (DropReason::BindingVlan, |_| inside(eth(CT, ROUTER) / vlan(121) / v4() / syn())),
        (DropReason::BindingPort, |_| outside(ct() / v4() / syn())),
        (DropReason::NoLease, no_lease),
        (DropReason::LeaseExpired, lease_expired),
        (DropReason::NoRule, |_| inside(ct() / v4() / tcp(40000, 22).syn())),
        (DropReason::NoRoute, |_| inside(ct() / ipv4(CT4, ANALYSER4) / syn())),
    ];
    let mut given = BTreeSet::new();
    for (expected, arrange) in frames {
        let world = World::new();
        let arrival = arrange(&world);
        assert_eq!(world.decide(&arrival), Err(expected), "{arrival:?}");
        given.insert(expected);
    }
    let mut world = World::new();
    world.decide(&inside(ct() / v4() / syn())).unwrap();
    world.reload(&POLICY.replace(r#"from = ["radiology/modality"]"#, r#"from = ["mr"]"#));
    assert_eq!(world.decide(&inside(ct() / v4() / syn())), Err(DropReason::Revoked));
    given.insert(DropReason::Revoked);

    let world = World::under(POLICY, &Sizes { flows: 0, ..Sizes::default() });
    assert_eq!(world.decide(&inside(ct() / v4() / syn())), Err(DropReason::FlowTableFull));
    given.insert(DropReason::FlowTableFull);

    let mut world = World::new();
    world.memory = Memory::new(&Sizes::default());
    assert_eq!(world.decide(&inside(ct() / v4() / syn())), Err(DropReason::NotArmed));
    given.insert(DropReason::NotArmed);

    let (_, sent) = inside(ct() / v4() / syn());
    let leaving = Leaving { origin: Origin::Gateway, port: Port(1), tag: Vlan::UNTAGGED };
    let way = Way::Bridge { peer: Port(1) };
    let left = World::new().memory.leave(&sent.bytes(), leaving, way, Ticks(1));
    assert_eq!(left, Err(DropReason::Egress));
    given.insert(DropReason::Egress);

    let limits = Limits { half_open: 0, ..Limits::NONE };
    let world = World::under(POLICY, &Sizes { limits, ..Sizes::default() });
    assert_eq!(world.decide(&inside(ct() / v4() / syn())), Err(DropReason::FlowLimit));
    given.insert(DropReason::FlowLimit);

    let elsewhere = [DropReason::Application, DropReason::RedirectFailed];
    let all = DropReason::ALL.iter().copied();
    assert_eq!(given, all.filter(|reason| !elsewhere.contains(reason)).collect());
}

#[test]
fn before_a_policy_is_published_nothing_passes_but_a_hard_stop_is_named() {
    let mut world = World::new();
    world.memory = Memory::new(&Sizes::default());
    world.sequence([
        ("not_armed", inside(ct() / v4() / syn())),
        ("not_armed", inside(payload([0; 3]))),
    ]);
    world.memory.stop(Stop::Hard);
    world.sequence([("stopped", inside(ct() / v4() / syn()))]);
    assert_eq!(world.ledger(), "not_armed 2, stopped 1");
}

#[test]
fn a_flood_of_questions_does_not_touch_what_is_established() {
    let world = World::under(POLICY, &Sizes { flows: 6, ..Sizes::default() });
    let asks = inside(ct() / v4() / udp(40000, 123));
    let answers = || outside(hospital() / ipv4(PACS4, CT4) / udp(123, 40000));
    world.sequence([("opened out 0", asks), ("established out 120", answers())]);
    for port in 1..=100 {
        let flood = inside(ct() / ipv4(CT4, PACS4) / udp(port, 123));
        assert_eq!(world.told(&flood), "opened out 0");
    }
    assert_eq!(world.memory.flow_counts(), (5, 1));
    world.sequence([("established out 120", answers())]);
}
