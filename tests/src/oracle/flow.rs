//! Who talks with whom, and since when nobody has said anything.

use std::net::IpAddr;

use firewall_common::PassReason;
use firewall_policy::Policy;
use firewall_policy::model::Rule;

use super::party::{Party, Who};
use super::tcp::{Connection, Fate};
use super::wire::{Flags, Frame, Packet, Quoted, QuotedTransport, Segment, Transport};
use super::{Exit, Judgement, Level, Mode, Oracle};

#[derive(Clone, Debug)]
pub(super) struct Flow {
    pair: u16,
    /// The opener first.
    pub(super) addresses: [IpAddr; 2],
    talk: Talk,
    /// Its place in the bucket.
    slot: usize,
    /// It has been answered, and does not give way.
    is_established: bool,
    /// When it is over unless somebody speaks.
    pub(super) over: u64,
    /// The port behind which each of them lives; `None` of the gateway itself.
    pub(super) ports: [Option<u16>; 2],
    pub(super) proof: Proof,
    /// The MACs that frames of each had when it last spoke under this proof.
    pub(super) heard: [Option<[u8; 6]>; 2],
}

/// As many flows find room in a bucket of the table, or in one that is made for no more.
const BUCKET: usize = 6;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Talk {
    Tcp { ports: [u16; 2], connection: Connection },
    Udp { ports: [u16; 2] },
    Echo { identifier: u16 },
}

/// Under what it was last allowed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Proof {
    pub(super) epoch: u64,
    /// Whether some rule that allows it is essential, and whether all are.
    pub(super) essential: (bool, bool),
    /// When the first of both leases ends: as it was when it had to prove itself, and as it is.
    pub(super) leased: (u64, u64),
}

/// What the policy says of a packet.
pub(super) enum Permission {
    Granted {
        /// The receiver.
        to: Party,
        essential: (bool, bool),
        leased: u64,
    },
    /// No rule has ever allowed it, or none does any more.
    NoRule,
    /// A frame that is not what it says, somebody who may not speak, a stop.
    Refused,
}

#[derive(Clone, Copy)]
pub(super) enum Service {
    Tcp(u16),
    Udp(u16),
    Echo,
}

impl Oracle {
    /// The next packet that comes in on that port, or that the gateway itself sends (`None`).
    pub(super) fn packet(
        &mut self,
        from: Option<u16>,
        frame: &Frame,
        packet: &Packet,
    ) -> Judgement {
        let pair = self.pair(from);
        let found = self.flows.iter().position(|flow| flow.sender(pair, packet).is_some());
        match found {
            Some(place) if self.flows[place].over > self.now => {
                self.known(place, from, frame, packet)
            }
            Some(place) => {
                self.flows.remove(place);
                self.open(from, frame, packet)
            }
            None => self.open(from, frame, packet),
        }
    }

    /// The first packet of a conversation.
    fn open(&mut self, from: Option<u16>, frame: &Frame, packet: &Packet) -> Judgement {
        let Packet { source, destination, transport } = *packet;
        let talk = match transport {
            Transport::Tcp { source, destination, segment } if segment.flags == Flags::Syn => {
                Talk::Tcp { ports: [source, destination], connection: Connection::opened(segment) }
            }
            Transport::Udp { source, destination } => Talk::Udp { ports: [source, destination] },
            Transport::Echo { identifier, asks: true } => Talk::Echo { identifier },
            Transport::Tcp { .. } | Transport::Echo { .. } => return Judgement::Drops,
        };
        let permission = self.permission(from, frame, packet, talk.service(), true);
        let Permission::Granted { to, essential, leased } = permission else {
            return Judgement::Drops;
        };
        let Some(exit) = self.exit(from, frame, destination, &to) else {
            return Judgement::Drops;
        };
        let opener = self.speaker(from, source);
        if !opener.is_some_and(|opener| self.spend(&opener)) {
            return Judgement::Drops;
        }
        let Some(slot) = self.make_room() else { return Judgement::Drops };
        self.flows.push(Flow {
            slot,
            pair: self.pair(from),
            addresses: [source, destination],
            talk,
            is_established: false,
            over: self.now + 30,
            ports: [from, self.port(&to)],
            proof: Proof { epoch: self.epoch, essential, leased: (leased, leased) },
            heard: [Some(frame.source_mac), None],
        });
        Judgement::Passes(PassReason::Opened, exit)
    }

    /// Where another flow goes: the first free place, or that of one that was not answered, one after the
    /// other; none if all were. In a table of more than a bucket there is room enough for a test.
    fn make_room(&mut self) -> Option<usize> {
        if self.capacity > BUCKET {
            return Some(0);
        }
        let is_free = |slot: &usize| self.flows.iter().all(|flow| flow.slot != *slot);
        let mut slot = (0..BUCKET).find(is_free);
        if slot.is_none() {
            let next = self.entered % BUCKET;
            let unanswered = self.flows.iter().enumerate().filter(|(_, flow)| !flow.is_established);
            let (place, _) = unanswered.min_by_key(|(_, flow)| (flow.slot < next, flow.slot))?;
            slot = Some(self.flows.remove(place).slot);
        }
        self.entered += 1;
        slot
    }

    /// A packet of a conversation that goes on.
    fn known(
        &mut self,
        place: usize,
        from: Option<u16>,
        frame: &Frame,
        packet: &Packet,
    ) -> Judgement {
        let flow = &self.flows[place];
        let pair = self.pair(from);
        let Some(sender) = flow.sender(pair, packet) else { return Judgement::Drops };
        let from_opener = sender == 0;
        let service = flow.talk.service();
        let permission = self.permission(from, frame, packet, service, from_opener);
        let (to, proof) = match permission {
            Permission::Granted { to, essential, leased } => {
                (to, Proof { epoch: self.epoch, essential, leased: (leased, leased) })
            }
            // From the wrong side it says nothing about the conversation.
            Permission::NoRule if flow.ports[sender] == from => {
                self.flows.remove(place);
                return Judgement::Drops;
            }
            Permission::NoRule | Permission::Refused => return Judgement::Drops,
        };
        let opener = self.opener(from, packet.source, to, from_opener);
        let exit = self.exit(from, frame, packet.destination, &to);
        let (here, there) = (from, self.port(&to));
        // What the gateway's kernel must send or answer itself is told apart.
        let reason = match exit {
            Some(Exit::Kernel) if !to.is_gateway() => PassReason::Kernel,
            Some(_) | None => PassReason::Established,
        };
        let flow = &mut self.flows[place];
        flow.ports = if from_opener { [here, there] } else { [there, here] };
        flow.prove(proof, self.now);
        flow.heard[sender] = Some(frame.source_mac);
        let (talk, answers) = match (flow.talk, packet.transport) {
            (Talk::Tcp { ports, connection }, Transport::Tcp { segment, .. }) => {
                match connection.take(from_opener, segment) {
                    Some(Fate::GoesOn(connection)) => {
                        (Talk::Tcp { ports, connection }, connection.is_connected())
                    }
                    Some(Fate::Ends) => {
                        let Some(exit) = exit else { return Judgement::Drops };
                        // The kernel has yet to send it, so that it must be known for a while.
                        if reason == PassReason::Kernel {
                            let connection = connection.ended();
                            flow.talk = Talk::Tcp { ports, connection };
                            flow.over = self.now + connection.patience();
                        } else if !self.flows.remove(place).is_established {
                            self.give_back(opener);
                        }
                        return Judgement::Passes(reason, exit);
                    }
                    None => return Judgement::Drops,
                }
            }
            // Requests go one way, replies the other.
            (Talk::Echo { .. }, Transport::Echo { asks, .. }) if asks != from_opener => {
                return Judgement::Drops;
            }
            (talk, _) => (talk, !from_opener),
        };
        let Some(exit) = exit else { return Judgement::Drops };
        flow.talk = talk;
        let is_answer = answers && !flow.is_established;
        flow.is_established |= answers;
        flow.over = self.now + flow.patience();
        if is_answer {
            self.give_back(opener);
        }
        Judgement::Passes(reason, exit)
    }

    /// Whether the policy lets that packet pass, in a conversation that the sender has opened, or
    /// the receiver.
    pub(super) fn permission(
        &self,
        from: Option<u16>,
        frame: &Frame,
        packet: &Packet,
        service: Service,
        from_opener: bool,
    ) -> Permission {
        let Some(source) = self.speaker(from, packet.source) else {
            return Permission::Refused;
        };
        // The source must look as it was declared: port, VLAN and MAC.
        if !source.is_gateway() && !self.is_bound(&source, frame) {
            return Permission::Refused;
        }
        let Some(leased) = self.may_speak(&source) else { return Permission::Refused };
        let destination = match self.receiver(from.unwrap_or_default(), packet.destination) {
            Who::Here(party) => party,
            // Both live on this side; no rule can be about them.
            Who::Elsewhere(party) if self.port(&party) == from => return Permission::NoRule,
            Who::Elsewhere(_) | Who::Nobody => return Permission::Refused,
        };
        // On a bridge, the destination's MAC is one that its own frames would carry.
        if matches!(self.mode, Mode::Bridge)
            && !destination.carries(&self.policy, frame.destination_mac)
        {
            return Permission::Refused;
        }
        let Some(other) = self.may_speak(&destination) else { return Permission::Refused };
        let (opener, responder) =
            if from_opener { (&source, &destination) } else { (&destination, &source) };
        let rules = self.policy.rules().iter();
        let allowing = rules.filter(|rule| allows(&self.policy, rule, opener, responder, service));
        let essential: Vec<_> = allowing.map(|rule| rule.essential).collect();
        if essential.is_empty() {
            return Permission::NoRule;
        }
        let level = self.level(source.subnetwork, destination.subnetwork);
        if !essential.iter().any(|essential| level.spares(*essential)) {
            return Permission::Refused;
        }
        let all = essential.iter().all(|essential| *essential);
        let some = essential.contains(&true);
        let leased = leased.min(other);
        Permission::Granted { to: destination, essential: (some, all), leased }
    }
}

/// Whether that rule lets the one open that service to the other.
fn allows(policy: &Policy, rule: &Rule, from: &Party, to: &Party, service: Service) -> bool {
    rule.from.iter().any(|selector| from.is(policy, selector))
        && rule.to.iter().any(|selector| to.is(policy, selector))
        && rule.applications.iter().map(|id| policy.application(*id)).any(|application| {
            match service {
                Service::Tcp(port) => {
                    application.tcp.iter().any(|range| (range.first..=range.last).contains(&port))
                }
                Service::Udp(port) => {
                    application.udp.iter().any(|range| (range.first..=range.last).contains(&port))
                }
                Service::Echo => application.echo,
            }
        })
}

impl Talk {
    /// What its opener asked for.
    const fn service(self) -> Service {
        match self {
            Self::Tcp { ports: [_, asked], .. } => Service::Tcp(asked),
            Self::Udp { ports: [_, asked] } => Service::Udp(asked),
            Self::Echo { .. } => Service::Echo,
        }
    }
}

impl Flow {
    pub(super) const fn is_established(&self) -> bool {
        self.is_established
    }

    /// What its opener asked for.
    pub(super) const fn service(&self) -> Service {
        self.talk.service()
    }

    /// Whether a packet belongs to it, and who has sent it: 0 for the opener, 1 for the responder.
    pub(super) fn sender(&self, pair: u16, packet: &Packet) -> Option<usize> {
        let Packet { source, destination, transport } = *packet;
        let ends = [source, destination];
        let is_ours = |ours: [u16; 2], theirs: [u16; 2], sender: usize| {
            let turned = |ends: [u16; 2]| if sender == 0 { ends } else { [ends[1], ends[0]] };
            self.runs(ends, sender) && ours == turned(theirs)
        };
        let is_sent_by = |sender: usize| match (self.talk, transport) {
            (Talk::Tcp { ports, .. }, Transport::Tcp { source, destination, .. })
            | (Talk::Udp { ports }, Transport::Udp { source, destination }) => {
                is_ours(ports, [source, destination], sender)
            }
            (Talk::Echo { identifier }, Transport::Echo { identifier: theirs, asks }) => {
                // With the identifier 0 the two directions are not told apart.
                let fits = identifier == 0 || asks == (sender == 0);
                fits && identifier == theirs && self.runs(ends, sender)
            }
            (Talk::Tcp { .. } | Talk::Udp { .. } | Talk::Echo { .. }, _) => false,
        };
        if pair != self.pair {
            return None;
        }
        (0..2).find(|sender| is_sent_by(*sender))
    }

    fn runs(&self, [source, destination]: [IpAddr; 2], sender: usize) -> bool {
        source == self.addresses[sender] && destination == self.addresses[1 - sender]
    }

    /// Whether an error quotes it, and who has sent what it quotes.
    pub(super) fn quoted(&self, pair: u16, quoted: &Quoted) -> Option<usize> {
        let Quoted { source, destination, transport } = *quoted;
        let transport = match transport {
            QuotedTransport::Tcp { source, destination } => {
                let Talk::Tcp { .. } = self.talk else { return None };
                Transport::Tcp { source, destination, segment: Segment::default() }
            }
            QuotedTransport::Udp { source, destination } => Transport::Udp { source, destination },
            QuotedTransport::EchoRequest { identifier } => {
                Transport::Echo { identifier, asks: true }
            }
        };
        self.sender(pair, &Packet { source, destination, transport })
    }

    fn prove(&mut self, proof: Proof, now: u64) {
        let (was, until) = (self.proof, proof.leased.1);
        let holds = was.epoch == proof.epoch && was.leased.0 > now;
        if was.epoch != proof.epoch {
            self.heard = [None; 2];
        }
        let leased = if holds { (was.leased.0, until) } else { (until, until) };
        self.proof = Proof { leased, ..proof };
    }

    const fn patience(&self) -> u64 {
        match (self.talk, self.is_established) {
            (Talk::Tcp { connection, .. }, _) => connection.patience(),
            (Talk::Udp { .. } | Talk::Echo { .. }, false) => 30,
            (Talk::Udp { .. } | Talk::Echo { .. }, true) => 180,
        }
    }
}

impl Level {
    /// Whether nothing is stopped.
    pub(super) const fn is_running(self) -> bool {
        matches!(self, Self::Running)
    }
}
