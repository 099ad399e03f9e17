//! The control API: what an operator may ask of the daemon, what it answers, and a client.
//!
//! HTTP/1.1 with JSON over a Unix socket. [`Endpoint`] lists the routes; [`OPENAPI`] describes
//! them for others. Times are RFC 3339 in UTC, durations and sizes carry their unit in the name.

mod authentication;
mod client;
mod command;
mod counters;
mod endpoint;
mod error;
mod event;
mod flow;
mod node;
mod status;

pub use authentication::{AuthenticationCounters, LeaseSource, ReasonCount};
pub use client::{Client, ClientError, EventStream, ProtocolError};
pub use command::{
    Caller, Changes, NodeReport, ReasonError, ReasonRequest, ReloadReport, ResumeRequest, Steps,
    StopReport, StopRequest, Totals, check_reason,
};
pub use counters::{
    Counters, EventCounters, KindCount, PairCount, PortCounters, RuleCount, Tally, VerdictCount,
};
pub use endpoint::{Endpoint, Method};
pub use error::{Diagnostic, ErrorBody, ErrorCode, Severity};
pub use event::{Event, EventKind, EventQuery, EventSeverity, Party, Verdict};
pub use flow::{Flow, FlowEnd, FlowQuery, FlowState, Flows};
pub use node::{Authentication, Node, NodeQuery, NodeState, Nodes};
pub use status::{
    Check, Criticality, FlowTable, Health, Mode, NodeCount, Policy, Port, Status, Stop, StopLevel,
    Subnetwork, VlanOffload, XdpMode,
};

/// Where the daemon listens unless told otherwise.
pub const DEFAULT_SOCKET: &str = "/run/cordon/control.sock";

/// The largest request body, in bytes.
pub const MAXIMUM_BODY: usize = 64 * 1024;

/// The OpenAPI 3.1 description that `GET /v1/openapi.json` answers with.
pub const OPENAPI: &str = include_str!("openapi.json");

/// Gives an enum of unit variants its stable names: in JSON, in tables, in metrics.
macro_rules! names {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[derive(serde::Serialize, serde::Deserialize)]
        pub enum $name { $($(#[$doc])* #[serde(rename = $text)] $variant,)+ }

        impl $name {
            /// Every one, in the order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The stable name.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.pad(self.name())
            }
        }
    };
}
pub(crate) use names;

#[cfg(test)]
mod tests;
