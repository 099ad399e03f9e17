//! A router's program against the same decision in host memory. It knows no route, so that whatever
//! may pass is left to the kernel as it came.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use firewall_common::{DropReason, PassReason};
use firewall_policy::explain::Memory;

use crate::differential::{Pair, SESSION, session};
use crate::policies::routed;
use crate::random::{Random, is_thorough, sessions};
use crate::talk::{Sent, Talk};

/// One in each of the networks that random policies have.
pub(crate) fn own_addresses() -> impl Iterator<Item = IpAddr> {
    let addresses = (0..6).flat_map(|number| {
        let six = Ipv6Addr::new(0xfd00, number, 0, 0, 0, 0, 0, 0xfe);
        [Ipv4Addr::new(10, number.to_be_bytes()[1], 0, 14).into(), six.into()]
    });
    addresses.chain([Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0xfe).into()])
}

/// Now and then it is the gateway that is spoken to.
pub(crate) fn turn(random: &mut Random, talk: &mut Talk) {
    if random.once_in(4) {
        let is_v4 = talk.near.address.is_ipv4();
        let own: Vec<_> = own_addresses().filter(|address| address.is_ipv4() == is_v4).collect();
        talk.far.address = *random.pick(&own);
    }
}

/// Mostly to the gateway's MAC, as everything that a router is to forward.
pub(crate) fn address(random: &mut Random, (_, frame): &mut Sent) {
    if random.once_in(30) || frame.len() < 14 {
        return;
    }
    frame[..6].copy_from_slice(&Memory::MAC.0);
    let network = if frame[12..14] == [0x81, 0] { 18 } else { 14 };
    const ARP_REPLY: [u8; 8] = [0, 1, 8, 0, 6, 4, 0, 2];
    if frame.get(network..network + 8) == Some(&ARP_REPLY)
        && let Some(target) = frame.get_mut(network + 18..network + 24)
    {
        target.copy_from_slice(&Memory::MAC.0);
    }
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
