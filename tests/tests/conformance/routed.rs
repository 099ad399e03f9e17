//! A router's program among real routes, with an interface in place of the ward's VLAN device, which not
//! every kernel has.

use std::collections::HashMap;
use std::sync::Once;

use firewall_common::abi::Attachment;
use firewall_common::{Port, Vlan};
use firewall_daemon::dataplane::interface::Interface;
use firewall_policy::{Capacity, Ports, SequentialSlots, Sources, compile, resolve};
use firewall_tests::lab::{Lab, Link};
use firewall_tests::runner::action;

use crate::gateway::{FLOWS, Gateway, PORTS, Ran};
use crate::row::{HOSPITAL, Mac, Mode, POLICY, WARD, Way, udp};

/// See the [module](self).
pub(crate) struct Routed {
    gateway: Gateway,
}

/// A router's ports are in the order of their names.
const INSIDE: Port = Port(0);
const OUTSIDE: Port = Port(2);

/// What stands for the ward's port and tag.
const STAND_IN: &str = "ward";

impl Routed {
    pub(crate) fn new() -> Self {
        let mut interfaces = HashMap::new();
        let gateway = Gateway::routing(FLOWS, |lab| {
            static ONCE: Once = Once::new();
            ONCE.call_once(|| settle(lab));
            let index = |name| Link::existing(lab.gateway(), name).index();
            interfaces.insert(index(STAND_IN), Attachment::new(INSIDE, Vlan(WARD.vlan)));
            interfaces.insert(index("outside"), Attachment::new(OUTSIDE, Vlan(HOSPITAL.vlan)));
        });
        gateway.trial.set_interfaces(&interfaces).unwrap();
        for (port, gate) in [(INSIDE, WARD.gate), (OUTSIDE, HOSPITAL.gate)] {
            gateway.trial.set_port(port, firewall_common::Mac(gate.mac.octets()), 1500);
            for address in [gate.v4, gate.v6] {
                gateway
                    .trial
                    .add_local(address.parse::<std::net::IpAddr>().unwrap().into())
                    .unwrap();
            }
        }
        let mut ports = PORTS.map(str::to_owned);
        ports.sort_unstable();
        let sources = Sources::from_texts([("policy.toml", POLICY)]);
        let Ok(resolved) = resolve(&sources, &Ports::routed(ports)) else {
            panic!("the policy is not valid")
        };
        let mut slots = SequentialSlots::new();
        let image = compile(&resolved.policy, &mut slots, 0x5eed, &Capacity::default()).unwrap();
        gateway.reset(&image);
        Self { gateway }
    }

    pub(crate) fn forget_flows(&self) {
        self.gateway.trial.forget_flows().unwrap();
    }

    /// The verdict, and what leaves unless it is left to the kernel.
    pub(crate) fn run(&self, is_out: bool, frame: &[u8]) -> (&'static str, Option<Vec<u8>>) {
        let Ran { verdict, action, output } =
            self.gateway.ran(if is_out { INSIDE } else { OUTSIDE }, frame);
        (verdict.name(), (action == action::REDIRECT).then_some(output))
    }
}

/// Routes and neighbours, once for all tests.
fn settle(lab: &Lab) {
    let near = (lab.gateway(), STAND_IN, Mac::local(0x101));
    let (ward, _) = Link::pair(near, (lab.gateway(), "ward-end", Mac::local(0x102)));
    for (link, end) in [(&ward, WARD), (lab.outside(), HOSPITAL)] {
        link.address(&format!("{}/24", end.gate.v4));
        link.address(&format!("{}/64", end.gate.v6));
        link.neighbour(end.v4, end.mac);
        link.neighbour(end.v6, end.mac);
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
