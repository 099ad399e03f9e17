//! Who is connected, and who makes room when all places are taken.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// The open connections, at most `limit`.
#[derive(Debug)]
pub(crate) struct Connections {
    limit: usize,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    next: u64,
    /// Oldest first.
    entries: BTreeMap<u64, Entry>,
}

#[derive(Debug)]
struct Entry {
    uid: u32,
    activity: Activity,
    /// Dropped to end the connection.
    _hold: oneshot::Sender<()>,
}

/// How many requests a connection has in work.
#[derive(Clone, Debug, Default)]
pub(crate) struct Activity(Arc<AtomicUsize>);

/// A request in work; ends with the value.
#[derive(Debug)]
pub(crate) struct Busy(Activity);

/// A connection's place; given back with the value.
#[derive(Debug)]
pub(crate) struct Ticket {
    id: u64,
    activity: Activity,
    evicted: oneshot::Receiver<()>,
    connections: Arc<Connections>,
}

impl Connections {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit: limit.max(1), open: Mutex::default() }
    }

    /// A place for this user's next connection; somebody else's, if none is free.
    pub(crate) fn admit(self: &Arc<Self>, uid: u32) -> Ticket {
        let (hold, evicted) = oneshot::channel();
        let activity = Activity::default();
        let mut open = self.lock();
        while open.entries.len() >= self.limit {
            open.evict();
        }
        let id = open.next;
        open.next += 1;
        open.entries.insert(id, Entry { uid, activity: activity.clone(), _hold: hold });
        Ticket { id, activity, evicted, connections: Arc::clone(self) }
    }

    /// Ends one connection, if there is any.
    pub(crate) fn evict(&self) {
        self.lock().evict();
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    /// Of the user with the most connections: the oldest that asks nothing, else the oldest.
    fn evict(&mut self) {
        let mut users: HashMap<u32, usize> = HashMap::new();
        for entry in self.entries.values() {
            *users.entry(entry.uid).or_default() += 1;
        }
        let greediest = users.into_iter().max_by_key(|(uid, count)| (*count, *uid));
        let Some((uid, _)) = greediest else { return };
        let theirs = self.entries.iter().filter(|(_, entry)| entry.uid == uid);
        let victim = theirs.min_by_key(|(id, entry)| (entry.activity.is_busy(), **id));
        if let Some(id) = victim.map(|(id, _)| *id) {
            self.entries.remove(&id);
        }
    }
}

impl Activity {
    /// Until the value is dropped, a request is in work.
    pub(crate) fn begin(&self) -> Busy {
        self.0.fetch_add(1, Ordering::Relaxed);
        Busy(self.clone())
    }

    fn is_busy(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 0
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Ticket {
    pub(crate) fn activity(&self) -> Activity {
        self.activity.clone()
    }

    /// Another connection needs the place.
    pub(crate) async fn evicted(&mut self) {
        // Nothing is ever sent: the sender's end is the message.
        let _ = (&mut self.evicted).await;
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.connections.lock().entries.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_evicted(ticket: &mut Ticket) -> bool {
        ticket.evicted.try_recv() == Err(oneshot::error::TryRecvError::Closed)
    }

    #[test]
    fn the_oldest_idle_connection_of_the_greediest_user_makes_room() {
        let connections = Arc::new(Connections::new(4));
        let mut modest = connections.admit(1);
        let mut busy = connections.admit(2);
        let request = busy.activity().begin();
        let mut idle = connections.admit(2);
        let mut young = connections.admit(2);
        let _newcomer = connections.admit(3);
        assert!(is_evicted(&mut idle));
        assert!(!is_evicted(&mut modest) && !is_evicted(&mut busy) && !is_evicted(&mut young));
        drop(request);
        let _newcomer = connections.admit(3);
        assert!(is_evicted(&mut busy) ^ is_evicted(&mut young));
    }

    #[test]
    fn a_place_is_given_back() {
        let connections = Arc::new(Connections::new(1));
        drop(connections.admit(1));
        let mut ticket = connections.admit(1);
        assert!(!is_evicted(&mut ticket));
    }
}
