//! The daemon: holds the data plane, and does what operators ask.
//!
//! Stops go straight to the [`Stopper`]; everything that takes time (reading a policy, walking the
//! flows) runs beside it and can never stand in its way.

mod guard;
mod health;
pub mod leases;
mod operator;
pub mod routes;
mod sources;
mod sweep;
mod view;

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use firewall_control::{Changes, ReloadReport, Steps};
use firewall_policy::{Change, Difference, Image, Names, Policy};
use jiff::Timestamp;
use tokio::sync::watch;

use self::health::Findings;
use self::leases::Keeper;
use crate::candidate::{self, Candidate, CandidateError, Stopwatch};
use crate::config::Config;
use crate::control::Failure;
use crate::dataplane::ask::Ask;
use crate::dataplane::clock::Clock;
use crate::dataplane::hold::EgressHook;
use crate::dataplane::maps::Maps;
use crate::dataplane::prove;
use crate::dataplane::read::{self, Table};
use crate::dataplane::ring::Ring;
use crate::dataplane::slots;
use crate::dataplane::stop::{Scope, Stopper};
use crate::dataplane::trial::Trial;
use crate::dataplane::{self, ActivateError, DataPlane, OpenError};
use crate::events::{self, EventLog};
use crate::report;

/// How many of the flows that a reload cuts are listed.
const LISTED_CUTS: usize = 100;
/// Events taken from the ring before others get their turn.
const RING_BATCH: usize = 256;

/// The daemon.
pub struct Daemon {
    config: Config,
    stopper: Stopper,
    maps: Arc<Maps>,
    clock: Clock,
    plane: Mutex<Plane>,
    active: RwLock<Arc<Active>>,
    events: Arc<EventLog>,
    keeper: Mutex<Keeper>,
    findings: Mutex<Findings>,
    looked: watch::Sender<bool>,
    started: (Timestamp, Instant),
}

/// What only a reload and the guard change.
struct Plane {
    data: DataPlane,
    trial: Option<Trial>,
}

/// The policy in force.
struct Active {
    policy: Option<Policy>,
    names: Names,
    activated: Option<Timestamp>,
}

/// Why a policy was not activated; the one before stays in force.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// It is not valid.
    #[error(transparent)]
    Candidate(#[from] CandidateError),
    /// Its expectations could not be tried, or one failed.
    #[error(transparent)]
    Prove(#[from] prove::ProveError),
    /// It could not be published.
    #[error(transparent)]
    Activate(#[from] ActivateError),
    /// The live flows could not be read.
    #[error("cannot read the live flows: {0}")]
    Flows(#[source] io::Error),
}

impl Daemon {
    /// Opens the data plane. Nothing new passes until [`Daemon::reload_policy`].
    pub fn open(config: Config) -> Result<Self, OpenError> {
        let egress = EgressHook::of_kernel().map_err(OpenError::Release)?;
        let (data, stopper) = DataPlane::open(&config, egress)?;
        let active = Active { policy: None, names: Names::default(), activated: None };
        Ok(Self {
            stopper,
            maps: data.maps(),
            clock: data.clock(),
            plane: Mutex::new(Plane { data, trial: None }),
            active: RwLock::new(Arc::new(active)),
            events: Arc::default(),
            keeper: Mutex::new(Keeper::new(&config)),
            findings: Mutex::default(),
            looked: watch::Sender::new(false),
            started: (Timestamp::now(), Instant::now()),
            config,
        })
    }

    /// Guards the ports: see [`DataPlane::attach`].
    pub fn attach(&self) -> Result<(), OpenError> {
        self.plane().data.attach()
    }

    /// The events of this daemon's life.
    pub fn events(&self) -> &Arc<EventLog> {
        &self.events
    }

    /// The reading end of the kernel's events.
    pub fn ring(&self) -> io::Result<Ring> {
        self.plane().data.ring()
    }

    /// Reads the policy directory, tries the expectations, and activates it; or changes nothing.
    pub fn reload_policy(&self) -> Result<ReloadReport, ReloadError> {
        let begun = Instant::now();
        let mut plane = self.plane();
        let plane = &mut *plane;
        let before = self.active();
        let capacity = dataplane::capacity(&self.config);
        let stopped: Vec<_> = self.stopper.latched().subnetworks.into_keys().collect();
        let Candidate { sources, policy, image, warnings, mut steps } = candidate::read(
            &self.config.policy.directory,
            &self.config.gateway,
            &capacity,
            plane.data.slots(),
            before.policy.as_ref().map(|policy| (policy, &before.names)),
            &stopped,
        )?;
        let mut watch = Stopwatch::start();
        prove::expectations(
            &mut plane.trial,
            &self.config,
            &plane.data,
            &policy,
            &image,
            &sources,
        )?;
        steps.try_ms = watch.lap();
        // Before: a cut flow that speaks is gone by the time anybody looks for it. And whatever
        // fails, fails while the policy before is still in force.
        let (cut_flows, cut_flows_count) = self.cut_flows(&image, &before)?;
        steps.flows_ms = watch.lap();
        let Image { lines, names, .. } = image;
        let generation = plane.data.activate(lines, &names, &self.stopper)?;
        self.adopt(&policy, &names);
        let took = begun.elapsed();
        steps.activate_ms = watch.lap();
        let change = Change::between(before.policy.as_ref(), &policy);
        steps.compare_ms = watch.lap();
        log(&steps);
        if let Err(error) = plane.data.drain() {
            tracing::warn!(%error, "cannot wait for the readers of the image before");
        }
        let hash = policy.hash();
        let (rules, nodes) = (policy.rules().len(), policy.nodes().len());
        let active = Active { policy: Some(policy), names, activated: Some(Timestamp::now()) };
        *self.active.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(active);
        Ok(ReloadReport {
            generation: generation.0,
            policy_hash: hash,
            nodes: changes(change.nodes),
            rules: changes(change.rules),
            subnetworks: changes(change.subnetworks),
            cut_flows,
            cut_flows_count,
            warnings,
            took_microseconds: microseconds(took),
            steps,
            message: format!(
                "generation {} is in force: {rules} rules for {nodes} nodes",
                generation.0
            ),
        })
    }

    /// The live flows that an image does not allow.
    fn cut_flows(
        &self,
        image: &Image,
        before: &Active,
    ) -> Result<(Vec<firewall_control::Flow>, u64), ReloadError> {
        let now = self.clock.now();
        let mut ask = Ask::new(Arc::clone(&self.maps), image, &self.config, now)
            .map_err(ReloadError::Flows)?;
        let owners = before.policy.as_ref().map(report::owners).unwrap_or_default();
        let (mut cut, mut count) = (Vec::new(), 0);
        read::flows(&self.maps, Table::Established, |key, flow| {
            if !flow.is_expired(now) && ask.flow(key, flow).is_err() {
                count += 1;
                if cut.len() < LISTED_CUTS {
                    cut.push(report::flow(key, flow, &before.names, &owners, self.clock));
                }
            }
        })
        .map_err(ReloadError::Flows)?;
        Ok((cut, count))
    }

    /// Records the kernel's events until the ring cannot be read any more.
    pub async fn record_events(self: Arc<Self>, mut ring: Ring) {
        let ports: Vec<String> =
            self.config.gateway.ports().map(|(_, port)| port.name.clone()).collect();
        loop {
            let active = self.active();
            let read = ring.next(RING_BATCH, |raw| {
                events::record_raw(&self.events, &raw, &active.names, &ports, self.clock);
            });
            if let Err(error) = read.await {
                tracing::error!(%error, "cannot read the kernel's events any more");
                return;
            }
            tokio::task::yield_now().await;
        }
    }

    fn plane(&self) -> MutexGuard<'_, Plane> {
        // Whoever died with the lock left the image of before, or the new one whole.
        self.plane.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn active(&self) -> Arc<Active> {
        Arc::clone(&self.active.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn scope(&self, subnetwork: Option<String>) -> Result<Scope, Failure> {
        let Some(name) = subnetwork else { return Ok(Scope::Everything) };
        let active = self.active();
        let found = active.names.subnetworks().iter().find(|named| *named.name == *name);
        match found {
            Some(named) => Ok(Scope::Subnetwork { name, slot: named.slot }),
            // One that is stopped and not in the policy any more can still be resumed.
            None if self.stopper.latched().subnetworks.contains_key(&name) => {
                // After a reboot it has no slot either; slot 0 is nobody's.
                let slot = slots::subnetwork(&self.maps, &name).unwrap_or_default();
                Ok(Scope::Subnetwork { name, slot })
            }
            None => Err(Failure::UnknownSubnetwork { name }),
        }
    }

    fn node(&self, name: &str) -> Result<(firewall_common::NodeSlot, bool), Failure> {
        let active = self.active();
        let id = active.policy.as_ref().and_then(|policy| policy.node_named(name));
        let (Some(policy), Some(id)) = (&active.policy, id) else {
            return Err(Failure::UnknownNode { name: name.to_owned() });
        };
        let needs_lease = policy.node(id).authentication.needs_lease();
        Ok((active.names.node_slot(id), needs_lease))
    }
}

fn log(steps: &Steps) {
    let took = steps.named().map(|(step, ms)| format!("{step} {ms:.1} ms")).join(", ");
    tracing::info!("the policy took: {took}");
}

fn changes(difference: Difference) -> Changes {
    let Difference { added, removed, changed, kept } = difference;
    Changes::new(added, removed, changed, kept)
}

fn microseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
