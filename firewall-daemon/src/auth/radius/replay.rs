//! What has been received lately, so that nobody says it again.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use super::packet::Authenticator;

/// How long a client may repeat a request: it gets the same answer (RFC 5080, 2.2.2).
const PATIENCE: Duration = Duration::from_secs(60);

/// The authenticators of a client's requests. Each is a digest over the whole packet and the secret,
/// so that two packets with the same one are the same packet.
#[derive(Debug, Default)]
pub(super) struct Seen {
    sightings: HashMap<Authenticator, Sighting>,
    /// Oldest first.
    order: VecDeque<(Duration, Authenticator)>,
}

#[derive(Clone, Copy, Debug)]
struct Sighting {
    from: SocketAddr,
    at: Duration,
}

/// Whether a packet has been there before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sight {
    /// It has not.
    New,
    /// Its sender has not heard the answer.
    Retransmitted,
    /// Somebody says it again.
    Replayed,
    /// There is no room to remember it.
    Full,
}

impl Seen {
    /// Looks at a packet that is signed.
    pub(super) fn look(
        &mut self,
        authenticator: &Authenticator,
        from: SocketAddr,
        now: Duration,
        limits: Limits,
    ) -> Sight {
        let Limits { memory, most } = limits;
        while let Some((at, oldest)) = self.order.front()
            && *at + memory <= now
        {
            self.sightings.remove(oldest);
            self.order.pop_front();
        }
        match self.sightings.get(authenticator) {
            Some(first) if first.from == from && now < first.at + PATIENCE => Sight::Retransmitted,
            Some(_) => Sight::Replayed,
            // To forget one would let it be said again.
            None if self.order.len() >= most => Sight::Full,
            None => {
                self.sightings.insert(*authenticator, Sighting { from, at: now });
                self.order.push_back((now, *authenticator));
                Sight::New
            }
        }
    }
}

/// How much is remembered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// For how long.
    pub(super) memory: Duration,
    /// How many.
    pub(super) most: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { memory: Duration::from_secs(400), most: 2 };

    #[test]
    fn a_packet_is_new_once_and_repeated_by_its_sender_for_a_minute() {
        let mut seen = Seen::default();
        let [sender, other] = [1646, 1647].map(|port| SocketAddr::from(([10, 0, 0, 1], port)));
        for (sight, from, second) in [
            (Sight::New, sender, 100),
            (Sight::Retransmitted, sender, 100),
            (Sight::Retransmitted, sender, 159),
            (Sight::Replayed, other, 159),
            (Sight::Replayed, sender, 160),
            (Sight::Replayed, sender, 499),
            (Sight::New, sender, 500),
        ] {
            let now = Duration::from_secs(second);
            assert_eq!(seen.look(&[7; 16], from, now, LIMITS), sight, "at {second} s");
        }
    }

    #[test]
    fn nothing_is_forgotten_before_its_time_to_make_room() {
        let mut seen = Seen::default();
        let from = SocketAddr::from(([10, 0, 0, 1], 1646));
        let mut look =
            |byte, second| seen.look(&[byte; 16], from, Duration::from_secs(second), LIMITS);
        assert_eq!([look(1, 0), look(2, 1), look(3, 2)], [Sight::New, Sight::New, Sight::Full]);
        assert_eq!(look(1, 3), Sight::Retransmitted);
        assert_eq!(look(3, 400), Sight::New);
    }
}
