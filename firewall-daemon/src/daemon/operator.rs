//! What the daemon does when operators ask.

use std::time::Instant;

use firewall_common::NodeSlot;
use firewall_control::{
    Caller, Counters, Event, EventKind, FlowQuery, Flows, NodeQuery, NodeReport, NodeState, Nodes,
    ReasonRequest, ReloadReport, ResumeRequest, Status, StopLevel, StopReport, StopRequest,
};
use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::health::OVERDUE;
use super::{Daemon, ReloadError, microseconds};
use crate::candidate::CandidateError;
use crate::control::{Failure, Operator};
use crate::dataplane::latch::{LatchedStop, Order};
use crate::dataplane::stop::{Outcome, StopError};
use crate::report;

fn order(caller: &Caller, reason: &str) -> Order {
    Order { since: Timestamp::now().to_string(), by: caller.clone(), reason: reason.to_owned() }
}

impl Daemon {
    fn standing(&self, node: &str, slot: NodeSlot, needs_lease: bool) -> NodeState {
        let in_grace = self.keeper().leases.of_node(node).is_some_and(|lease| lease.in_grace);
        report::node_state(&self.maps, slot, needs_lease, in_grace, self.clock.now())
    }
}

impl Operator for Daemon {
    async fn status(&self) -> Result<Status, Failure> {
        // A guard that does not come to an end fails the check; it does not keep the answer back.
        let _ = timeout(OVERDUE, self.looked()).await;
        tokio::task::block_in_place(|| self.status_now())
    }

    async fn counters(&self) -> Result<Counters, Failure> {
        tokio::task::block_in_place(|| self.counters_now())
    }

    async fn flows(&self, query: FlowQuery) -> Result<Flows, Failure> {
        tokio::task::block_in_place(|| self.live_flows(&query))
    }

    async fn nodes(&self, query: NodeQuery) -> Result<Nodes, Failure> {
        tokio::task::block_in_place(|| self.nodes_now(&query))
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
            event.message = Some(match &outcome {
                Ok(_) => format!("stopped {what}, {level}"),
                Err(error) => format!("a stop of {what}, {level}: {error}"),
            });
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
        let query = FlowQuery { node: Some(node.clone()), limit: Some(0), ..FlowQuery::default() };
        let cut = tokio::task::block_in_place(|| self.live_flows(&query))?;
        let state = self.standing(&node, slot, needs_lease);
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
        // An isolated node that is not in the policy any more can still be released.
        let (slot, needs_lease) = match self.node(&node) {
            Err(Failure::UnknownNode { .. })
                if self.stopper.latched().nodes.contains_key(&node) =>
            {
                (NodeSlot(0), false)
            }
            found => found?,
        };
        tokio::task::block_in_place(|| self.stopper.release(&node, slot)).map_err(not_done)?;
        let took_microseconds = microseconds(begun.elapsed());
        tracing::warn!(%caller, %node, reason = %request.reason, "release");
        self.events.record(EventKind::Release, |event| {
            event.node = Some(node.clone());
            event.by = Some(caller);
            event.reason = Some(request.reason);
        });
        let state = self.standing(&node, slot, needs_lease);
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
