//! Why something passes or does not: the decision itself, run over a compiled image in host memory.
//!
//! [`explain`] asks with the frames that two nodes would send, [`explain_frame`] with a frame that
//! somebody captured.

mod capture;
mod frame;
mod meaning;
mod memory;
pub mod pcap;
mod question;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use firewall_common::decide::{Leaving, Origin};
use firewall_common::image::MacBinding;
use firewall_common::tables::Way;
use firewall_common::{Mac, Port, Ticks, Verdict, Vlan};
use serde::Serialize;

use crate::compile::Names;
use crate::model::{NodeId, Policy, PortRange, Protocol};
pub use capture::{FrameExplanation, explain_frame};
use frame::End;
pub use meaning::{meaning, of as meaning_of, passed};
pub use memory::{Behind, Memory, Sizes};
pub use question::{ExplainError, Question, Whom, port_named};

/// What became of one frame.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// `pass` or `drop`.
    pub verdict: &'static str,
    /// The reason's stable name.
    pub reason: &'static str,
    /// The rule that allowed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// The reason in a sentence.
    pub meaning: &'static str,
}

impl Outcome {
    /// Whether the frame is let through.
    pub fn passes(&self) -> bool {
        self.verdict == "pass"
    }
}

/// An address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// IPv4.
    Ipv4,
    /// IPv6.
    Ipv6,
}

/// The answer for one protocol, and for ports that fare alike.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// `tcp`, `udp` or `echo`.
    pub protocol: &'static str,
    /// The first port; absent for echo.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_port: Option<u16>,
    /// The last port; absent for echo.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_port: Option<u16>,
    /// The families it holds for.
    pub families: Vec<Family>,
    /// What becomes of the first frame.
    pub opening: Outcome,
    /// What becomes of the answer to it, if it passed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply: Option<Outcome>,
    /// All that in a sentence.
    pub sentence: String,
}

/// The answer to a [`Question`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// Who would open.
    pub from: String,
    /// To whom.
    pub to: String,
    /// What.
    pub application: String,
    /// Whether all of it passes, answers included.
    pub allowed: bool,
    /// One for each protocol and range of ports that fares alike.
    pub answers: Vec<Answer>,
}

/// Asks the decision with the first frame of each flow that the application consists of, and with
/// the answer to it. Forgets the flows in `memory`.
///
/// # Errors
/// When the nodes have no address family in common.
pub fn explain(
    policy: &Policy,
    names: &Names,
    memory: &mut Memory,
    question: Question,
    now: Ticks,
) -> Result<Explanation, ExplainError> {
    let Question { from, to, application } = question;
    let application = policy.application(application);
    for family in [Family::Ipv4, Family::Ipv6] {
        memory.add_local(own_address(family).into());
    }
    let asker = Asker { names, memory, now, is_routed: policy.is_routed() };
    let mut found: Vec<(Fate, Vec<Family>)> = Vec::new();
    let mut families = Vec::new();
    for family in [Family::Ipv4, Family::Ipv6] {
        let ends = (end(policy, from, family), end(policy, to, family));
        let (Some(from), Some(to)) = ends else { continue };
        families.push(family);
        let mut fates = Vec::new();
        for (protocol, ranges) in
            [(Protocol::Tcp, &application.tcp), (Protocol::Udp, &application.udp)]
        {
            for range in ranges {
                asker.ask(&from, &to, protocol, *range, &mut fates);
            }
        }
        if application.echo {
            asker.ask(&from, &to, Protocol::Echo, PortRange { first: 0, last: 0 }, &mut fates);
        }
        for fate in fates {
            match found.iter_mut().find(|(known, _)| *known == fate) {
                Some((_, families)) => families.push(family),
                None => found.push((fate, vec![family])),
            }
        }
    }
    memory.forget_flows();
    let (sender, receiver) = (from.name(policy).to_owned(), to.name(policy).to_owned());
    if families.is_empty() {
        return Err(ExplainError::Families { from: sender, to: receiver });
    }
    let place = |whom: Whom| whom.node(policy).map(|node| policy.subnetwork(node.subnetwork));
    let same_port = match (place(from), place(to)) {
        (Some(one), Some(other)) => !policy.is_routed() && one.port == other.port,
        (Some(_) | None, _) => false,
    };
    let answers: Vec<Answer> = found
        .into_iter()
        .map(|(fate, families_of_fate)| {
            let Fate { protocol, ports, opening, reply } = fate;
            let everywhere = families_of_fate.len() == families.len();
            let what = what(&application.name, protocol, ports, &families_of_fate, everywhere);
            let sentence = if same_port && !opening.passes() {
                format!(
                    "{sender} and {receiver} lie behind the same port: nothing between them crosses \
                     the gateway"
                )
            } else {
                sentence(&sender, &receiver, &what, &opening, reply.as_ref())
            };
            let port = |port| (protocol != Protocol::Echo).then_some(port);
            Answer {
                protocol: protocol_name(protocol),
                first_port: port(ports.first),
                last_port: port(ports.last),
                families: families_of_fate,
                opening,
                reply,
                sentence,
            }
        })
        .collect();
    let allowed = answers.iter().all(|answer| answer.reply.as_ref().is_some_and(Outcome::passes));
    let application = application.name.to_string();
    Ok(Explanation { from: sender, to: receiver, application, allowed, answers })
}

fn what(
    application: &str,
    protocol: Protocol,
    PortRange { first, last }: PortRange,
    families: &[Family],
    everywhere: bool,
) -> String {
    let name = protocol_name(protocol);
    let ports = match protocol {
        Protocol::Echo => name.to_owned(),
        Protocol::Tcp | Protocol::Udp if first == last => format!("{name} {first}"),
        Protocol::Tcp | Protocol::Udp => format!("{name} {first}-{last}"),
    };
    match families {
        [Family::Ipv4] if !everywhere => format!("{application} ({ports} over IPv4)"),
        [Family::Ipv6] if !everywhere => format!("{application} ({ports} over IPv6)"),
        _ => format!("{application} ({ports})"),
    }
}

fn sentence(
    from: &str,
    to: &str,
    what: &str,
    opening: &Outcome,
    reply: Option<&Outcome>,
) -> String {
    if !opening.passes() {
        let Outcome { reason, meaning, .. } = opening;
        return format!("{from} may not open {what} to {to}: dropped: {reason} — {meaning}");
    }
    let rule = opening.rule.as_deref().unwrap_or("?");
    let opened = format!("{from} may open {what} to {to}: rule \"{rule}\"");
    match reply {
        Some(Outcome { reason, meaning, verdict: "drop", .. }) => {
            format!("{opened}; but the answer is dropped: {reason} — {meaning}")
        }
        Some(_) | None => opened,
    }
}

const fn protocol_name(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
        Protocol::Echo => "echo",
    }
}

/// The first frame of such a flow, in each address family that both nodes have; with the port of the
/// gateway that it comes in on. A router's frames are addressed to [`Memory::MAC`]. For echo the port
/// number means nothing.
pub fn openings(
    policy: &Policy,
    from: NodeId,
    to: NodeId,
    protocol: Protocol,
    port: u16,
) -> Vec<(Port, Vec<u8>)> {
    let frames = [Family::Ipv4, Family::Ipv6].into_iter().filter_map(|family| {
        let [from, to] = [from, to].map(|id| end(policy, Whom::Node(id), family));
        let (from, mut to) = (from?, to?);
        if policy.is_routed() {
            to.mac = Memory::MAC;
        }
        Some((from.port, frame::opening(&from, &to, protocol, port)?))
    });
    frames.collect()
}

/// An address for the gateway itself, since the policy does not know its own; any will do. These are
/// for documentation (RFC 5737, RFC 3849).
const fn own_address(family: Family) -> IpAddr {
    match family {
        Family::Ipv4 => IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
        Family::Ipv6 => IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
    }
}

/// How somebody looks on the wire, if it has an address of that family.
fn end(policy: &Policy, whom: Whom, family: Family) -> Option<End> {
    let Some(node) = whom.node(policy) else {
        let address = own_address(family);
        let (mac, vlan, port) = (Memory::MAC, Vlan::UNTAGGED, Port::GATEWAY);
        return Some(End { address, mac, vlan, port });
    };
    let is_wanted = |address: &IpAddr| address.is_ipv4() == (family == Family::Ipv4);
    let address = node.addresses.iter().map(|&address| address.into()).find(is_wanted)?;
    let subnetwork = policy.subnetwork(node.subnetwork);
    let mac = match node.mac {
        MacBinding::Exact(mac) => mac,
        MacBinding::Router => subnetwork.routers.first().copied().unwrap_or_default(),
        MacBinding::Any => ANYBODY,
    };
    Some(End { address, mac, vlan: subnetwork.vlan, port: subnetwork.port })
}

/// What becomes of a flow.
#[derive(PartialEq)]
struct Fate {
    protocol: Protocol,
    ports: PortRange,
    opening: Outcome,
    reply: Option<Outcome>,
}

struct Asker<'a> {
    names: &'a Names,
    memory: &'a Memory,
    now: Ticks,
    is_routed: bool,
}

impl Asker<'_> {
    /// Ports that fare alike share an entry.
    fn ask(
        &self,
        from: &End,
        to: &End,
        protocol: Protocol,
        range: PortRange,
        fates: &mut Vec<Fate>,
    ) {
        let joined = fates.len();
        for port in range.first..=range.last {
            let Some((opening, reply)) = self.try_port(from, to, protocol, port) else { continue };
            if let Some(last) = fates.get_mut(joined..).and_then(<[Fate]>::last_mut)
                && last.opening == opening
                && last.reply == reply
            {
                last.ports.last = port;
                continue;
            }
            fates.push(Fate {
                protocol,
                ports: PortRange { first: port, last: port },
                opening,
                reply,
            });
        }
    }

    fn try_port(
        &self,
        from: &End,
        to: &End,
        protocol: Protocol,
        port: u16,
    ) -> Option<(Outcome, Option<Outcome>)> {
        self.memory.forget_flows();
        let (one, other) = (self.addressed(from, to), self.addressed(to, from));
        let opening = frame::opening(from, &one, protocol, port)?;
        let opening = self.decide(&opening, from, to);
        let reply = if opening.passes() {
            let reply = frame::answer(&other, to, protocol, port)?;
            Some(self.decide(&reply, to, from))
        } else {
            None
        };
        Some((opening, reply))
    }

    /// The receiver as the sender addresses it: through the gateway, if that is a router.
    fn addressed(&self, sender: &End, receiver: &End) -> End {
        let mac =
            if self.is_routed && sender.port != Port::GATEWAY { Memory::MAC } else { receiver.mac };
        End { mac, ..*receiver }
    }

    /// What becomes of a frame of `from`.
    fn decide(&self, frame: &[u8], from: &End, to: &End) -> Outcome {
        let passage = if !self.is_routed {
            // Behind one port there is no way across; any other peer shows that.
            let peer = if from.port == to.port { NO_PEER } else { to.port };
            self.memory.decide(frame, from.port, Way::Bridge { peer }, self.now)
        } else if from.port == Port::GATEWAY {
            let leaving = Leaving { origin: Origin::Gateway, port: to.port, tag: to.vlan };
            self.memory.leave(frame, leaving, Way::Router, self.now)
        } else {
            self.memory.decide(frame, from.port, Way::Router, self.now)
        };
        let rule = passage.ok().and_then(|passage| self.names.rule(passage.rule));
        let verdict = match passage {
            Ok(passage) => Verdict::Pass(passage.reason),
            Err(reason) => Verdict::Drop(reason),
        };
        outcome(verdict, rule.map(|rule| rule.name.to_string()))
    }
}

fn outcome(verdict: Verdict, rule: Option<String>) -> Outcome {
    Outcome {
        verdict: verdict.action(),
        reason: verdict.name(),
        rule,
        meaning: meaning::of(verdict),
    }
}

/// The MAC of a node whose MAC the policy leaves open.
const ANYBODY: Mac = Mac([2, 0, 0, 0, 0, 1]);
const NO_PEER: Port = Port(u16::MAX);

#[cfg(test)]
mod tests;
