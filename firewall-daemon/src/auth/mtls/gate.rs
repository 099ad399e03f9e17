//! Who may try to prove something, and how often.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How many connections may be open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// All together.
    pub connections: usize,
    /// Of one address: a node that was cut off leaves one behind.
    pub of_an_address: usize,
    /// How many new ones of one address in a row,
    pub burst: u32,
    /// and how long until it may have one more.
    pub pause: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { connections: 4096, of_an_address: 4, burst: 10, pause: Duration::from_secs(1) }
    }
}

/// Why a connection is closed before a byte of it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// Its address is none that may prove anything.
    Address,
    /// All places are taken.
    Full,
    /// This address has enough.
    Many,
    /// This address has had too many lately.
    Often,
}

/// Counts connections. Copies are one and the same.
#[derive(Clone, Debug)]
pub struct Gate {
    bounds: Bounds,
    doors: Arc<Mutex<Doors>>,
}

#[derive(Debug, Default)]
struct Doors {
    open: usize,
    addresses: HashMap<IpAddr, Visitor>,
}

#[derive(Debug, Default)]
struct Visitor {
    open: usize,
    /// When all that it has had is forgotten.
    even: Duration,
}

/// A connection's place; given back with the value.
#[derive(Debug)]
pub struct Ticket {
    address: IpAddr,
    gate: Gate,
}

impl Gate {
    /// With nobody there.
    pub fn new(bounds: Bounds) -> Self {
        Self { bounds, doors: Arc::default() }
    }

    /// Lets a connection in, or says why not.
    ///
    /// # Errors
    /// [`Closed`].
    pub fn admit(
        &self,
        address: IpAddr,
        allowed: &HashSet<IpAddr>,
        now: Duration,
    ) -> Result<Ticket, Closed> {
        // Before it is counted: whoever is not allowed takes no memory either.
        if !allowed.contains(&address) {
            return Err(Closed::Address);
        }
        let Bounds { connections, of_an_address, burst, pause } = self.bounds;
        let mut doors = self.lock();
        if doors.open >= connections {
            return Err(Closed::Full);
        }
        // Only after a policy has taken addresses away: a flood must not make us look at all of them.
        if doors.addresses.len() > allowed.len() {
            doors.addresses.retain(|other, visitor| visitor.open > 0 || allowed.contains(other));
        }
        let visitor = doors.addresses.entry(address).or_default();
        if visitor.open >= of_an_address {
            return Err(Closed::Many);
        }
        let even = visitor.even.max(now) + pause;
        if even > now + pause * burst {
            return Err(Closed::Often);
        }
        visitor.even = even;
        visitor.open += 1;
        doors.open += 1;
        drop(doors);
        Ok(Ticket { address, gate: self.clone() })
    }

    fn lock(&self) -> MutexGuard<'_, Doors> {
        self.doors.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut doors = self.gate.lock();
        doors.open -= 1;
        if let Some(visitor) = doors.addresses.get_mut(&self.address) {
            visitor.open -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 20, 0, 11));
    const OTHER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 20, 0, 12));

    #[test]
    fn an_address_has_so_many_connections_at_once_and_so_many_in_a_row() {
        let bounds = Bounds { connections: 3, of_an_address: 2, burst: 4, ..Bounds::default() };
        let gate = Gate::new(bounds);
        let allowed = HashSet::from([NODE, OTHER]);
        let admit = |address, second| gate.admit(address, &allowed, Duration::from_secs(second));
        let (first, second) = (admit(NODE, 100).unwrap(), admit(NODE, 100).unwrap());
        assert_eq!(admit(NODE, 100).unwrap_err(), Closed::Many);
        let third = admit(OTHER, 100).unwrap();
        assert_eq!(admit(OTHER, 100).unwrap_err(), Closed::Full);
        drop((first, second, third));
        drop((admit(NODE, 100).unwrap(), admit(NODE, 100).unwrap()));
        assert_eq!(admit(NODE, 100).unwrap_err(), Closed::Often);
        drop(admit(NODE, 101).unwrap());
        assert_eq!(admit(NODE, 101).unwrap_err(), Closed::Often);
    }

    #[test]
    fn who_is_not_allowed_is_not_remembered() {
        let gate = Gate::new(Bounds::default());
        let closed = gate.admit(OTHER, &HashSet::from([NODE]), Duration::ZERO).unwrap_err();
        assert_eq!(closed, Closed::Address);
        assert!(gate.lock().addresses.is_empty());
    }
}
