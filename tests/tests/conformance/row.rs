//! What a row of the table is made of.

pub(crate) use firewall_tests::packet::*;

/// How the gateway stands between the two ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Bridge,
    Router,
}

/// Two nodes that may ask each other, so that nothing but what a row does to a frame keeps it from
/// passing.
pub(crate) const POLICY: &str = r#"
version = 1
[subnetwork.ward]
port = "inside"
vlan = 120
networks = ["10.20.0.0/24", "fd00:20::/64"]
[subnetwork.hospital]
port = "outside"
networks = ["10.0.5.0/24", "fd00:1::/64"]
[node.ct]
subnetwork = "ward"
addresses = ["10.20.0.11", "fd00:20::11"]
mac = "02:00:00:00:01:01"
[node.mr]
subnetwork = "ward"
addresses = ["10.20.0.12", "fd00:20::12"]
mac = "02:00:00:00:01:02"
[node.pacs]
subnetwork = "hospital"
addresses = ["10.0.5.20", "fd00:1::20"]
mac = "02:00:00:00:02:01"
[node.ris]
subnetwork = "hospital"
addresses = ["10.0.5.30", "fd00:1::30"]
mac = "02:00:00:00:02:02"
[application.all]
tcp = ["104"]
udp = ["123"]
icmp = ["echo"]
[[allow]]
name = "out"
from = ["ct"]
to = ["pacs"]
applications = ["all"]
[[allow]]
name = "back"
from = ["pacs"]
to = ["ct"]
applications = ["all"]
"#;

/// One of the two, and a neighbour of its own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct End {
    pub(crate) mac: Mac,
    pub(crate) v4: &'static str,
    pub(crate) v6: &'static str,
    /// 0 where frames carry no tag.
    pub(crate) vlan: u16,
    pub(crate) broadcast: &'static str,
    pub(crate) neighbour_mac: Mac,
    pub(crate) neighbour4: &'static str,
    pub(crate) neighbour6: &'static str,
    /// What a router calls itself on that side.
    pub(crate) gate: Beside,
}

/// Whom frames of an end are addressed to: of a bridge, the other end; of a router, itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Beside {
    pub(crate) mac: Mac,
    pub(crate) v4: &'static str,
    pub(crate) v6: &'static str,
}

pub(crate) const WARD: End = End {
    mac: Mac([2, 0, 0, 0, 1, 1]),
    v4: "10.20.0.11",
    v6: "fd00:20::11",
    vlan: 120,
    broadcast: "10.20.0.255",
    neighbour_mac: Mac([2, 0, 0, 0, 1, 2]),
    neighbour4: "10.20.0.12",
    neighbour6: "fd00:20::12",
    gate: Beside { mac: Mac([2, 0, 0, 0, 0, 1]), v4: "10.20.0.1", v6: "fd00:20::1" },
};

pub(crate) const HOSPITAL: End = End {
    mac: Mac([2, 0, 0, 0, 2, 1]),
    v4: "10.0.5.20",
    v6: "fd00:1::20",
    vlan: 0,
    broadcast: "10.0.5.255",
    neighbour_mac: Mac([2, 0, 0, 0, 2, 2]),
    neighbour4: "10.0.5.30",
    neighbour6: "fd00:1::30",
    gate: Beside { mac: Mac([2, 0, 0, 0, 0, 2]), v4: "10.0.5.1", v6: "fd00:1::1" },
};

/// A direction through the gateway, and a number that no other run of a row has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Way {
    pub(crate) mode: Mode,
    pub(crate) from: End,
    pub(crate) to: End,
    pub(crate) is_out: bool,
    pub(crate) number: u16,
}

impl Way {
    /// From the ward to the hospital.
    pub(crate) const fn out(mode: Mode, ward: End, number: u16) -> Self {
        Self { mode, from: ward, to: HOSPITAL, is_out: true, number }
    }

    /// The other way.
    pub(crate) const fn turned(self) -> Self {
        Self { from: self.to, to: self.from, is_out: !self.is_out, ..self }
    }

    /// Whom its frames are addressed to.
    pub(crate) const fn beside(&self) -> Beside {
        match self.mode {
            Mode::Bridge => {
                let End { mac, v4, v6, .. } = self.to;
                Beside { mac, v4, v6 }
            }
            Mode::Router => self.from.gate,
        }
    }

    /// Its Ethernet header, without a tag.
    pub(crate) fn bare(&self) -> Eth {
        eth(self.from.mac, self.beside().mac)
    }

    /// Its Ethernet header and tag.
    pub(crate) fn link(&self) -> Packet {
        self.tagged(self.bare())
    }

    /// With the tag that its frames carry.
    pub(crate) fn tagged(&self, link: impl Into<Packet>) -> Packet {
        let link = link.into();
        if self.from.vlan == 0 { link } else { link / vlan(self.from.vlan) }
    }

    pub(crate) fn v4(&self) -> Ipv4 {
        ipv4(self.from.v4, self.to.v4)
    }

    pub(crate) fn v6(&self) -> Ipv6 {
        ipv6(self.from.v6, self.to.v6)
    }

    /// A segment that would open a connection.
    pub(crate) fn syn(&self) -> Tcp {
        tcp(self.client(), 104).syn()
    }

    pub(crate) const fn client(&self) -> u16 {
        40_000 + self.number
    }

    /// A whole frame with a SYN, of either family.
    pub(crate) fn opening(&self) -> [Packet; 2] {
        [self.link() / self.v4() / self.syn(), self.link() / self.v6() / self.syn()]
    }
}

/// What comes in, and what must become of it: the reason, of a pass or a drop.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) verdict: &'static str,
    /// It comes from the other side.
    pub(crate) is_answer: bool,
    pub(crate) frame: Packet,
}

/// A named fixture: the row of the table it belongs to, and its frames for each direction.
#[derive(Clone, Copy)]
pub(crate) struct Fixture {
    pub(crate) row: u8,
    pub(crate) name: &'static str,
    pub(crate) steps: fn(&Way) -> Vec<Step>,
}

pub(crate) const fn fixture(row: u8, name: &'static str, steps: fn(&Way) -> Vec<Step>) -> Fixture {
    Fixture { row, name, steps }
}

/// One frame.
pub(crate) fn told(verdict: &'static str, frame: impl Into<Packet>) -> Vec<Step> {
    vec![Step { verdict, is_answer: false, frame: frame.into() }]
}

/// Several, all with one verdict.
pub(crate) fn all(verdict: &'static str, frames: impl IntoIterator<Item = Packet>) -> Vec<Step> {
    frames.into_iter().flat_map(|frame| told(verdict, frame)).collect()
}

/// One frame of a conversation, sent there.
pub(crate) fn forth(verdict: &'static str, frame: impl Into<Packet>) -> Step {
    Step { verdict, is_answer: false, frame: frame.into() }
}

/// One frame of a conversation, sent back.
pub(crate) fn back(verdict: &'static str, frame: impl Into<Packet>) -> Step {
    Step { verdict, is_answer: true, frame: frame.into() }
}
