//! The daemon: holds the data plane, and does what operators ask.
//!
//! Stops go straight to the [`Stopper`]; everything that takes time (reading a policy, walking the
//! flows) runs beside it and can never stand in its way.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use firewall_common::abi::Publication;
use firewall_control::{
    Caller, Changes, Check, Counters, Event, EventKind, FlowQuery, FlowTable, Flows, Health, Mode,
    NodeReport, Nodes, ReasonRequest, ReloadReport, ResumeRequest, Status, StopLevel, StopReport,
    StopRequest, VlanOffload, XdpMode,
};
use firewall_policy::{Change, Difference, Image, Names, Policy};
use jiff::Timestamp;
use tokio::sync::mpsc;

use crate::candidate::{self, Candidate, CandidateError};
use crate::config::{Config, Gateway, Xdp};
use crate::control::{Failure, Operator};
use crate::dataplane::ask::Ask;
use crate::dataplane::clock::Clock;
use crate::dataplane::interface::{Interface, VlanStripping};
use crate::dataplane::latch::{LatchedStop, Order};
use crate::dataplane::maps::Maps;
use crate::dataplane::prove;
use crate::dataplane::read::{self, Table};
use crate::dataplane::ring::Ring;
use crate::dataplane::stop::{Outcome, Scope, StopError, Stopper};
use crate::dataplane::trial::Trial;
use crate::dataplane::{self, ActivateError, DataPlane, OpenError};
use crate::events::{self, EventLog};
use crate::report;

/// How many live flows a listing shows at most.
const LISTED_FLOWS: usize = 10_000;
/// How many of the flows that a reload cuts are listed.
const LISTED_CUTS: usize = 100;
/// How often expired flows are forgotten.
const SWEEP: Duration = Duration::from_secs(5);
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
    started: (Timestamp, Instant),
}

/// What only a reload changes.
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
        let (data, stopper) = DataPlane::open(&config)?;
        let active = Active { policy: None, names: Names::default(), activated: None };
        Ok(Self {
            stopper,
            maps: data.maps(),
            clock: data.clock(),
            plane: Mutex::new(Plane { data, trial: None }),
            active: RwLock::new(Arc::new(active)),
            events: Arc::default(),
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
        let Candidate { sources, policy, image, warnings } = candidate::read(
            &self.config.policy.directory,
            &self.config.gateway,
            &capacity,
            plane.data.slots(),
            before.policy.as_ref().map(|_| &before.names),
        )?;
        prove::expectations(
            &mut plane.trial,
            &self.config,
            &plane.data,
            &policy,
            &image,
            &sources,
        )?;
        let change = Change::between(before.policy.as_ref(), &policy);
        let generation = plane.data.activate(&image, &self.stopper)?;
        let took = begun.elapsed();
        let (cut_flows, cut_flows_count) = self.cut_flows(&image, &before)?;
        let hash = policy.hash();
        let (rules, nodes) = (policy.rules().len(), policy.nodes().len());
        let active =
            Active { policy: Some(policy), names: image.names, activated: Some(Timestamp::now()) };
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
        let mut ask = Ask::new(Arc::clone(&self.maps), image, now);
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

    /// Forgets expired flows, again and again.
    pub async fn sweep(self: Arc<Self>) {
        let mut interval = tokio::time::interval(SWEEP);
        loop {
            interval.tick().await;
            let daemon = Arc::clone(&self);
            let swept =
                tokio::task::spawn_blocking(move || read::sweep(&daemon.maps, daemon.clock.now()));
            if let Ok(Err(error)) = swept.await {
                tracing::warn!(%error, "cannot sweep the flow table");
            }
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

    fn live_flows(&self, query: &FlowQuery) -> Result<Flows, Failure> {
        let active = self.active();
        let owners = active.policy.as_ref().map(report::owners).unwrap_or_default();
        if let Some(node) = &query.node {
            self.node(node)?;
        }
        let limit = query.limit.map_or(LISTED_FLOWS, |limit| limit as usize).min(LISTED_FLOWS);
        let wanted = |address: &firewall_common::Addr| match &query.node {
            Some(node) => owners.get(address) == Some(&node.as_str()),
            None => true,
        };
        let now = self.clock.now();
        let mut flows = Flows::default();
        for table in [Table::Established, Table::HalfOpen] {
            read::flows(&self.maps, table, |key, flow| {
                // Protocol 0 is a question of ARP or neighbour discovery, not a flow.
                let is_live = !flow.is_expired(now) && key.protocol != 0;
                if is_live && (wanted(&key.low) || wanted(&key.high)) {
                    flows.total += 1;
                    if flows.flows.len() < limit {
                        let flow = report::flow(key, flow, &active.names, &owners, self.clock);
                        flows.flows.push(flow);
                    }
                }
            })
            .map_err(Failure::internal)?;
        }
        Ok(flows)
    }

    fn flow_table(&self) -> io::Result<FlowTable> {
        let now = self.clock.now();
        let count = |table| {
            let mut count = 0;
            let counted = read::flows(&self.maps, table, |key, flow| {
                count += u64::from(!flow.is_expired(now) && key.protocol != 0);
            });
            counted.map(|()| count)
        };
        Ok(FlowTable {
            count: count(Table::Established)?,
            capacity: u64::from(self.config.capacity.flows),
            half_open: count(Table::HalfOpen)?,
        })
    }

    fn status_now(&self) -> Result<Status, Failure> {
        let active = self.active();
        let latched = self.stopper.latched();
        let publication = dataplane::stop::publication(&self.maps);
        let Publication { armed, generation, .. } = publication;
        let ports = self.ports(armed);
        let flows = self.flow_table().map_err(Failure::internal)?;
        let health = health(&ports, &flows);
        let (policy, names) = (active.policy.as_ref(), &active.names);
        let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let (started, instant) = &self.started;
        Ok(Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started: started.to_string(),
            uptime_seconds: instant.elapsed().as_secs(),
            mode: Mode::Bridge,
            stop: report::stop_of_everything(&self.maps, &latched),
            policy: firewall_control::Policy {
                generation: generation.0,
                hash: policy.map(Policy::hash).unwrap_or_default(),
                armed,
                activated: active.activated.map(|time| time.to_string()),
                nodes: number(policy.map_or(0, |policy| policy.nodes().len())),
                rules: number(policy.map_or(0, |policy| policy.rules().len())),
            },
            ports,
            subnetworks: policy.map_or_else(Vec::new, |policy| {
                report::subnetworks(&self.maps, policy, names, &latched)
            }),
            nodes: policy.map_or_else(Vec::new, |policy| {
                report::node_counts(&self.maps, policy, names, self.clock.now())
            }),
            flows,
            health,
        })
    }

    fn ports(&self, armed: bool) -> Vec<firewall_control::Port> {
        let gateway = &self.config.gateway;
        let names: Vec<_> = gateway.ports().map(|(_, port)| port.name.clone()).collect();
        let ports = gateway.ports().map(|(index, port)| {
            let interface = Interface::new(&port.interface);
            let guarded = dataplane::is_guarded(&self.config.bpf.directory, &port.name, &interface);
            let peer = usize::from(Gateway::peer(index).0);
            firewall_control::Port {
                name: port.name.clone(),
                interface: port.interface.clone(),
                interface_index: interface.index().unwrap_or(0),
                driver: interface.driver(),
                xdp: match (guarded, port.xdp) {
                    (false, Xdp::Native | Xdp::Generic) => XdpMode::None,
                    (true, Xdp::Native) => XdpMode::Native,
                    (true, Xdp::Generic) => XdpMode::Generic,
                },
                vlan_offload: match interface.vlan_stripping() {
                    Ok(VlanStripping::Off | VlanStripping::Absent) => VlanOffload::Off,
                    Ok(VlanStripping::On) => VlanOffload::On,
                    Err(_) => VlanOffload::Unknown,
                },
                armed: armed && guarded,
                peer: names.get(peer).cloned(),
            }
        });
        ports.collect()
    }

    fn counters_now(&self) -> Result<Counters, Failure> {
        let names: Vec<_> =
            self.config.gateway.ports().map(|(_, port)| port.name.clone()).collect();
        let mut counters = report::counters(&self.maps, &self.active().names, &names)
            .map_err(Failure::internal)?;
        counters.events.kinds = self.events.counts();
        counters.events.lost += self.events.missed();
        Ok(counters)
    }
}

fn health(ports: &[firewall_control::Port], flows: &FlowTable) -> Vec<Check> {
    let check =
        |name: &str, state, sentence: String| Check { name: name.to_owned(), state, sentence };
    let mut checks = Vec::new();
    for port in ports {
        let name = format!("port {}", port.name);
        checks.push(if !port.armed {
            let sentence = format!("{} is not guarded; nothing crosses it", port.interface);
            check(&name, Health::Fail, sentence)
        } else if port.vlan_offload == VlanOffload::On {
            let sentence = format!("{} hides VLAN tags from the program", port.interface);
            check(&name, Health::Fail, sentence)
        } else if port.xdp == XdpMode::Generic {
            let sentence = format!("{} is guarded, in the slow generic mode", port.interface);
            check(&name, Health::Warn, sentence)
        } else {
            check(&name, Health::Ok, format!("{} is guarded", port.interface))
        });
    }
    let share = flows.count * 100 / flows.capacity.max(1);
    let sentence = format!("the flow table is {share} % full");
    let state = if share >= 80 { Health::Warn } else { Health::Ok };
    checks.push(check("flow table", state, sentence));
    checks
}

fn changes(difference: Difference) -> Changes {
    let Difference { mut added, mut removed, mut changed, mut kept } = difference;
    for names in [&mut added, &mut removed, &mut changed, &mut kept] {
        names.sort();
    }
    Changes { added, removed, changed, kept }
}

fn microseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

fn order(caller: &Caller, reason: &str) -> Order {
    Order { since: Timestamp::now().to_string(), by: caller.clone(), reason: reason.to_owned() }
}

impl Operator for Daemon {
    async fn status(&self) -> Result<Status, Failure> {
        tokio::task::block_in_place(|| self.status_now())
    }

    async fn counters(&self) -> Result<Counters, Failure> {
        tokio::task::block_in_place(|| self.counters_now())
    }

    async fn flows(&self, query: FlowQuery) -> Result<Flows, Failure> {
        tokio::task::block_in_place(|| self.live_flows(&query))
    }

    async fn nodes(&self) -> Result<Nodes, Failure> {
        let active = self.active();
        let Some(policy) = &active.policy else { return Ok(Nodes::default()) };
        tokio::task::block_in_place(|| {
            report::nodes(&self.maps, policy, &active.names, self.clock).map_err(Failure::internal)
        })
    }

    async fn events(
        &self,
        since: Option<Timestamp>,
        follow: bool,
    ) -> Result<mpsc::Receiver<Event>, Failure> {
        Ok(self.events.stream(since, follow))
    }

    async fn reload(&self, caller: Caller) -> Result<ReloadReport, Failure> {
        let reloaded = tokio::task::block_in_place(|| self.reload_policy());
        match reloaded {
            Ok(report) => {
                tracing::info!(%caller, generation = report.generation, "activated a policy");
                self.events.record(EventKind::Reload, |event| {
                    event.generation = Some(report.generation);
                    event.by = Some(caller);
                    event.message = Some(report.message.clone());
                });
                Ok(report)
            }
            Err(error) => {
                tracing::warn!(%caller, %error, "refused a policy; the one before stays in force");
                self.events.record(EventKind::ReloadRefused, |event| {
                    event.by = Some(caller);
                    event.message = Some(error.to_string());
                });
                Err(refused(error))
            }
        }
    }

    async fn stop(&self, caller: Caller, request: StopRequest) -> Result<StopReport, Failure> {
        let StopRequest { subnetwork, hard, reason } = request;
        let scope = self.scope(subnetwork.clone())?;
        let level = if hard { StopLevel::Hard } else { StopLevel::Ordinary };
        let stop = LatchedStop { level, order: order(&caller, &reason) };
        let outcome = tokio::task::block_in_place(|| self.stopper.stop(&scope, &stop));
        let what = subnetwork.as_deref().unwrap_or("everything").to_owned();
        tracing::warn!(%caller, %what, %level, %reason, "stop");
        self.events.record(EventKind::Stop, |event| {
            event.subnetwork.clone_from(&subnetwork);
            event.by = Some(caller);
            event.reason = Some(reason);
            event.message = Some(format!("stopped {what}, {level}"));
        });
        let outcome = outcome.map_err(not_done)?;
        let spares = if hard { "nothing passes" } else { "only essential rules are in force" };
        let message = format!("{what} is stopped, {spares}; it stays so until somebody resumes it");
        Ok(stop_report(subnetwork, outcome, message))
    }

    async fn resume(&self, caller: Caller, request: ResumeRequest) -> Result<StopReport, Failure> {
        let ResumeRequest { subnetwork, reason } = request;
        let scope = self.scope(subnetwork.clone())?;
        let outcome = tokio::task::block_in_place(|| self.stopper.resume(&scope));
        let what = subnetwork.as_deref().unwrap_or("everything").to_owned();
        let outcome = outcome.map_err(not_done)?;
        tracing::warn!(%caller, %what, %reason, "resume");
        self.events.record(EventKind::Resume, |event| {
            event.subnetwork.clone_from(&subnetwork);
            event.by = Some(caller);
            event.reason = Some(reason);
            event.message = Some(format!("resumed {what}"));
        });
        let message = match outcome.effective {
            StopLevel::None => format!("{what} is resumed; traffic flows as the policy says"),
            StopLevel::Ordinary | StopLevel::Hard => {
                format!("{what} is resumed, but the stop of everything is still in force")
            }
        };
        Ok(stop_report(subnetwork, outcome, message))
    }

    async fn isolate(
        &self,
        caller: Caller,
        node: String,
        request: ReasonRequest,
    ) -> Result<NodeReport, Failure> {
        let begun = Instant::now();
        let (slot, needs_lease) = self.node(&node)?;
        let order = order(&caller, &request.reason);
        let isolated = tokio::task::block_in_place(|| self.stopper.isolate(&node, slot, order));
        let took = begun.elapsed();
        tracing::warn!(%caller, %node, reason = %request.reason, "isolate");
        self.events.record(EventKind::Isolate, |event| {
            event.node = Some(node.clone());
            event.by = Some(caller);
            event.reason = Some(request.reason);
        });
        isolated.map_err(not_done)?;
        let query = FlowQuery { node: Some(node.clone()), limit: Some(0) };
        let cut = tokio::task::block_in_place(|| self.live_flows(&query))?;
        let state = report::node_state(&self.maps, slot, needs_lease, self.clock.now());
        let message = format!("{node} is cut off in both directions until somebody releases it");
        let took_microseconds = microseconds(took);
        Ok(NodeReport { node, state, cut_flows: cut.total, took_microseconds, message })
    }

    async fn release(
        &self,
        caller: Caller,
        node: String,
        request: ReasonRequest,
    ) -> Result<NodeReport, Failure> {
        let begun = Instant::now();
        let (slot, needs_lease) = self.node(&node)?;
        tokio::task::block_in_place(|| self.stopper.release(&node, slot)).map_err(not_done)?;
        let took_microseconds = microseconds(begun.elapsed());
        tracing::warn!(%caller, %node, reason = %request.reason, "release");
        self.events.record(EventKind::Release, |event| {
            event.node = Some(node.clone());
            event.by = Some(caller);
            event.reason = Some(request.reason);
        });
        let state = report::node_state(&self.maps, slot, needs_lease, self.clock.now());
        let message = format!("{node} may speak again as the policy says");
        Ok(NodeReport { node, state, cut_flows: 0, took_microseconds, message })
    }

    fn denied(&self, caller: Caller) {
        tracing::warn!(%caller, "refused a caller who may not command");
        self.events.record(EventKind::Denied, |event| event.by = Some(caller));
    }
}

fn stop_report(subnetwork: Option<String>, outcome: Outcome, message: String) -> StopReport {
    let Outcome { latched, effective, since, took } = outcome;
    StopReport {
        subnetwork,
        latched,
        effective,
        since,
        took_microseconds: microseconds(took),
        message,
    }
}

fn not_done(error: StopError) -> Failure {
    match error {
        StopError::NotLatched(ref latch) | StopError::StillLatched(ref latch) => {
            let hint = Some(latch.hint().to_owned());
            Failure::Conflict { sentence: error.to_string(), hint }
        }
        StopError::NotStored => Failure::internal(error),
    }
}

fn refused(error: ReloadError) -> Failure {
    match error {
        ReloadError::Candidate(error @ CandidateError::Read(_)) => {
            let hint = Some("the policy before stays in force".to_owned());
            Failure::Conflict { sentence: error.to_string(), hint }
        }
        ReloadError::Candidate(error @ CandidateError::Invalid { .. }) => {
            Failure::InvalidPolicy { diagnostics: error.diagnostics() }
        }
        ReloadError::Prove(error) => match error.diagnostics() {
            Some(diagnostics) => Failure::InvalidPolicy { diagnostics },
            None => Failure::internal(error),
        },
        ReloadError::Activate(error) => Failure::internal(error),
        ReloadError::Flows(error) => Failure::internal(error),
    }
}
