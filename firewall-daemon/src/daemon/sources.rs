//! RADIUS accounting and the enrolment port: what they are told becomes claims. That they cannot be
//! opened stops nothing but them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use firewall_control::{AuthenticationCounters, Check, Health, LeaseSource, ReasonCount};
use firewall_node::sentence;
use jiff::Timestamp;
use tokio::sync::{mpsc, watch};
use tokio::time::sleep;

use super::Daemon;
use crate::auth::mtls::held;
use crate::auth::mtls::server::Server;
use crate::auth::mtls::trust::Trust;
use crate::auth::mtls::{Refusal, Told, Verdict};
use crate::auth::radius::listener::Listener;
use crate::auth::radius::memory::Memory;
use crate::auth::radius::{self, Counts};
use crate::auth::{self, Claim, Proof, Refused, Source};
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
    open: BTreeSet<Source>,
    /// Why one is not open.
    deaf: BTreeMap<Source, String>,
    /// What switches have said.
    counts: Counts,
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
        let memory = Memory::new(&self.config.state.directory);
        let open = || async {
            let listener = Listener::bind(&settings).await;
            let listener = listener.map(|listener| listener.remembering(&memory));
            listener.map_err(|error| format!("{}; {}", sentence(&error), error.hint()))
        };
        let listener = self.open_source(Source::Radius, open).await;
        tracing::info!(address = %settings.listen, "listening for RADIUS accounting");
        self.keeper().ears.counts = listener.counts();
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
        let server = self.open_source(Source::Lease, open).await.holding(self.certified());
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
                | Claim::Refused(_)
                | Claim::SourceLost { .. }
                | Claim::SourceBack { .. }) => self.observe(claim),
            }
        }
    }

    /// What was proved to the daemon before. A session of this source is where it came from.
    fn certified(&self) -> Vec<(Arc<str>, held::Proof)> {
        let keeper = self.keeper();
        let proofs = keeper.leases.certified().filter_map(|(lease, chain)| {
            let peer = lease.session.parse().ok()?;
            let proof = held::Proof { chain: Arc::clone(chain), peer, until: lease.until };
            Some((Arc::clone(&lease.identity), proof))
        });
        proofs.collect()
    }

    /// Until it is open. Leases of the daemon before go on to their ends meanwhile.
    async fn open_source<T, F>(&self, source: Source, open: impl Fn() -> F) -> T
    where
        F: Future<Output = Result<T, String>>,
    {
        loop {
            let sentence = match open().await {
                Ok(open) => {
                    let ears = &mut self.keeper().ears;
                    ears.deaf.remove(&source);
                    ears.open.insert(source);
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
            let slot = judged.as_ref().ok().map(|(_, slot)| *slot);
            let state = slot.and_then(|slot| read::node(&self.maps, slot));
            let is_isolated = state.is_some_and(|state| state.is_isolated());
            let now = monotonic();
            let claim = if is_isolated {
                let Proof { source, identity, mac, address, session: _, length: _, chain: _ } =
                    proof;
                let refusal = auth::Refusal::Isolated;
                Claim::Refused(Refused { source, identity, mac, address, refusal })
            } else {
                Claim::Proven(proof)
            };
            let acts = keeper.leases.observe(claim, now);
            self.enforce(&acts);
            let verdict = match judged {
                Err(refusal) => Verdict::Refused(refusal.into()),
                Ok(_) if is_isolated => Verdict::Refused(Refusal::Isolated),
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

    /// How everybody stands who may say that a node is what it says.
    pub(super) fn sources_now(&self) -> Vec<LeaseSource> {
        let keeper = self.keeper();
        let Ears { open, deaf: _, counts: _, trust } = &keeper.ears;
        let is_trusted = trust.as_ref().is_some_and(|trust| {
            let trust = trust.borrow();
            trust.as_ref().is_some_and(|trust| lists_end(trust).is_none_or(|end| !is_over(end)))
        });
        let sources = keeper.sources.iter().map(|&source| {
            let (leases, in_grace) = keeper.leases.count(source);
            LeaseSource {
                source: source.name().to_owned(),
                port: self.port_of(source).map(str::to_owned),
                up: match source {
                    Source::Dot1x(_) => keeper.leases.is_heard(source),
                    Source::Radius => open.contains(&source),
                    Source::Lease => open.contains(&source) && is_trusted,
                },
                leases,
                in_grace,
            }
        });
        sources.collect()
    }

    /// What was refused, and what switches have said.
    pub(super) fn proofs_counted(&self) -> AuthenticationCounters {
        let keeper = self.keeper();
        let count = |reason: &str, count| ReasonCount { reason: reason.to_owned(), count };
        let refused = auth::Refusal::ALL.iter();
        let refused = refused.map(|&refusal| count(refusal.name(), keeper.leases.refused(refusal)));
        let counts = &keeper.ears.counts;
        let packets = radius::Refusal::ALL.iter();
        let packets = packets.map(|&refusal| count(refusal.name(), counts.refusals(refusal)));
        AuthenticationCounters {
            refused: refused.filter(|_| !keeper.sources.is_empty()).collect(),
            radius_statements: counts.statements(),
            radius_retransmissions: counts.retransmissions(),
            radius_refused: packets.filter(|_| keeper.sources.contains(&Source::Radius)).collect(),
        }
    }

    /// Whether the revocation list of nodes' certificates is good; none if it is not there.
    pub(super) fn revocation_check(&self) -> Option<Check> {
        let keeper = self.keeper();
        let trust = keeper.ears.trust.as_ref()?.borrow().clone()?;
        drop(keeper);
        let end = lists_end(&trust)?;
        let (state, sentence) = if is_over(end) {
            let sentence = format!(
                "the revocation list of [authentication.mtls] has run out on {end}: no node is \
                 granted a lease, and none is renewed, until there is a newer one"
            );
            (Health::Fail, sentence)
        } else {
            (Health::Ok, format!("it is good until {end}"))
        };
        Some(Check { name: "revocation list".to_owned(), state, sentence })
    }

    /// Whether everybody can be heard who may say that a node is what it says; none if there is nobody.
    pub(super) fn sources_check(&self) -> Option<Check> {
        let config::Authentication { radius, mtls, hostapd, length: _, grace: _ } =
            &self.config.authentication;
        if radius.is_none() && mtls.is_none() && hostapd.is_empty() {
            return None;
        }
        let keeper = self.keeper();
        let Ears { open: _, deaf, counts: _, trust } = &keeper.ears;
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

fn lists_end(trust: &Trust) -> Option<Timestamp> {
    let seconds = i64::try_from(trust.lists_end()?.as_secs()).ok()?;
    Timestamp::from_second(seconds).ok()
}

fn is_over(end: Timestamp) -> bool {
    end <= Timestamp::now()
}
