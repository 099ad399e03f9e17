//! Network and link addresses as they lie on the wire.

const _: () = assert!(cfg!(target_endian = "little"), "the words below are little-endian");

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An IP address, 16 bytes in network order; IPv4 is stored v4-mapped (RFC 4291, 2.5.5.2).
///
/// The two words hold the wire bytes read natively, so that comparing and hashing cost two loads.
/// Their numeric order means nothing beyond being total.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct Addr {
    words: [u64; 2],
}

impl Addr {
    /// The all-zero address `::`.
    pub const UNSPECIFIED: Self = Self { words: [0; 2] };

    /// From 16 bytes in network order.
    #[inline(always)]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = bytes;
        Self {
            words: [
                u64::from_ne_bytes([a, b, c, d, e, f, g, h]),
                u64::from_ne_bytes([i, j, k, l, m, n, o, p]),
            ],
        }
    }

    /// From 4 bytes in network order.
    #[inline(always)]
    pub const fn from_v4(bytes: [u8; 4]) -> Self {
        let [a, b, c, d] = bytes;
        Self { words: [0, u64::from_ne_bytes([0, 0, 0xff, 0xff, a, b, c, d])] }
    }

    /// From 4 bytes in network order, read natively.
    #[inline(always)]
    pub const fn from_v4_word(word: u32) -> Self {
        Self { words: [0, 0xffff_0000 | (word as u64) << 32] }
    }

    /// From the two words of [`Addr::words`].
    #[inline(always)]
    pub const fn from_words(words: [u64; 2]) -> Self {
        Self { words }
    }

    /// The wire bytes read natively, eight at a time.
    #[inline(always)]
    pub const fn words(self) -> [u64; 2] {
        self.words
    }

    /// The 16 bytes in network order.
    pub const fn bytes(self) -> [u8; 16] {
        let [a, b, c, d, e, f, g, h] = self.words[0].to_ne_bytes();
        let [i, j, k, l, m, n, o, p] = self.words[1].to_ne_bytes();
        [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p]
    }

    /// Whether this is an IPv4 address stored v4-mapped.
    #[inline(always)]
    pub const fn is_v4(self) -> bool {
        self.words[0] == 0 && u64::from_be(self.words[1]) >> 32 == 0xffff
    }

    /// The network of `length` bits (0..=128) that holds this address; IPv4 lengths count from 96.
    #[inline(always)]
    pub const fn masked(self, length: u8) -> Self {
        let high = u64::from_be(self.words[0]) & ones(length as u32);
        let low = u64::from_be(self.words[1]) & ones((length as u32).saturating_sub(64));
        Self { words: [high.to_be(), low.to_be()] }
    }

    /// Whether every bit after the first `length` (below 128) is one: a directed broadcast in IPv4.
    #[inline(always)]
    pub const fn is_last_of(self, length: u8) -> bool {
        let low = u64::from_be(self.words[1]);
        length < 128 && length >= 64 && low | ones(length as u32 - 64) == u64::MAX
    }

    /// A total order that is the same on both sides of the kernel boundary.
    #[inline(always)]
    pub const fn precedes(self, other: Self) -> bool {
        if self.words[1] == other.words[1] {
            self.words[0] < other.words[0]
        } else {
            self.words[1] < other.words[1]
        }
    }
}

/// A word whose first `bits` (capped at 64) are one.
#[inline(always)]
const fn ones(bits: u32) -> u64 {
    if bits == 0 {
        0
    } else if bits >= 64 {
        u64::MAX
    } else {
        !(u64::MAX >> bits)
    }
}

impl From<Ipv4Addr> for Addr {
    fn from(address: Ipv4Addr) -> Self {
        Self::from_v4(address.octets())
    }
}

impl From<Ipv6Addr> for Addr {
    fn from(address: Ipv6Addr) -> Self {
        Self::from_bytes(address.octets())
    }
}

impl From<IpAddr> for Addr {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => address.into(),
            IpAddr::V6(address) => address.into(),
        }
    }
}

impl From<Addr> for IpAddr {
    fn from(address: Addr) -> Self {
        let bytes = address.bytes();
        if address.is_v4() {
            let [.., a, b, c, d] = bytes;
            Self::V4(Ipv4Addr::new(a, b, c, d))
        } else {
            Self::V6(Ipv6Addr::from(bytes))
        }
    }
}

impl core::fmt::Display for Addr {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        IpAddr::from(*self).fmt(formatter)
    }
}

/// An IEEE 802 MAC address in transmission order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(transparent)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// The six bytes in the low 48 bits, first byte lowest.
    #[inline(always)]
    pub const fn word(self) -> u64 {
        let [a, b, c, d, e, f] = self.0;
        u64::from_le_bytes([a, b, c, d, e, f, 0, 0])
    }

    /// The reverse of [`Mac::word`]; the upper 16 bits are ignored.
    #[inline(always)]
    pub const fn from_word(word: u64) -> Self {
        let [a, b, c, d, e, f, _, _] = word.to_le_bytes();
        Self([a, b, c, d, e, f])
    }

    /// Whether the group bit is set: multicast or broadcast (IEEE 802-2014, 8.2.2).
    #[inline(always)]
    pub const fn is_group(self) -> bool {
        self.0[0] & 1 != 0
    }

    /// Whether all six bytes are zero.
    #[inline(always)]
    pub const fn is_zero(self) -> bool {
        self.word() == 0
    }
}

/// The MAC that a router sends to, in [`Mac::word`]'s form: one word, which takes no stack in the
/// kernel. The default is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct Hop(u64);

impl Hop {
    /// It is not known, or not needed.
    pub const NONE: Self = Self(0);

    /// From a word whose upper 16 bits are ignored.
    #[inline(always)]
    pub const fn from_word(word: u64) -> Self {
        Self(word & 0xffff_ffff_ffff)
    }

    /// The six bytes in the low 48 bits, first byte lowest.
    #[inline(always)]
    pub const fn word(self) -> u64 {
        self.0
    }

    /// Whether it is not known.
    #[inline(always)]
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }
}

impl From<Mac> for Hop {
    fn from(mac: Mac) -> Self {
        Self(mac.word())
    }
}

impl core::fmt::Display for Mac {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let [a, b, c, d, e, f] = self.0;
        write!(formatter, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_masked_address_keeps_only_its_network() {
        let address = Addr::from(Ipv4Addr::new(10, 20, 30, 40));
        assert_eq!(address.masked(96 + 16), Ipv4Addr::new(10, 20, 0, 0).into());
        assert_eq!(address.masked(128), address);
        let address: Addr = "fd00:20::11".parse::<Ipv6Addr>().unwrap().into();
        assert_eq!(address.masked(64), "fd00:20::".parse::<Ipv6Addr>().unwrap().into());
        assert_eq!(address.masked(0), Addr::UNSPECIFIED);
    }

    #[test]
    fn the_last_address_of_a_network_is_its_broadcast() {
        assert!(Addr::from(Ipv4Addr::new(10, 20, 0, 255)).is_last_of(96 + 24));
        assert!(!Addr::from(Ipv4Addr::new(10, 20, 0, 254)).is_last_of(96 + 24));
        assert!(!Addr::from(Ipv4Addr::new(10, 20, 0, 255)).is_last_of(128));
    }

    #[test]
    fn a_mac_survives_its_word() {
        let mac = Mac([2, 0, 0, 0x20, 0, 0x11]);
        assert_eq!(Mac::from_word(mac.word()), mac);
        assert_eq!(mac.to_string(), "02:00:00:20:00:11");
    }
}
