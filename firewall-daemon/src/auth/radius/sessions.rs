//! A client's sessions: what is known of each, so that nothing older changes it.

use std::collections::HashMap;
use std::time::Duration;

use firewall_common::Mac;

use super::Refusal;
use super::request::Status;

/// How often at most those that are forgotten are looked for.
const SWEEP: Duration = Duration::from_secs(1);

/// The sessions of one client.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    entries: HashMap<String, Entry>,
    swept: Duration,
}

#[derive(Debug)]
struct Entry {
    station: Mac,
    /// Of the last event, by the client's clock.
    moment: u64,
    /// How long the session had lasted then.
    lasted: Option<u32>,
    is_over: bool,
    /// On the monotonic clock.
    forgotten: Duration,
}

/// Something that a client says of a session.
#[derive(Clone, Copy, Debug)]
pub(super) struct Event {
    pub(super) status: Status,
    /// In seconds since 1970.
    pub(super) moment: u64,
    /// Whether the client has said the moment, so that a new one proves a new packet.
    pub(super) is_dated: bool,
    pub(super) station: Option<Mac>,
    pub(super) lasted: Option<u32>,
    /// How long it is to be remembered.
    pub(super) memory: Duration,
}

impl Sessions {
    /// Takes note of an event, and says whose it is.
    pub(super) fn note(
        &mut self,
        id: &str,
        event: Event,
        now: Duration,
        most: usize,
    ) -> Result<Mac, Refusal> {
        let known = self.entries.get(id).filter(|entry| now < entry.forgotten);
        let station = match known {
            Some(entry) => entry.judge(&event)?,
            None => event.station.ok_or(Refusal::NoStation)?,
        };
        self.make_room(now, most);
        if !self.entries.contains_key(id) && self.entries.len() >= most {
            return Err(Refusal::Full);
        }
        let Event { status, moment, lasted, memory, is_dated: _, station: _ } = event;
        let is_over = status == Status::Stop;
        let entry = Entry { station, moment, lasted, is_over, forgotten: now + memory };
        self.entries.insert(id.to_owned(), entry);
        Ok(station)
    }

    /// All of them are over. Those of a client that does not date its packets are still remembered, so
    /// that none of them is said again.
    pub(super) fn end(&mut self, is_dated: bool) {
        if is_dated {
            self.entries.clear();
        }
        for entry in self.entries.values_mut() {
            entry.is_over = true;
        }
    }

    fn make_room(&mut self, now: Duration, most: usize) {
        if self.entries.len() >= most && now >= self.swept + SWEEP {
            self.swept = now;
            self.entries.retain(|_, entry| now < entry.forgotten);
        }
    }
}

impl Entry {
    /// Whether an event goes on from here.
    fn judge(&self, event: &Event) -> Result<Mac, Refusal> {
        let Self { station, moment, lasted, is_over, forgotten: _ } = self;
        let is_newer = event.is_dated && event.moment > *moment;
        if event.moment < *moment {
            return Err(Refusal::Superseded);
        }
        match event.status {
            // Some clients count their sessions anew after a reboot that they do not mention.
            Status::Start if is_newer => return event.station.ok_or(Refusal::NoStation),
            Status::Start | Status::Interim | Status::Stop if *is_over => {
                return Err(Refusal::SessionOver);
            }
            Status::Start | Status::Restart => return Err(Refusal::Superseded),
            // What lasts no longer than before was said before: of a client that does not date its
            // packets, nothing else tells.
            Status::Interim if event.lasted.is_some() && event.lasted <= *lasted => {
                return Err(Refusal::Superseded);
            }
            Status::Interim | Status::Stop => {}
        }
        match (event.status, event.station) {
            // Whoever it was: it is over.
            (Status::Stop, _) | (_, None) => Ok(*station),
            (_, Some(other)) if other == *station => Ok(*station),
            (_, Some(_)) => Err(Refusal::OtherStation),
        }
    }
}
