//! A gateway that routes: its addresses, its hosts' routes, and policies for them.

use std::{fs, path::Path};

use super::{Gateway, policy::Station};
use crate::{
    lab::{Lab, Link},
    packet::{Mac, Packet, eth, ipv4, ipv6},
};

/// The gateway's interface towards the near side.
pub const INSIDE: Station =
    Station { mac: Mac([2, 0, 0, 0, 0, 1]), v4: "10.20.0.1", v6: "fd00:20::1" };
/// The gateway's interface towards the far side.
pub const OUTSIDE: Station =
    Station { mac: Mac([2, 0, 0, 0, 0, 2]), v4: "10.30.0.1", v6: "fd00:30::1" };
/// The node `pacs` in `hospital`, behind `outside`, in a network of its own.
pub const PACS: Station =
    Station { mac: Mac([2, 0, 0, 0, 2, 1]), v4: "10.30.0.20", v6: "fd00:30::20" };

/// Two subnetworks on two networks, their nodes and applications, and no rule.
pub const NODES: &str = r#"
version = 1
[subnetwork.radiology]
criticality = "time-critical"
port = "inside"
networks = ["10.20.0.0/24", "fd00:20::/64", "fe80::/64"]
[subnetwork.hospital]
port = "outside"
networks = ["10.30.0.0/24", "fd00:30::/64"]
[node.ct-1]
subnetwork = "radiology"
addresses = ["10.20.0.11", "fd00:20::11"]
mac = "02:00:00:00:01:01"
roles = ["modality"]
[node.pacs]
subnetwork = "hospital"
addresses = ["10.30.0.20", "fd00:30::20"]
mac = "02:00:00:00:02:01"
roles = ["archive"]
[application.dicom]
tcp = ["104", "11112"]
[application.log]
udp = ["514"]
[application.alarm]
tcp = ["2575"]
[application.ssh]
tcp = ["22"]
[application.time]
udp = ["123"]
[application.ping]
icmp = ["echo"]
"#;

/// A rule of that name.
pub fn rule(name: &str, from: &str, to: &str, applications: &[&str]) -> String {
    format!(
        "[[allow]]\nname = \"{name}\"\nfrom = [\"{from}\"]\nto = [\"{to}\"]\n\
         applications = {applications:?}\n"
    )
}

/// `ct-1` may send images, logs and pings to `pacs`.
pub fn images() -> String {
    format!("{NODES}{}", rule("images", "radiology/modality", "pacs", &["dicom", "log", "ping"]))
}

/// The headers of packets from a host through the gateway's interface to a peer, of either family.
pub fn through(host: &Station, gate: &Station, peer: &Station) -> [Packet; 2] {
    let link = || eth(host.mac, gate.mac);
    [link() / ipv4(host.v4, peer.v4), link() / ipv6(host.v6, peer.v6)]
}

impl Gateway {
    /// A router in force, with that policy, between one host on either side.
    pub fn route(policy: &str) -> Self {
        let mut gateway = Self::prepare_router(policy);
        gateway.restart();
        gateway
    }

    /// The same with nothing started.
    pub fn prepare_router(policy: &str) -> Self {
        Self::prepare_router_in(Lab::new(), policy)
    }

    /// The same between the first hosts of that lab.
    pub fn prepare_router_in(lab: Lab, policy: &str) -> Self {
        let gateway = Self::router_in_lab(lab, policy);
        let lab = gateway.lab();
        address(lab.inside(), &INSIDE);
        address(lab.outside(), &OUTSIDE);
        settle(lab.near().link(), &super::policy::NEAR, &INSIDE);
        settle(lab.far().link(), &PACS, &OUTSIDE);
        gateway
    }

    /// Makes the near side's cable again; both ends get the addresses that they had.
    pub fn rewire_near(&self) {
        let lab = self.lab();
        lab.replug("inside");
        address(lab.inside(), &INSIDE);
        settle(lab.near().link(), &super::policy::NEAR, &INSIDE);
    }

    /// Makes the far side's cable again, up to its switch; the gateway's end gets its addresses.
    pub fn rewire_far(&self) {
        self.lab().replug_far();
        address(self.lab().outside(), &OUTSIDE);
    }

    /// In a lab where nobody has an address; nothing is started.
    pub fn router_in_lab(lab: Lab, policy: &str) -> Self {
        let gateway = Self::in_lab(lab, policy);
        let config = gateway.config_text();
        gateway.write_config(&config.replace(
            "mode = \"bridge\"\npairs = [[\"inside\", \"outside\"]]",
            "mode = \"router\"",
        ));
        gateway.lab().gateway().run(forward);
        gateway
    }
}

/// Before Linux 6.17 nothing of IPv6 is forwarded unless all interfaces may.
fn forward() {
    let all = Path::new("/proc/sys/net/ipv6/conf/all");
    if !all.join("force_forwarding").exists() {
        fs::write(all.join("forwarding"), "1").expect("let IPv6 be forwarded");
    }
}

/// Gives an interface of the gateway its addresses.
pub fn address(link: &Link, station: &Station) {
    link.sysctl("ipv6", "mldv2_unsolicited_report_interval", "1");
    link.address(&format!("{}/24", station.v4));
    link.address(&format!("{}/64", station.v6));
    // The kernel asks for its neighbours from this one.
    link.address("fe80::1/64");
}

/// Gives a host's interface its addresses, and routes to the rest of the world.
pub fn settle(link: &Link, station: &Station, gate: &Station) {
    station.address(link);
    link.route("default", gate.v4);
    link.route("default", gate.v6);
}
