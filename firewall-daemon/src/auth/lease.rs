//! The leases: a state machine without I/O. Time is an argument, counted from boot.
//!
//! What it says is to be done is done in the kernel by plain stores; the kernel itself lets nobody
//! speak after a lease's end, whether anybody looks here or not.

mod act;
mod keep;
mod refusals;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use firewall_common::{Mac, NodeSlot};
use firewall_policy::model::Criticality;
use foldhash::{HashMap, HashMapExt as _, HashSet};

pub use self::act::{Act, News};
use self::refusals::Refusals;
use super::mtls::trust::Chain;
use super::register::{Register, Subject};
use super::{Claim, EndReason, Proof, Refusal, Refused, Source, Whose};

/// How long leases are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// From a proof on, by criticality.
    pub length: [Duration; 3],
    /// From the loss of the source on, by criticality.
    pub grace: [Duration; 3],
}

impl Terms {
    fn of(list: [Duration; 3], criticality: Criticality) -> Duration {
        let [planned, time_critical, real_time] = list;
        match criticality {
            Criticality::Planned => planned,
            Criticality::TimeCritical => time_critical,
            Criticality::RealTime => real_time,
        }
    }
}

/// A node's lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Who has seen the proof.
    pub source: Source,
    /// As whom.
    pub identity: Arc<str>,
    /// From which MAC.
    pub mac: Option<Mac>,
    /// The source's name for it.
    pub session: String,
    /// When it ends unless it is renewed.
    pub until: Duration,
    /// Its source is lost, and it goes on only because of the grace.
    pub in_grace: bool,
    /// The certificates that it rests on, if it does.
    pub chain: Option<Chain>,
    slot: NodeSlot,
    binding: u64,
}

/// Every lease of the policy's nodes, at most one each.
#[derive(Debug)]
pub struct Leases {
    terms: Terms,
    register: Register,
    held: HashMap<Arc<str>, Lease>,
    ends: BTreeSet<(Duration, Arc<str>)>,
    by_mac: HashMap<Mac, Arc<str>>,
    lost: BTreeSet<Source>,
    /// Those that have been there, and are not lost.
    heard: BTreeSet<Source>,
    refusals: Refusals,
    changes: u64,
    renewals: u64,
}

impl Leases {
    /// None yet, and nobody who could have one.
    pub fn new(terms: Terms) -> Self {
        Self {
            terms,
            register: Register::default(),
            held: HashMap::new(),
            ends: BTreeSet::new(),
            by_mac: HashMap::new(),
            lost: BTreeSet::new(),
            heard: BTreeSet::new(),
            refusals: Refusals::default(),
            changes: 0,
            renewals: 0,
        }
    }

    /// Another policy is in force: leases of nodes that are gone, or bound in another way, end.
    pub fn adopt(&mut self, register: Register) -> Vec<Act> {
        self.register = register;
        let mut acts = Vec::new();
        let names: Vec<_> = self.held.keys().cloned().collect();
        for name in names {
            let subject = self.register.named(&name).map(|subject| (subject.binding, subject.slot));
            let Some(lease) = self.held.get_mut(&name) else { continue };
            match subject {
                Some((binding, slot)) if binding == lease.binding => lease.slot = slot,
                Some(_) | None => self.end(&name, EndReason::Policy, &mut acts),
            }
        }
        acts
    }

    /// Whose proof that is.
    ///
    /// # Errors
    /// Why it is nobody's.
    pub fn judge(&self, proof: &Proof) -> Result<&Subject, Refusal> {
        self.register.judge(proof)
    }

    /// What becomes of a claim.
    pub fn observe(&mut self, claim: Claim, now: Duration) -> Vec<Act> {
        let mut acts = self.pass(now);
        match claim {
            Claim::Proven(proof) => self.proven(proof, now, &mut acts),
            Claim::Ended { source, whose, reason } => {
                for name in self.of(source, &whose) {
                    self.end(&name, reason, &mut acts);
                }
            }
            Claim::Refused(refused) => self.refuse(refused, now, &mut acts),
            Claim::SourceLost { source } => self.lose(source, now, &mut acts),
            Claim::SourceBack { source } => self.back(source, &mut acts),
        }
        acts
    }

    /// When [`Leases::pass`] has something to do.
    pub fn poll_timeout(&self) -> Option<Duration> {
        self.ends.first().map(|(end, _)| *end)
    }

    /// Time has passed: leases that have run out are over. The kernel knows already.
    pub fn pass(&mut self, now: Duration) -> Vec<Act> {
        let mut acts = Vec::new();
        while let Some((end, name)) = self.ends.first().cloned()
            && end <= now
        {
            let in_grace = self.held.get(&name).is_some_and(|lease| lease.in_grace);
            let reason = if in_grace { EndReason::SourceLost } else { EndReason::Expired };
            self.end(&name, reason, &mut acts);
        }
        acts
    }

    fn proven(&mut self, proof: Proof, now: Duration, acts: &mut Vec<Act>) {
        self.back(proof.source, acts);
        let judged = self.register.judge(&proof).cloned();
        // Another identity on a node's MAC: whoever was there before is not there any more, whether
        // or not the newcomer may speak.
        let owner = proof.mac.map(|mac| self.of(proof.source, &Whose::Mac(mac)));
        if let Some(owner) = owner.and_then(|owners| owners.into_iter().next())
            && judged.as_ref().map_or(true, |subject| subject.name != owner)
        {
            self.end(&owner, EndReason::Replaced, acts);
        }
        match judged {
            Ok(subject) => self.grant(&subject, proof, now, acts),
            Err(refusal) => {
                let Proof { source, identity, mac, address, session: _, length: _, chain: _ } =
                    proof;
                self.refuse(Refused { source, identity, mac, address, refusal }, now, acts);
            }
        }
    }

    fn grant(&mut self, subject: &Subject, proof: Proof, now: Duration, acts: &mut Vec<Act>) {
        let Proof { source, identity: _, mac, address: _, session, length, chain } = proof;
        let longest = Terms::of(self.terms.length, subject.criticality);
        let until = now + length.map_or(longest, |length| length.min(longest));
        if until <= now {
            return;
        }
        let (node, slot) = (Arc::clone(&subject.name), subject.slot);
        let identity = Arc::clone(&subject.identity);
        // A router's MAC is many nodes'.
        let mac = mac.filter(|_| subject.mac.is_some());
        let before = self.forget(&node);
        let is_same = before
            .as_ref()
            .map(|before| before.source == source && before.session == session && !before.in_grace);
        acts.push(Act::Hold { slot, until });
        match is_same {
            Some(true) => self.renewals += 1,
            Some(false) => {
                self.changes += 1;
                acts.push(Act::Tell(News::Renewed { node: Arc::clone(&node), source }));
            }
            None => {
                self.changes += 1;
                let (node, identity) = (Arc::clone(&node), Arc::clone(&identity));
                acts.push(Act::Tell(News::Granted { node, source, identity }));
            }
        }
        let (in_grace, binding) = (false, subject.binding);
        let lease = Lease { source, identity, mac, session, until, in_grace, chain, slot, binding };
        self.enter(node, lease);
    }

    fn refuse(&mut self, refused: Refused, now: Duration, acts: &mut Vec<Act>) {
        let told = self.refusals.note(refused, now);
        acts.extend(told.map(|refused| Act::Tell(News::Refused(refused))));
    }

    /// A lease goes on for its grace, counted from the loss, once: only a new proof ends the grace,
    /// not a source that comes and goes.
    fn lose(&mut self, source: Source, now: Duration, acts: &mut Vec<Act>) {
        self.heard.remove(&source);
        if !self.lost.insert(source) {
            return;
        }
        let (mut ended, mut in_grace) = (0, 0);
        for name in self.of(source, &Whose::Everybody) {
            let criticality = self.register.named(&name).map(|subject| subject.criticality);
            let grace = criticality
                .map_or(Duration::ZERO, |criticality| Terms::of(self.terms.grace, criticality));
            let Some(lease) = self.held.get(&name) else { continue };
            if lease.in_grace {
                in_grace += 1;
            } else if grace.is_zero() {
                ended += 1;
                self.end(&name, EndReason::SourceLost, acts);
            } else {
                in_grace += 1;
                let until = now + grace;
                acts.push(Act::Hold { slot: lease.slot, until });
                let node = Arc::clone(&name);
                acts.push(Act::Tell(News::InGrace { node, source, grace }));
                let lease = Lease { until, in_grace: true, ..lease.clone() };
                self.forget(&name);
                self.enter(name, lease);
                self.changes += 1;
            }
        }
        acts.push(Act::Tell(News::Lost { source, ended, in_grace }));
    }

    fn back(&mut self, source: Source, acts: &mut Vec<Act>) {
        self.heard.insert(source);
        if self.lost.remove(&source) {
            acts.push(Act::Tell(News::Back { source }));
        }
    }

    /// Whose leases a source means. An older session is nobody's any more.
    fn of(&self, source: Source, whose: &Whose) -> Vec<Arc<str>> {
        let is_meant = |lease: &Lease| {
            lease.source == source
                && match whose {
                    Whose::Session(session) => lease.session == *session,
                    Whose::Sessions(beginning) => lease.session.starts_with(beginning.as_str()),
                    Whose::Mac(mac) => lease.mac == Some(*mac),
                    // A source that comes and goes ends no grace.
                    Whose::Others(macs) => {
                        !lease.in_grace && lease.mac.is_none_or(|mac| !macs.contains(&mac))
                    }
                    Whose::Everybody => true,
                }
        };
        if let Whose::Mac(mac) = whose {
            let name =
                self.by_mac.get(mac).filter(|name| self.held.get(*name).is_some_and(is_meant));
            return name.cloned().into_iter().collect();
        }
        let meant = self.held.iter().filter(|(_, lease)| is_meant(lease));
        let mut names: Vec<_> = meant.map(|(name, _)| Arc::clone(name)).collect();
        names.sort_unstable();
        names
    }

    fn end(&mut self, name: &Arc<str>, reason: EndReason, acts: &mut Vec<Act>) {
        let Some(lease) = self.forget(name) else { return };
        self.changes += 1;
        acts.push(Act::End { slot: lease.slot });
        let (node, source) = (Arc::clone(name), lease.source);
        acts.push(Act::Tell(News::Ended { node, source, reason }));
    }

    fn enter(&mut self, name: Arc<str>, lease: Lease) {
        self.ends.insert((lease.until, Arc::clone(&name)));
        if let Some(mac) = lease.mac {
            self.by_mac.insert(mac, Arc::clone(&name));
        }
        self.held.insert(name, lease);
    }

    fn forget(&mut self, name: &Arc<str>) -> Option<Lease> {
        let lease = self.held.remove(name)?;
        self.ends.remove(&(lease.until, Arc::clone(name)));
        if let Some(mac) = lease.mac {
            self.by_mac.remove(&mac);
        }
        Some(lease)
    }

    /// The lease of the node of that name.
    pub fn of_node(&self, name: &str) -> Option<&Lease> {
        self.held.get(name)
    }

    /// What rests on certificates: who has proved it, in which session, and until when it holds.
    pub fn certified(&self) -> impl Iterator<Item = (&Lease, &Chain)> {
        self.held.values().filter_map(|lease| Some((lease, lease.chain.as_ref()?)))
    }

    /// The sources that cannot be asked.
    pub fn lost(&self) -> impl Iterator<Item = Source> {
        self.lost.iter().copied()
    }

    /// Whether a source has been there and is not lost.
    pub fn is_heard(&self, source: Source) -> bool {
        self.heard.contains(&source)
    }

    /// How many leases a source has granted, and how many of them go on for their grace.
    pub fn count(&self, source: Source) -> (u64, u64) {
        let of_it = self.held.values().filter(|lease| lease.source == source);
        of_it.fold((0, 0), |(all, in_grace), lease| (all + 1, in_grace + u64::from(lease.in_grace)))
    }

    /// Whose lease goes on only because of the grace.
    pub fn in_grace(&self) -> HashSet<Arc<str>> {
        let in_grace = self.held.iter().filter(|(_, lease)| lease.in_grace);
        in_grace.map(|(name, _)| Arc::clone(name)).collect()
    }

    /// How many proofs were refused for that reason.
    pub fn refused(&self, refusal: Refusal) -> u64 {
        self.refusals.count(refusal)
    }

    /// How many leases were granted, changed or ended so far, and how many renewed: the latter need
    /// not be kept each.
    pub fn progress(&self) -> (u64, u64) {
        (self.changes, self.renewals)
    }
}

#[cfg(test)]
mod tests;
