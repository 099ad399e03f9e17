//! ICMP errors: they pass if they are about a packet of a live flow, go to who sent it and come from
//! where it went.

use firewall_common::PassReason;

use super::party::{Who, is_router};
use super::wire::{Error, Frame};
use super::{Judgement, Oracle};

impl Oracle {
    pub(super) fn error(&self, port: u16, frame: &Frame, error: &Error) -> Judgement {
        let pair = self.mode.pair(port);
        let quoted = |flow: &super::Flow| flow.quoted(pair, &error.quoted);
        let Some((flow, near)) =
            self.flows.iter().find_map(|flow| quoted(flow).map(|sender| (flow, sender)))
        else {
            return Judgement::Drops;
        };
        let far = 1 - near;
        // The flow's ends, as they are seen from where the error goes and where it comes from.
        let beyond = self.sender(port, flow.addresses[far]).here();
        let receiver = self.receiver(port, flow.addresses[near]).here();
        let (Some(beyond), Some(receiver)) = (beyond, receiver) else {
            return Judgement::Drops;
        };
        if flow.ports[far] != Some(port) || self.vlan(&beyond) != Some(frame.vlan) {
            return Judgement::Drops;
        }
        let routers = beyond.subnetwork;
        let is_router =
            routers.is_some_and(|routers| is_router(&self.policy, routers, frame.source_mac));
        // A router on the way may be nobody that the policy knows.
        let is_on_the_way = is_router || flow.heard[far] == Some(frame.source_mac);
        let may_report = match self.sender(port, error.reporter) {
            Who::Here(party) if party.node.is_some() => {
                self.is_bound(&party, frame) && self.may_speak(&party).is_some()
            }
            Who::Here(party) => self.is_bound(&party, frame) || is_on_the_way,
            // Not even a router reports in another node's name, or in the gateway's.
            Who::Elsewhere(party) if party.node.is_some() || party.is_gateway() => false,
            // It has addresses in more networks than the one it sends from.
            Who::Elsewhere(_) | Who::Nobody => is_on_the_way,
        };
        if !may_report {
            return Judgement::Drops;
        }
        self.related(flow, self.exit(Some(port), frame, flow.addresses[near], &receiver))
    }

    /// An error about that flow from somebody who may report it.
    pub(super) fn related(&self, flow: &super::Flow, exit: Option<super::Exit>) -> Judgement {
        let (some_essential, all_essential) = flow.proof.essential;
        let (leased_then, leased_now) = flow.proof.leased;
        let is_stopped = !self.standing.stop.is_running();
        // A flow that has not spoken since something changed has yet to prove that it is alive.
        let is_alive = flow.over > self.now && flow.proof.epoch == self.epoch;
        if !is_alive || leased_now <= self.now || is_stopped && !some_essential {
            return Judgement::Drops;
        }
        if leased_then <= self.now || is_stopped && !all_essential {
            return Judgement::Either;
        }
        match exit {
            Some(exit) => Judgement::Passes(PassReason::Related, exit),
            None => Judgement::Drops,
        }
    }
}
