//! How frames look on the wire.

use crate::{Hop, Mac, Port, Vlan};

/// How the frames of one direction look on the wire: 16 bytes that are compared in two words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Signature {
    first: u64,
    second: u64,
}

impl Signature {
    /// Destination MAC, source MAC, VLAN and the port the frame came in on.
    #[inline(always)]
    pub const fn new(destination: Mac, source: Mac, vlan: Vlan, port: Port) -> Self {
        let source = source.word();
        Self {
            first: destination.word() | source << 48,
            second: source >> 16 | (vlan.0 as u64) << 32 | (port.0 as u64) << 48,
        }
    }

    /// From the 12 bytes that hold both MACs, read natively.
    #[inline(always)]
    pub const fn from_header(first: u64, second: u32, vlan: Vlan, port: Port) -> Self {
        Self { first, second: second as u64 | (vlan.0 as u64) << 32 | (port.0 as u64) << 48 }
    }

    /// The same with a next hop in the receiver's place: a router's side.
    #[inline(always)]
    pub const fn to(self, hop: Hop) -> Self {
        Self { first: self.first & SOURCE_START | hop.word(), ..self }
    }

    /// The next hop towards the end whose side this is, in a router's flow.
    #[inline(always)]
    pub const fn hop(self) -> Hop {
        Hop::from_word(self.first)
    }

    /// The sender on the link, as [`Mac::word`].
    #[inline(always)]
    pub const fn source_word(self) -> u64 {
        (self.first >> 48 | self.second << 16) & 0xffff_ffff_ffff
    }

    /// The same without a tag.
    #[inline(always)]
    pub const fn untagged(self) -> Self {
        Self { second: self.second & !(0xffff << 32), ..self }
    }

    /// The same on another port.
    #[inline(always)]
    pub const fn at(self, port: Port) -> Self {
        Self { second: self.second & (u64::MAX >> 16) | (port.0 as u64) << 48, ..self }
    }

    /// Whether the sender, the VLAN and the port are the same.
    #[inline(always)]
    pub const fn is_sent_like(self, other: Self) -> bool {
        (self.first ^ other.first) & SOURCE_START == 0 && self.second == other.second
    }

    /// Whether the receiver is a group.
    #[inline(always)]
    pub const fn is_to_group(self) -> bool {
        self.first & 1 != 0
    }

    /// Whether the sender is a group, or zero.
    #[inline(always)]
    pub const fn is_from_nobody(self) -> bool {
        let (first, rest) = (self.first >> 48, self.second & 0xffff_ffff);
        first & 1 != 0 || first == 0 && rest == 0
    }

    /// From the two words of [`Signature::words`].
    #[inline(always)]
    pub const fn from_words([first, second]: [u64; 2]) -> Self {
        Self { first, second }
    }

    /// As it lies in flows and events.
    #[inline(always)]
    pub const fn words(self) -> [u64; 2] {
        [self.first, self.second]
    }

    /// The receiver on the link.
    #[inline(always)]
    pub const fn destination(self) -> Mac {
        Mac::from_word(self.first)
    }

    /// The sender on the link; zero in a flow that has not heard from this side yet.
    #[inline(always)]
    pub const fn source(self) -> Mac {
        Mac::from_word(self.first >> 48 | self.second << 16)
    }

    /// The tag.
    #[inline(always)]
    pub const fn vlan(self) -> Vlan {
        Vlan((self.second >> 32 & 0xffff) as u16)
    }

    /// The port.
    #[inline(always)]
    pub const fn port(self) -> Port {
        Port((self.second >> 48) as u16)
    }
}

/// The bytes of the source MAC that share a word with the destination MAC.
const SOURCE_START: u64 = 0xffff << 48;
