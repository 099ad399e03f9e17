//! Which next hops the kernel knows, as far as it tells: a router's flows remember them, so they must
//! be asked again when one of them changes.

use std::collections::HashMap;

use super::netlink::{Cut, HEADER, attribute, half, messages, word};

/// The neighbours that were told of.
#[derive(Debug, Default)]
pub struct Neighbours {
    known: HashMap<Neighbour, Vec<u8>>,
}

/// An interface's index and an address.
type Neighbour = (u32, Vec<u8>);

/// `RTM_NEWNEIGH` and `RTM_DELNEIGH` (linux/rtnetlink.h).
const NEW: u16 = 28;
const DELETED: u16 = 29;
/// `NUD_INCOMPLETE | NUD_FAILED` (linux/neighbour.h): there is no MAC any more.
const LOST: u16 = 0x01 | 0x20;
/// `NDA_DST` and `NDA_LLADDR`.
const DESTINATION: u16 = 1;
const LINK_ADDRESS: u16 = 2;
/// `struct ndmsg`.
const MESSAGE: usize = 12;

impl Neighbours {
    /// Takes what one read of a netlink socket brought; whether a next hop has changed, was lost, or
    /// may have.
    pub fn observe(&mut self, bytes: &[u8]) -> bool {
        let mut is_changed = false;
        for message in messages(bytes) {
            is_changed |= match message {
                Ok(message) => self.message(message),
                // Whatever it said.
                Err(Cut) => true,
            };
        }
        is_changed
    }

    /// The kernel had more to say than could be heard.
    pub fn forget(&mut self) {
        self.known.clear();
    }

    fn message(&mut self, message: &[u8]) -> bool {
        let (Some(kind), Some(index), Some(state)) =
            (half(message, 4), word(message, HEADER + 4), half(message, HEADER + 8))
        else {
            return true;
        };
        let attributes = message.get(HEADER + MESSAGE..).unwrap_or_default();
        let Some(address) = attribute(attributes, DESTINATION) else { return false };
        let neighbour = (index, address.to_vec());
        match (kind, attribute(attributes, LINK_ADDRESS)) {
            (NEW, Some(mac)) if state & LOST == 0 => {
                self.known.insert(neighbour, mac.to_vec()).is_none_or(|known| known != mac)
            }
            (NEW | DELETED, _) => self.known.remove(&neighbour).is_some(),
            (_, _) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REACHABLE: u16 = 0x02;
    const STALE: u16 = 0x04;
    const FAILED: u16 = 0x20;

    fn told(kind: u16, state: u16, mac: Option<u8>) -> Vec<u8> {
        let mut body =
            [&[2, 0, 0, 0][..], &7_u32.to_ne_bytes(), &state.to_ne_bytes(), &[0, 1]].concat();
        body.extend(
            [&8_u16.to_ne_bytes()[..], &DESTINATION.to_ne_bytes(), &[10, 0, 0, 1]].concat(),
        );
        if let Some(mac) = mac {
            let attribute = [&10_u16.to_ne_bytes()[..], &LINK_ADDRESS.to_ne_bytes()].concat();
            body.extend([&attribute[..], &[2, 0, 0, 0, 0, mac, 0, 0]].concat());
        }
        let length = u32::try_from(HEADER + body.len()).unwrap();
        [&length.to_ne_bytes()[..], &kind.to_ne_bytes(), &[0; 10], &body].concat()
    }

    #[test]
    fn only_another_mac_or_none_is_a_change() {
        let mut neighbours = Neighbours::default();
        assert!(neighbours.observe(&told(NEW, REACHABLE, Some(1))), "unknown before");
        let both = [told(NEW, STALE, Some(1)), told(NEW, REACHABLE, Some(1))].concat();
        assert!(!neighbours.observe(&both), "it only aged");
        assert!(neighbours.observe(&told(NEW, STALE, Some(2))), "another MAC");
        assert!(neighbours.observe(&told(NEW, FAILED, Some(2))), "it does not answer");
        assert!(!neighbours.observe(&told(NEW, FAILED, None)), "it still does not");
        assert!(neighbours.observe(&told(NEW, REACHABLE, Some(2))), "it is back");
        assert!(neighbours.observe(&told(DELETED, STALE, Some(2))), "it is forgotten");
        assert!(!neighbours.observe(&told(DELETED, STALE, Some(2))));
        neighbours.observe(&told(NEW, REACHABLE, Some(2)));
        neighbours.forget();
        assert!(neighbours.observe(&told(NEW, REACHABLE, Some(2))));
    }

    #[test]
    fn what_cannot_be_read_may_have_been_a_change() {
        let message = told(NEW, REACHABLE, Some(1));
        for length in 4..message.len() {
            assert!(Neighbours::default().observe(&message[..length]), "{length}");
        }
        assert!(!Neighbours::default().observe(&[]));
    }
}
