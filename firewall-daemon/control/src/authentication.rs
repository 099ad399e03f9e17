//! Who says that nodes are what they say, and what came of it.

use serde::{Deserialize, Serialize};

/// A source of leases.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseSource {
    /// `dot1x`, `radius` or `lease`.
    pub source: String,
    /// The only port that it sees: a hostapd's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<String>,
    /// It can be asked, or heard.
    pub up: bool,
    /// How many nodes may speak by its proofs.
    pub leases: u64,
    /// How many of these go on for their grace.
    pub in_grace: u64,
}

/// What was refused, and what switches have said, since the daemon started. All zeros, or empty, of
/// what is not configured.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthenticationCounters {
    /// Proofs that granted no lease, by reason.
    pub refused: Vec<ReasonCount>,
    /// RADIUS packets that said something new of a station.
    pub radius_statements: u64,
    /// RADIUS packets that were answered before.
    pub radius_retransmissions: u64,
    /// RADIUS packets that were not believed, by reason.
    pub radius_refused: Vec<ReasonCount>,
}

/// How often something was refused for one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReasonCount {
    /// The reason's stable name.
    pub reason: String,
    /// How often.
    pub count: u64,
}
