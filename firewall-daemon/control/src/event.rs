//! What happened. Headers only, never payload.

use serde::de::{Deserializer, Error as _, Unexpected};
use serde::{Deserialize, Serialize};

use crate::{Caller, names};

/// The query of `GET /v1/events`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventQuery {
    /// Only those from this instant on, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// Goes on with what happens from now on: `1` or `true`.
    #[serde(default, deserialize_with = "switch")]
    pub follow: bool,
}

/// A switch in a query, where everything is text.
fn switch<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    let text = String::deserialize(deserializer)?;
    match text.as_str() {
        "1" | "true" => Ok(true),
        "0" | "false" => Ok(false),
        other => Err(D::Error::invalid_value(Unexpected::Str(other), &"0, 1, false or true")),
    }
}

names! {
    /// What an event is about.
    EventKind {
        /// A frame was dropped.
        Drop = "drop",
        /// A flow was opened.
        Flow = "flow",
        /// Somebody stopped everything or a subnetwork.
        Stop = "stop",
        /// Somebody lifted a stop.
        Resume = "resume",
        /// A policy was activated.
        Reload = "reload",
        /// A policy was refused; the one before stays.
        ReloadRefused = "reload_refused",
        /// Somebody cut a node off.
        Isolate = "isolate",
        /// Somebody let a node back.
        Release = "release",
        /// A node's lease began, was renewed or ended.
        Lease = "lease",
        /// A proof granted nobody a lease.
        LeaseRefused = "lease_refused",
        /// A lease goes on for its grace only: its source is lost.
        Grace = "grace",
        /// A source of leases cannot be asked any more.
        SourceLost = "source_lost",
        /// It can be asked again.
        SourceBack = "source_back",
        /// Somebody asked for what they may not.
        Denied = "denied",
        /// The daemon started.
        Start = "start",
        /// The daemon ended; enforcement stays.
        End = "end",
        /// Enforcement was taken away on purpose.
        Detach = "detach",
        /// Something in the kernel was changed behind the daemon's back.
        Tamper = "tamper",
        /// An interface that was made again is guarded again.
        Rearmed = "rearmed",
        /// A check about the kernel changed its outcome.
        Health = "health",
        /// Something looks wrong.
        Anomaly = "anomaly",
        /// Events are missing here.
        Lost = "lost",
    }
}

names! {
    /// How grave an event is.
    EventSeverity {
        /// All in a day's work.
        Low = "low",
        /// Somebody should look at it.
        Medium = "medium",
        /// Somebody should look at it now.
        High = "high",
    }
}

impl EventKind {
    /// How grave such an event is, unless it says otherwise.
    pub const fn severity(self) -> EventSeverity {
        match self {
            Self::Drop
            | Self::Flow
            | Self::Reload
            | Self::Release
            | Self::Lease
            | Self::SourceBack
            | Self::Start
            | Self::Rearmed => EventSeverity::Low,
            Self::Resume
            | Self::ReloadRefused
            | Self::Isolate
            | Self::LeaseRefused
            | Self::Denied
            | Self::End
            | Self::Health
            | Self::Lost => EventSeverity::Medium,
            Self::Stop
            | Self::Grace
            | Self::SourceLost
            | Self::Detach
            | Self::Tamper
            | Self::Anomaly => EventSeverity::High,
        }
    }
}

names! {
    /// What became of a frame.
    Verdict {
        /// Forwarded.
        Pass = "pass",
        /// Dropped.
        Drop = "drop",
    }
}

/// Something that happened; one JSON line of `GET /v1/events`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Counts up by one with every event the daemon records; a gap is a loss.
    pub sequence: u64,
    /// When, RFC 3339.
    pub time: String,
    /// When, on the clock that starts at boot and is never set.
    pub boot_nanoseconds: u64,
    /// What it is about.
    pub kind: EventKind,
    /// How grave it is.
    pub severity: EventSeverity,
    /// What became of the frame.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// The verdict's stable reason, or the words of who asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The port that the frame came in on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<String>,
    /// The frame's VLAN; absent: untagged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vlan: Option<u16>,
    /// The frame's Ethernet type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ethertype: Option<u16>,
    /// Who sent the frame.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Party>,
    /// To whom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination: Option<Party>,
    /// `tcp`, `udp`, `icmp`, `icmpv6`, or the protocol's number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    /// The frame's length in bytes on the wire.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length: Option<u32>,
    /// The rule that allowed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// The subnetwork that was stopped or resumed; absent: everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subnetwork: Option<String>,
    /// The node that was isolated, released or granted a lease.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// The generation that came into force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<u32>,
    /// How many events are missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// Who asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Caller>,
    /// One sentence for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

impl Event {
    /// An event about nothing yet.
    pub const fn new(sequence: u64, time: String, boot_nanoseconds: u64, kind: EventKind) -> Self {
        Self {
            sequence,
            time,
            boot_nanoseconds,
            kind,
            severity: kind.severity(),
            verdict: None,
            reason: None,
            port: None,
            vlan: None,
            ethertype: None,
            source: None,
            destination: None,
            protocol: None,
            length: None,
            rule: None,
            subnetwork: None,
            node: None,
            generation: None,
            count: None,
            by: None,
            message: None,
        }
    }
}

/// One end of a frame, as far as its headers were read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Party {
    /// Link address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<String>,
    /// Network address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Transport port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// The node, if it is declared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Its subnetwork.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subnetwork: Option<String>,
}
