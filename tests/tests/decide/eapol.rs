//! IEEE 802.1X: between nodes and the authenticator of their port, and nowhere else.

use firewall_common::abi::Stop;
use firewall_common::decide::{Leaving, Origin};
use firewall_common::tables::Way;
use firewall_common::{DropReason, Port, Vlan};
use firewall_policy::explain::{Memory, Sizes};

use crate::fixture::*;

const GROUP: Mac = Mac([0x01, 0x80, 0xc2, 0, 0, 0x03]);
/// The port's.
const OWN: Mac = Mac(Memory::MAC.0);
const START: [u8; 4] = [1, 1, 0, 0];
/// `EAP-Response/Identity` (RFC 3748, 5.1).
const IDENTITY: [u8; 10] = [2, 0, 0, 6, 2, 1, 0, 6, 1, b'x'];

fn eapol(source: Mac, destination: Mac, packet: impl AsRef<[u8]>) -> Packet {
    eth(source, destination).ethertype(0x888e) / payload(packet)
}

/// An authenticator speaks with the nodes inside.
fn world() -> World {
    let mut world = World::new();
    world.memory.authenticate_on(Port(0));
    world
}

fn to_group(packet: impl AsRef<[u8]>) -> Arrival {
    inside(eapol(CT, GROUP, packet))
}

#[test]
fn a_node_speaks_with_the_authenticator_of_its_port() {
    world().table([
        ("eapol out 0", to_group(START)),
        ("eapol out 0", inside(eapol(CT, OWN, IDENTITY))),
        ("eapol out 0", inside(eapol(STRANGER, GROUP, START))),
        ("eapol out 0", inside(eapol(CT, GROUP, START).padded())),
        ("eapol out 0", to_group([3, 4, 0, 0])),
    ]);
}

#[test]
fn nobody_speaks_with_an_authenticator_past_it_or_elsewhere() {
    let world = world();
    world.table([
        ("ethertype", outside(eapol(ROUTER, GROUP, START))),
        ("ethertype", left(eapol(PIPETTE, OWN, START))),
        ("ethertype", inside(eapol(CT, ROUTER, START))),
        ("ethertype", inside(eapol(CT, Mac::BROADCAST, START))),
        ("ethertype", inside(eapol(CT, Mac([0x01, 0x80, 0xc2, 0, 0, 0]), START))),
        ("ethertype", inside(eapol(OWN, GROUP, START))),
        ("mac_source", inside(eapol(GROUP, GROUP, START))),
        ("mac_source", inside(eapol(Mac([0; 6]), GROUP, START))),
        ("ethertype", inside(eth(CT, GROUP) / vlan(120).ethertype(0x888e) / payload(START))),
        ("vlan", inside(eth(CT, GROUP) / vlan(0).ethertype(0x888e) / payload(START))),
    ]);
    let nobody = World::new();
    nobody.table([("ethertype", to_group(START))]);
}

#[test]
fn what_is_no_whole_eapol_packet_is_dropped() {
    let long = [2, 0, 0, 100];
    world().table([
        ("ethertype", to_group([])),
        ("ethertype", to_group([1, 1, 0])),
        ("ethertype", to_group([0, 1, 0, 0])),
        ("ethertype", to_group([4, 1, 0, 0])),
        ("ethertype", to_group([2, 5, 0, 0])),
        ("ethertype", to_group([2, 0, 0, 1])),
        ("ethertype", to_group([2, 0, 0xff, 0xff])),
        ("eapol out 0", to_group([&long[..], &[0; 100]].concat())),
        ("ethertype", to_group([&long[..], &[0; 99]].concat())),
        ("ethertype", to_group([&long[..], &[0; 101]].concat())),
    ]);
}

#[test]
fn nodes_prove_themselves_under_an_ordinary_stop_and_not_under_a_hard_one() {
    let mut world = world();
    world.memory.stop(Stop::Ordinary);
    world.sequence([("eapol out 0", to_group(START))]);
    world.memory.stop(Stop::Hard);
    world.sequence([("stopped", to_group(START))]);
    assert_eq!(leaves(&world, 0, 0, &eapol(OWN, CT, IDENTITY)), "stopped");
    world.memory = Memory::new(&Sizes::default());
    world.memory.authenticate_on(Port(0));
    world.sequence([("not_armed", to_group(START))]);
}

fn by(world: &World, origin: Origin, [port, tag]: [u16; 2], packet: &Packet) -> &'static str {
    let leaving = Leaving { origin, port: Port(port), tag: Vlan(tag) };
    let way = Way::Bridge { peer: Port(1) };
    let left = world.memory.leave(&packet.bytes(), leaving, way, world.now());
    left.map_or_else(DropReason::name, |passage| passage.reason.name())
}

fn leaves(world: &World, port: u16, tag: u16, packet: &Packet) -> &'static str {
    by(world, Origin::Gateway, [port, tag], packet)
}

#[test]
fn an_authenticator_speaks_in_its_own_name_on_its_own_port() {
    let world = world();
    let asks = eapol(OWN, CT, IDENTITY);
    assert_eq!(leaves(&world, 0, 0, &asks), "eapol");
    assert_eq!(leaves(&world, 0, 0, &eapol(OWN, GROUP, IDENTITY)), "eapol");
    for (port, tag, packet) in [
        (1, 0, asks.clone()),
        (0, 120, asks.clone()),
        (0, 0, eapol(STRANGER, CT, IDENTITY)),
        (0, 0, eapol(OWN, Mac::BROADCAST, IDENTITY)),
        (0, 0, eapol(OWN, CT, [2, 0, 0, 6])),
        (0, 0, eth(OWN, CT) / vlan(120).ethertype(0x888e) / payload(IDENTITY)),
    ] {
        assert_eq!(leaves(&world, port, tag, &packet), "egress", "{packet:?}");
    }
    for origin in [Origin::Port(Port(0)), Origin::Port(Port(1)), Origin::Unguarded] {
        assert_eq!(by(&world, origin, [0, 0], &asks), "egress", "{origin:?}");
    }
}
