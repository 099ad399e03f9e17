//! What can be asked, by the names in the policy.

use firewall_common::Port;

use crate::model::{ApplicationId, GATEWAY, Node, NodeId, Policy};
use crate::suggest::did_you_mean;

/// One end of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whom {
    /// A declared node.
    Node(NodeId),
    /// The gateway itself, a router.
    Gateway,
}

impl Whom {
    /// Its name in the policy.
    pub fn name(self, policy: &Policy) -> &str {
        match self {
            Self::Node(id) => &policy.node(id).name,
            Self::Gateway => GATEWAY,
        }
    }

    /// The node, unless it is the gateway.
    pub fn node(self, policy: &Policy) -> Option<&Node> {
        match self {
            Self::Node(id) => Some(policy.node(id)),
            Self::Gateway => None,
        }
    }
}

/// Who opens which application to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question {
    /// Who opens.
    pub from: Whom,
    /// To whom.
    pub to: Whom,
    /// What.
    pub application: ApplicationId,
}

/// Why a question cannot be asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExplainError {
    /// A name is not in the policy.
    #[error("the policy has no {what} `{name}`")]
    Unknown {
        /// Node or application.
        what: &'static str,
        /// The name.
        name: String,
        /// What may have been meant.
        help: Option<String>,
    },
    /// The one has only IPv4 addresses, the other only IPv6.
    #[error("`{from}` and `{to}` have no address family in common")]
    Families {
        /// Who opens.
        from: String,
        /// To whom.
        to: String,
    },
    /// A port of the gateway that the policy does not name.
    #[error("the policy names no port `{name}`")]
    UnknownPort {
        /// The name.
        name: String,
        /// What may have been meant.
        help: Option<String>,
    },
}

impl ExplainError {
    /// What to do about it, if that is known.
    pub fn help(&self) -> Option<&str> {
        match self {
            Self::Unknown { help, .. } | Self::UnknownPort { help, .. } => help.as_deref(),
            Self::Families { .. } => Some("give one of them an address of the other's family"),
        }
    }
}

impl Question {
    /// From the names in the policy.
    ///
    /// # Errors
    /// When one of them is unknown.
    pub fn named(
        policy: &Policy,
        from: &str,
        to: &str,
        application: &str,
    ) -> Result<Self, ExplainError> {
        let node = |name: &str| {
            let names = policy.nodes().iter().map(|node| &*node.name);
            match policy.node_named(name) {
                Some(id) => Ok(Whom::Node(id)),
                None if name == GATEWAY && policy.is_routed() => Ok(Whom::Gateway),
                None => Err(unknown("node", name, names)),
            }
        };
        let names = policy.applications().iter().map(|application| &*application.name);
        Ok(Self {
            from: node(from)?,
            to: node(to)?,
            application: policy
                .application_named(application)
                .ok_or_else(|| unknown("application", application, names))?,
        })
    }
}

fn unknown<'n>(
    what: &'static str,
    name: &str,
    names: impl Iterator<Item = &'n str>,
) -> ExplainError {
    ExplainError::Unknown { what, name: name.to_owned(), help: did_you_mean(name, names, 0) }
}

/// The gateway's port of that name.
///
/// # Errors
/// When no subnetwork of the policy names it.
pub fn port_named(policy: &Policy, name: &str) -> Result<Port, ExplainError> {
    let index = policy.ports().iter().position(|port| port == name);
    index.and_then(|index| u16::try_from(index).ok()).map(Port).ok_or_else(|| {
        let names = policy.ports().iter().map(String::as_str);
        ExplainError::UnknownPort { name: name.to_owned(), help: did_you_mean(name, names, 0) }
    })
}
