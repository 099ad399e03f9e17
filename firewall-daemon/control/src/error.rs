//! What the daemon answers when it does not do as asked.

use serde::{Deserialize, Serialize};

use crate::names;

names! {
    /// Which kind of refusal, for programs.
    ErrorCode {
        /// The request makes no sense (HTTP 400).
        BadRequest = "bad_request",
        /// The caller may not command the firewall (403).
        Forbidden = "forbidden",
        /// There is no such path, node or subnetwork (404).
        NotFound = "not_found",
        /// The path is there, the method is not (405).
        MethodNotAllowed = "method_not_allowed",
        /// The request came too slowly (408).
        Timeout = "timeout",
        /// The firewall's state does not allow it (409).
        Conflict = "conflict",
        /// The body is larger than 64 KiB (413).
        TooLarge = "too_large",
        /// The policy has errors; nothing was changed (422).
        InvalidPolicy = "invalid_policy",
        /// Something failed inside the daemon (500).
        Internal = "internal",
        /// Too much at once (503).
        Busy = "busy",
    }
}

impl ErrorCode {
    /// The HTTP status that goes with it.
    pub const fn status(self) -> u16 {
        match self {
            Self::BadRequest => 400,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::Timeout => 408,
            Self::Conflict => 409,
            Self::TooLarge => 413,
            Self::InvalidPolicy => 422,
            Self::Internal => 500,
            Self::Busy => 503,
        }
    }
}

/// The body of every answer that is not a success.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// One plain sentence.
    pub error: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Which kind.
    pub code: ErrorCode,
    /// What is wrong with the policy, if that is why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub diagnostics: Vec<Diagnostic>,
}

names! {
    /// How bad a finding in a policy is.
    Severity {
        /// The policy cannot be activated.
        Error = "error",
        /// It can, but somebody should look.
        Warning = "warning",
    }
}

/// A finding in a policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// Its stable code.
    pub code: String,
    /// One sentence.
    pub message: String,
    /// The file, if it lies in one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The line, counted from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// The column, counted from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<u32>,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// As `cordon check` shows it, with the lines of the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rendered: Option<String>,
}
