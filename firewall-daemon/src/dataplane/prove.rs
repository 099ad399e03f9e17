//! Tries a policy's expectations on the real program with the candidate image, before it is
//! activated: on a second set of maps that no port knows.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use firewall_common::abi::{NodeState, Publication};
use firewall_common::{Generation, Port, Ticks};
use firewall_control::{Diagnostic, Severity};
use firewall_policy::diagnostic::Place;
use firewall_policy::model::{Expectation, Expected, Protocol};
use firewall_policy::{Image, Policy, Sources, explain};

use super::interface::Interface;
use super::load::{self, Constants, LoadError};
use super::maps::{Maps, MapsError};
use super::pins::{self, Pins, PinsError};
use super::{DataPlane, redirect, sizes, sys};
use crate::config::{Config, Gateway};

/// The program, loaded a second time for every port, on maps of its own.
pub struct Prover {
    directory: PathBuf,
    maps: Maps,
    programs: HashMap<Port, OwnedFd>,
}

/// Why the expectations do not hold.
#[derive(Debug, thiserror::Error)]
pub enum ProveError {
    /// Some do not hold.
    #[error("{} of the policy's expectations do not hold on the program", failed.len())]
    Failed {
        /// Which.
        failed: Vec<Diagnostic>,
    },
    /// The directory for the second set of maps cannot be made.
    #[error("cannot try the policy's expectations: {0}")]
    Pins(#[from] PinsError),
    /// The program did not load a second time.
    #[error("cannot try the policy's expectations: {0}")]
    Load(#[from] LoadError),
    /// The second set of maps cannot be used.
    #[error("cannot try the policy's expectations: {0}")]
    Maps(#[from] MapsError),
    /// The program cannot be run.
    #[error("cannot try the policy's expectations: {0}")]
    Run(#[source] io::Error),
}

impl ProveError {
    /// What is wrong with the policy, if that is why.
    pub fn diagnostics(&self) -> Option<Vec<Diagnostic>> {
        match self {
            Self::Failed { failed } => Some(failed.clone()),
            Self::Pins(_) | Self::Load(_) | Self::Maps(_) | Self::Run(_) => None,
        }
    }
}

/// `XDP_REDIRECT`: the only action that lets a frame cross.
const XDP_REDIRECT: u32 = 4;

/// Tries every expectation; all that fail are named. The prover is made when the first policy has
/// expectations, and kept.
pub fn expectations(
    prover: &mut Option<Prover>,
    config: &Config,
    plane: &DataPlane,
    policy: &Policy,
    image: &Image,
    sources: &Sources,
) -> Result<(), ProveError> {
    if policy.expectations().is_empty() {
        return Ok(());
    }
    let prover = match prover {
        Some(prover) => prover,
        None => prover.insert(Prover::new(config, plane)?),
    };
    prover.install(image);
    let mut failed = Vec::new();
    for expectation in policy.expectations() {
        let application = policy.application(expectation.application);
        for (protocol, port) in application.samples() {
            if let Some(passed) = prover.contradicts(policy, expectation, protocol, port)? {
                failed.push(describe(policy, expectation, protocol, port, passed, sources));
                break;
            }
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(ProveError::Failed { failed }) }
}

impl Prover {
    fn new(config: &Config, plane: &DataPlane) -> Result<Self, ProveError> {
        let sizes = sizes(config);
        let directory = Pins::new(&config.bpf.directory)
            .directory()
            .join(format!("trial-{}", std::process::id()));
        // A daemon of our number that was killed may have left it.
        let _ = pins::remove_directory(&directory);
        fs::create_dir(&directory)
            .map_err(|source| PinsError::Io { path: directory.clone(), source })?;
        let mut programs = HashMap::new();
        for (port, _) in config.gateway.ports() {
            let constants = Constants {
                port,
                peer: Gateway::peer(port),
                timeouts: load::timeouts(plane.clock()),
                events_per_tick: 0,
            };
            let program = load::program(&directory, &sizes, &constants)?.cordon;
            programs.insert(port, program);
        }
        let maps = Maps::open(&directory, sizes)?;
        for (port, guarded) in (0..).map(Port).zip(plane.ports()) {
            let interface = Interface::new(&guarded.interface).index().unwrap_or(0);
            redirect(&maps, port, interface).map_err(ProveError::Run)?;
        }
        // Every node is taken as authenticated: the expectations are about the policy.
        let leased = NodeState::encode(Ticks(u64::MAX >> 1), false);
        for node in &*maps.nodes {
            node.set_lease_end(Ticks(leased));
        }
        let prover = Self { directory, maps, programs };
        // The maps live on in our descriptors; the pins were only the way to them.
        prover.unpin();
        Ok(prover)
    }

    fn unpin(&self) {
        if let Err(error) = pins::remove_directory(&self.directory) {
            tracing::warn!(%error, "cannot remove the pins of the trial maps");
        }
    }

    fn install(&self, image: &Image) {
        for (place, line) in self.maps.image.iter().zip(&image.lines) {
            for (word, value) in place.0.iter().zip(line.0) {
                word.store(value, std::sync::atomic::Ordering::Relaxed);
            }
        }
        let Publication { generation, .. } = super::stop::publication(&self.maps);
        let generation = Generation(generation.0.wrapping_add(1));
        let publication = Publication { half: 0, armed: true, generation };
        self.maps.control().publication.store(publication.encode());
    }

    /// Whether such a flow passed, if that is not what was expected.
    fn contradicts(
        &self,
        policy: &Policy,
        expectation: &Expectation,
        protocol: Protocol,
        port: u16,
    ) -> Result<Option<bool>, ProveError> {
        let Expectation { from, to, verdict, .. } = expectation;
        for (ingress, frame) in explain::openings(policy, *from, *to, protocol, port) {
            let Some(program) = self.programs.get(&ingress) else { continue };
            let (action, _) = sys::test_run(program.as_fd(), &frame).map_err(ProveError::Run)?;
            let passed = action == XDP_REDIRECT;
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
