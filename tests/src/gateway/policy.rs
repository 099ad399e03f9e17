//! The hosts' addresses, and policies for them.

use crate::{
    lab::Link,
    packet::{Mac, Packet, eth, ipv4, ipv6},
};

/// A host of the lab and its addresses.
#[derive(Clone, Copy, Debug)]
pub struct Station {
    /// Its hardware address, as the lab gave it.
    pub mac: Mac,
    /// Its IPv4 address.
    pub v4: &'static str,
    /// Its IPv6 address.
    pub v6: &'static str,
}

/// The node `ct-1` in `radiology`, behind `inside`.
pub const NEAR: Station =
    Station { mac: Mac([2, 0, 0, 0, 1, 1]), v4: "10.20.0.11", v6: "fd00:20::11" };
/// The node `pacs` in `hospital`, behind `outside`.
pub const FAR: Station =
    Station { mac: Mac([2, 0, 0, 0, 2, 1]), v4: "10.20.0.20", v6: "fd00:20::20" };
/// The node `ct-2`, the second host of the near side; no rule names it.
pub const IDLE: Station =
    Station { mac: Mac([2, 0, 0, 0, 1, 2]), v4: "10.20.0.12", v6: "fd00:20::12" };

impl Station {
    /// Gives a host's interface these addresses, and says where `peer` is, so that nobody asks.
    /// Nothing is reported about groups by the time this returns.
    pub fn settle(&self, link: &Link, peer: &Self) {
        self.address(link);
        link.neighbour(peer.v4, peer.mac);
        link.neighbour(peer.v6, peer.mac);
    }

    /// Gives a host's interface these addresses.
    pub fn address(&self, link: &Link) {
        link.sysctl("ipv6", "mldv2_unsolicited_report_interval", "1");
        link.address(&format!("{}/24", self.v4));
        link.address(&format!("{}/64", self.v6));
    }

    /// Both addresses.
    pub fn addresses(&self) -> [&'static str; 2] {
        [self.v4, self.v6]
    }

    /// The headers of packets to `peer`, of either family.
    pub fn to(&self, peer: &Self) -> [Packet; 2] {
        let link = || eth(self.mac, peer.mac);
        [link() / ipv4(self.v4, peer.v4), link() / ipv6(self.v6, peer.v6)]
    }
}

/// Two subnetworks on one network, their nodes and applications, and no rule.
pub const NODES: &str = r#"
version = 1
[subnetwork.radiology]
criticality = "time-critical"
port = "inside"
networks = ["10.20.0.0/24", "fd00:20::/64"]
[subnetwork.hospital]
port = "outside"
networks = ["10.20.0.0/24", "fd00:20::/64"]
[node.ct-1]
subnetwork = "radiology"
addresses = ["10.20.0.11", "fd00:20::11"]
mac = "02:00:00:00:01:01"
roles = ["modality"]
[node.ct-2]
subnetwork = "radiology"
addresses = ["10.20.0.12", "fd00:20::12"]
mac = "02:00:00:00:01:02"
[node.pacs]
subnetwork = "hospital"
addresses = ["10.20.0.20", "fd00:20::20"]
mac = "02:00:00:00:02:01"
roles = ["archive"]
[application.dicom]
tcp = ["104", "11112"]
[application.log]
udp = ["514"]
[application.time]
udp = ["123"]
[application.alarm]
tcp = ["2575"]
[application.ping]
icmp = ["echo"]
"#;

/// `ct-1` may send images, logs and pings to `pacs`, and its alarms are essential.
pub fn images() -> String {
    format!(
        "{NODES}{}{}",
        allow("images", &["dicom", "log", "ping"], false),
        allow("alarms", &["alarm"], true)
    )
}

/// A rule from `radiology/modality` to `pacs`.
pub fn allow(name: &str, applications: &[&str], essential: bool) -> String {
    format!(
        "[[allow]]\nname = \"{name}\"\nfrom = [\"radiology/modality\"]\nto = [\"pacs\"]\n\
         applications = {applications:?}\nessential = {essential}\n"
    )
}

/// An expectation about `ct-1` and `pacs`.
pub fn expect(application: &str, verdict: &str) -> String {
    format!(
        "[[expect]]\nfrom = \"ct-1\"\nto = \"pacs\"\napplication = \"{application}\"\n\
         verdict = \"{verdict}\"\n"
    )
}
