//! How many flows one node may open.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::Oracle;
use super::party::Party;

/// How many flows one node may open.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Flows that nobody has answered: so many, and so many again in 30 seconds.
    pub unanswered: u64,
    /// Flows: so many, and so many again in [`Limits::period`].
    pub opened: u64,
    /// In seconds.
    pub period: u64,
}

/// The limits, and what everybody has opened.
#[derive(Clone, Debug, Default)]
pub(super) struct Quotas {
    limits: Option<Limits>,
    spent: BTreeMap<Payer, [Spent; 2]>,
}

/// Whoever pays for a flow.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Payer {
    Node(String),
    /// Everybody in a subnetwork whom the policy does not name.
    Others(String),
    Gateway,
}

/// What was opened and has not come back.
#[derive(Clone, Copy, Debug, Default)]
struct Spent {
    /// In flows, times the seconds of a period: whole numbers.
    parts: u64,
    /// When that was true.
    at: u64,
}

impl Spent {
    fn pass(&mut self, now: u64, limit: u64) {
        self.parts = self.parts.saturating_sub((now - self.at) * limit);
        self.at = now;
    }
}

impl Oracle {
    /// Lets nobody open more than that.
    #[must_use]
    pub fn limited(mut self, limits: Limits) -> Self {
        self.quotas.limits = Some(limits);
        self
    }

    /// Whether that party may open one more flow, which it then has.
    pub(super) fn spend(&mut self, party: &Party) -> bool {
        let Some(Limits { unanswered, opened, period }) = self.quotas.limits else { return true };
        let limits = [(unanswered, HALF_OPEN), (opened, period)];
        let payer = self.payer(party);
        let spent = self.quotas.spent.entry(payer).or_default();
        for (spent, (limit, _)) in spent.iter_mut().zip(limits) {
            spent.pass(self.now, limit);
        }
        let mut both = spent.iter_mut().zip(limits);
        if both.any(|(spent, (limit, period))| spent.parts + period > limit * period) {
            return false;
        }
        for (spent, (_, period)) in spent.iter_mut().zip(limits) {
            spent.parts += period;
        }
        true
    }

    /// A flow of that party's is not unanswered any more.
    pub(super) fn give_back(&mut self, party: Option<Party>) {
        let Some(Limits { unanswered, .. }) = self.quotas.limits else { return };
        let Some(party) = party else { return };
        let payer = self.payer(&party);
        if let Some([spent, _]) = self.quotas.spent.get_mut(&payer) {
            spent.pass(self.now, unanswered);
            spent.parts = spent.parts.saturating_sub(HALF_OPEN);
        }
    }

    fn payer(&self, party: &Party) -> Payer {
        let name = |subnetwork: usize| self.policy.subnetworks()[subnetwork].name.to_string();
        match (party.node, party.subnetwork) {
            (Some(node), _) => Payer::Node(self.policy.nodes()[node].name.to_string()),
            (None, Some(subnetwork)) => Payer::Others(name(subnetwork)),
            (None, None) => Payer::Gateway,
        }
    }

    /// Who has opened a conversation, seen from its next packet.
    pub(super) fn opener(
        &self,
        from: Option<u16>,
        source: IpAddr,
        to: Party,
        sent: bool,
    ) -> Option<Party> {
        if sent { self.speaker(from, source) } else { Some(to) }
    }
}

/// For how long a flow may be unanswered, in seconds.
const HALF_OPEN: u64 = 30;
