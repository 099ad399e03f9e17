//! What goes wrong with frames, and what attackers do to them.

use crate::random::Random;
use crate::talk::Sent;

/// Changes one thing.
pub(crate) fn mutate(random: &mut Random, (port, frame): &mut Sent) {
    let length = frame.len();
    match random.below(13) {
        0..=2 => {
            let at = random.below(length);
            frame[at] ^= 1 << random.below(8);
        }
        3 => {
            let at = random.below(length.min(64));
            frame[at] = *random.pick(&[0, 1, 0x40, 0x45, 0x7f, 0x80, 0xff]);
        }
        4 => frame.truncate(random.below(length)),
        5 => {
            let tail = 1 + random.below(40);
            frame.extend(random.bytes(tail));
        }
        6 => {
            let tag = [0x81, 0, random.byte() & 0xf0, *random.pick(&[0, 10, 20, 30, 120])];
            frame.splice(12..12, tag);
        }
        7 if frame.get(12..14) == Some(&[0x81, 0]) && length > 18 => drop(frame.drain(12..16)),
        7 => {
            let kinds: [[u8; 2]; 4] = [[0x81, 0], [0x88, 0xa8], [0x86, 0xdd], [8, 6]];
            frame[12..14].copy_from_slice(random.pick(&kinds).as_slice());
        }
        8 => {
            // One of the MACs, or both swapped.
            let (first, second) = frame.split_at_mut(6);
            match random.below(3) {
                0 => first.swap_with_slice(&mut second[..6]),
                1 => first.copy_from_slice(
                    random.pick(&[[0xff_u8; 6], [2, 0, 0x5e, 0, 0, 0]]).as_slice(),
                ),
                _ => second[..6]
                    .copy_from_slice(random.pick(&[[0_u8; 6], [2, 0, 0, 0, 6, 0x66]]).as_slice()),
            }
        }
        9 => *port = u16::try_from(random.below(4)).unwrap(),
        10 => {
            // Length fields, flags and protocols live in the headers' first bytes.
            let start = if frame.get(12) == Some(&0x81) { 18 } else { 14 };
            if let Some(byte) = frame.get_mut(start + random.below(40)) {
                *byte = random.byte();
            }
        }
        11 => {
            // The sequence number, the acknowledgement or the window of a TCP header.
            let start = if frame.get(12) == Some(&0x81) { 18 } else { 14 };
            let network = if frame.get(start) == Some(&0x45) { 20 } else { 40 };
            let at = start + network + random.pick(&[4, 8, 14]) + random.below(2);
            if let Some(bytes) = frame.get_mut(at..at + 2) {
                bytes.copy_from_slice(&random.bytes(2));
            }
        }
        _ => {
            let (from, to) = (random.below(length), random.below(length));
            let count = random.below(16).min(length - from).min(length - to);
            frame.copy_within(from..from + count, to);
        }
    }
    // Shorter ones are not delivered.
    if frame.len() < 14 {
        frame.resize(14, 0);
    }
}
