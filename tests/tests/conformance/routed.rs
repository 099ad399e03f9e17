//! A router's program among real routes, with an interface in place of the ward's VLAN device, which not
//! every kernel has.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Once;

use firewall_common::abi::Attachment;
use firewall_common::{Port, Vlan};
use firewall_daemon::dataplane::interface::Interface;
use firewall_policy::model::Subnetwork;
use firewall_policy::{Capacity, Ports, SequentialSlots, Sources, Style, compile, resolve};
use firewall_tests::lab::{Lab, Link};
use firewall_tests::runner::action;

use crate::gateway::{FLOWS, Gateway, PORTS, Ran};
use crate::hospital::{MONITOR4, PORTAL, PORTAL4, STRANGER, VISITOR4};
use crate::row::{End, HOSPITAL, Mac, Mode, POLICY, WARD, Way, udp};

/// See the [module](self).
pub(crate) struct Routed {
    gateway: Gateway,
}

/// A router's ports are in the order of their names.
const INSIDE: Port = Port(0);
const OUTSIDE: Port = Port(2);

/// What stands for the ward's port and tag, and for those of the guests.
const STAND_INS: [&str; 2] = ["ward", "guests"];

/// The other hosts that frames may leave for, and where they are.
const NEIGHBOURS: [(&str, &str, Mac); 3] = [
    ("ward", PORTAL4, PORTAL),
    ("outside", MONITOR4, HOSPITAL.neighbour_mac),
    ("guests", VISITOR4, STRANGER),
];

impl Routed {
    /// Under the table's policy.
    pub(crate) fn new() -> Self {
        Self::under(POLICY)
    }

    /// Under a policy whose subnetworks are the ward, the hospital and its guests.
    pub(crate) fn under(text: &str) -> Self {
        let mut ports = PORTS.map(str::to_owned);
        ports.sort_unstable();
        let sources = Sources::from_texts([("policy.toml", text)]);
        let policy = match resolve(&sources, &Ports::routed(ports)) {
            Ok(resolved) => resolved.policy,
            Err(found) => panic!("{}", found.render(&sources, Style::Plain)),
        };
        let mut interfaces = HashMap::new();
        let gateway = Gateway::routing(FLOWS, |lab| {
            static ONCE: Once = Once::new();
            ONCE.call_once(|| settle(lab));
            for Subnetwork { port, vlan, .. } in policy.subnetworks() {
                let link = Link::existing(lab.gateway(), stand_in(*port, *vlan));
                interfaces.insert(link.index(), Attachment::new(*port, *vlan));
            }
        });
        gateway.trial.set_interfaces(&interfaces).unwrap();
        for (port, gate) in [(INSIDE, WARD.gate), (OUTSIDE, HOSPITAL.gate)] {
            gateway.trial.set_port(port, firewall_common::Mac(gate.mac.octets()), 1500);
            for address in [gate.v4, gate.v6] {
                gateway.trial.add_local(address.parse::<IpAddr>().unwrap().into()).unwrap();
            }
        }
        let mut slots = SequentialSlots::new();
        let image = compile(&policy, &mut slots, 0x5eed, &Capacity::default()).unwrap();
        gateway.reset(&image);
        Self { gateway }
    }

    pub(crate) fn forget_flows(&self) {
        self.gateway.trial.forget_flows().unwrap();
    }

    pub(crate) fn wait(&self, seconds: u32) {
        self.gateway.trial.age(seconds * self.gateway.hz()).unwrap();
    }

    /// The flows that are half-open, and those that are established.
    pub(crate) fn flow_counts(&self) -> (usize, usize) {
        self.gateway.flow_counts()
    }

    /// The verdict, and what leaves unless it is left to the kernel.
    pub(crate) fn run(&self, is_out: bool, frame: &[u8]) -> (&'static str, Option<Vec<u8>>) {
        let Ran { verdict, action, output } =
            self.gateway.ran(if is_out { INSIDE } else { OUTSIDE }, frame);
        (verdict.name(), (action == action::REDIRECT).then_some(output))
    }
}

/// The interface in place of a subnetwork's port and tag.
fn stand_in(port: Port, vlan: Vlan) -> &'static str {
    match (port, vlan) {
        (INSIDE, _) => STAND_INS[0],
        (_, Vlan::UNTAGGED) => "outside",
        (_, _) => STAND_INS[1],
    }
}

/// Whom the kernel sends what is for that address.
pub(crate) fn next_hop(address: IpAddr) -> Mac {
    let ends = [WARD, HOSPITAL].into_iter();
    let ends = ends.flat_map(|End { v4, v6, mac, .. }| [(v4, mac), (v6, mac)]);
    let others = NEIGHBOURS.iter().map(|(_, text, mac)| (*text, *mac));
    let is_it = |(text, _): &(&str, Mac)| text.parse() == Ok(address);
    let Some((_, mac)) = ends.chain(others).find(is_it) else { panic!("nobody has {address}") };
    mac
}

/// Routes and neighbours, once for all tests.
fn settle(lab: &Lab) {
    let [ward, guests] = [(STAND_INS[0], 0x101), (STAND_INS[1], 0x103)].map(|(name, number)| {
        let near = (lab.gateway(), name, Mac::local(number));
        let end = format!("{name}-end");
        Link::pair(near, (lab.gateway(), &end, Mac::local(number + 1))).0
    });
    for (link, end) in [(&ward, WARD), (lab.outside(), HOSPITAL)] {
        link.address(&format!("{}/24", end.gate.v4));
        link.address(&format!("{}/64", end.gate.v6));
        link.neighbour(end.v4, end.mac);
        link.neighbour(end.v6, end.mac);
    }
    guests.address("172.16.0.1/24");
    let links = [&ward, lab.outside(), &guests];
    for (name, address, mac) in NEIGHBOURS {
        links.iter().find(|link| link.name() == name).unwrap().neighbour(address, mac);
    }
    for link in links {
        lab.gateway().run(|| Interface::new(link.name()).forward()).unwrap();
    }
}

#[test]
fn a_header_checksum_never_becomes_minus_zero() {
    let router = Routed::new();
    let way = Way::out(Mode::Router, WARD, 1);
    // One hop less makes 0xffff of this by RFC 1141's sum, and 0 by RFC 1624's.
    let is_telling = |frame: &Vec<u8>| frame[28..30] == [0xfe, 0xff];
    let frames = (0..=u16::MAX).map(|number| {
        let header = way.v4().identification(number);
        (way.link() / header / udp(40_000, 123)).bytes()
    });
    let frame = frames.into_iter().find(is_telling).unwrap();
    let (verdict, left) = router.run(true, &frame);
    assert_eq!(verdict, "opened");
    assert_eq!(left.unwrap()[24..26], [0, 0]);
}
