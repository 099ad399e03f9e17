//! The policy image: a flat, immutable, seeded snapshot made of 64-byte lines.
//!
//! The compiler (crate `firewall-policy`) writes these formats, the decision reads them, in the
//! kernel and in host memory alike. Line 0 is the [`Header`]; the regions that it points to follow
//! in any order. Line numbers are relative to the image's first line; the kernel adds the base of
//! the active half. All words are little-endian.

mod hash;
mod identity;
mod rule;
#[cfg(test)]
mod tests;
mod tolerance;

pub use self::hash::{buckets, network_hash, node_hash, rule_hash};
use self::hash::{half, high, low, pack};
use self::identity::MAC;
pub use self::identity::{Identity, Kind, MacBinding, Party, router_address};
pub use self::rule::{Allowed, RuleEntry, Selector, Shape};
pub use self::tolerance::Tolerance;
use crate::{Mac, Port, Service, SubnetworkSlot, Vlan};

/// One line of the image: as large as a cache line, aligned to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C, align(64))]
pub struct Line(pub [u64; 8]);

/// Lines of the service table: 2 protocols x 65,536 ports x 2 bytes.
pub const SERVICE_LINES: u32 = 2 * SERVICE_LINES_PER_PROTOCOL;
/// Lines of the service table that one protocol takes; TCP's come first, then UDP's.
pub const SERVICE_LINES_PER_PROTOCOL: u32 = 65536 / SERVICES_PER_LINE;
/// Service numbers in one line, 16 bits each.
pub const SERVICES_PER_LINE: u32 = 32;
/// Identities in one line.
pub const IDENTITIES_PER_LINE: usize = 2;
/// Rule entries in one line.
pub const RULES_PER_LINE: usize = 4;
/// The longest list of router MACs of one subnetwork.
pub const ROUTERS_PER_SUBNETWORK: usize = 8;
/// The most distinct prefix lengths among networks that `SUBNETWORK/any` selects.
pub const ANY_PREFIX_LENGTHS: usize = 8;
/// Subnetworks an image can hold, the unused slot 0 included.
pub const SUBNETWORKS: u32 = 256;

/// Line 0 of an image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// The secret that both hash functions start from: an attacker who knows the policy must not
    /// know which addresses share a bucket.
    pub seed: u64,
    /// First line of the identity buckets.
    pub identity_base: u32,
    /// Number of identity buckets (lines), at least 1.
    pub identity_buckets: u32,
    /// First line of the rule buckets.
    pub rule_base: u32,
    /// Number of rule buckets (lines), at least 1.
    pub rule_buckets: u32,
    /// First line of the service table.
    pub service_base: u32,
    /// First line of the subnetwork lines; the subnetwork with slot S is line S - 1 from there.
    pub subnetwork_base: u32,
    /// One bit per [`Shape::index`] that some rule uses; the others need no probe.
    pub shapes: u16,
    /// The service of ICMP and ICMPv6 echo.
    pub echo: Service,
    /// Prefix lengths of the networks that `SUBNETWORK/any` selects (IPv4 counts from 96), longest
    /// first, zero-terminated.
    pub any_prefix_lengths: [u8; ANY_PREFIX_LENGTHS],
    /// The lines of this image, this one included.
    pub lines: u32,
    /// Identifies the policy: the first 8 bytes of its hash.
    pub policy: u64,
    /// What at least one subnetwork lets by.
    pub tolerance: Tolerance,
}

impl Header {
    /// As it lies in the image.
    pub const fn encode(self) -> Line {
        Line([
            self.seed,
            pack(self.identity_base, self.identity_buckets),
            pack(self.rule_base, self.rule_buckets),
            pack(self.service_base, self.subnetwork_base),
            self.shapes as u64 | (self.echo.0 as u64) << 16 | (self.lines as u64) << 32,
            u64::from_le_bytes(self.any_prefix_lengths),
            self.policy,
            self.tolerance.bits() as u64,
        ])
    }

    /// From its line.
    #[inline(always)]
    pub const fn decode(line: &Line) -> Self {
        let Line([seed, identity, rule, service, shapes, lengths, policy, tolerance]) = *line;
        Self {
            seed,
            identity_base: low(identity),
            identity_buckets: high(identity),
            rule_base: low(rule),
            rule_buckets: high(rule),
            service_base: low(service),
            subnetwork_base: high(service),
            shapes: half(shapes, 0),
            echo: Service(half(shapes, 1)),
            any_prefix_lengths: lengths.to_le_bytes(),
            lines: high(shapes),
            policy,
            tolerance: Tolerance::from_bits(half(tolerance, 0)),
        }
    }
}

/// One subnetwork: its binding and its routers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Subnetwork {
    /// The port its frames come in on.
    pub port: Port,
    /// The only tag its frames carry.
    pub vlan: Vlan,
    /// The subnetwork behind the peer port whose routers this one's nodes use as their gateway, if
    /// there is exactly one.
    pub gateway: SubnetworkSlot,
    /// What it lets by beside plain packets.
    pub tolerance: Tolerance,
    /// MACs of the routers that its nodes may be behind; unused places are zero.
    pub routers: [Mac; ROUTERS_PER_SUBNETWORK],
}

impl Subnetwork {
    /// As it lies in the image.
    pub const fn encode(self) -> Line {
        let mut words = [0; 8];
        words[0] = self.port.0 as u64
            | (self.vlan.0 as u64) << 16
            | (self.gateway.0 as u64) << 32
            | (self.tolerance.bits() as u64) << 48;
        // Six words hold eight MACs: word 2 + i carries router i, and its upper 16 bits carry a
        // third of router 6 (i < 3) or router 7.
        let mut index = 0;
        while index < 6 {
            let spare = self.routers[6 + index / 3].word() >> (16 * (index % 3)) & 0xffff;
            words[2 + index] = self.routers[index].word() | spare << 48;
            index += 1;
        }
        Line(words)
    }

    /// From its line, the routers left out.
    #[inline(always)]
    pub const fn decode(line: &Line) -> Self {
        let binding = line.0[0];
        Self {
            port: Port(half(binding, 0)),
            vlan: Vlan(half(binding, 1)),
            gateway: SubnetworkSlot(half(binding, 2)),
            tolerance: Tolerance::from_bits(half(binding, 3)),
            routers: [Mac([0; 6]); ROUTERS_PER_SUBNETWORK],
        }
    }

    /// Whether that line lists this router.
    #[inline(always)]
    pub const fn has_router(line: &Line, router: Mac) -> bool {
        let Line([_, _, a, b, c, d, e, f]) = *line;
        let wanted = router.word();
        if wanted == 0 {
            return false;
        }
        let seventh = a >> 48 | (b >> 48) << 16 | (c >> 48) << 32;
        let eighth = d >> 48 | (e >> 48) << 16 | (f >> 48) << 32;
        a & MAC == wanted
            || b & MAC == wanted
            || c & MAC == wanted
            || d & MAC == wanted
            || e & MAC == wanted
            || f & MAC == wanted
            || seventh == wanted
            || eighth == wanted
    }
}
