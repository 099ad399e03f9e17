//! The declared nodes and how they stand.

use serde::{Deserialize, Serialize};

use crate::names;

/// The query of `GET /v1/nodes`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeQuery {
    /// Only those of this subnetwork.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subnetwork: Option<String>,
    /// Only those with this text in their names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Only those whose names come after this one: the last of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// At most so many; the server has its own limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// Answers `GET /v1/nodes`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nodes {
    /// By name, at most as many as asked for.
    pub nodes: Vec<Node>,
    /// How many match and come after the page before, listed or not.
    #[serde(default)]
    pub total: u64,
}

/// A declared node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// Its subnetwork.
    pub subnetwork: String,
    /// The policy's free word for what it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Its addresses.
    pub addresses: Vec<String>,
    /// The MAC its frames must carry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<String>,
    /// How it authenticates.
    pub authentication: Authentication,
    /// How it stands.
    pub state: NodeState,
    /// Until its lease ends; absent if it has none or needs none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_seconds: Option<u64>,
    /// Who has seen the proof that its lease was granted for: `dot1x`, `radius` or `lease`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_source: Option<String>,
    /// As whom it has proved itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,
    /// The source of its lease cannot be asked, and it goes on for its grace.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub in_grace: bool,
    /// How many live flows it is an end of.
    pub flows: u64,
}

names! {
    /// How a node authenticates.
    Authentication {
        /// By its address, MAC, VLAN and port alone.
        Static = "static",
        /// By IEEE 802.1X.
        Dot1x = "802.1x",
        /// By a lease that some other service grants.
        Lease = "lease",
    }
}

names! {
    /// How a node stands.
    NodeState {
        /// It may speak as the policy says.
        Authenticated = "authenticated",
        /// It has proved itself; its source is lost, and it goes on for its grace.
        Grace = "grace",
        /// It must authenticate and never did.
        NoLease = "no_lease",
        /// Its authentication ended.
        Expired = "expired",
        /// Somebody cut it off.
        Isolated = "isolated",
    }
}
