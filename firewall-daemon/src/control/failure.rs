//! Why something was not done, as the caller reads it.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use firewall_control::{Caller, Diagnostic, ErrorBody, ErrorCode, ReasonError};
use firewall_node::sentence;

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The request makes no sense.
    #[error("{sentence}")]
    BadRequest {
        /// What is wrong with it.
        sentence: String,
    },
    /// The reason is none.
    #[error(transparent)]
    Reason(#[from] ReasonError),
    /// The caller may not command the firewall.
    #[error("{caller} may not command the firewall")]
    Forbidden {
        /// Who asked.
        caller: Caller,
    },
    /// Nothing lives at that path.
    #[error("there is nothing at {path}")]
    UnknownPath {
        /// The path.
        path: String,
    },
    /// The policy declares no such node.
    #[error("there is no node \"{name}\"")]
    UnknownNode {
        /// The name.
        name: String,
    },
    /// The policy declares no such subnetwork.
    #[error("there is no subnetwork \"{name}\"")]
    UnknownSubnetwork {
        /// The name.
        name: String,
    },
    /// The path is there, the method is not.
    #[error("{path} does not answer to {method}")]
    Method {
        /// The path.
        path: String,
        /// The method.
        method: String,
    },
    /// The body did not come in time.
    #[error("the request's body did not come in time")]
    Slow,
    /// The firewall's state does not allow it.
    #[error("{sentence}")]
    Conflict {
        /// Why not.
        sentence: String,
        /// What to do instead.
        hint: Option<String>,
    },
    /// The body is larger than [`firewall_control::MAXIMUM_BODY`].
    #[error("the request's body is larger than 64 KiB")]
    TooLarge,
    /// The policy has errors; nothing was changed.
    #[error("the policy has {} and was not activated; the one before stays in force",
        errors(.diagnostics.len()))]
    InvalidPolicy {
        /// What is wrong with it.
        diagnostics: Vec<Diagnostic>,
    },
    /// Too much at once.
    #[error("the daemon is busy")]
    Busy,
    /// Something failed inside.
    #[error("the daemon could not do it: {}", sentence(&**.0))]
    Internal(Box<dyn std::error::Error + Send + Sync>),
}

fn errors(count: usize) -> String {
    if count == 1 { "1 error".to_owned() } else { format!("{count} errors") }
}

impl Failure {
    /// Something failed inside.
    pub fn internal(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Internal(error.into())
    }

    /// Which kind it is.
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::BadRequest { .. } | Self::Reason(_) => ErrorCode::BadRequest,
            Self::Forbidden { .. } => ErrorCode::Forbidden,
            Self::UnknownPath { .. }
            | Self::UnknownNode { .. }
            | Self::UnknownSubnetwork { .. } => ErrorCode::NotFound,
            Self::Method { .. } => ErrorCode::MethodNotAllowed,
            Self::Slow => ErrorCode::Timeout,
            Self::Conflict { .. } => ErrorCode::Conflict,
            Self::TooLarge => ErrorCode::TooLarge,
            Self::InvalidPolicy { .. } => ErrorCode::InvalidPolicy,
            Self::Internal(_) => ErrorCode::Internal,
            Self::Busy => ErrorCode::Busy,
        }
    }

    fn hint(&self) -> Option<&str> {
        match self {
            Self::Reason(_) => Some("say in one line of at most 500 characters why"),
            Self::Forbidden { .. } => {
                Some("join the group that [control] names in cordon.toml, or ask as root")
            }
            Self::UnknownPath { .. } | Self::Method { .. } => {
                Some("GET /v1/openapi.json lists what there is")
            }
            Self::UnknownNode { .. } => Some("`cordon nodes` lists them"),
            Self::UnknownSubnetwork { .. } => Some("`cordon status` lists them"),
            Self::Conflict { hint, .. } => hint.as_deref(),
            Self::InvalidPolicy { .. } => {
                Some("mend the files and reload; `cordon check` needs no daemon")
            }
            Self::Busy => Some("ask again in a moment; a stop-all never waits"),
            Self::Internal(_) => Some("the daemon's log says more"),
            Self::BadRequest { .. } | Self::Slow | Self::TooLarge => None,
        }
    }

    /// As it is answered.
    pub fn into_body(self) -> ErrorBody {
        let (error, hint, code) = (self.to_string(), self.hint().map(str::to_owned), self.code());
        let diagnostics = match self {
            Self::InvalidPolicy { diagnostics } => diagnostics,
            Self::BadRequest { .. }
            | Self::Reason(_)
            | Self::Forbidden { .. }
            | Self::UnknownPath { .. }
            | Self::UnknownNode { .. }
            | Self::UnknownSubnetwork { .. }
            | Self::Method { .. }
            | Self::Slow
            | Self::Conflict { .. }
            | Self::TooLarge
            | Self::Internal(_)
            | Self::Busy => Vec::new(),
        };
        ErrorBody { error, hint, code, diagnostics }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        if let Self::Internal(error) = &self {
            tracing::error!(error = sentence(&**error), "a request failed");
        }
        let body = self.into_body();
        let status =
            StatusCode::from_u16(body.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, Json(body)).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot write the latch")]
    struct Latch(#[source] std::io::Error);

    #[test]
    fn an_internal_error_tells_its_causes_in_one_line() {
        let full = std::io::Error::other("no space left on device");
        let body = Failure::internal(Latch(full)).into_body();
        assert_eq!(
            body.error,
            "the daemon could not do it: cannot write the latch: no space left on device"
        );
        assert_eq!(body.code, ErrorCode::Internal);
    }
}
