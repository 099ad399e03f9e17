//! A keyed digest of an image: whoever edits a line and does not know the key cannot make up for it
//! in another one.

use std::hash::{BuildHasher, RandomState};

/// Four chains of multiply and fold over two words each, so that none waits for another.
const LANES: usize = 4;

/// The secret of a digest.
#[derive(Clone, Copy)]
pub(in crate::dataplane) struct Key([u64; LANES]);

impl Key {
    /// One that nobody outside can know: the standard library's hasher is keyed with the kernel's
    /// random numbers.
    pub(super) fn random() -> Self {
        let random = RandomState::new();
        Self(std::array::from_fn(|lane| random.hash_one(lane)))
    }

    /// Of those lines, eight words each.
    pub(super) fn digest(self, lines: impl Iterator<Item = [u64; 2 * LANES]>) -> u64 {
        let Self(keys) = self;
        let mut lanes = keys;
        let mut count = 0;
        for line in lines {
            let (pairs, _) = line.as_chunks::<2>();
            for ((lane, key), [first, second]) in lanes.iter_mut().zip(keys).zip(pairs) {
                *lane = fold(first ^ key, second ^ *lane);
            }
            count += 1;
        }
        lanes.into_iter().zip(keys).fold(count, |digest, (lane, key)| fold(digest ^ key, lane))
    }
}

/// Both halves of the product.
fn fold(first: u64, second: u64) -> u64 {
    let (low, high) = first.carrying_mul(second, 0);
    low ^ high
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image() -> Vec<[u64; 8]> {
        (0..100).map(|line| std::array::from_fn(|word| line * 8 + word as u64)).collect()
    }

    #[test]
    fn every_flipped_bit_is_found() {
        let (key, mut lines) = (Key::random(), image());
        let good = key.digest(lines.iter().copied());
        for line in 0..lines.len() {
            for bit in 0..512 {
                lines[line][bit / 64] ^= 1 << (bit % 64);
                assert_ne!(key.digest(lines.iter().copied()), good, "line {line}, bit {bit}");
                lines[line][bit / 64] ^= 1 << (bit % 64);
            }
        }
        assert_eq!(key.digest(lines.iter().copied()), good);
    }

    #[test]
    fn lines_that_change_places_or_are_missing_are_found() {
        let (key, lines) = (Key::random(), image());
        let good = key.digest(lines.iter().copied());
        let mut swapped = lines.clone();
        swapped.swap(3, 4);
        assert_ne!(key.digest(swapped.into_iter()), good);
        assert_ne!(key.digest(lines.into_iter().take(99)), good);
        let zeros = |count| key.digest(std::iter::repeat_n([0; 8], count));
        assert_ne!(zeros(7), zeros(8));
    }

    #[test]
    fn another_key_gives_another_digest() {
        let lines = image();
        let [one, other] =
            [Key::random(), Key::random()].map(|key| key.digest(lines.iter().copied()));
        assert_ne!(one, other);
    }
}
