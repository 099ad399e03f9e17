//! IEEE 802.1X-2020: a node proves who it is to the authenticator of the port that it is attached to.

use super::Oracle;

const GROUP: [u8; 6] = [0x01, 0x80, 0xc2, 0x00, 0x00, 0x03];

impl Oracle {
    /// A node on that port says something to its authenticator.
    pub(super) fn is_for_authenticator(&self, port: u16, frame: &[u8]) -> bool {
        let (Some(own), Some((to, from))) = (self.authenticators.get(&port), macs(frame)) else {
            return false;
        };
        let is_from_another = from != *own && from != [0; 6] && from[0] % 2 == 0;
        is_from_another && [*own, GROUP].contains(&to) && is_eapol(frame)
    }

    /// The authenticator of that port says something to a node, or to all.
    pub(super) fn is_from_authenticator(&self, port: u16, frame: &[u8]) -> bool {
        let (Some(own), Some((to, from))) = (self.authenticators.get(&port), macs(frame)) else {
            return false;
        };
        from == *own && (to[0] % 2 == 0 || to == GROUP) && is_eapol(frame)
    }
}

fn macs(frame: &[u8]) -> Option<([u8; 6], [u8; 6])> {
    Some((*frame.first_chunk()?, *frame.get(6..)?.first_chunk()?))
}

/// Untagged, of a known version (1 to 3) and type (0 to 4), and as long as it says; only the shortest
/// frames are padded.
fn is_eapol(frame: &[u8]) -> bool {
    let Some(&[0x88, 0x8e, version, kind, high, low]) = frame.get(12..18) else { return false };
    let length = 18 + usize::from(u16::from_be_bytes([high, low]));
    let is_padded = frame.len() <= 60 && frame.len() > length;
    (1..=3).contains(&version) && kind <= 4 && (frame.len() == length || is_padded)
}
