//! The live flows.

use serde::{Deserialize, Serialize};

use crate::names;

/// The query of `GET /v1/flows`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlowQuery {
    /// Only those with this node at either end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Only those with this subnetwork at either end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subnetwork: Option<String>,
    /// At most so many; the server has its own limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// Answers `GET /v1/flows`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flows {
    /// The flows, at most as many as asked for.
    pub flows: Vec<Flow>,
    /// How many match, listed or not.
    pub total: u64,
}

/// A live flow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flow {
    /// Who opened it.
    pub from: FlowEnd,
    /// To whom.
    pub to: FlowEnd,
    /// `tcp`, `udp`, `icmp`, `icmpv6`, or the protocol's number.
    pub protocol: String,
    /// The port that the rule's application names; absent for ICMP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub application_port: Option<u16>,
    /// How far it has come.
    pub state: FlowState,
    /// The rule that allows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// It survives an ordinary stop.
    pub essential: bool,
    /// The generation it was last allowed under.
    pub generation: u32,
    /// Until it ends, if nothing is said.
    pub expires_in_seconds: u64,
}

/// One end of a flow.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowEnd {
    /// The node, if it is declared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Its subnetwork.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subnetwork: Option<String>,
    /// Its address.
    pub address: String,
    /// Its transport port; absent for ICMP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
}

names! {
    /// How far a flow has come.
    FlowState {
        /// The responder has not answered.
        HalfOpen = "half_open",
        /// It has.
        Established = "established",
        /// One side has closed.
        Closing = "closing",
        /// Both sides have closed.
        Closed = "closed",
    }
}
