//! What a daemon that starts again must know, so that nobody says to it what was said to the one before:
//! of each client that dates its packets, when the last thing happened that was believed. What was
//! recorded happened then or before.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::accounting::FUTURE;
use crate::auth::sealed::Sealed;
use crate::auth::store;

/// How much a crash of the machine may lose: so long the kernel keeps what was written from the disk.
const LOST: Duration = Duration::from_secs(60);

/// By client's name, in seconds since 1970 by its clock.
pub(super) type Moments = BTreeMap<String, u64>;

/// The file.
#[derive(Clone, Debug)]
pub struct Memory {
    file: Sealed,
    boot: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    boot: String,
    heard: Moments,
}

impl Memory {
    /// In the daemon's state directory.
    pub fn new(state_directory: &Path) -> Self {
        // Where the kernel does not say which boot this is, every start is one of another.
        let boot = store::boot().unwrap_or_default();
        Self { file: Sealed::new(state_directory.join("radius")), boot }
    }

    /// Up to when each of these clients was heard; what happened until then is not believed any more.
    /// Never later than what could be believed now: a clock that was once wrong shuts nobody out.
    pub(super) fn read<'a>(
        &self,
        clients: impl Iterator<Item = &'a str>,
        wall: Duration,
    ) -> Moments {
        let latest = (wall + FUTURE).as_secs();
        let (heard, lost) = match self.file.read::<Body>() {
            Ok(None) => return Moments::new(),
            Ok(Some(Body { boot, heard })) if boot == self.boot && !boot.is_empty() => (heard, 0),
            Ok(Some(Body { boot: _, heard })) => (heard, LOST.as_secs()),
            Err(error) => {
                tracing::error!(%error, "of RADIUS clients nothing is believed for a minute");
                return clients.map(|client| (client.to_owned(), latest)).collect();
            }
        };
        let heard = heard.into_iter();
        heard.map(|(client, moment)| (client, moment.saturating_add(lost).min(latest))).collect()
    }

    /// Replaces the file; its errors are told.
    pub(super) fn write(&self, heard: Moments) {
        if let Err(error) = self.file.write(&Body { boot: self.boot.clone(), heard }) {
            tracing::error!(%error, "what RADIUS clients said could be said again after a restart");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WALL: Duration = Duration::from_secs(1_800_000_000);

    fn read(memory: &Memory) -> Option<u64> {
        memory.read(["switch-1"].into_iter(), WALL).get("switch-1").copied()
    }

    #[test]
    fn what_was_heard_is_known_in_the_same_boot_and_a_minute_more_in_another() {
        let directory = tempfile::tempdir().unwrap();
        let memory = Memory { boot: "this".to_owned(), ..Memory::new(directory.path()) };
        assert_eq!(read(&memory), None);
        let write = |moment| memory.write(Moments::from([("switch-1".to_owned(), moment)]));
        write(1_799_999_000);
        assert_eq!(read(&memory), Some(1_799_999_000));
        for boot in ["another", ""] {
            let after = Memory { boot: boot.to_owned(), ..memory.clone() };
            assert_eq!(read(&after), Some(1_799_999_060));
        }
        write(u64::MAX);
        assert_eq!(read(&memory), Some(1_800_000_060));
    }

    #[test]
    fn of_a_damaged_memory_nothing_is_believed_that_could_have_been_said_before() {
        let directory = tempfile::tempdir().unwrap();
        let memory = Memory::new(directory.path());
        memory.write(Moments::from([("switch-1".to_owned(), 5)]));
        let path = directory.path().join("radius");
        let good = std::fs::read(&path).unwrap();
        for place in 0..good.len() {
            let mut bad = good.clone();
            bad[place] ^= 1;
            std::fs::write(&path, bad).unwrap();
            assert_eq!(read(&memory), Some(1_800_000_060), "byte {place}");
            std::fs::write(&path, &good[..place]).unwrap();
            assert_eq!(read(&memory), Some(1_800_000_060), "cut to {place} bytes");
        }
    }
}
