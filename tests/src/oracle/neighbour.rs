//! ARP and neighbour discovery: between nodes that some rule connects, about what is one's own, and
//! answers only to those who asked.

use std::net::IpAddr;

use firewall_common::PassReason;

use super::party::{Party, Who, is_router};
use super::wire::{Frame, Message};
use super::{Exit, Judgement, Level, Mode, Oracle, Surroundings};

/// Who wants to know where an address is, until when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Question {
    pair: u16,
    asker: IpAddr,
    mac: [u8; 6],
    target: IpAddr,
    over: u64,
}

/// One of the two that want to find each other.
enum End {
    Party(Party),
    /// The routers of a subnetwork, with addresses that the policy does not know.
    Routers(usize),
}

impl Oracle {
    pub(super) fn message(&mut self, port: u16, frame: &Frame, message: &Message) -> Judgement {
        let exit = match &self.mode {
            Mode::Bridge => self.between(port, frame, message),
            Mode::Router(surroundings) => {
                self.beside(surroundings, port, frame, message).then_some(Exit::Kernel)
            }
        };
        let Some(exit) = exit else { return Judgement::Drops };
        self.told(self.mode.pair(port), frame, message, exit)
    }

    /// What somebody tells who may: questions are remembered, and answers need one.
    pub(super) fn told(
        &mut self,
        pair: u16,
        frame: &Frame,
        message: &Message,
        exit: Exit,
    ) -> Judgement {
        let Message { asks, sender, target } = *message;
        let now = self.now;
        let (asker, wanted) = if asks { (sender, target) } else { (target, sender) };
        let is_it = |question: &Question| {
            (question.pair, question.asker, question.target) == (pair, asker, wanted)
        };
        if sender == target {
            // Nobody answers who says where he is himself.
        } else if asks {
            self.questions.retain(|question| !is_it(question));
            let (mac, over) = (frame.source_mac, now + 30);
            self.questions.push(Question { pair, asker, mac, target: wanted, over });
        } else {
            let answers = |question: &Question| {
                is_it(question) && question.over > now && question.mac == frame.destination_mac
            };
            if !self.questions.iter().any(answers) {
                return Judgement::Drops;
            }
        }
        let reason =
            if sender.is_ipv4() { PassReason::Arp } else { PassReason::NeighbourDiscovery };
        Judgement::Passes(reason, exit)
    }

    /// A router's neighbours speak with itself, without a rule: its subnetworks' nodes, and their
    /// routers, whose addresses need not be known. Short of a hard stop nothing holds that back.
    fn beside(
        &self,
        surroundings: &Surroundings,
        port: u16,
        frame: &Frame,
        message: &Message,
    ) -> bool {
        let Message { sender, target, .. } = *message;
        let speaker = match self.sender(port, sender) {
            Who::Here(party) => self.is_bound(&party, frame).then_some(party),
            Who::Elsewhere(_) => None,
            Who::Nobody => {
                let router = self.policy.subnetworks().iter().position(|subnetwork| {
                    subnetwork.port.0 == port
                        && subnetwork.vlan.0 == frame.vlan
                        && subnetwork.routers.iter().any(|mac| mac.0 == frame.source_mac)
                });
                router.map(|router| Party { node: None, subnetwork: Some(router) })
            }
        };
        let is_for_gateway = target == sender || surroundings.own.contains(&target);
        speaker.is_some_and(|speaker| {
            let level = self.level(speaker.subnetwork, None);
            level < Level::Hard && self.may_speak(&speaker).is_some()
        }) && is_for_gateway
    }

    /// What a bridge passes on between two that some rule connects, and how.
    fn between(&self, port: u16, frame: &Frame, message: &Message) -> Option<Exit> {
        let (from, to) = self.ends(port, frame, message)?;
        let speak = [&from, &to].into_iter().all(|end| match end {
            End::Party(party) => self.may_speak(party).is_some(),
            End::Routers(_) => true,
        });
        let vlan = self.policy.subnetworks()[to.subnetwork()?].vlan.0;
        (speak && self.connects(&from, &to)).then_some(Exit::Across { vlan })
    }

    /// Who speaks to whom. A sender that is known must be who it says.
    fn ends(&self, port: u16, frame: &Frame, message: &Message) -> Option<(End, End)> {
        let there = port ^ 1;
        let Message { sender, target, .. } = *message;
        if sender == target {
            return None;
        }
        match (self.sender(port, sender), self.receiver(port, target)) {
            (Who::Here(from), Who::Here(to)) => {
                self.is_bound(&from, frame).then_some((End::Party(from), End::Party(to)))
            }
            // Its router, which is behind the other port.
            (Who::Here(from), Who::Nobody) => {
                let router = self.router_of(&from)?;
                let is_there = self.policy.subnetworks()[router].port.0 == there;
                let fits = self.is_bound(&from, frame) && is_there;
                fits.then_some((End::Party(from), End::Routers(router)))
            }
            // The other way round: its router asks for it.
            (Who::Nobody, Who::Here(to)) => {
                let router = self.router_of(&to)?;
                let subnetwork = &self.policy.subnetworks()[router];
                let is_bound = subnetwork.port.0 == port
                    && subnetwork.vlan.0 == frame.vlan
                    && is_router(&self.policy, router, frame.source_mac);
                is_bound.then_some((End::Routers(router), End::Party(to)))
            }
            (Who::Nobody, Who::Nobody) | (Who::Elsewhere(_), _) | (_, Who::Elsewhere(_)) => None,
        }
    }

    /// The one subnetwork with routers that some rule connects to the party's.
    fn router_of(&self, party: &Party) -> Option<usize> {
        let subnetworks = self.policy.subnetworks();
        let port = |subnetwork: usize| subnetworks[subnetwork].port;
        let own = party.subnetwork?;
        let mut connected = (0..subnetworks.len()).filter(|&other| {
            !subnetworks[other].routers.is_empty()
                && port(other) != port(own)
                && self.policy.rules().iter().any(|rule| {
                    let is_end = |ends: &[firewall_policy::model::Selector], wanted| {
                        ends.iter().any(|end| {
                            self.policy.subnetwork_of(end).is_some_and(|id| id.index() == wanted)
                        })
                    };
                    let (one, two) = (own, other);
                    is_end(&rule.from, one) && is_end(&rule.to, two)
                        || is_end(&rule.from, two) && is_end(&rule.to, one)
                })
        });
        let only = connected.next();
        if connected.next().is_some() { None } else { only }
    }

    /// Whether some rule that no stop holds back is about these two, whoever opens.
    fn connects(&self, one: &End, other: &End) -> bool {
        let level = self.level(one.subnetwork(), other.subnetwork());
        self.policy.rules().iter().any(|rule| {
            let is_among = |end: &End, selectors: &[firewall_policy::model::Selector]| {
                selectors.iter().any(|selector| match end {
                    End::Party(party) => party.is(&self.policy, selector),
                    End::Routers(subnetwork) => self
                        .policy
                        .subnetwork_of(selector)
                        .is_some_and(|id| id.index() == *subnetwork),
                })
            };
            level.spares(rule.essential)
                && (is_among(one, &rule.from) && is_among(other, &rule.to)
                    || is_among(other, &rule.from) && is_among(one, &rule.to))
        })
    }
}

impl End {
    const fn subnetwork(&self) -> Option<usize> {
        match self {
            Self::Party(party) => party.subnetwork,
            Self::Routers(subnetwork) => Some(*subnetwork),
        }
    }
}
