//! What a subnetwork lets by beside plain packets.

/// What a subnetwork lets by beside plain packets; nothing passes unless the other end's subnetwork
/// lets it by, too. The default is nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct Tolerance(u16);

impl Tolerance {
    /// IPv6 hop-by-hop options (RFC 8200, 4.3).
    pub const HOP_BY_HOP: Self = Self(1);
    /// IPv6 destination options (RFC 8200, 4.6).
    pub const DESTINATION_OPTIONS: Self = Self(1 << 1);
    /// Fragments, whose datagrams are tracked.
    pub const FRAGMENTS: Self = Self(1 << 2);

    /// As it lies in the image.
    #[inline(always)]
    pub const fn bits(self) -> u16 {
        self.0
    }

    /// From [`Tolerance::bits`].
    #[inline(always)]
    pub const fn from_bits(bits: u16) -> Self {
        Self(bits)
    }

    /// What one of the two lets by.
    #[inline(always)]
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What both let by.
    #[inline(always)]
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether it is among what is let by.
    #[inline(always)]
    pub const fn holds(self, one: Self) -> bool {
        self.0 & one.0 == one.0
    }

    /// Whether nothing is.
    #[inline(always)]
    pub const fn is_nothing(self) -> bool {
        self.0 == 0
    }
}
