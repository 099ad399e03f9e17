//! Where things lie: the hash functions, and the halves of words.

use super::identity::network_key;
use super::rule::{Selector, rule_key};
use crate::{Addr, Port, Service};

/// The hash of a node's address.
#[inline(always)]
pub const fn node_hash(address: Addr, seed: u64) -> u64 {
    let [first, second] = address.words();
    mix(first, second, seed)
}

/// The hash of a network of `SUBNETWORK/any`.
#[inline(always)]
pub const fn network_hash(network: Addr, length: u8, port: Port, seed: u64) -> u64 {
    node_hash(network, seed ^ (network_key(length, port) + 1))
}

/// The hash of a rule entry.
#[inline(always)]
pub const fn rule_hash(from: Selector, to: Selector, service: Service, seed: u64) -> u64 {
    mix(rule_key(from, to), service.0 as u64, seed)
}

/// The two lines, relative to a region of `buckets` lines, where an entry with that hash may lie.
#[inline(always)]
pub const fn buckets(hash: u64, buckets: u32) -> [u32; 2] {
    [reduce(low(hash), buckets), reduce(high(hash), buckets)]
}

/// Multiply and shift: a number below `buckets` without a division.
#[inline(always)]
const fn reduce(hash: u32, buckets: u32) -> u32 {
    high(hash as u64 * buckets as u64)
}

/// Two rounds of the murmur3 finaliser; the constants are those of its 64-bit variant.
#[inline(always)]
const fn mix(first: u64, second: u64, seed: u64) -> u64 {
    let mut hash = (first ^ seed).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^= hash >> 33;
    hash = (hash ^ second).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^ hash >> 33
}

#[inline(always)]
pub(super) const fn pack(low: u32, high: u32) -> u64 {
    low as u64 | (high as u64) << 32
}

#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "takes the low half")]
pub(super) const fn low(word: u64) -> u32 {
    word as u32
}

#[inline(always)]
pub(super) const fn high(word: u64) -> u32 {
    low(word >> 32)
}

#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "takes one 16-bit lane")]
pub(super) const fn half(word: u64, lane: u32) -> u16 {
    (word >> (16 * lane)) as u16
}
