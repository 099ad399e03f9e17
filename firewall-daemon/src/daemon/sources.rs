//! RADIUS accounting and the enrolment port: what they are told becomes claims. That they cannot be
//! opened stops nothing but them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use firewall_control::{Check, Health};
use tokio::sync::{mpsc, watch};
use tokio::time::sleep;

use super::Daemon;
use crate::auth::mtls::server::Server;
use crate::auth::mtls::trust::Trust;
use crate::auth::mtls::{Refusal, Told, Verdict};
use crate::auth::radius::listener::Listener;
use crate::auth::{Claim, Proof, Source};
use crate::config;
use crate::dataplane::clock::monotonic;
use crate::dataplane::read;

/// Until a source that could not be opened is tried again.
const AGAIN: Duration = Duration::from_secs(5);
/// Nodes that may wait for an answer; beyond that they wait in their connections.
const NODES: usize = 64;

/// How the sources stand that are opened here.
#[derive(Debug, Default)]
pub(super) struct Ears {
    /// Why one is not open.
    deaf: BTreeMap<Source, String>,
    /// Whether nodes' certificates can be checked.
    trust: Option<watch::Receiver<Option<Trust>>>,
}

impl Daemon {
    /// Begins to listen to RADIUS accounting and to nodes, as far as the configuration says so.
    pub fn open_sources(self: &Arc<Self>) {
        let config::Authentication { radius, mtls, hostapd: _, length: _, grace: _ } =
            &self.config.authentication;
        if let Some(settings) = radius.clone() {
            tokio::spawn(Arc::clone(self).hear_switches(settings));
        }
        if let Some(settings) = mtls.clone() {
            tokio::spawn(Arc::clone(self).hear_nodes(settings));
        }
    }

    async fn hear_switches(self: Arc<Self>, settings: config::Radius) {
        let open = || async {
            let listener = Listener::bind(&settings).await;
            listener.map_err(|error| format!("{}; {}", sentence(&error), error.hint()))
        };
        let listener = self.open_source(Source::Radius, open).await;
        tracing::info!(address = %settings.listen, "listening for RADIUS accounting");
        let (statements, mut said) = mpsc::channel(1);
        tokio::spawn(listener.run(statements));
        while let Some(statement) = said.recv().await {
            self.observe(statement.claim());
        }
    }

    async fn hear_nodes(self: Arc<Self>, settings: config::Mtls) {
        let open = || async {
            let server = Server::bind(&settings).await;
            server.map_err(|error| format!("{}; {}", sentence(&error), error.hint()))
        };
        let server = self.open_source(Source::Lease, open).await;
        tracing::info!(address = %settings.listen, "listening for nodes");
        let allowed = {
            let mut keeper = self.keeper();
            keeper.ears.trust = Some(server.trust());
            keeper.allowed.subscribe()
        };
        let (statements, mut said) = mpsc::channel(NODES);
        tokio::spawn(server.run(allowed, statements));
        while let Some(Told { statement, answer }) = said.recv().await {
            match statement.claim() {
                Claim::Proven(proof) => {
                    // Whoever has asked may be gone; what was proved holds.
                    let _ = answer.send(self.judge(proof));
                }
                claim @ (Claim::Ended { .. }
                | Claim::SourceLost { .. }
                | Claim::SourceBack { .. }) => self.observe(claim),
            }
        }
    }

    /// Until it is open. Leases of the daemon before go on to their ends meanwhile.
    async fn open_source<T, F>(&self, source: Source, open: impl Fn() -> F) -> T
    where
        F: Future<Output = Result<T, String>>,
    {
        loop {
            let sentence = match open().await {
                Ok(open) => {
                    self.keeper().ears.deaf.remove(&source);
                    return open;
                }
                Err(sentence) => sentence,
            };
            let before = self.keeper().ears.deaf.insert(source, sentence.clone());
            if before.as_ref() != Some(&sentence) {
                tracing::error!(%source, "nobody gets a lease: {sentence}");
            }
            sleep(AGAIN).await;
        }
    }

    /// What a node's proof is worth, once that is in force.
    fn judge(&self, proof: Proof) -> Verdict {
        let (acts, verdict) = {
            let mut keeper = self.keeper();
            let judged = keeper.leases.judge(&proof);
            let judged = judged.map(|subject| (Arc::clone(&subject.name), subject.slot));
            let is_isolated =
                |slot| read::node(&self.maps, slot).is_some_and(|state| state.is_isolated());
            if let Ok((_, slot)) = judged
                && is_isolated(slot)
            {
                return Verdict::Refused(Refusal::Isolated);
            }
            let now = monotonic();
            let acts = keeper.leases.observe(Claim::Proven(proof), now);
            self.enforce(&acts);
            let verdict = match judged {
                Err(refusal) => Verdict::Refused(refusal.into()),
                Ok((name, _)) => match keeper.leases.of_node(&name) {
                    Some(lease) => Verdict::Granted { length: lease.until.saturating_sub(now) },
                    None => Verdict::Refused(Refusal::Unavailable),
                },
            };
            (acts, verdict)
        };
        self.tell(acts);
        verdict
    }

    /// Whether everybody can be heard who may say that a node is what it says; none if there is nobody.
    pub(super) fn sources_check(&self) -> Option<Check> {
        let config::Authentication { radius, mtls, hostapd, length: _, grace: _ } =
            &self.config.authentication;
        if radius.is_none() && mtls.is_none() && hostapd.is_empty() {
            return None;
        }
        let keeper = self.keeper();
        let Ears { deaf, trust } = &keeper.ears;
        let is_trusted = trust.as_ref().is_none_or(|trust| trust.borrow().is_some());
        let mut wrong: Vec<String> = deaf.values().cloned().collect();
        if !is_trusted {
            wrong
                .push("certificates of nodes cannot be checked, so no lease is renewed".to_owned());
        }
        wrong.extend(keeper.leases.lost().map(|source| match self.port_of(source) {
            Some(port) => format!("hostapd on port {port} does not answer"),
            None => format!("{source} does not answer"),
        }));
        let (state, sentence) = if wrong.is_empty() {
            (Health::Ok, "everybody is heard who may say that a node is what it says".to_owned())
        } else {
            (Health::Fail, wrong.join("; "))
        };
        Some(Check { name: "authentication sources".to_owned(), state, sentence })
    }
}

fn sentence(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |sentence, cause| format!("{sentence}: {cause}"))
}
