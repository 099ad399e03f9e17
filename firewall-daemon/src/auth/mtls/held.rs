//! The proofs that count at the moment, connected or not.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::trust::Chain;

/// By identity and address: what somebody says elsewhere in the name of a node changes nothing of the
/// node's own.
#[derive(Debug, Default)]
pub struct Held(Mutex<Proofs>);

type Proofs = HashMap<(String, IpAddr), Proof>;

/// A proof.
#[derive(Clone, Debug)]
pub struct Proof {
    /// What it rests on.
    pub chain: Chain,
    /// Where it came from.
    pub peer: SocketAddr,
    /// On the monotonic clock.
    pub until: Duration,
}

impl Held {
    /// Takes note of a proof; it replaces the last one of that identity and address.
    pub fn insert(&self, identity: &str, proof: Proof) {
        self.with(|proofs| proofs.insert((identity.to_owned(), proof.peer.ip()), proof));
    }

    /// Forgets a proof, if no later connection has renewed it.
    pub fn remove(&self, identity: &str, peer: SocketAddr) -> Option<Proof> {
        self.with(|proofs| {
            let key = (identity.to_owned(), peer.ip());
            let is_theirs = proofs.get(&key).is_some_and(|proof| proof.peer == peer);
            if is_theirs { proofs.remove(&key) } else { None }
        })
    }

    /// Forgets what has run out, and what does not count any more; answers the latter.
    pub fn review(
        &self,
        now: Duration,
        counts: impl Fn(&Proof) -> bool,
    ) -> Vec<(String, SocketAddr)> {
        self.with(|proofs| {
            let mut ended = Vec::new();
            proofs.retain(|(identity, _), proof| {
                let is_over = proof.until <= now;
                let is_good = is_over || counts(proof);
                if !is_good {
                    ended.push((identity.clone(), proof.peer));
                }
                is_good && !is_over
            });
            ended
        })
    }

    fn with<T>(&self, work: impl FnOnce(&mut Proofs) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
