//! What the gateway's own kernel sends: what it makes itself, and what it forwards because a port's
//! program has left it to it.

use std::net::IpAddr;

use firewall_common::PassReason;

use super::flow::Permission;
use super::party::{Party, Who};
use super::wire::{self, Content, Error, Frame, Message, Packet};
use super::{Exit, Judgement, Level, Mode, Oracle};

/// Where the gateway's kernel has a frame from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It has made it.
    Gateway,
    /// It came in on that port.
    Port(u16),
    /// It came in on an interface that is no port.
    Elsewhere,
}

impl Oracle {
    /// Judges the next frame that the kernel wants to send out of that port.
    pub fn judge_leaving(&mut self, origin: Origin, port: u16, bytes: &[u8]) -> Judgement {
        let is_running = self.standing.stop != Level::Hard;
        if origin == Origin::Gateway && is_running && self.is_from_authenticator(port, bytes) {
            return Judgement::Passes(PassReason::Eapol, Exit::Kept);
        }
        // A bridge has nothing else to say.
        let Mode::Router(surroundings) = &self.mode else { return Judgement::Drops };
        let own = surroundings.ports[usize::from(port)].mac;
        let Some(frame) = wire::read(bytes) else { return Judgement::Drops };
        if self.standing.stop == Level::Hard || frame.source_mac != own {
            return Judgement::Drops;
        }
        match (origin, &frame.content) {
            (Origin::Gateway, Content::Packet(packet)) => self.own_packet(port, &frame, packet),
            (Origin::Gateway, Content::Neighbour(message)) => self.own_message(&frame, message),
            (Origin::Gateway, Content::Error(error)) => self.own_error(port, &frame, error),
            (Origin::Port(from), Content::Packet(_)) => self.passed_on(from, port, frame),
            // Whether its flow is alive was asked when it came in.
            (Origin::Port(_), Content::Error(_)) => Judgement::Either,
            (Origin::Port(_), Content::Neighbour(_)) | (Origin::Elsewhere, _) => Judgement::Drops,
        }
    }

    /// It says nothing in another's name, and only where the receiver lives.
    fn own_packet(&mut self, port: u16, frame: &Frame, packet: &Packet) -> Judgement {
        let judgement = self.packet(None, frame, packet);
        let is_there = self.lives_behind(packet.destination, (port, frame.vlan));
        if is_there { judgement } else { Judgement::Drops }
    }

    /// Nobody stops it from asking where its neighbours are, or from saying where it is itself.
    fn own_message(&mut self, frame: &Frame, message: &Message) -> Judgement {
        if self.is_own(message.sender) {
            self.told(0, frame, message, Exit::Kept)
        } else {
            Judgement::Drops
        }
    }

    /// It is the router that had to give up.
    fn own_error(&self, port: u16, frame: &Frame, error: &Error) -> Judgement {
        let found = self.flows.iter().find_map(|flow| {
            let sender = flow.quoted(0, &error.quoted)?;
            Some((flow, sender))
        });
        let Some((flow, near)) = found else { return Judgement::Drops };
        let is_there = self.lives_behind(flow.addresses[near], (port, frame.vlan));
        if !self.is_own(error.reporter) || !is_there {
            return Judgement::Drops;
        }
        self.related(flow, Some(Exit::Kept))
    }

    /// A packet of a live flow that came in where its sender lives leaves where its receiver does.
    fn passed_on(&self, from: u16, port: u16, mut frame: Frame) -> Judgement {
        let Content::Packet(packet) = &frame.content else { return Judgement::Drops };
        let found = self.flows.iter().find_map(|flow| Some((flow, flow.sender(0, packet)?)));
        let Some((flow, sender)) = found else { return Judgement::Drops };
        let is_there = self.lives_behind(packet.destination, (port, frame.vlan));
        if flow.over <= self.now || flow.ports[sender] != Some(from) || !is_there {
            return Judgement::Drops;
        }
        // Its MACs are the kernel's by now: what came in is what must be allowed.
        let Some(party) = self.sender(from, packet.source).here() else { return Judgement::Drops };
        let (Some(mac), Some(vlan)) = (flow.heard[sender], self.vlan(&party)) else {
            return Judgement::Either;
        };
        (frame.source_mac, frame.vlan) = (mac, vlan);
        let Content::Packet(packet) = &frame.content else { return Judgement::Drops };
        let service = flow.service();
        match self.permission(Some(from), &frame, packet, service, sender == 0) {
            // Where its receiver lived when the flow last spoke, the promises do not say.
            Permission::Granted { .. } if flow.proof.epoch != self.epoch => Judgement::Either,
            Permission::Granted { .. } => Judgement::Passes(PassReason::Kernel, Exit::Kept),
            Permission::NoRule | Permission::Refused => Judgement::Drops,
        }
    }

    /// Whether that is where the frames of an address belong. The gateway itself is nowhere.
    fn lives_behind(&self, address: IpAddr, (port, vlan): (u16, u16)) -> bool {
        let party = self.receiver(port, address).here();
        party
            .is_some_and(|party| (self.port(&party), self.vlan(&party)) == (Some(port), Some(vlan)))
    }

    /// Whether its kernel has that address, though the policy may say that a node has.
    fn is_own(&self, address: IpAddr) -> bool {
        match &self.mode {
            Mode::Router(surroundings) => surroundings.own.contains(&address),
            Mode::Bridge => false,
        }
    }

    /// The gateway, if it has that address.
    pub(super) fn own(&self, address: IpAddr) -> Option<Party> {
        let Mode::Router(surroundings) = &self.mode else { return None };
        match Who::is_anywhere(&self.policy, surroundings, address) {
            Who::Here(party) if party.is_gateway() => Some(party),
            Who::Here(_) | Who::Elsewhere(_) | Who::Nobody => None,
        }
    }
}
