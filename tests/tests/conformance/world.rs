//! What the numbered checks stand on: the hospital of the decision's tests behind a bridge or behind a
//! router. Frames are written once, for a bridge; those for a router are addressed to the port that they
//! come in on, and leave it with one hop less.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::IpAddr;

use firewall_policy::explain::Sizes;

use crate::fixture::{self, forwarded, tag};
pub(crate) use crate::fixture::{
    Arrival, CT, CT4, CT6, MONITOR4, MR, MR4, MR6, PACS4, PACS6, POLICY, PORTAL, PORTAL4, ROUTER,
    STRANGER, VISITOR4, WORKSTATION, WORKSTATION4, ct, hospital, inside, outside,
};
use crate::hospital::Side;
use crate::routed::{Routed, next_hop};
pub(crate) use crate::row::Mode;
use crate::row::{Beside, HOSPITAL, WARD};
pub(crate) use firewall_tests::packet::*;

/// Makes a test of each check for a bridge, and one for a router.
macro_rules! in_both_modes {
    ($($check:ident),+ $(,)?) => {
        mod a_bridge {
            use crate::row::Mode;

            $(#[test] fn $check() { super::$check(Mode::Bridge) })+
        }

        mod a_router {
            use crate::row::Mode;

            $(#[test] fn $check() { super::$check(Mode::Router) })+
        }
    };
}
pub(crate) use in_both_modes;

/// A gateway that stands as a check says, its clock and its ledger.
pub(crate) struct World {
    gateway: Gateway,
    ledger: RefCell<BTreeMap<String, u32>>,
}

enum Gateway {
    Bridge(Box<fixture::World>),
    Router(Box<Routed>),
}

impl World {
    pub(crate) fn new(mode: Mode) -> Self {
        Self::under(mode, POLICY)
    }

    pub(crate) fn under(mode: Mode, text: &str) -> Self {
        let gateway = match mode {
            Mode::Bridge => {
                Gateway::Bridge(Box::new(fixture::World::under(text, &Sizes::default())))
            }
            Mode::Router => Gateway::Router(Box::new(Routed::under(&of_one_network_each(text)))),
        };
        Self { gateway, ledger: RefCell::default() }
    }

    /// Like `opened out 120`, or the reason of the drop.
    pub(crate) fn told(&self, arrival: &Arrival) -> String {
        let told = match &self.gateway {
            Gateway::Bridge(world) => world.told(arrival),
            Gateway::Router(router) => routed(router, arrival),
        };
        let reason = told.split(' ').next().unwrap().to_owned();
        *self.ledger.borrow_mut().entry(reason).or_default() += 1;
        told
    }

    /// One after the other; what one leaves behind, the next finds.
    #[track_caller]
    pub(crate) fn sequence<const N: usize>(&self, rows: [(&str, Arrival); N]) {
        for (index, (expected, arrival)) in rows.iter().enumerate() {
            assert_eq!(self.told(arrival), *expected, "step {}: {arrival:?}", index + 1);
        }
    }

    /// Each alone.
    #[track_caller]
    pub(crate) fn table<const N: usize>(&self, rows: [(&str, Arrival); N]) {
        for (index, row) in rows.into_iter().enumerate() {
            self.forget_flows();
            assert_eq!(self.told(&row.1), row.0, "row {}: {:?}", index + 1, row.1);
        }
    }

    pub(crate) fn wait(&self, seconds: u32) {
        match &self.gateway {
            Gateway::Bridge(world) => world.wait(seconds),
            Gateway::Router(router) => router.wait(seconds),
        }
    }

    pub(crate) fn forget_flows(&self) {
        match &self.gateway {
            Gateway::Bridge(world) => world.memory.gateway.trial.forget_flows().unwrap(),
            Gateway::Router(router) => router.forget_flows(),
        }
    }

    /// The flows that are half-open, and those that are established.
    pub(crate) fn flow_counts(&self) -> (usize, usize) {
        match &self.gateway {
            Gateway::Bridge(world) => world.memory.flow_counts(),
            Gateway::Router(router) => router.flow_counts(),
        }
    }

    /// Everything that has happened since it was last asked.
    pub(crate) fn ledger(&self) -> String {
        let ledger = self.ledger.take();
        let lines = ledger.iter().map(|(reason, count)| format!("{reason} {count}"));
        lines.collect::<Vec<_>>().join(", ")
    }
}

impl Mode {
    /// What the two rightly tell apart.
    pub(crate) const fn either<'a>(self, bridge: &'a str, router: &'a str) -> &'a str {
        match self {
            Self::Bridge => bridge,
            Self::Router => router,
        }
    }
}

/// Without the second pair of ports, which have one network between them: no router tells such two
/// apart.
fn of_one_network_each(text: &str) -> String {
    let is_known =
        |block: &&str| !["bench", "analyser", "samples"].iter().any(|name| block.contains(name));
    text.split("\n\n").filter(is_known).collect::<Vec<_>>().join("\n\n")
}

fn routed(router: &Routed, (side, packet): &Arrival) -> String {
    let (is_out, from, to) = match side {
        Side::Inside => (true, WARD.gate, HOSPITAL.gate),
        Side::Outside => (false, HOSPITAL.gate, WARD.gate),
        Side::Left | Side::Right => panic!("a router has no {side:?}: {packet:?}"),
    };
    let frame = addressed(packet, from);
    let (verdict, left) = router.run(is_out, &frame);
    if firewall_common::PassReason::from_name(verdict).is_none() {
        return verdict.to_owned();
    }
    let Some(left) = left else { return format!("{verdict} to the kernel") };
    let egress = tag(&left);
    let macs = [to.mac, next_hop(destination(&frame))].map(Mac::octets);
    assert_eq!(hex(&left), hex(&forwarded(&frame, macs, egress)), "{packet:?}");
    format!("{verdict} out {egress}")
}

/// To the gateway's MAC there, but for what is for a group.
fn addressed(packet: &Packet, gate: Beside) -> Vec<u8> {
    let mut frame = packet.bytes();
    if frame[0] & 1 == 0 {
        frame[..6].copy_from_slice(&gate.mac.octets());
    }
    frame
}

fn destination(frame: &[u8]) -> IpAddr {
    let packet = &frame[if tag(frame) == 0 { 14 } else { 18 }..];
    match packet[0] >> 4 {
        4 => IpAddr::from(<[u8; 4]>::try_from(&packet[16..20]).unwrap()),
        _ => IpAddr::from(<[u8; 16]>::try_from(&packet[24..40]).unwrap()),
    }
}
