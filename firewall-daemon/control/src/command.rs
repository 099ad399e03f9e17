//! What changes the firewall, and what came of it.

use serde::{Deserialize, Serialize};

use crate::{Diagnostic, Flow, NodeState, StopLevel};

/// The longest reason, in characters.
const MAXIMUM_REASON: usize = 500;

/// Who asked, as the kernel says (`SO_PEERCRED`) and the user database names it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caller {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Process id; 0 if the kernel does not tell.
    pub pid: u32,
    /// User name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// What the process calls itself: for people, not for trust.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<String>,
}

impl std::fmt::Display for Caller {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { uid, gid: _, pid, user, process } = self;
        match user {
            Some(user) => write!(formatter, "{user} (uid {uid}")?,
            None => write!(formatter, "uid {uid} (")?,
        }
        let comma = if user.is_some() { ", " } else { "" };
        match process {
            Some(process) => write!(formatter, "{comma}{process}, pid {pid})"),
            None => write!(formatter, "{comma}pid {pid})"),
        }
    }
}

/// Stops everything, or one subnetwork.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StopRequest {
    /// Only this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subnetwork: Option<String>,
    /// Spares not even essential rules.
    #[serde(default)]
    pub hard: bool,
    /// Why; see [`check_reason`].
    pub reason: String,
}

/// Lifts the stop of everything, or of one subnetwork.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResumeRequest {
    /// Only this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subnetwork: Option<String>,
    /// Why; see [`check_reason`].
    pub reason: String,
}

/// Isolates or releases the node in the path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReasonRequest {
    /// Why; see [`check_reason`].
    pub reason: String,
}

/// Why a reason is not one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReasonError {
    /// Nothing but white space.
    #[error("the reason is empty")]
    Empty,
    /// More than 500 characters.
    #[error("the reason has {length} characters, at most {MAXIMUM_REASON} are kept")]
    TooLong {
        /// How many it has.
        length: usize,
    },
    /// It would forge lines in logs and terminals.
    #[error("the reason has control characters")]
    ControlCharacter,
}

/// Checks that a reason says something, fits, and is one line of plain text.
///
/// # Errors
/// A [`ReasonError`] names what is wrong.
pub fn check_reason(reason: &str) -> Result<(), ReasonError> {
    let length = reason.chars().count();
    if reason.trim().is_empty() {
        Err(ReasonError::Empty)
    } else if length > MAXIMUM_REASON {
        Err(ReasonError::TooLong { length })
    } else if reason.chars().any(forges) {
        Err(ReasonError::ControlCharacter)
    } else {
        Ok(())
    }
}

/// Control characters, and those that end or reorder a line without being one (UAX #9).
fn forges(character: char) -> bool {
    character.is_control() || matches!(character, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// What a stop or a resume did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopReport {
    /// Of which subnetwork; absent: of everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subnetwork: Option<String>,
    /// What lies on disk now and outlives daemon and machine.
    pub latched: StopLevel,
    /// What the kernel's word says, read back after the store. For a subnetwork, the stricter of
    /// its own stop and the stop of everything.
    pub effective: StopLevel,
    /// Since when, RFC 3339; absent if not stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// From the request's arrival until the kernel's word was read back.
    pub took_microseconds: u64,
    /// One sentence for people.
    pub message: String,
}

/// What isolating or releasing a node did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeReport {
    /// Which node.
    pub node: String,
    /// Its standing now, read back from the kernel.
    pub state: NodeState,
    /// How many of its flows were live and are cut; 0 for a release.
    pub cut_flows: u64,
    /// From the request's arrival until the kernel's word was read back.
    pub took_microseconds: u64,
    /// One sentence for people.
    pub message: String,
}

/// What a reload changed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ReloadReport {
    /// The generation that is active now.
    pub generation: u32,
    /// The hash of the policy that is active now, lower-case hex.
    pub policy_hash: String,
    /// Nodes by name.
    pub nodes: Changes,
    /// Rules by name.
    pub rules: Changes,
    /// Subnetworks by name.
    pub subnetworks: Changes,
    /// The flows that the new policy does not allow any more; long lists are cut short.
    pub cut_flows: Vec<Flow>,
    /// How many flows that were.
    pub cut_flows_count: u64,
    /// What somebody should look at.
    pub warnings: Vec<Diagnostic>,
    /// From reading the files until the new policy was in force.
    pub took_microseconds: u64,
    /// What took how long.
    #[serde(default)]
    pub steps: Steps,
    /// One sentence for people.
    pub message: String,
}

/// What the steps of a reload took, in milliseconds. All but the last come before the new policy is in
/// force.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Steps {
    /// Reading and hashing the files.
    pub read_ms: f64,
    /// Reading their form.
    pub parse_ms: f64,
    /// Looking up names and checking values.
    pub resolve_ms: f64,
    /// Making the image that the kernel reads.
    pub compile_ms: f64,
    /// Trying the expectations on the program; 0 if there are none.
    pub try_ms: f64,
    /// Asking the new image about the live flows.
    pub flows_ms: f64,
    /// Waiting for the last readers, writing the image into the kernel, reading it back, and the one
    /// store that brings it into force.
    pub activate_ms: f64,
    /// Comparing it with the policy before.
    pub compare_ms: f64,
}

impl Steps {
    /// The fields by name, in the order of the steps.
    pub const fn named(&self) -> [(&'static str, f64); 8] {
        let Self {
            read_ms,
            parse_ms,
            resolve_ms,
            compile_ms,
            try_ms,
            flows_ms,
            activate_ms,
            compare_ms,
        } = *self;
        [
            ("read", read_ms),
            ("parse", parse_ms),
            ("resolve", resolve_ms),
            ("compile", compile_ms),
            ("try", try_ms),
            ("flows", flows_ms),
            ("activate", activate_ms),
            ("compare", compare_ms),
        ]
    }
}

/// How two sets of names differ; all four lists are sorted and disjoint, and long ones are cut short.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changes {
    /// Only in the new policy.
    pub added: Vec<String>,
    /// Only in the old one.
    pub removed: Vec<String>,
    /// In both, and not the same.
    pub changed: Vec<String>,
    /// In both, and the same.
    pub kept: Vec<String>,
    /// How many names each list had before it was cut short.
    #[serde(default)]
    pub totals: Totals,
}

/// How many names differ in which way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Only in the new policy.
    pub added: u64,
    /// Only in the old one.
    pub removed: u64,
    /// In both, and not the same.
    pub changed: u64,
    /// In both, and the same.
    pub kept: u64,
}

/// Names that a list of [`Changes`] has at most.
const LISTED: usize = 1000;

impl Changes {
    /// Of names in any order. What is cut are those last in the alphabet.
    pub fn new(
        added: Vec<String>,
        removed: Vec<String>,
        changed: Vec<String>,
        kept: Vec<String>,
    ) -> Self {
        let count = |names: &Vec<String>| names.len() as u64;
        let totals = Totals {
            added: count(&added),
            removed: count(&removed),
            changed: count(&changed),
            kept: count(&kept),
        };
        let [added, removed, changed, kept] = [added, removed, changed, kept].map(|mut names| {
            if names.len() > LISTED {
                names.select_nth_unstable(LISTED);
                names.truncate(LISTED);
            }
            names.sort_unstable();
            names
        });
        Self { added, removed, changed, kept, totals }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_one_line_of_text() {
        assert_eq!(check_reason("malware on ct-1, Störung 4711"), Ok(()));
        assert_eq!(check_reason(" \t "), Err(ReasonError::Empty));
        assert_eq!(check_reason("a\nb"), Err(ReasonError::ControlCharacter));
        assert_eq!(check_reason("a\u{202e}b"), Err(ReasonError::ControlCharacter));
        assert_eq!(check_reason(&"ä".repeat(500)), Ok(()));
        let long = ReasonError::TooLong { length: 501 };
        assert_eq!(check_reason(&"ä".repeat(501)), Err(long));
    }

    #[test]
    fn a_misspelt_field_is_refused() {
        let request = r#"{"reason": "x", "hrad": true}"#;
        assert!(serde_json::from_str::<StopRequest>(request).is_err());
    }

    #[test]
    fn a_caller_is_named_as_far_as_known() {
        let caller = Caller { uid: 7, pid: 41, ..Caller::default() };
        assert_eq!(caller.to_string(), "uid 7 (pid 41)");
        let caller = Caller { user: Some("eva".into()), process: Some("curl".into()), ..caller };
        assert_eq!(caller.to_string(), "eva (uid 7, curl, pid 41)");
    }
}
