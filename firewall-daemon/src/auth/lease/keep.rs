//! Leases on their way to the disk, and back.

use std::sync::Arc;
use std::time::Duration;

use firewall_common::{Mac, NodeSlot};

use super::{Act, Lease, Leases};
use crate::auth::Source;
use crate::auth::store::Kept;

impl Leases {
    /// Takes over what a daemon before has kept. `standing` is when the kernel ends a node's lease,
    /// if these maps have ever had one: the earlier end holds. What nobody knows the grantor of ends.
    pub fn restore(
        &mut self,
        kept: Vec<Kept>,
        now: Duration,
        is_configured: impl Fn(Source) -> bool,
        standing: impl Fn(NodeSlot) -> Option<Duration>,
    ) -> Vec<Act> {
        let mut acts = Vec::new();
        for Kept { node, source, mac, session, until, in_grace, binding, chain } in kept {
            let Some(subject) = self.register.named(&node) else { continue };
            let mac = mac.map(Mac);
            let port = source.port().is_none_or(|port| port == subject.port);
            // Of a lease of certificates that are not there, nobody could tell that they were revoked.
            let is_whole = source != Source::Lease || chain.is_some();
            let is_same = subject.binding == binding && port && is_whole && is_configured(source);
            let until = standing(subject.slot).map_or(until, |end| end.min(until));
            if !is_same || until <= now || self.held.contains_key(&subject.name) {
                continue;
            }
            let (name, slot) = (Arc::clone(&subject.name), subject.slot);
            let identity = Arc::clone(&subject.identity);
            let lease =
                Lease { source, identity, mac, session, until, in_grace, chain, slot, binding };
            acts.push(Act::Hold { slot, until });
            self.enter(name, lease);
        }
        for subject in self.register.subjects() {
            let is_held = self.held.contains_key(&subject.name);
            if !is_held && standing(subject.slot).is_some_and(|end| end > now) {
                acts.push(Act::End { slot: subject.slot });
            }
        }
        acts
    }

    /// All of them, as they are kept on disk.
    pub fn kept(&self) -> Vec<Kept> {
        let kept = self.held.iter().map(|(name, lease)| Kept {
            node: name.to_string(),
            source: lease.source,
            mac: lease.mac.map(|mac| mac.0),
            session: lease.session.clone(),
            until: lease.until,
            in_grace: lease.in_grace,
            binding: lease.binding,
            chain: lease.chain.clone(),
        });
        kept.collect()
    }
}
