//! IPv4 (RFC 791) and IPv6 (RFC 8200).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{
    Address, Around, Family, Header, Packet, filled, internet_checksum, setters, u8_of, u16_of,
};

/// An IPv4 header from `source` to `destination`: time to live 64, no options, may be fragmented.
pub fn ipv4(source: impl ToIpv4, destination: impl ToIpv4) -> Ipv4 {
    Ipv4 {
        version: 4,
        header_words: None,
        service: 0,
        total_length: None,
        identification: 0,
        flags: 0,
        fragment_offset: 0,
        ttl: 64,
        protocol: None,
        checksum: None,
        source: source.to_ipv4(),
        destination: destination.to_ipv4(),
        options: Vec::new(),
    }
}

/// An IPv6 header from `source` to `destination`: hop limit 64.
pub fn ipv6(source: impl ToIpv6, destination: impl ToIpv6) -> Ipv6 {
    Ipv6 {
        version: 6,
        traffic_class: 0,
        flow_label: 0,
        payload_length: None,
        next_header: None,
        hop_limit: 64,
        source: source.to_ipv6(),
        destination: destination.to_ipv6(),
    }
}

/// The IP header of whichever family both addresses are of.
pub fn ip(source: IpAddr, destination: IpAddr) -> Packet {
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => ipv4(source, destination).into(),
        (IpAddr::V6(source), IpAddr::V6(destination)) => ipv6(source, destination).into(),
        (source, destination) => panic!("{source} and {destination} are of different families"),
    }
}

/// What an IPv4 address may be written as in a test.
pub trait ToIpv4 {
    /// The address; panics if this is none.
    fn to_ipv4(self) -> Ipv4Addr;
}

impl ToIpv4 for Ipv4Addr {
    fn to_ipv4(self) -> Ipv4Addr {
        self
    }
}

impl ToIpv4 for [u8; 4] {
    fn to_ipv4(self) -> Ipv4Addr {
        self.into()
    }
}

impl ToIpv4 for &str {
    fn to_ipv4(self) -> Ipv4Addr {
        self.parse().unwrap_or_else(|error| panic!("{self:?}: {error}"))
    }
}

/// What an IPv6 address may be written as in a test.
pub trait ToIpv6 {
    /// The address; panics if this is none.
    fn to_ipv6(self) -> Ipv6Addr;
}

impl ToIpv6 for Ipv6Addr {
    fn to_ipv6(self) -> Ipv6Addr {
        self
    }
}

impl ToIpv6 for [u8; 16] {
    fn to_ipv6(self) -> Ipv6Addr {
        self.into()
    }
}

impl ToIpv6 for &str {
    fn to_ipv6(self) -> Ipv6Addr {
        self.parse().unwrap_or_else(|error| panic!("{self:?}: {error}"))
    }
}

/// See [`ipv4`].
#[derive(Clone, Debug)]
pub struct Ipv4 {
    version: u8,
    header_words: Option<u8>,
    service: u8,
    total_length: Option<u16>,
    identification: u16,
    flags: u8,
    fragment_offset: u16,
    ttl: u8,
    protocol: Option<u8>,
    checksum: Option<u16>,
    source: Ipv4Addr,
    destination: Ipv4Addr,
    options: Vec<u8>,
}

impl Ipv4 {
    setters! {
        /// The version, 0 to 15.
        version: u8;
        /// The header length (IHL) in 32-bit words, 0 to 15; the header itself stays as long as
        /// it is.
        header_words: u8;
        /// The type of service byte: DSCP and ECN.
        service: u8;
        /// The length of header and data in bytes.
        total_length: u16;
        /// The identification that fragments of one packet share.
        identification: u16;
        /// The three flag bits: 4 reserved, 2 don't fragment, 1 more fragments.
        flags: u8;
        /// Where this fragment's data starts, in units of eight bytes.
        fragment_offset: u16;
        /// Time to live.
        ttl: u8;
        /// The protocol number of what follows.
        protocol: u8;
        /// The header checksum.
        checksum: u16;
        /// The source address.
        source: Ipv4Addr;
        /// The destination address.
        destination: Ipv4Addr;
    }

    /// Sets the "don't fragment" bit.
    #[must_use]
    pub fn dont_fragment(self) -> Self {
        let flags = self.flags | 2;
        self.flags(flags)
    }

    /// Sets the "more fragments" bit.
    #[must_use]
    pub fn more_fragments(self) -> Self {
        let flags = self.flags | 1;
        self.flags(flags)
    }

    /// The options as they lie on the wire, filled with end-of-options to four bytes.
    #[must_use]
    pub fn options(self, options: impl AsRef<[u8]>) -> Self {
        Self { options: filled(options.as_ref(), 4), ..self }
    }

    /// Makes it the header of a fragment; the other flags stay.
    pub(super) fn fragment(&mut self, identification: u16, protocol: u8, units: u16, more: bool) {
        self.identification = identification;
        self.protocol = Some(protocol);
        self.fragment_offset = units;
        self.flags |= u8::from(more);
    }
}

impl Header for Ipv4 {
    fn write(&self, around: &Around<'_>, rest: &[u8]) -> Vec<u8> {
        let length = 20 + self.options.len();
        let words = self.header_words.unwrap_or_else(|| u8_of(length / 4));
        let total = self.total_length.unwrap_or_else(|| u16_of(length + rest.len()));
        let fragment = (u16::from(self.flags) << 13) | (self.fragment_offset & 0x1fff);
        let protocol = self.protocol.unwrap_or_else(|| around.protocol(Family::V4));

        let mut bytes = vec![(self.version << 4) | (words & 0xf), self.service];
        bytes.extend(total.to_be_bytes());
        bytes.extend(self.identification.to_be_bytes());
        bytes.extend(fragment.to_be_bytes());
        bytes.extend([self.ttl, protocol, 0, 0]);
        bytes.extend(self.source.octets());
        bytes.extend(self.destination.octets());
        bytes.extend(&self.options);
        let checksum = self.checksum.unwrap_or_else(|| internet_checksum(&[&bytes]));
        bytes[10..12].copy_from_slice(&checksum.to_be_bytes());
        bytes
    }

    fn named_by_ethertype(&self, _length: usize) -> Option<u16> {
        Some(0x0800)
    }

    fn named_by_protocol(&self, _family: Family) -> Option<u8> {
        Some(4)
    }

    fn addresses(&self) -> Option<Address> {
        Some(Address::V4(self.source, self.destination))
    }
}

/// See [`ipv6`].
#[derive(Clone, Debug)]
pub struct Ipv6 {
    version: u8,
    traffic_class: u8,
    flow_label: u32,
    payload_length: Option<u16>,
    next_header: Option<u8>,
    hop_limit: u8,
    source: Ipv6Addr,
    destination: Ipv6Addr,
}

impl Ipv6 {
    setters! {
        /// The version, 0 to 15.
        version: u8;
        /// The traffic class: DSCP and ECN.
        traffic_class: u8;
        /// The flow label, 20 bits.
        flow_label: u32;
        /// The length of what follows this header in bytes.
        payload_length: u16;
        /// The protocol number of what follows.
        next_header: u8;
        /// Hop limit.
        hop_limit: u8;
        /// The source address.
        source: Ipv6Addr;
        /// The destination address.
        destination: Ipv6Addr;
    }
}

impl Header for Ipv6 {
    fn write(&self, around: &Around<'_>, rest: &[u8]) -> Vec<u8> {
        let first = (u32::from(self.version) << 28)
            | (u32::from(self.traffic_class) << 20)
            | (self.flow_label & 0xf_ffff);
        let length = self.payload_length.unwrap_or_else(|| u16_of(rest.len()));
        let next = self.next_header.unwrap_or_else(|| around.protocol(Family::V6));

        let mut bytes = Vec::with_capacity(40 + rest.len());
        bytes.extend(first.to_be_bytes());
        bytes.extend(length.to_be_bytes());
        bytes.extend([next, self.hop_limit]);
        bytes.extend(self.source.octets());
        bytes.extend(self.destination.octets());
        bytes
    }

    fn named_by_ethertype(&self, _length: usize) -> Option<u16> {
        Some(0x86dd)
    }

    fn named_by_protocol(&self, _family: Family) -> Option<u8> {
        Some(41)
    }

    fn addresses(&self) -> Option<Address> {
        Some(Address::V6(self.source, self.destination))
    }
}
