//! `cordon check`

use std::io::{self, IsTerminal};
use std::path::PathBuf;

use clap::Args;
use firewall_daemon::candidate;
use firewall_daemon::config::{Capacity, Config};
use firewall_node::sentence;
use firewall_policy::diagnostic::Record;
use firewall_policy::{
    Capacity as Room, Diagnostic, Diagnostics, Policy, Ports, ReadError, Resolved, SequentialSlots,
    Severity, Sources, Style, compile, resolve,
};
use serde::Serialize;

use crate::context::Context;
use crate::failure::{Exit, Failure, Told};
use crate::human::count;
use crate::paint::Paint;

/// Validates the policies in a directory, without daemon and without root
///
/// Prints every error with its code, its place and what to do about it. With --config, the ports
/// and the capacity are those of that gateway; without, any port will do.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The policy directory
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Verdict {
    valid: bool,
    hash: String,
    nodes: usize,
    rules: usize,
    diagnostics: Vec<Record>,
}

pub(crate) fn run(arguments: &Arguments, context: &Context) -> Result<(), Failure> {
    let Arguments { directory } = arguments;
    let sources = Sources::read(directory)?;
    let (ports, room) = match context.named_config()? {
        Some(Config { gateway, capacity, .. }) => (candidate::ports(&gateway), room_of(capacity)),
        None => (Ports::unknown(), Room::default()),
    };
    let (policy, found) = match examine(&sources, &ports, &room) {
        Ok(Resolved { policy, warnings }) => (Some(policy), warnings),
        Err(found) => (None, found),
    };
    let size = |of: fn(&Policy) -> usize| policy.as_ref().map(of).unwrap_or_default();
    let verdict = Verdict {
        valid: policy.is_some(),
        hash: sources.hash(),
        nodes: size(|policy| policy.nodes().len()),
        rules: size(|policy| policy.rules().len()),
        diagnostics: found.records(&sources),
    };
    let drawn = |paint: Paint| {
        let style = if paint.colours() { Style::Coloured } else { Style::Plain };
        found.render(&sources, style)
    };
    let tally = |severity| {
        found.iter().filter(|diagnostic| diagnostic.severity() == severity).count() as u64
    };
    if verdict.valid {
        context.answer(&verdict, |verdict, paint| {
            let nodes = count(verdict.nodes as u64, "node", "nodes");
            let rules = count(verdict.rules as u64, "rule", "rules");
            let warnings = count(tally(Severity::Warning), "warning", "warnings");
            let details = drawn(paint);
            format!("{details}The policy is valid: {nodes}, {rules}, {warnings}.\n")
        })
    } else {
        if context.json() {
            context.answer(&verdict, |_, _| String::new())?;
        }
        let errors = count(tally(Severity::Error), "error", "errors");
        let sentence = format!("the policy in {} has {errors}", directory.display());
        let errors_paint = Paint::new(io::stderr().is_terminal());
        let details = if context.json() { String::new() } else { drawn(errors_paint) };
        Err(Failure::Told(Told { exit: Exit::Invalid, sentence, hint: None, details }))
    }
}

/// All that can be said without the gateway, whether it fits included.
fn examine(sources: &Sources, ports: &Ports, room: &Room) -> Result<Resolved, Diagnostics> {
    let resolved = resolve(sources, ports)?;
    // What is thrown away needs no secret seed.
    match compile(&resolved.policy, &mut SequentialSlots::new(), 1, room) {
        Ok(_) => Ok(resolved),
        Err(error) => Err(Diagnostics::from(Diagnostic::from(error))),
    }
}

fn room_of(capacity: Capacity) -> Room {
    let Capacity { nodes, rules, flows } = capacity;
    Room::new(nodes, rules, flows)
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        let sentence = sentence(&error);
        let hint = "name the directory where the policies (*.toml) lie".to_owned();
        Self::with_hint(Exit::Invalid, sentence, Some(hint))
    }
}
