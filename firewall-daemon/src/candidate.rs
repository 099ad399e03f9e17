//! A policy on its way in: from the directory to an image, nothing touched yet.

use std::path::Path;
use std::time::Instant;

use firewall_control::{Diagnostic, Severity, Steps};
use firewall_policy::diagnostic::Style;
use firewall_policy::{
    Capacity, CompileError, Diagnostics, Image, Kept, Names, Policy, Ports, ReadError, Resolved,
    Sources, compile, parse,
};

use crate::config::{Gateway, Mode};
use crate::dataplane::maps::secret;
use crate::dataplane::slots::Slots;

/// A policy that is valid and fits.
pub struct Candidate {
    /// What it was read from.
    pub sources: Sources,
    /// What it says.
    pub policy: Policy,
    /// What the kernel would read.
    pub image: Image,
    /// What somebody should look at.
    pub warnings: Vec<Diagnostic>,
    /// What that took: reading, parsing, resolving, compiling.
    pub steps: Steps,
}

/// Why there is no candidate.
#[derive(Debug, thiserror::Error)]
pub enum CandidateError {
    /// The files cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// They do not make a valid policy.
    #[error("{diagnostics}")]
    Invalid {
        /// What is wrong.
        diagnostics: Diagnostics,
        /// In which texts.
        sources: Sources,
    },
}

impl CandidateError {
    /// What is wrong, for the control API.
    pub fn diagnostics(&self) -> Vec<Diagnostic> {
        match self {
            Self::Read(_) => Vec::new(),
            Self::Invalid { diagnostics, sources } => report(diagnostics, sources),
        }
    }

    /// What is wrong, for a terminal or a log.
    pub fn render(&self) -> String {
        match self {
            Self::Read(error) => error.to_string(),
            Self::Invalid { diagnostics, sources } => diagnostics.render(sources, Style::Plain),
        }
    }
}

/// Reads, resolves and compiles what lies in the directory. Takes slots for new names; if there are
/// none left, those of names that the `live` policy does not have are freed, unless they are of
/// `stopped` subnetworks.
pub fn read(
    directory: &Path,
    gateway: &Gateway,
    capacity: &Capacity,
    slots: &mut Slots,
    live: Option<(&Policy, &Names)>,
    stopped: &[String],
) -> Result<Candidate, CandidateError> {
    let (mut watch, mut steps) = (Stopwatch::start(), Steps::default());
    let sources = Sources::read(directory)?;
    steps.read_ms = watch.lap();
    let parsed = parse(&sources);
    steps.parse_ms = watch.lap();
    let resolved = parsed.resolve(&ports(gateway));
    steps.resolve_ms = watch.lap();
    let Resolved { policy, warnings } = match resolved {
        Ok(resolved) => resolved,
        Err(diagnostics) => return Err(CandidateError::Invalid { diagnostics, sources }),
    };
    let mut compiled = compile(&policy, &mut Kept::new(slots, live), secret(), capacity);
    if let (Err(CompileError::Slots { .. }), Some((_, names))) = (&compiled, live) {
        slots.reclaim(&[names], stopped);
        compiled = compile(&policy, &mut Kept::new(slots, live), secret(), capacity);
    }
    steps.compile_ms = watch.lap();
    match compiled {
        Ok(image) => {
            let warnings = report(&warnings, &sources);
            Ok(Candidate { sources, policy, image, warnings, steps })
        }
        Err(error) => {
            let diagnostics = firewall_policy::Diagnostic::from(error).into();
            Err(CandidateError::Invalid { diagnostics, sources })
        }
    }
}

/// Tells what each of several steps took.
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// The first step begins.
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Milliseconds since the last call, or the start.
    pub fn lap(&mut self) -> f64 {
        let now = Instant::now();
        let step = now.duration_since(self.0);
        self.0 = now;
        step.as_secs_f64() * 1e3
    }
}

/// The gateway's ports, as policies name them.
pub fn ports(gateway: &Gateway) -> Ports {
    let names = gateway.ports();
    match gateway.mode() {
        Mode::Bridge => {
            Ports::paired(names.map(|(index, port)| (port.name.clone(), gateway.peer(index))))
        }
        Mode::Router => Ports::routed(names.map(|(_, port)| port.name.clone())),
    }
}

/// Findings, for the control API.
pub fn report(diagnostics: &Diagnostics, sources: &Sources) -> Vec<Diagnostic> {
    let records = diagnostics.records(sources).into_iter().zip(diagnostics.iter());
    let number = |number: Option<usize>| number.and_then(|number| u32::try_from(number).ok());
    let records = records.map(|(record, diagnostic)| Diagnostic {
        severity: match record.severity {
            firewall_policy::Severity::Error => Severity::Error,
            firewall_policy::Severity::Warning => Severity::Warning,
        },
        code: record.code.to_string(),
        message: record.message,
        file: record.file,
        line: number(record.line),
        column: number(record.column),
        help: record.help,
        rendered: Some(firewall_policy::diagnostic::render(
            std::slice::from_ref(diagnostic),
            sources,
            Style::Plain,
        )),
    });
    records.collect()
}
