//! A router: a trunk with two subnetworks on it, the hospital's routers, and a laboratory. What leaves
//! is written `opened trunk.130 monitor`: the reason, the port and the tag on the way out, and whose
//! MAC it is sent to.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::IpAddr;

use firewall_common::abi::Stop;
use firewall_common::decide::{Exit, Leaving, Origin, Passage};
use firewall_common::tables::{Route, Way};
use firewall_common::{Addr, DropReason, Hop, NodeSlot, Port, SubnetworkSlot, Ticks, Vlan};
use firewall_policy::explain::{Memory, Sizes};
use firewall_policy::{
    Capacity, Image, Policy, Ports, SequentialSlots, Sources, Style, compile, resolve,
};
use firewall_tests::packet::*;

mod enrolment;
mod errors;
mod fragments;
mod leaving;
mod neighbours;
mod packets;
mod standing;

/// The hospital's networks hold everybody else's.
const POLICY: &str = r#"
version = 1

[subnetwork.radiology]
port = "trunk"
vlan = 120
networks = ["10.20.0.0/24", "fd00:20::/64"]

[subnetwork.wards]
port = "trunk"
vlan = 130
networks = ["10.30.0.0/24", "fd00:30::/64"]

[subnetwork.hospital]
port = "outside"
networks = ["10.0.0.0/8", "fd00::/16"]
routers = ["02:00:5e:00:00:fe", "02:00:5e:00:00:fd"]

[subnetwork.laboratory]
port = "side"
networks = ["192.168.7.0/24", "fd00:7::/64"]

[node.ct]
subnetwork = "radiology"
addresses = ["10.20.0.11", "fd00:20::11"]
mac = "02:00:00:20:00:11"
roles = ["modality"]

[node.mr]
subnetwork = "radiology"
addresses = ["10.20.0.12"]
mac = "02:00:00:20:00:12"
roles = ["modality"]

[node.workstation]
subnetwork = "radiology"
addresses = ["10.20.0.21"]
mac = "02:00:00:20:00:21"
authentication = "802.1x"
identity = "workstation"

[node.monitor]
subnetwork = "wards"
addresses = ["10.30.0.30", "fd00:30::30"]
mac = "02:00:00:30:00:30"

[node.pacs]
subnetwork = "hospital"
addresses = ["10.0.5.20", "fd00:1::20"]

[node.admin]
subnetwork = "laboratory"
addresses = ["192.168.7.10", "fd00:7::10"]
mac = "02:00:00:07:00:10"

[application.dicom]
tcp = ["104"]
[application.web]
tcp = ["443"]
[application.ntp]
udp = ["123"]
[application.alarm]
tcp = ["5001"]
udp = ["5000"]
[application.ping]
icmp = ["echo"]

[[allow]]
name = "images"
from = ["radiology/modality"]
to = ["pacs"]
applications = ["dicom", "ping", "ntp"]

[[allow]]
name = "alarms"
from = ["ct"]
to = ["monitor"]
applications = ["alarm"]
essential = true

[[allow]]
name = "reading"
from = ["workstation"]
to = ["pacs"]
applications = ["web"]

[[allow]]
name = "browsing"
from = ["wards/any"]
to = ["hospital/any"]
applications = ["web", "ping"]

[[allow]]
name = "paging"
from = ["hospital/any"]
to = ["monitor"]
applications = ["alarm"]

[[allow]]
name = "administration"
from = ["admin"]
to = ["gateway"]
applications = ["web", "ping"]

[[allow]]
name = "time"
from = ["gateway"]
to = ["pacs"]
applications = ["ntp", "ping"]

[[allow]]
name = "own alarms"
from = ["gateway"]
to = ["monitor"]
applications = ["alarm"]
essential = true
"#;

const CT: Mac = Mac([2, 0, 0, 0x20, 0, 0x11]);
const MR: Mac = Mac([2, 0, 0, 0x20, 0, 0x12]);
const WORKSTATION: Mac = Mac([2, 0, 0, 0x20, 0, 0x21]);
const MONITOR: Mac = Mac([2, 0, 0, 0x30, 0, 0x30]);
const ADMIN: Mac = Mac([2, 0, 0, 7, 0, 0x10]);
const ROUTER: Mac = Mac([2, 0, 0x5e, 0, 0, 0xfe]);
const OTHER_ROUTER: Mac = Mac([2, 0, 0x5e, 0, 0, 0xfd]);
/// Nobody's.
const STRANGER: Mac = Mac([2, 0, 0, 0xee, 0, 1]);
/// The ports' own.
const TRUNK: Mac = Mac([2, 0, 0, 0, 0, 1]);
const OUTSIDE: Mac = Mac([2, 0, 0, 0, 0, 2]);
const SIDE: Mac = Mac([2, 0, 0, 0, 0, 3]);

const CT4: &str = "10.20.0.11";
const CT6: &str = "fd00:20::11";
const MR4: &str = "10.20.0.12";
const WORKSTATION4: &str = "10.20.0.21";
const MONITOR4: &str = "10.30.0.30";
const MONITOR6: &str = "fd00:30::30";
/// Somebody of the wards without a name, and of the hospital.
const VISITOR4: &str = "10.30.0.99";
const PHONE4: &str = "10.0.9.9";
const PACS4: &str = "10.0.5.20";
const PACS6: &str = "fd00:1::20";
const ADMIN4: &str = "192.168.7.10";
const ADMIN6: &str = "fd00:7::10";

/// The gateway's own addresses, by subnetwork.
const RADIOLOGY_GATE4: &str = "10.20.0.1";
const RADIOLOGY_GATE6: &str = "fd00:20::1";
const WARDS_GATE4: &str = "10.30.0.1";
const HOSPITAL_GATE4: &str = "10.0.0.1";
const HOSPITAL_GATE6: &str = "fd00:1::1";
const SIDE_GATE4: &str = "192.168.7.1";
const SIDE_GATE6: &str = "fd00:7::1";
const LINK_GATE6: &str = "fe80::1";

const PORTS: [(&str, Mac); 3] = [("trunk", TRUNK), ("outside", OUTSIDE), ("side", SIDE)];

/// What each puts in front of a packet for the gateway.
fn ct() -> Packet {
    eth(CT, TRUNK) / vlan(120)
}

fn monitor() -> Packet {
    eth(MONITOR, TRUNK) / vlan(130)
}

fn hospital() -> Packet {
    eth(ROUTER, OUTSIDE).into()
}

fn admin() -> Packet {
    eth(ADMIN, SIDE).into()
}

/// A frame that comes in on a port, or that the kernel sends.
#[derive(Clone, Debug)]
enum Arrival {
    In(u16, Packet),
    Out(Leaving, Packet),
}

fn trunk(packet: impl Into<Packet>) -> Arrival {
    Arrival::In(0, packet.into())
}

fn outside(packet: impl Into<Packet>) -> Arrival {
    Arrival::In(1, packet.into())
}

fn side(packet: impl Into<Packet>) -> Arrival {
    Arrival::In(2, packet.into())
}

struct World {
    memory: Memory,
    policy: Policy,
    image: Image,
    slots: SequentialSlots,
    now: Cell<u64>,
    ledger: RefCell<BTreeMap<&'static str, u32>>,
}

impl World {
    fn new() -> Self {
        Self::with(&Sizes::default())
    }

    fn with(sizes: &Sizes) -> Self {
        let mut slots = SequentialSlots::new();
        let (policy, image) = compiled(POLICY, &mut slots);
        let mut memory = Memory::new(sizes);
        memory.publish(&image);
        for (number, (_, mac)) in (0..).zip(PORTS) {
            memory.set_port(Port(number), firewall_common::Mac(mac.octets()), 1500);
        }
        let gates = [RADIOLOGY_GATE4, RADIOLOGY_GATE6, WARDS_GATE4, HOSPITAL_GATE4];
        for gate in gates.into_iter().chain([HOSPITAL_GATE6, SIDE_GATE4, SIDE_GATE6, LINK_GATE6]) {
            memory.add_local(address(gate));
        }
        let (now, ledger) = (Cell::new(1_000_000), RefCell::default());
        let mut world = Self { memory, policy, image, slots, now, ledger };
        world.route([CT4, CT6], hop(CT));
        world.route([MR4], hop(MR));
        world.route([WORKSTATION4], hop(WORKSTATION));
        world.route([MONITOR4, MONITOR6], hop(MONITOR));
        world.route([VISITOR4], hop(STRANGER));
        world.route([PACS4, PACS6, PHONE4], hop(ROUTER));
        world.route([ADMIN4, ADMIN6], hop(ADMIN));
        world
    }

    /// What the kernel's routes say from now on.
    fn route<const N: usize>(&mut self, destinations: [&str; N], route: Route) {
        for destination in destinations {
            self.memory.set_route(address(destination), route);
        }
    }

    /// Another policy comes into force.
    fn reload(&mut self, text: &str) {
        let (policy, image) = compiled(text, &mut self.slots);
        self.memory.publish(&image);
        (self.policy, self.image) = (policy, image);
    }

    /// Lets seconds pass, of a thousand ticks each.
    fn wait(&self, seconds: u64) {
        self.now.set(self.now.get() + 1000 * seconds);
    }

    fn now(&self) -> Ticks {
        Ticks(self.now.get())
    }

    fn node(&self, name: &str) -> NodeSlot {
        self.image.names.node_slot(self.policy.node_named(name).unwrap())
    }

    fn subnetwork(&self, name: &str) -> SubnetworkSlot {
        self.image.names.subnetwork_slot(self.policy.subnetwork_named(name).unwrap())
    }

    fn stop_subnetwork(&self, name: &str, stop: Stop) {
        self.memory.stop_subnetwork(self.subnetwork(name), stop);
    }

    fn told(&self, arrival: &Arrival) -> String {
        let now = self.now();
        let result = match arrival {
            Arrival::In(port, packet) => {
                self.memory.decide(&packet.bytes(), Port(*port), Way::Router, now)
            }
            Arrival::Out(leaving, packet) => {
                self.memory.leave(&packet.bytes(), *leaving, Way::Router, now)
            }
        };
        let name = result.map_or_else(DropReason::name, |passage| passage.reason.name());
        *self.ledger.borrow_mut().entry(name).or_default() += 1;
        match result {
            Ok(Passage { reason, exit, .. }) => format!("{reason} {}", way_out(exit)),
            Err(reason) => reason.to_string(),
        }
    }

    /// One after the other; what one leaves behind, the next finds.
    #[track_caller]
    fn sequence<const N: usize>(&self, rows: [(&str, Arrival); N]) {
        for (index, (expected, arrival)) in rows.iter().enumerate() {
            assert_eq!(self.told(arrival), *expected, "step {}: {arrival:?}", index + 1);
        }
    }

    /// Each alone.
    #[track_caller]
    fn table<const N: usize>(&self, rows: [(&str, Arrival); N]) {
        for (index, row) in rows.into_iter().enumerate() {
            self.memory.forget_flows();
            assert_eq!(self.told(&row.1), row.0, "row {}: {:?}", index + 1, row.1);
        }
    }

    /// Everything that has happened since it was last asked.
    fn ledger(&self) -> String {
        let ledger = self.ledger.take();
        let lines = ledger.iter().map(|(reason, count)| format!("{reason} {count}"));
        lines.collect::<Vec<_>>().join(", ")
    }
}

fn address(text: &str) -> Addr {
    text.parse::<IpAddr>().unwrap().into()
}

fn hop(mac: Mac) -> Route {
    Route::Hop(firewall_common::Mac(mac.octets()).into())
}

/// Like `trunk.130 monitor`; `gateway` for its own kernel, `kept` where the MACs stay.
fn way_out(exit: Exit) -> String {
    if exit == Exit::GATEWAY {
        return "gateway".to_owned();
    }
    let Exit { port, vlan, hop } = exit;
    let known = [
        (CT, "ct"),
        (MR, "mr"),
        (WORKSTATION, "workstation"),
        (MONITOR, "monitor"),
        (ADMIN, "admin"),
        (ROUTER, "router"),
        (OTHER_ROUTER, "other router"),
        (STRANGER, "stranger"),
    ];
    let hop = match known.iter().find(|(mac, _)| hop_of(*mac) == hop) {
        Some((_, name)) => *name,
        None if hop.is_none() => "kept",
        None => panic!("{exit:?} leads to nobody"),
    };
    format!("{}.{} {hop}", PORTS[usize::from(port.0)].0, vlan.0)
}

fn hop_of(mac: Mac) -> Hop {
    firewall_common::Mac(mac.octets()).into()
}

fn compiled(text: &str, slots: &mut SequentialSlots) -> (Policy, Image) {
    let sources = Sources::from_texts([("policy.toml", text)]);
    let ports = Ports::routed(PORTS.map(|(name, _)| name.to_owned()));
    let policy = match resolve(&sources, &ports) {
        Ok(resolved) => resolved.policy,
        Err(found) => panic!("{}", found.render(&sources, Style::Plain)),
    };
    let image = compile(&policy, slots, 0x5eed, &Capacity::default()).unwrap();
    (policy, image)
}
