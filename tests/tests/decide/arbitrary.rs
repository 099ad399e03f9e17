//! Frames that nobody thought of. An oracle of its own, written from the policy's model, says who a
//! passing frame came from.

use std::net::IpAddr;

use firewall_common::decide::Passage;
use firewall_common::image::MacBinding;
use firewall_common::{Addr, PassReason};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::fixture::*;

/// Frames that pass, if their predecessors have.
fn valid() -> Vec<Arrival> {
    let out4 = || ct() / ipv4(CT4, PACS4);
    let back4 = || hospital() / ipv4(PACS4, CT4);
    let out6 = || ct() / ipv6(CT6, PACS6);
    let back6 = || hospital() / ipv6(PACS6, CT6);
    let analyser = Mac::local(0x20);
    let solicitation = neighbour_solicitation(PACS6).source_link(CT);
    let advertisement = neighbour_advertisement(PACS6).target_link(ROUTER);
    vec![
        inside(out4() / tcp(40000, 104).syn()),
        outside(back4() / tcp(104, 40000).syn().ack().ack_number(1)),
        inside(out4() / tcp(40000, 104).seq(1).ack().ack_number(1) / payload(b"data")),
        inside(out6() / tcp(40000, 104).syn().options([2, 4, 5, 0xa0, 1, 3, 3, 7])),
        outside(back6() / tcp(104, 40000).syn().ack().ack_number(1)),
        inside(out4() / udp(40000, 123) / payload(b"time")),
        outside(back4() / udp(123, 40000) / payload(b"noon")),
        inside(out4() / echo_request(7, 1)),
        outside(back4() / echo_reply(7, 1)),
        outside(back4() / icmp_unreachable(&(out4() / udp(40000, 123)))),
        outside(back6() / icmp_packet_too_big(&(out6() / tcp(40000, 104).syn()), 1280)),
        inside(ct() / arp_request(CT, CT4, PACS4)),
        outside(hospital() / arp_reply(ROUTER, PACS4, CT, CT4)),
        inside(ct() / ipv6(CT6, PACS6).hop_limit(255) / solicitation),
        outside(hospital() / ipv6(PACS6, CT6).hop_limit(255) / advertisement),
        outside(eth(STRANGER, PORTAL) / vlan(30) / ipv4(VISITOR4, PORTAL4) / tcp(9, 443).syn()),
        left(eth(PIPETTE, analyser) / ipv4(PIPETTE4, ANALYSER4) / udp(9, 123)),
        right(eth(analyser, PIPETTE) / ipv4(ANALYSER4, PIPETTE4) / udp(123, 9)),
    ]
}

/// What a frame says of its sender, read as simply as can be.
struct Claimed {
    mac: [u8; 6],
    vlan: u16,
    address: IpAddr,
    is_arp_or_nd: bool,
}

fn read(frame: &[u8]) -> Option<Claimed> {
    let mac = *frame.get(6..)?.first_chunk()?;
    let tagged = frame.get(12..14)? == [0x81, 0];
    let (vlan, rest) = if tagged {
        let tag = u16::from_be_bytes(*frame.get(14..)?.first_chunk()?) & 0xfff;
        (tag, frame.get(16..)?)
    } else {
        (0, frame.get(12..)?)
    };
    let (kind, rest) = rest.split_first_chunk::<2>()?;
    let (address, is_arp_or_nd) = match u16::from_be_bytes(*kind) {
        0x0800 => (IpAddr::from(*rest.get(12..)?.first_chunk::<4>()?), false),
        0x0806 => (IpAddr::from(*rest.get(14..)?.first_chunk::<4>()?), true),
        0x86dd => {
            let is_nd = rest.get(6) == Some(&58) && matches!(rest.get(40), Some(133..=137));
            (IpAddr::from(*rest.get(8..)?.first_chunk::<16>()?), is_nd)
        }
        _ => return None,
    };
    Some(Claimed { mac, vlan, address, is_arp_or_nd })
}

/// Whether the policy knows a sender that looks like this; said otherwise than the decision does.
fn is_known(world: &World, side: Side, frame: &[u8], passage: &Passage) -> Result<(), String> {
    let Claimed { mac, vlan, address, is_arp_or_nd } = read(frame).ok_or("is no packet")?;
    let policy = &world.policy;
    let is_router = |routers: &[firewall_common::Mac]| routers.iter().any(|router| router.0 == mac);
    let owner = policy.nodes().iter().find(|node| node.addresses.contains(&Addr::from(address)));
    if let Some(node) = owner {
        let subnetwork = policy.subnetwork(node.subnetwork);
        let mac_fits = match node.mac {
            MacBinding::Exact(bound) => bound.0 == mac,
            MacBinding::Router => is_router(&subnetwork.routers),
            MacBinding::Any => true,
        };
        let fits = mac_fits && subnetwork.vlan.0 == vlan && subnetwork.port.0 == side as u16;
        return if fits { Ok(()) } else { Err(format!("is not {}", node.name)) };
    }
    // Nobody's address: a visitor, or a router of the subnetwork that answers for a gateway or
    // reports an error.
    let mut here = policy
        .subnetworks()
        .iter()
        .filter(|subnetwork| subnetwork.port.0 == side as u16 && subnetwork.vlan.0 == vlan);
    let reports = passage.reason == PassReason::Related;
    let known = here.any(|subnetwork| {
        let visits = &*subnetwork.name == "visitors"
            && subnetwork.networks.iter().any(|network| network.contains(&address));
        visits || (is_arp_or_nd || reports) && is_router(&subnetwork.routers)
    });
    if known { Ok(()) } else { Err(format!("{address} is nobody's")) }
}

/// Lets a frame in and holds what passes against the oracle.
fn hold(world: &World, side: Side, bytes: &[u8]) -> Result<bool, TestCaseError> {
    let arrival = (side, Packet::from(payload(bytes)));
    let Ok(passage) = world.decide(&arrival) else { return Ok(false) };
    let known = is_known(world, side, bytes, &passage);
    prop_assert_eq!(known, Ok(()), "{:?} {}", side, hex(bytes));
    Ok(true)
}

fn side() -> impl Strategy<Value = Side> {
    prop::sample::select(vec![Side::Inside, Side::Outside, Side::Left, Side::Right])
}

#[derive(Clone, Debug)]
enum Mutation {
    Set(prop::sample::Index, u8),
    Flip(prop::sample::Index, u8),
    Cut(prop::sample::Index),
    Extend(Vec<u8>),
    /// Over the bytes of another valid frame, from the one place to the other.
    Splice(prop::sample::Index, prop::sample::Index, usize),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        (index(), any::<u8>()).prop_map(|(at, byte)| Mutation::Set(at, byte)),
        (index(), 0..8_u32).prop_map(|(at, bit)| Mutation::Flip(at, 1 << bit)),
        index().prop_map(Mutation::Cut),
        vec(any::<u8>(), 1..40).prop_map(Mutation::Extend),
        (index(), index(), 1..24_usize)
            .prop_map(|(other, at, length)| Mutation::Splice(other, at, length)),
    ]
}

fn apply(bytes: &mut Vec<u8>, mutation: &Mutation, all: &[Arrival]) {
    if bytes.is_empty() {
        return;
    }
    let length = bytes.len();
    match mutation {
        Mutation::Set(at, byte) => bytes[at.index(length)] = *byte,
        Mutation::Flip(at, bit) => bytes[at.index(length)] ^= bit,
        Mutation::Cut(at) => bytes.truncate(at.index(length)),
        Mutation::Extend(tail) => bytes.extend(tail),
        Mutation::Splice(other, at, count) => {
            let other = other.get(all).1.bytes();
            let start = at.index(length.min(other.len()));
            let end = (start + count).min(length).min(other.len());
            bytes[start..end].copy_from_slice(&other[start..end]);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_decided_and_never_pass_from_nobody(
        frames in vec((side(), vec(any::<u8>(), 0..200)), 1..8),
    ) {
        let world = gateway();
        world.memory.forget_flows();
        for (side, bytes) in frames {
            hold(world, side, &bytes)?;
        }
    }

    #[test]
    fn a_mutated_frame_passes_only_from_the_node_it_claims_to_be(
        stray in prop::option::weighted(0.2, side()),
        picks in vec((any::<prop::sample::Index>(), vec(mutation(), 0..4)), 1..12),
    ) {
        let (world, all) = (gateway(), valid());
        world.memory.forget_flows();
        for (pick, mutations) in picks {
            // What came before opens the flows that the mutants try to ride on.
            let place = pick.index(all.len());
            for arrival in &all[place.saturating_sub(2)..place] {
                hold(world, arrival.0, &arrival.1.bytes())?;
            }
            let (side, packet) = &all[place];
            let mut bytes = packet.bytes();
            for mutation in &mutations {
                apply(&mut bytes, mutation, &all);
            }
            hold(world, stray.unwrap_or(*side), &bytes)?;
        }
    }
}

/// Compiled once a thread.
fn gateway() -> &'static World {
    thread_local! {
        static WORLD: &'static World = Box::leak(Box::new(World::new()));
    }
    WORLD.with(|world| *world)
}

#[test]
fn the_frames_that_mutants_are_made_of_pass() {
    let world = World::new();
    for arrival in valid() {
        assert!(hold(&world, arrival.0, &arrival.1.bytes()).unwrap(), "{arrival:?}");
    }
}
