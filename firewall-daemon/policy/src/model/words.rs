//! The words that policies choose from.

use serde::Serialize;

/// How much harm an outage of a subnetwork does, in ZVEI's three levels ("Secure Medical
/// Subnetworks", January 2017).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Criticality {
    /// Work can be planned around an outage.
    #[default]
    Planned,
    /// Treatment is delayed.
    TimeCritical,
    /// Patients are in danger at once.
    RealTime,
}

impl Criticality {
    /// Every level.
    pub const ALL: [Self; 3] = [Self::Planned, Self::TimeCritical, Self::RealTime];

    /// As policies, metrics and commands write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::TimeCritical => "time-critical",
            Self::RealTime => "real-time",
        }
    }
}

/// How a node proves what it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub enum Authentication {
    /// By its address, MAC, VLAN and port.
    #[default]
    #[serde(rename = "static")]
    Static,
    /// IEEE 802.1X on the access switch, or on the gateway.
    #[serde(rename = "802.1x")]
    Dot1x,
    /// A lease that the node obtains from the daemon.
    #[serde(rename = "lease")]
    Lease,
}

impl Authentication {
    /// Every way.
    pub const ALL: [Self; 3] = [Self::Static, Self::Dot1x, Self::Lease];

    /// As policies, metrics and commands write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Static => "static",
            Self::Dot1x => "802.1x",
            Self::Lease => "lease",
        }
    }

    /// Whether the node's frames pass only while it holds a lease.
    pub const fn needs_lease(self) -> bool {
        match self {
            Self::Static => false,
            Self::Dot1x | Self::Lease => true,
        }
    }
}

/// What an expectation expects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Expected {
    /// The whole application is allowed.
    Pass,
    /// No part of the application is allowed.
    Drop,
}
