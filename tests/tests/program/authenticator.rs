//! Frames of IEEE 802.1X, most of them on the one port where it is spoken.

use crate::gateway::AUTHENTICATOR;
use crate::random::Random;
use crate::talk::Sent;

const GROUP: [u8; 6] = [0x01, 0x80, 0xc2, 0, 0, 0x03];
const NODE: [u8; 6] = [2, 0, 0, 7, 0, 0x10];

/// From a node to the authenticator with that MAC.
pub(crate) fn asked(random: &mut Random, own: [u8; 6]) -> Sent {
    let to = *random.pick(&[GROUP, own]);
    eapol(random, [to, NODE], own)
}

/// From the authenticator to a node.
pub(crate) fn answered(random: &mut Random, own: [u8; 6]) -> Sent {
    let to = *random.pick(&[NODE, NODE, GROUP]);
    eapol(random, [to, own], own)
}

/// Now and then not quite as it should be.
fn eapol(random: &mut Random, macs: [[u8; 6]; 2], own: [u8; 6]) -> Sent {
    let [to, from] = macs.map(|mac| {
        if random.once_in(8) { *random.pick(&[GROUP, own, NODE, [0xff; 6], [0; 6]]) } else { mac }
    });
    let version = *random.pick(&[1, 2, 2, 2, 3, 3, 0, 4]);
    let kind = *random.pick(&[0, 0, 0, 1, 2, 3, 4, 5]);
    let length = random.below(60);
    let said = if random.once_in(8) { random.below(60) } else { length };
    let said = u16::try_from(said).unwrap().to_be_bytes();
    let header = [&to[..], &from, &[0x88, 0x8e, version, kind], &said].concat();
    let mut frame = [header, random.bytes(length)].concat();
    if random.once_in(2) {
        frame.resize(frame.len().max(60), 0);
    }
    let port = if random.once_in(8) { random.below(4) } else { AUTHENTICATOR.into() };
    (u16::try_from(port).unwrap(), frame)
}
