//! The routes, in one place for the server, the client and the description.

use std::fmt::Write as _;

/// What is done with a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// Reads it.
    Get,
    /// Commands.
    Post,
}

/// A route of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// The [`crate::Status`].
    Status,
    /// The [`crate::Counters`].
    Counters,
    /// The [`crate::Flows`].
    Flows,
    /// The [`crate::Nodes`].
    Nodes,
    /// [`crate::Event`]s, one JSON line each.
    Events,
    /// [`crate::OPENAPI`].
    OpenApi,
    /// Stops everything or one subnetwork.
    StopAll,
    /// Lifts a stop.
    Resume,
    /// Activates what lies in the policy directory.
    Reload,
    /// Cuts a node off.
    Isolate,
    /// Lets it back.
    Release,
}

impl Endpoint {
    /// Every route.
    pub const ALL: &'static [Self] = &[
        Self::Status,
        Self::Counters,
        Self::Flows,
        Self::Nodes,
        Self::Events,
        Self::OpenApi,
        Self::StopAll,
        Self::Resume,
        Self::Reload,
        Self::Isolate,
        Self::Release,
    ];

    /// How it is called.
    pub const fn method(self) -> Method {
        match self {
            Self::Status
            | Self::Counters
            | Self::Flows
            | Self::Nodes
            | Self::Events
            | Self::OpenApi => Method::Get,
            Self::StopAll | Self::Resume | Self::Reload | Self::Isolate | Self::Release => {
                Method::Post
            }
        }
    }

    /// Its path, with `{name}` where a node's name stands.
    pub const fn path(self) -> &'static str {
        match self {
            Self::Status => "/v1/status",
            Self::Counters => "/v1/counters",
            Self::Flows => "/v1/flows",
            Self::Nodes => "/v1/nodes",
            Self::Events => "/v1/events",
            Self::OpenApi => "/v1/openapi.json",
            Self::StopAll => "/v1/stop-all",
            Self::Resume => "/v1/resume",
            Self::Reload => "/v1/reload",
            Self::Isolate => "/v1/nodes/{name}/isolate",
            Self::Release => "/v1/nodes/{name}/release",
        }
    }

    /// Its path for one node.
    pub(crate) fn path_of(self, node: &str) -> String {
        self.path().replace("{name}", &escape(node))
    }
}

/// Percent-encodes everything but RFC 3986's unreserved characters.
pub(crate) fn escape(text: &str) -> String {
    text.bytes().fold(String::new(), |mut escaped, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(escaped, "%{byte:02X}");
        }
        escaped
    })
}
