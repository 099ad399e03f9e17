//! Network interfaces: veth pairs, bridges, and what is set on them.

use nix::{ifaddrs::getifaddrs, net::if_::if_nametoindex};

use super::{
    must,
    namespace::{Handle, Namespace, set},
};
use crate::packet::Mac;

/// What every interface of a lab is set to. Tags must stay in the frame where XDP sees them,
/// checksums must be whole when a frame is redirected, and a redirect *to the other end* of a veth
/// pair delivers nothing, silently, unless this end runs NAPI, which `gro on` brings.
const FEATURES: [(&str, bool); 8] = [
    ("gro", true),
    ("tx", false),
    ("tso", false),
    ("gso", false),
    ("txvlan", false),
    ("rxvlan", false),
    ("tx-vlan-stag-hw-insert", false),
    ("rx-vlan-stag-hw-parse", false),
];

/// An interface, by its name in its namespace. It is not removed when dropped: interfaces go with
/// their namespaces.
#[derive(Clone, Debug)]
pub struct Link {
    namespace: Handle,
    name: String,
}

impl Link {
    /// A veth pair whose ends are up, keep tags and checksums in the frames, and accept native
    /// redirects.
    pub fn pair(a: (&Namespace, &str, Mac), b: (&Namespace, &str, Mac)) -> (Self, Self) {
        let (place_a, name_a, mac_a) = a;
        let (place_b, name_b, mac_b) = b;
        must(
            place_a
                .command("ip")
                .args(["link", "add", name_a, "address", &mac_a.to_string(), "type", "veth"])
                .args(["peer", "name", name_b, "address", &mac_b.to_string()])
                .args(["netns", place_b.name()]),
        );
        let a = Self::existing(place_a, name_a);
        let b = Self::existing(place_b, name_b);
        // Up first: `gro on` marks the other end as a target for redirects only while this one is
        // up. Both are up before either is set, since only then do they run.
        [&a, &b].into_iter().for_each(Self::up);
        [&a, &b].into_iter().for_each(|end| end.features(&FEATURES));
        (a, b)
    }

    /// A bridge that forwards at once and says nothing of its own. It keeps tags in the frames but,
    /// as IEEE 802.1D wants, forwards no EAPOL.
    pub fn bridge(namespace: &Namespace, name: &str) -> Self {
        let link = Self { namespace: namespace.handle().clone(), name: name.to_owned() };
        link.ip(&["link", "add", name, "type", "bridge", "mcast_snooping", "0", "stp_state", "0"]);
        link.up();
        link
    }

    /// Lets a bridge forward what goes to the group of 802.1X (01:80:c2:00:00:03), as switches that do
    /// none themselves may.
    pub fn forward_eapol(&self) {
        self.ip(&["link", "set", &self.name, "type", "bridge", "group_fwd_mask", "8"]);
    }

    /// A VLAN device of the kernel's on top of this interface, up and named `LINK.VLAN`.
    pub fn vlan(&self, vlan: u16) -> Self {
        let (namespace, name) = (self.namespace.clone(), format!("{}.{vlan}", self.name));
        let device = ["type", "vlan", "id", &vlan.to_string()];
        self.ip(&[&["link", "add", "link", &self.name, "name", &name], &device[..]].concat());
        let link = Self { namespace, name };
        link.up();
        link
    }

    /// An interface that is already there.
    pub fn existing(namespace: &Namespace, name: &str) -> Self {
        let link = Self { namespace: namespace.handle().clone(), name: name.to_owned() };
        link.index();
        link
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The namespace that it is in.
    pub fn namespace(&self) -> &Handle {
        &self.namespace
    }

    /// Its index in its namespace.
    pub fn index(&self) -> u32 {
        self.try_index().unwrap_or_else(|| panic!("there is no interface {}", self.name))
    }

    /// Its index in its namespace; `None` while it is gone.
    pub fn try_index(&self) -> Option<u32> {
        self.namespace.run(|| if_nametoindex(self.name.as_str())).ok()
    }

    /// Its hardware address.
    pub fn mac(&self) -> Mac {
        let found = self.namespace.run(|| {
            let mut all = getifaddrs().expect("list the interfaces");
            all.find_map(|interface| {
                let is_this = interface.interface_name == self.name;
                interface.address?.as_link_addr()?.addr().filter(|_| is_this)
            })
        });
        found.map_or_else(|| panic!("interface {} has no address", self.name), Mac)
    }

    /// Gives it a hardware address.
    pub fn set_mac(&self, mac: Mac) {
        self.ip(&["link", "set", &self.name, "address", &mac.to_string()]);
    }

    /// Adds an address with its prefix length, `10.0.0.1/24`. The first IPv6 address turns IPv6 on,
    /// and the kernel then reports the groups that it joins.
    pub fn address(&self, address: &str) {
        let ipv6 = address.contains(':');
        if ipv6 {
            self.sysctl("ipv6", "disable_ipv6", "0");
        }
        let detection = if ipv6 { &["nodad"][..] } else { &[] };
        self.ip(&[&["address", "add", address, "dev", &self.name], detection].concat());
    }

    /// Routes `destination` (a prefix, or `default`) by way of `gateway`.
    pub fn route(&self, destination: &str, gateway: &str) {
        let family = if gateway.contains(':') { "-6" } else { "-4" };
        self.ip(&[family, "route", "replace", destination, "via", gateway, "dev", &self.name]);
    }

    /// Says for good which hardware address `neighbour` has, so that nobody asks.
    pub fn neighbour(&self, neighbour: &str, mac: Mac) {
        let (mac, device) = (mac.to_string(), ["dev", &self.name, "nud", "permanent"]);
        self.ip(&[&["neighbour", "replace", neighbour, "lladdr", &mac], &device[..]].concat());
    }

    /// Sets how many bytes a frame holds behind its Ethernet header.
    pub fn mtu(&self, bytes: u32) {
        self.ip(&["link", "set", &self.name, "mtu", &bytes.to_string()]);
    }

    /// Brings it up.
    pub fn up(&self) {
        self.ip(&["link", "set", &self.name, "up"]);
    }

    /// Makes it take frames for every MAC, or for its own only.
    pub fn promiscuous(&self, on: bool) {
        self.ip(&["link", "set", &self.name, "promisc", if on { "on" } else { "off" }]);
    }

    /// Takes it down; the other end of a pair loses its carrier.
    pub fn down(&self) {
        self.ip(&["link", "set", &self.name, "down"]);
    }

    /// Deletes it, and with it the other end of a pair.
    pub fn delete(&self) {
        self.ip(&["link", "delete", &self.name]);
    }

    /// Moves it into another namespace, where it comes up without addresses.
    pub fn move_to(&mut self, namespace: &Namespace) {
        self.ip(&["link", "set", &self.name, "netns", namespace.name()]);
        self.namespace = namespace.handle().clone();
        self.up();
    }

    /// Gives it another name; it is down for a moment.
    pub fn rename(&mut self, name: &str) {
        self.down();
        self.ip(&["link", "set", &self.name, "name", name]);
        name.clone_into(&mut self.name);
        self.up();
    }

    /// Plugs it into a bridge of the same namespace.
    pub fn enslave(&self, bridge: &Self) {
        self.ip(&["link", "set", &self.name, "master", &bridge.name]);
    }

    /// Turns a feature on or off, by the name that `ethtool -K` has for it.
    pub fn feature(&self, name: &str, on: bool) {
        self.features(&[(name, on)]);
    }

    /// Whether a feature is on, by the long name that `ethtool -k` shows: `rx-vlan-offload`.
    pub fn has_feature(&self, name: &str) -> bool {
        let all = must(self.namespace.command("ethtool").args(["-k", &self.name]));
        let mut lines = all.lines().filter_map(|line| line.trim().split_once(": "));
        let value = lines.find_map(|(key, value)| (key == name).then_some(value));
        value.unwrap_or_else(|| panic!("{} knows no feature {name}", self.name)).starts_with("on")
    }

    /// Sets `net.FAMILY.conf.INTERFACE.SETTING`.
    pub fn sysctl(&self, family: &str, setting: &str, value: &str) {
        let path = format!("net/{family}/conf/{}/{setting}", self.name);
        self.namespace.run(|| set(&path, value));
    }

    fn features(&self, features: &[(&str, bool)]) {
        let mut command = self.namespace.command("ethtool");
        command.args(["-K", &self.name]);
        for (name, on) in features {
            command.arg(name).arg(if *on { "on" } else { "off" });
        }
        must(&mut command);
    }

    fn ip(&self, arguments: &[&str]) {
        must(self.namespace.command("ip").args(arguments));
    }
}
