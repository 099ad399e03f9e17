//! A hospital in a few lines, and the gateway in front of it.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use firewall_common::abi::Stop;
use firewall_common::decide::Passage;
use firewall_common::tables::Way;
use firewall_common::{DropReason, NodeSlot, Port, SubnetworkSlot, Ticks};
use firewall_policy::explain::{Memory, Sizes};
use firewall_policy::{
    Capacity, Image, Policy, Ports, SequentialSlots, Sources, Style, compile, resolve,
};
pub(crate) use firewall_tests::packet::*;

pub(crate) const POLICY: &str = r#"
version = 1

[subnetwork.radiology]
port = "inside"
vlan = 120
networks = ["10.20.0.0/24", "fd00:20::/64"]

[subnetwork.hospital]
port = "outside"
networks = ["10.0.0.0/16", "fd00:1::/64"]
routers = ["02:00:5e:00:00:fe", "02:00:5e:00:00:fd"]

[subnetwork.visitors]
port = "outside"
vlan = 30
networks = ["172.16.0.0/24", "172.16.1.0/30", "fd00:30::/64"]

[subnetwork.bench]
port = "left"
networks = ["192.168.7.0/24", "fd00:7::/64"]

[subnetwork.analysers]
port = "right"
networks = ["192.168.7.0/24", "fd00:7::/64"]

[node.ct]
subnetwork = "radiology"
addresses = ["10.20.0.11", "fd00:20::11"]
mac = "02:00:00:20:00:11"
roles = ["modality"]

[node.mr]
subnetwork = "radiology"
addresses = ["10.20.0.12", "fd00:20::12"]
mac = "02:00:00:20:00:12"
roles = ["modality"]

[node.workstation]
subnetwork = "radiology"
addresses = ["10.20.0.21", "fd00:20::21"]
mac = "02:00:00:20:00:21"
authentication = "802.1x"
identity = "workstation"

[node.portal]
subnetwork = "radiology"
addresses = ["10.20.0.80", "fd00:20::80"]
mac = "02:00:00:20:00:80"

[node.pacs]
subnetwork = "hospital"
addresses = ["10.0.5.20", "fd00:1::20"]

[node.monitor]
subnetwork = "hospital"
addresses = ["10.0.5.30", "fd00:1::30"]

[node.pipette]
subnetwork = "bench"
addresses = ["192.168.7.10", "fd00:7::10"]
mac = "02:00:00:07:00:10"

[node.analyser]
subnetwork = "analysers"
addresses = ["192.168.7.20", "fd00:7::20"]

[application.dicom]
tcp = ["104", "11112"]
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
name = "portal"
from = ["visitors/any"]
to = ["portal"]
applications = ["web", "ping"]

[[allow]]
name = "samples"
from = ["pipette"]
to = ["analyser"]
applications = ["web", "ping", "ntp"]
"#;

pub(crate) const CT: Mac = Mac([2, 0, 0, 0x20, 0, 0x11]);
pub(crate) const MR: Mac = Mac([2, 0, 0, 0x20, 0, 0x12]);
pub(crate) const WORKSTATION: Mac = Mac([2, 0, 0, 0x20, 0, 0x21]);
pub(crate) const PORTAL: Mac = Mac([2, 0, 0, 0x20, 0, 0x80]);
pub(crate) const PIPETTE: Mac = Mac([2, 0, 0, 7, 0, 0x10]);
pub(crate) const ROUTER: Mac = Mac([2, 0, 0x5e, 0, 0, 0xfe]);
pub(crate) const OTHER_ROUTER: Mac = Mac([2, 0, 0x5e, 0, 0, 0xfd]);
/// Nobody's.
pub(crate) const STRANGER: Mac = Mac([2, 0, 0, 0xee, 0, 1]);

pub(crate) const CT4: &str = "10.20.0.11";
pub(crate) const CT6: &str = "fd00:20::11";
pub(crate) const MR4: &str = "10.20.0.12";
pub(crate) const MR6: &str = "fd00:20::12";
pub(crate) const WORKSTATION4: &str = "10.20.0.21";
pub(crate) const PORTAL4: &str = "10.20.0.80";
pub(crate) const PACS4: &str = "10.0.5.20";
pub(crate) const PACS6: &str = "fd00:1::20";
pub(crate) const MONITOR4: &str = "10.0.5.30";
pub(crate) const PIPETTE4: &str = "192.168.7.10";
pub(crate) const PIPETTE6: &str = "fd00:7::10";
pub(crate) const ANALYSER4: &str = "192.168.7.20";
pub(crate) const ANALYSER6: &str = "fd00:7::20";
pub(crate) const VISITOR4: &str = "172.16.0.9";

/// What the CT puts in front of a packet for the hospital.
pub(crate) fn ct() -> Packet {
    eth(CT, ROUTER) / vlan(120)
}

/// What the hospital's router puts in front of a packet for the CT.
pub(crate) fn hospital() -> Packet {
    eth(ROUTER, CT).into()
}

/// A frame and the gateway's port that it comes in on.
pub(crate) type Arrival = (Side, Packet);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Inside = 0,
    Outside = 1,
    Left = 2,
    Right = 3,
}

pub(crate) fn inside(packet: impl Into<Packet>) -> Arrival {
    (Side::Inside, packet.into())
}

pub(crate) fn outside(packet: impl Into<Packet>) -> Arrival {
    (Side::Outside, packet.into())
}

pub(crate) fn left(packet: impl Into<Packet>) -> Arrival {
    (Side::Left, packet.into())
}

pub(crate) fn right(packet: impl Into<Packet>) -> Arrival {
    (Side::Right, packet.into())
}

/// A gateway under [`POLICY`], its clock and its ledger.
pub(crate) struct World {
    pub(crate) memory: Memory,
    pub(crate) policy: Policy,
    pub(crate) image: Image,
    slots: SequentialSlots,
    now: Cell<u64>,
    ledger: RefCell<BTreeMap<&'static str, u32>>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::under(POLICY, &Sizes::default())
    }

    pub(crate) fn under(text: &str, sizes: &Sizes) -> Self {
        let mut slots = SequentialSlots::new();
        let (policy, image) = compiled(text, &mut slots);
        let mut memory = Memory::new(sizes);
        memory.publish(&image);
        let (now, ledger) = (Cell::new(1_000_000), RefCell::default());
        Self { memory, policy, image, slots, now, ledger }
    }

    /// Another policy comes into force.
    pub(crate) fn reload(&mut self, text: &str) {
        let (policy, image) = compiled(text, &mut self.slots);
        self.memory.publish(&image);
        (self.policy, self.image) = (policy, image);
    }

    pub(crate) fn now(&self) -> Ticks {
        Ticks(self.now.get())
    }

    /// Lets seconds pass, of a thousand ticks each.
    pub(crate) fn wait(&self, seconds: u64) {
        self.now.set(self.now.get() + 1000 * seconds);
    }

    pub(crate) fn node(&self, name: &str) -> NodeSlot {
        self.image.names.node_slot(self.policy.node_named(name).unwrap())
    }

    pub(crate) fn subnetwork(&self, name: &str) -> SubnetworkSlot {
        self.image.names.subnetwork_slot(self.policy.subnetwork_named(name).unwrap())
    }

    pub(crate) fn stop_subnetwork(&self, name: &str, stop: Stop) {
        self.memory.stop_subnetwork(self.subnetwork(name), stop);
    }

    pub(crate) fn decide(&self, (side, packet): &Arrival) -> Result<Passage, DropReason> {
        let (port, peer) = match side {
            Side::Inside => (0, 1),
            Side::Outside => (1, 0),
            Side::Left => (2, 3),
            Side::Right => (3, 2),
        };
        let result = self.memory.decide(
            &packet.bytes(),
            Port(port),
            Way::Bridge { peer: Port(peer) },
            self.now(),
        );
        let name = result.map_or_else(DropReason::name, |passage| passage.reason.name());
        *self.ledger.borrow_mut().entry(name).or_default() += 1;
        result
    }

    /// Like `opened out 120`, or the reason of the drop.
    pub(crate) fn told(&self, arrival: &Arrival) -> String {
        match self.decide(arrival) {
            Ok(Passage { reason, exit, .. }) => format!("{reason} out {}", exit.vlan.0),
            Err(reason) => reason.to_string(),
        }
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
            self.memory.forget_flows();
            assert_eq!(self.told(&row.1), row.0, "row {}: {:?}", index + 1, row.1);
        }
    }

    /// Everything that has happened since it was last asked.
    pub(crate) fn ledger(&self) -> String {
        let ledger = self.ledger.take();
        let lines = ledger.iter().map(|(reason, count)| format!("{reason} {count}"));
        lines.collect::<Vec<_>>().join(", ")
    }
}

pub(crate) fn compiled(text: &str, slots: &mut SequentialSlots) -> (Policy, Image) {
    let sources = Sources::from_texts([("policy.toml", text)]);
    let pairs = [("inside", 1), ("outside", 0), ("left", 3), ("right", 2)];
    let ports = pairs.map(|(name, peer)| (name.to_owned(), Some(Port(peer))));
    let policy = match resolve(&sources, &Ports::paired(ports)) {
        Ok(resolved) => resolved.policy,
        Err(found) => panic!("{}", found.render(&sources, Style::Plain)),
    };
    let image = compile(&policy, slots, 0x5eed, &Capacity::default()).unwrap();
    (policy, image)
}
