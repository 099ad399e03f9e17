//! When who has left is asked who is there.

use std::collections::BTreeMap;
use std::time::Duration;

use firewall_common::Mac;

use super::STATIONS;

/// From one to the next. hostapd forgets a station within 5 s of its logoff, be it forged, and its
/// supplicant, which knows nothing of that, would say nothing more.
const AFTER: [Duration; 3] =
    [Duration::from_secs(6), Duration::from_secs(20), Duration::from_secs(60)];

/// Those that have left.
#[derive(Debug, Default)]
pub(super) struct Invitations {
    /// When each is asked, and which time that is.
    left: BTreeMap<Mac, (Duration, usize)>,
    /// Nobody could hear it.
    is_cut_off: bool,
}

impl Invitations {
    /// That station has left.
    pub(super) fn left(&mut self, mac: Mac, now: Duration) {
        if self.left.len() < STATIONS || self.left.contains_key(&mac) {
            self.left.insert(mac, (now + AFTER[0], 1));
        }
    }

    /// It is back.
    pub(super) fn back(&mut self, mac: Mac) {
        self.left.remove(&mac);
    }

    /// The port's carrier has come or gone. If it has come, everybody is asked from the first time on.
    pub(super) fn carrier_changed(&mut self, is_up: bool, now: Duration) {
        self.is_cut_off = !is_up;
        self.left.values_mut().for_each(|next| *next = (now + AFTER[0], 1));
    }

    /// When the next is asked.
    pub(super) fn next(&self) -> Option<Duration> {
        if self.is_cut_off {
            return None;
        }
        self.left.values().map(|(at, _)| *at).min()
    }

    /// Who is asked now.
    pub(super) fn due(&mut self, now: Duration) -> Vec<Mac> {
        if self.is_cut_off {
            return Vec::new();
        }
        let due = self.left.iter().filter(|(_, (at, _))| *at <= now).map(|(mac, _)| *mac);
        let due: Vec<_> = due.collect();
        for mac in &due {
            let Some((at, times)) = self.left.remove(mac) else { continue };
            if let Some(after) = AFTER.get(times) {
                self.left.insert(*mac, (at + *after, times + 1));
            }
        }
        due
    }

    /// How many there are.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.left.len()
    }
}
