//! Packets written as they lie on the wire.
//!
//! ```
//! use firewall_tests::packet::*;
//!
//! const CT: Mac = Mac::local(1);
//! const PACS: Mac = Mac::local(2);
//! let packet = eth(CT, PACS)
//!     / vlan(7)
//!     / ipv4("10.20.0.11", "10.0.5.20").ttl(3)
//!     / tcp(40000, 104).syn()
//!     / payload(b"hello");
//! assert_eq!(packet.bytes().len(), 14 + 4 + 20 + 20 + 5);
//! ```
//!
//! The source always comes first. What one header knows of its neighbours (EtherTypes, protocols,
//! lengths, checksums) is filled in when the bytes are built; a setter of the same name says
//! something else instead, and nothing else is adjusted to the lie.

mod arp;
mod checksum;
mod extension;
mod icmp;
mod link;
mod mac;
mod neighbour;
mod network;
mod quote;
mod transport;

use std::{
    fmt,
    net::{Ipv4Addr, Ipv6Addr},
    ops::Div,
};

pub use arp::{Arp, arp, arp_reply, arp_request};
pub use checksum::internet_checksum;
pub use extension::{
    Extension, ah, destination_options, esp, fragment, hop_by_hop, routing_header,
};
pub use icmp::{Icmp, echo_reply, echo_request, icmp, icmpv6};
pub use link::{Eth, Llc, Vlan, eth, llc, service_vlan, snap, vlan};
pub use mac::{InvalidMac, Mac};
pub use neighbour::{
    neighbour_advertisement, neighbour_solicitation, redirect, router_advertisement,
    router_solicitation,
};
pub use network::{Ipv4, Ipv6, ToIpv4, ToIpv6, ip, ipv4, ipv6};
pub use quote::{icmp_packet_too_big, icmp_quoting, icmp_time_exceeded, icmp_unreachable};
pub use transport::{Gre, Payload, Tcp, Udp, gre, payload, tcp, udp};

/// The shortest Ethernet frame, without its check sequence, in bytes.
pub const MINIMUM_FRAME: usize = 60;

/// Headers and data, outermost first; `bytes` lays them out.
#[derive(Clone)]
pub struct Packet {
    layers: Vec<Layer>,
    edits: Vec<Edit>,
}

impl Packet {
    /// The frame, from its first header to its last byte.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.bytes_from(0);
        for edit in &self.edits {
            match edit {
                Edit::Pad(length) => bytes.resize(bytes.len().max(*length), 0),
                Edit::Trail(tail) => bytes.extend(tail),
                Edit::Truncate(length) => bytes.truncate(*length),
                Edit::Patch(offset, patch) => {
                    bytes[*offset..offset + patch.len()].copy_from_slice(patch);
                }
            }
        }
        bytes
    }

    /// Fills the frame with zeros up to the 60 bytes of the shortest Ethernet frame.
    #[must_use]
    pub fn padded(self) -> Self {
        self.padded_to(MINIMUM_FRAME)
    }

    /// Fills the frame with zeros up to `length` bytes.
    #[must_use]
    pub fn padded_to(self, length: usize) -> Self {
        self.edited(Edit::Pad(length))
    }

    /// Puts bytes behind the frame that no length field covers.
    #[must_use]
    pub fn trailing(self, tail: impl AsRef<[u8]>) -> Self {
        self.edited(Edit::Trail(tail.as_ref().to_vec()))
    }

    /// Cuts the frame after `length` bytes.
    #[must_use]
    pub fn truncated(self, length: usize) -> Self {
        self.edited(Edit::Truncate(length))
    }

    /// Overwrites the finished frame at `offset`; checksums stay as they were.
    #[must_use]
    pub fn patched(self, offset: usize, patch: impl AsRef<[u8]>) -> Self {
        self.edited(Edit::Patch(offset, patch.as_ref().to_vec()))
    }

    /// The same packet as fragments whose data is at most `size` bytes, a multiple of eight. The
    /// outermost IP header is repeated; IPv6 gets a fragment header right behind it.
    pub fn fragments(&self, size: usize, identification: u32) -> Vec<Self> {
        assert!(size > 0 && size.is_multiple_of(8), "fragments hold a multiple of eight bytes");
        let (index, family) = self.network().expect("only an IP packet has fragments");
        let data = self.bytes_from(index + 1);
        let protocol = self.around(index).protocol(family);
        let pieces = data.chunks(size).enumerate();
        pieces
            .map(|(number, piece)| {
                let units = u16_of(number * size / 8);
                let more = number * size + piece.len() < data.len();
                let mut fragment = Self { layers: self.layers[..=index].to_vec(), edits: vec![] };
                if let Some(Layer::Ipv4(header)) = fragment.layers.last_mut() {
                    header.fragment(u16_of(identification as usize), protocol, units, more);
                    return fragment / payload(piece);
                }
                let header = extension::fragment(units, more, identification);
                fragment / header.next_header(protocol) / payload(piece)
            })
            .collect()
    }

    fn edited(mut self, edit: Edit) -> Self {
        self.edits.push(edit);
        self
    }

    fn bytes_from(&self, first: usize) -> Vec<u8> {
        (first..self.layers.len())
            .rev()
            .fold(Vec::new(), |rest, index| self.layers[index].write(&self.around(index), &rest))
    }

    fn around(&self, index: usize) -> Around<'_> {
        Around { outer: &self.layers[..index], inner: self.layers.get(index + 1) }
    }

    /// Where the outermost IP header stands, and of which family it is.
    fn network(&self) -> Option<(usize, Family)> {
        let families = self.layers.iter().map(Layer::family).enumerate();
        families.into_iter().find_map(|(index, family)| Some((index, family?)))
    }
}

impl fmt::Debug for Packet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.layers).entries(&self.edits).finish()?;
        write!(f, " = {}", hex(&self.bytes()))
    }
}

impl<R: Into<Packet>> Div<R> for Packet {
    type Output = Packet;

    fn div(mut self, inner: R) -> Packet {
        assert!(self.edits.is_empty(), "padding and patches come last");
        let Packet { layers, edits } = inner.into();
        self.layers.extend(layers);
        self.edits = edits;
        self
    }
}

impl<R: Into<Packet>> Div<R> for &Packet {
    type Output = Packet;

    fn div(self, inner: R) -> Packet {
        self.clone() / inner
    }
}

impl From<&Packet> for Vec<u8> {
    fn from(packet: &Packet) -> Self {
        packet.bytes()
    }
}

/// Bytes as people compare them: two digits each, in groups of four.
pub fn hex(bytes: &[u8]) -> String {
    let groups = bytes.chunks(4);
    let groups = groups.map(|group| group.iter().map(|byte| format!("{byte:02x}")).collect());
    groups.collect::<Vec<String>>().join(" ")
}

#[derive(Clone, Debug)]
enum Edit {
    Pad(usize),
    Trail(Vec<u8>),
    Truncate(usize),
    Patch(usize, Vec<u8>),
}

/// An address family, where a header's meaning depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    V4,
    V6,
}

/// Source and destination of an IP header.
#[derive(Clone, Copy, Debug)]
enum Address {
    V4(Ipv4Addr, Ipv4Addr),
    V6(Ipv6Addr, Ipv6Addr),
}

/// What a header can see while it is written: the headers around it.
struct Around<'a> {
    outer: &'a [Layer],
    inner: Option<&'a Layer>,
}

impl Around<'_> {
    /// The EtherType (or the length, for IEEE 802.3) that names what follows. Bare data gets
    /// 0x88b5, which IEEE 802 sets apart for local experiments.
    fn ethertype(&self, rest: usize) -> u16 {
        self.inner.and_then(|inner| inner.ethertype(rest)).unwrap_or(0x88b5)
    }

    /// The protocol number that names what follows. Bare data gets 253, which RFC 3692 sets apart
    /// for experiments; nothing at all is 59, "no next header" of RFC 8200.
    fn protocol(&self, family: Family) -> u8 {
        match self.inner {
            Some(inner) => inner.protocol(family).unwrap_or(253),
            None if family == Family::V6 => 59,
            None => 253,
        }
    }

    fn family(&self) -> Option<Family> {
        self.outer.iter().rev().find_map(Layer::family)
    }

    /// The checksum over the pseudo-header of the nearest IP header and over `parts`.
    fn transport_checksum(&self, protocol: u8, parts: &[&[u8]]) -> u16 {
        let length = parts.iter().map(|part| part.len()).sum();
        let addresses = self.outer.iter().rev().find_map(Layer::addresses);
        let pseudo =
            addresses.map(|addresses| checksum::pseudo_header(addresses, protocol, length));
        let pseudo = pseudo.unwrap_or_default();
        let mut all = vec![pseudo.as_slice()];
        all.extend(parts);
        internet_checksum(&all)
    }
}

macro_rules! layers {
    ($($name:ident)*) => {
        #[derive(Clone, Debug)]
        enum Layer { $($name($name),)* }

        impl Layer {
            fn write(&self, around: &Around<'_>, rest: &[u8]) -> Vec<u8> {
                let mut bytes = match self { $(Self::$name(layer) => layer.write(around, rest),)* };
                bytes.extend(rest);
                bytes
            }

            fn ethertype(&self, length: usize) -> Option<u16> {
                match self { $(Self::$name(layer) => layer.named_by_ethertype(length),)* }
            }

            fn protocol(&self, family: Family) -> Option<u8> {
                match self { $(Self::$name(layer) => layer.named_by_protocol(family),)* }
            }

            fn addresses(&self) -> Option<Address> {
                match self { $(Self::$name(layer) => layer.addresses(),)* }
            }

            fn family(&self) -> Option<Family> {
                self.addresses().map(|addresses| match addresses {
                    Address::V4(..) => Family::V4,
                    Address::V6(..) => Family::V6,
                })
            }
        }

        $(
            impl From<$name> for Packet {
                fn from(layer: $name) -> Self {
                    Self { layers: vec![Layer::$name(layer)], edits: Vec::new() }
                }
            }

            impl<R: Into<Packet>> Div<R> for $name {
                type Output = Packet;

                fn div(self, inner: R) -> Packet {
                    Packet::from(self) / inner
                }
            }
        )*
    };
}

layers! { Eth Vlan Llc Arp Ipv4 Ipv6 Extension Gre Tcp Udp Icmp Payload }

/// One kind of header.
trait Header {
    /// The header alone, given what is around it and the bytes that follow.
    fn write(&self, around: &Around<'_>, rest: &[u8]) -> Vec<u8>;

    /// What an EtherType field in front of it says, `length` being this header and all that
    /// follows it.
    fn named_by_ethertype(&self, _length: usize) -> Option<u16> {
        None
    }

    /// What a protocol field in front of it says.
    fn named_by_protocol(&self, _family: Family) -> Option<u8> {
        None
    }

    /// Source and destination, for IP headers.
    fn addresses(&self) -> Option<Address> {
        None
    }
}

/// Writes setters: each takes the value that its field puts on the wire.
macro_rules! setters {
    ($($(#[$doc:meta])+ $field:ident: $kind:ty;)+) => {
        $(
            $(#[$doc])+
            #[must_use]
            pub fn $field(mut self, $field: $kind) -> Self {
                self.$field = $field.into();
                self
            }
        )+
    };
}
use setters;

/// The low 16 bits: what a 16-bit field holds of a longer length.
fn u16_of(length: usize) -> u16 {
    u16::try_from(length & 0xffff).unwrap()
}

/// The low 8 bits.
fn u8_of(length: usize) -> u8 {
    u8::try_from(length & 0xff).unwrap()
}

/// `bytes`, filled with zeros to a multiple of `unit`.
fn filled(bytes: &[u8], unit: usize) -> Vec<u8> {
    let mut filled = bytes.to_vec();
    filled.resize(bytes.len().next_multiple_of(unit), 0);
    filled
}

#[cfg(test)]
mod tests;
