use super::*;
use crate::{Addr, NodeSlot, RuleSlot};
use core::net::Ipv4Addr;

#[test]
fn a_header_survives_its_line() {
    let header = Header {
        seed: 0x0123_4567_89ab_cdef,
        identity_base: 1,
        identity_buckets: 2,
        rule_base: 3,
        rule_buckets: 4,
        service_base: 5,
        subnetwork_base: 6,
        shapes: 0x8421,
        echo: Service(9),
        any_prefix_lengths: [120, 112, 64, 0, 0, 0, 0, 0],
        lines: 70_000,
        policy: 42,
        tolerance: Tolerance::HOP_BY_HOP,
    };
    assert_eq!(Header::decode(&header.encode()), header);
}

#[test]
fn a_subnetwork_keeps_all_eight_routers() {
    let mut routers = [Mac::default(); ROUTERS_PER_SUBNETWORK];
    for (index, router) in (0..).zip(routers.iter_mut()) {
        *router = Mac([2, 0, 0x5e, 0xa1, 0xb2, index]);
    }
    let (port, vlan, gateway) = (Port(1), Vlan(120), SubnetworkSlot(3));
    let tolerance = Tolerance::from_bits(u16::MAX);
    let line = Subnetwork { port, vlan, gateway, tolerance, routers }.encode();
    let decoded = Subnetwork::decode(&line);
    assert_eq!((decoded.port, decoded.vlan, decoded.gateway), (port, vlan, gateway));
    assert_eq!(decoded.tolerance, tolerance);
    assert!(routers.iter().all(|&router| Subnetwork::has_router(&line, router)));
    assert!(!Subnetwork::has_router(&line, Mac([2, 0, 0x5e, 0xa1, 0xb2, 9])));
    assert!(!Subnetwork::has_router(&Subnetwork::default().encode(), Mac::default()));
}

#[test]
fn an_identity_is_found_in_either_place_of_its_bucket() {
    let node = Identity {
        kind: Kind::Node,
        address: Ipv4Addr::new(10, 20, 0, 11).into(),
        mac: MacBinding::Exact(Mac([2, 0, 0, 0x20, 0, 0x11])),
        subnetwork: SubnetworkSlot(7),
        node: NodeSlot(70_000),
        class: 5,
        lease: true,
        enrols: true,
    };
    let network = Identity {
        kind: Kind::Network { length: 120, port: Port(1) },
        address: Ipv4Addr::new(10, 20, 0, 0).into(),
        mac: MacBinding::Any,
        subnetwork: SubnetworkSlot(8),
        node: NodeSlot(0),
        class: 0,
        lease: false,
        enrols: false,
    };
    let mut line = Line::default();
    line.0[..4].copy_from_slice(&network.encode());
    line.0[4..].copy_from_slice(&node.encode());
    let party = Party::find_node(&line, node.address).unwrap();
    assert_eq!(
        (party.subnetwork(), party.node(), party.class()),
        (SubnetworkSlot(7), NodeSlot(70_000), 5)
    );
    assert_eq!(party.mac(), node.mac);
    assert!(party.needs_lease() && party.enrols() && party.is_node());
    let party = Party::find_network(&line, network.address, 120, Port(1)).unwrap();
    assert_eq!(party.subnetwork(), SubnetworkSlot(8));
    assert!(!party.is_node());
    assert_eq!(Party::find_network(&line, network.address, 120, Port(0)), None);
    assert_eq!(Party::find_node(&line, network.address), None);
}

#[test]
fn an_empty_bucket_answers_nobody() {
    let line = Line::default();
    assert_eq!(Party::find_node(&line, Addr::UNSPECIFIED), None);
    assert_eq!(Party::find_network(&line, Addr::UNSPECIFIED, 0, Port(0)), None);
    let nobody = Selector::node(NodeSlot(0));
    assert_eq!(RuleEntry::find(&line, nobody, nobody, Service::NONE), None);
}

#[test]
fn a_rule_entry_answers_its_own_question_only() {
    let entry = RuleEntry {
        from: Selector::class(3),
        to: Selector::node(NodeSlot(9)),
        service: Service(4),
        rule: RuleSlot(77),
        essential: true,
    };
    let mut line = Line::default();
    line.0[6..].copy_from_slice(&entry.encode());
    let allowed = Some(Allowed { rule: RuleSlot(77), essential: true });
    assert_eq!(RuleEntry::find(&line, entry.from, entry.to, entry.service), allowed);
    assert_eq!(RuleEntry::find(&line, entry.to, entry.from, entry.service), None);
    assert_eq!(RuleEntry::find(&line, entry.from, entry.to, Service(5)), None);
}
