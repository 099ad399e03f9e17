//! Neighbour discovery, RFC 4861 section 4. The IP header must set hop limit 255 itself: a message
//! without it is one of the things to test.

use std::net::Ipv6Addr;

use super::{Icmp, Mac, ToIpv6, icmpv6};

/// Who has `target`?
pub fn neighbour_solicitation(target: impl ToIpv6) -> Icmp {
    icmpv6(135, 0).body(target.to_ipv6().octets())
}

/// `target` is here: solicited and overriding what was known.
pub fn neighbour_advertisement(target: impl ToIpv6) -> Icmp {
    icmpv6(136, 0).advertising(false, true, true).body(target.to_ipv6().octets())
}

/// Which routers are there?
pub fn router_solicitation() -> Icmp {
    icmpv6(133, 0)
}

/// A router is here, for half an hour, with hop limit 64 and no flags.
pub fn router_advertisement() -> Icmp {
    let [high, low] = 1800u16.to_be_bytes();
    icmpv6(134, 0).rest([64, 0, high, low]).body([0; 8])
}

/// `destination` is better reached by way of `target`.
pub fn redirect(target: impl ToIpv6, destination: impl ToIpv6) -> Icmp {
    icmpv6(137, 0).body([target.to_ipv6().octets(), destination.to_ipv6().octets()].concat())
}

impl Icmp {
    /// The flags of a neighbour advertisement.
    #[must_use]
    pub fn advertising(self, router: bool, solicited: bool, replaces: bool) -> Self {
        let flags = u8::from(router) << 7 | u8::from(solicited) << 6 | u8::from(replaces) << 5;
        self.rest([flags, 0, 0, 0])
    }

    /// The sender's hardware address, option 1.
    #[must_use]
    pub fn source_link(self, mac: impl Into<Mac>) -> Self {
        self.option(1, mac.into().octets())
    }

    /// The target's hardware address, option 2.
    #[must_use]
    pub fn target_link(self, mac: impl Into<Mac>) -> Self {
        self.option(2, mac.into().octets())
    }

    /// A prefix, option 3: on-link, for autoconfiguration, valid for a day.
    #[must_use]
    pub fn prefix(self, prefix: impl ToIpv6, length: u8) -> Self {
        let prefix: Ipv6Addr = prefix.to_ipv6();
        let mut data = vec![length, 0xc0];
        data.extend(86400u32.to_be_bytes());
        data.extend(86400u32.to_be_bytes());
        data.extend([0; 4]);
        data.extend(prefix.octets());
        self.option(3, data)
    }
}
