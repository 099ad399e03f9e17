//! Frames that somebody captured.

use std::net::{IpAddr, SocketAddr};

use firewall_common::flow::Sender;
use firewall_common::tables::Way;
use firewall_common::{Addr, DropReason, NodeSlot, Note, Port, Ticks, Verdict, decide};
use serde::Serialize;

use super::{Memory, NO_PEER, Outcome, outcome};
use crate::compile::Names;
use crate::model::Policy;

/// What became of a captured frame.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FrameExplanation {
    /// What the frame is, as far as the decision read it: `tcp 10.0.0.1:40000 > 10.0.0.2:104`.
    pub frame: String,
    /// What becomes of it.
    pub outcome: Outcome,
    /// The node it came from, if it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The node it goes to, if it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// All that in a sentence.
    pub sentence: String,
}

/// Decides over a frame that comes in on `port`. The flows in `memory` stay: the frames of one
/// capture build on each other. Among several ports, the frame leaves by the one that lets it.
pub fn explain_frame(
    policy: &Policy,
    names: &Names,
    memory: &Memory,
    bytes: &[u8],
    port: Port,
    now: Ticks,
) -> FrameExplanation {
    let mut note = Note::default();
    let mut decided = Err(DropReason::NoRoute);
    for way in ways(policy, port) {
        let mut attempt = Note::default();
        let result = decide(bytes, &memory.behind(port, way), now, &mut attempt);
        let is_telling = !matches!(
            (result, decided),
            (Err(DropReason::NoRoute | DropReason::UnknownDestination), Err(reason))
                if reason != DropReason::NoRoute
        );
        if is_telling {
            (decided, note) = (result, attempt);
        }
        if decided.is_ok() {
            break;
        }
    }
    let rule = decided.ok().and_then(|passage| names.rule(passage.rule));
    let verdict = match decided {
        Ok(passage) => Verdict::Pass(passage.reason),
        Err(reason) => Verdict::Drop(reason),
    };
    let outcome = outcome(verdict, rule.map(|rule| rule.name.to_string()));
    let frame = describe(&note, bytes);
    let sentence = match &outcome {
        Outcome { rule: Some(rule), reason, verdict: "pass", .. } => {
            format!("{frame}: passes: {reason}, rule \"{rule}\"")
        }
        Outcome { reason, verdict: "pass", .. } => format!("{frame}: passes: {reason}"),
        Outcome { reason, meaning, .. } => format!("{frame}: dropped: {reason} — {meaning}"),
    };
    let (from, to) = note.nodes();
    let name = |slot| names.node(NodeSlot(slot)).map(|node| node.name.to_string());
    FrameExplanation { frame, outcome, from: name(from), to: name(to), sentence }
}

/// The ways on from that port.
fn ways(policy: &Policy, port: Port) -> Vec<Way> {
    if policy.is_routed() {
        return vec![Way::Router];
    }
    let peers = (0..u16::try_from(policy.ports().len()).unwrap_or(u16::MAX)).map(Port);
    let mut ways: Vec<Way> =
        peers.filter(|&peer| peer != port).map(|peer| Way::Bridge { peer }).collect();
    if ways.is_empty() {
        ways.push(Way::Bridge { peer: NO_PEER });
    }
    ways
}

fn describe(note: &Note, bytes: &[u8]) -> String {
    if !note.is_named() {
        return match note.ethertype() {
            0 => format!("frame of {} bytes", bytes.len()),
            ethertype => format!("frame of {} bytes, EtherType {ethertype:#06x}", bytes.len()),
        };
    }
    let low = (note.key.low, note.key.low_port);
    let high = (note.key.high, note.key.high_port);
    let (source, destination) = match note.sender {
        Sender::Low => (low, high),
        Sender::High => (high, low),
    };
    let address = |(address, _): (Addr, u16)| IpAddr::from(address).to_string();
    let socket = |(address, port): (Addr, u16)| SocketAddr::new(address.into(), port).to_string();
    match note.key.protocol {
        0 => format!("address resolution {} > {}", address(source), address(destination)),
        6 => format!("tcp {} > {}", socket(source), socket(destination)),
        17 => format!("udp {} > {}", socket(source), socket(destination)),
        1 => format!("icmp {} > {}", address(source), address(destination)),
        58 => format!("icmpv6 {} > {}", address(source), address(destination)),
        protocol => {
            format!("protocol {protocol} {} > {}", address(source), address(destination))
        }
    }
}
