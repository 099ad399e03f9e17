//! A router's program against the same decision in host memory. It knows no route, so that whatever
//! may pass is left to the kernel as it came.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use firewall_common::{DropReason, Mac, PassReason};
use firewall_tests::packet::internet_checksum;

use crate::differential::{Pair, SESSION, session};
use crate::policies::routed;
use crate::random::{Random, is_thorough, sessions};
use crate::talk::Talk;

/// One in each of the networks that random policies have.
pub(crate) fn own_addresses() -> impl Iterator<Item = IpAddr> {
    let addresses = (0..6).flat_map(|number| {
        let six = Ipv6Addr::new(0xfd00, number, 0, 0, 0, 0, 0, 0xfe);
        [Ipv4Addr::new(10, number.to_be_bytes()[1], 0, 14).into(), six.into()]
    });
    addresses.chain([Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0xfe).into()])
}

/// Now and then it is the gateway that is spoken to. Those of the wide network have addresses that no
/// other network holds.
pub(crate) fn turn(random: &mut Random, talk: &mut Talk) {
    for end in [&mut talk.near, &mut talk.far] {
        if end.vlan == WIDE && end.address.is_ipv4() {
            end.address = Ipv4Addr::new(10, 9, 0, 13).into();
        }
    }
    if random.once_in(8) {
        let is_v4 = talk.near.address.is_ipv4();
        let own: Vec<_> = own_addresses().filter(|address| address.is_ipv4() == is_v4).collect();
        talk.far.address = *random.pick(&own);
    }
}

/// The tag of the wide network.
pub(crate) const WIDE: u16 = 99;

/// Mostly to the gateway's MAC, as everything that a router is to forward; now and then it has come a
/// long way.
pub(crate) fn address(random: &mut Random, frame: &mut [u8], mac: Mac) {
    if random.once_in(30) || frame.len() < 14 {
        return;
    }
    frame[..6].copy_from_slice(&mac.0);
    let network = if frame[12..14] == [0x81, 0] { 18 } else { 14 };
    let hops = match frame[network - 2..network] {
        [8, 0] => Some(network + 8),
        [0x86, 0xdd] => Some(network + 7),
        _ => None,
    };
    if let Some(hops) = hops.filter(|_| random.once_in(15)).and_then(|at| frame.get_mut(at)) {
        *hops = *random.pick(&[1, 2]);
    }
    renumber(random, &mut frame[network..]);
    const ARP_REPLY: [u8; 8] = [0, 1, 8, 0, 6, 4, 0, 2];
    if frame.get(network..network + 8) == Some(&ARP_REPLY)
        && let Some(target) = frame.get_mut(network + 18..network + 24)
    {
        target.copy_from_slice(&mac.0);
    }
}

/// Gives an IPv4 packet another identification, so that all checksums are tried.
fn renumber(random: &mut Random, packet: &mut [u8]) {
    let Some(header) = packet.first_chunk_mut::<20>().filter(|header| header[0] == 0x45) else {
        return;
    };
    header[4..6].copy_from_slice(&random.bytes(2));
    header[10..12].fill(0);
    let checksum = internet_checksum(&[header.as_slice()]);
    header[10..12].copy_from_slice(&checksum.to_be_bytes());
}

#[test]
fn a_routers_program_decides_as_the_same_decision_does_in_host_memory() {
    let tally =
        sessions("the same decision of a router", SESSION, Pair::router, |pair, seed, tally| {
            let mut random = Random::new(!seed);
            let policies: Vec<_> = (0..2).map(|_| routed(&mut random)).collect();
            session(pair, seed, &policies, tally);
        });
    let told: BTreeSet<_> = tally.told.keys().copied().collect();
    // What nothing gives yet, what other tests have (the table of flows is a bridge's, too), and
    // what a router without routes does not say.
    let elsewhere = [
        DropReason::Application,
        DropReason::FlowLimit,
        DropReason::RedirectFailed,
        DropReason::NotArmed,
        DropReason::Egress,
        DropReason::NoRoute,
        DropReason::FlowTableFull,
    ];
    let drops = DropReason::ALL.iter().filter(|reason| !elsewhere.contains(reason));
    let all = PassReason::ALL.iter().map(|reason| reason.name());
    let all: BTreeSet<_> = all.chain(drops.map(|reason| reason.name())).collect();
    if is_thorough() {
        let missing: Vec<_> = all.difference(&told).collect();
        assert!(missing.is_empty(), "the frames are not varied enough for {missing:?}");
    }
}
