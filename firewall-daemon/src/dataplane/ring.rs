//! The ring buffer of events: aya reads it, tokio waits for it.

use std::io;
use std::path::Path;

use aya::maps::{Map, MapData, MapError, RingBuf};
use firewall_common::event::Event;
use tokio::io::unix::AsyncFd;

/// The reading end; there must be only one.
pub struct Ring {
    ring: AsyncFd<RingBuf<MapData>>,
}

impl Ring {
    /// Opens the ring pinned at that path.
    pub fn open(path: &Path) -> io::Result<Self> {
        let open = || -> Result<RingBuf<MapData>, MapError> {
            RingBuf::try_from(Map::from_map_data(MapData::from_pin(path)?)?)
        };
        let ring = open().map_err(io::Error::other)?;
        // SAFETY: aya's ring owns its descriptor and keeps the same one for as long as it lives.
        let ring = unsafe { AsyncFd::register(ring) };
        Ok(Self { ring: ring.map_err(io::Error::other)? })
    }

    /// Waits for events, then hands over those that are there, at most `limit`.
    pub async fn next(&mut self, limit: usize, mut take: impl FnMut(Event)) -> io::Result<()> {
        let mut guard = self.ring.readable_mut().await?;
        for _ in 0..limit {
            let Some(event) = guard.get_inner_mut().next().map(|item| decode(&item)) else {
                guard.clear_ready();
                break;
            };
            if let Some(event) = event {
                take(event);
            }
        }
        Ok(())
    }
}

fn decode(bytes: &[u8]) -> Option<Event> {
    let bytes = bytes.get(..size_of::<Event>())?;
    // SAFETY: as long as an event, which is plain integers without padding.
    Some(unsafe { bytes.as_ptr().cast::<Event>().read_unaligned() })
}
