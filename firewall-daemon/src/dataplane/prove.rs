//! Tries a policy's expectations on the real program with the candidate image, before it is
//! activated: on a second set of maps that no port knows.

use std::io;

use firewall_control::{Diagnostic, Severity};
use firewall_policy::diagnostic::Place;
use firewall_policy::model::{Expectation, Expected, Protocol};
use firewall_policy::{Image, Policy, Sources, explain};

use super::DataPlane;
use super::trial::{Trial, TrialError};
use crate::config::Config;

/// Why the expectations do not hold.
#[derive(Debug, thiserror::Error)]
pub enum ProveError {
    /// Some do not hold.
    #[error("{} of the policy's expectations do not hold on the program", failed.len())]
    Failed {
        /// Which.
        failed: Vec<Diagnostic>,
    },
    /// The trial cannot be made.
    #[error("cannot try the policy's expectations: {0}")]
    Trial(#[from] TrialError),
    /// The program cannot be run.
    #[error("cannot try the policy's expectations: {0}")]
    Run(#[source] io::Error),
}

impl ProveError {
    /// What is wrong with the policy, if that is why.
    pub fn diagnostics(&self) -> Option<Vec<Diagnostic>> {
        match self {
            Self::Failed { failed } => Some(failed.clone()),
            Self::Trial(_) | Self::Run(_) => None,
        }
    }
}

impl ProveError {
    /// What is wrong, a line each, for a terminal or a log.
    pub fn render(&self) -> String {
        match self {
            Self::Failed { failed } => {
                let lines = failed.iter().map(|failed| {
                    let file = failed.file.as_deref().unwrap_or("the policy");
                    format!("{file}:{}: {}\n", failed.line.unwrap_or(0), failed.message)
                });
                lines.collect()
            }
            Self::Trial(error) => format!("{error}\n"),
            Self::Run(error) => format!("{error}\n"),
        }
    }
}

/// Tries every expectation; all that fail are named. The trial is made when the first policy has
/// expectations, and kept.
pub fn expectations(
    trial: &mut Option<Trial>,
    config: &Config,
    plane: &DataPlane,
    policy: &Policy,
    image: &Image,
    sources: &Sources,
) -> Result<(), ProveError> {
    if policy.expectations().is_empty() {
        return Ok(());
    }
    let trial = match trial {
        Some(trial) => trial,
        None => trial.insert(Trial::new(config, plane.clock())?),
    };
    trial.install(image);
    let mut failed = Vec::new();
    for expectation in policy.expectations() {
        let application = policy.application(expectation.application);
        for (protocol, port) in application.samples() {
            if let Some(passed) = contradicts(trial, policy, expectation, protocol, port)? {
                failed.push(describe(policy, expectation, protocol, port, passed, sources));
                break;
            }
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(ProveError::Failed { failed }) }
}

/// Whether such a flow passed, if that is not what was expected.
fn contradicts(
    trial: &Trial,
    policy: &Policy,
    expectation: &Expectation,
    protocol: Protocol,
    port: u16,
) -> Result<Option<bool>, ProveError> {
    let Expectation { from, to, verdict, .. } = expectation;
    for (ingress, frame) in explain::openings(policy, *from, *to, protocol, port) {
        let (action, _) = trial.run(ingress, &frame).map_err(ProveError::Run)?;
        let passed = trial.crosses(action);
        let wanted = match verdict {
            Expected::Pass => true,
            Expected::Drop => false,
        };
        if passed != wanted {
            return Ok(Some(passed));
        }
    }
    Ok(None)
}

fn describe(
    policy: &Policy,
    expectation: &Expectation,
    protocol: Protocol,
    port: u16,
    passed: bool,
    sources: &Sources,
) -> Diagnostic {
    let name = |id| policy.node(id).name.to_string();
    let what = match protocol {
        Protocol::Tcp => format!("tcp {port}"),
        Protocol::Udp => format!("udp {port}"),
        Protocol::Echo => "echo".to_owned(),
    };
    let place = Place::of(expectation.span, sources);
    let number = |number: usize| u32::try_from(number).ok();
    Diagnostic {
        severity: Severity::Error,
        code: "expectation-failed".to_owned(),
        message: format!(
            "on the program, {what} from {} to {} {}",
            name(expectation.from),
            name(expectation.to),
            if passed { "passes" } else { "is dropped" },
        ),
        file: place.as_ref().map(|place| place.file.clone()),
        line: place.as_ref().and_then(|place| number(place.line)),
        column: place.as_ref().and_then(|place| number(place.column)),
        help: Some("`cordon explain FROM TO APPLICATION` names the rule or the reason".to_owned()),
        rendered: None,
    }
}
