//! Who may speak because it has proved what it is: claims come in, leases go to the kernel, and on
//! disk what a daemon that starts again must know.

use std::collections::{BTreeSet, HashSet};
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use firewall_common::NodeSlot;
use firewall_control::{EventKind, EventSeverity};
use firewall_policy::model::Authentication;
use firewall_policy::{Names, Policy};
use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::Daemon;
use super::sources::Ears;
use crate::auth::dot1x::socket::{self, Place};
use crate::auth::lease::{Act, Leases, News, Terms};
use crate::auth::register::Register;
use crate::auth::store::Store;
use crate::auth::{Claim, EndReason, Refused, Source};
use crate::config::{self, Config};
use crate::dataplane::clock::monotonic;
use crate::dataplane::lease::{self, Granter};

/// Claims that may wait; beyond that their sources do.
pub const CLAIMS: usize = 1024;
/// How often the disk is told of leases that were granted, changed or ended.
const TELL: Duration = Duration::from_secs(1);
/// How often the disk is told of renewals: what it has meanwhile ends sooner.
const TELL_RENEWALS: Duration = Duration::from_secs(30);

/// The leases, and how they are kept.
pub(super) struct Keeper {
    pub(super) leases: Leases,
    store: Option<Store>,
    /// From where nodes may prove themselves at the enrolment port.
    pub(super) allowed: watch::Sender<Arc<HashSet<IpAddr>>>,
    pub(super) ears: Ears,
    pub(super) sources: BTreeSet<Source>,
    is_restored: bool,
    written: ((u64, u64), Instant),
}

impl Keeper {
    pub(super) fn new(config: &Config) -> Self {
        let config::Authentication { length, grace, hostapd, radius, mtls } =
            &config.authentication;
        let store = Store::of_this_boot(&config.state.directory);
        let store = store.inspect_err(|error| {
            tracing::error!(%error, "leases will not outlive this daemon");
        });
        Self {
            leases: Leases::new(Terms { length: *length, grace: *grace }),
            store: store.ok(),
            allowed: watch::Sender::default(),
            ears: Ears::default(),
            sources: hostapd
                .iter()
                .map(|hostapd| Source::dot1x(hostapd.port))
                .chain(radius.as_ref().map(|_| Source::Radius))
                .chain(mtls.as_ref().map(|_| Source::Lease))
                .collect(),
            is_restored: false,
            written: ((0, 0), Instant::now()),
        }
    }
}

impl Daemon {
    /// Turns claims into leases until nobody can make any more.
    pub async fn keep_leases(self: Arc<Self>, mut claims: mpsc::Receiver<Claim>) {
        let mut seconds = interval(TELL);
        seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let next = self.keeper().leases.poll_timeout();
            let next = next.map(|end| end.saturating_sub(monotonic()));
            tokio::select! {
                claim = claims.recv() => match claim {
                    Some(claim) => self.observe(claim),
                    None => return,
                },
                () = sleep(next.unwrap_or(Duration::MAX)) => self.pass(),
                _ = seconds.tick() => tokio::task::block_in_place(|| self.tell_disk(TELL_RENEWALS)),
            }
        }
    }

    /// Begins to listen to every hostapd of the configuration.
    pub fn follow_hostapd(&self, claims: &mpsc::Sender<Claim>) {
        let directory = self.config.control.socket.parent().unwrap_or(Path::new("/"));
        for config::Hostapd { port, socket, reauthenticate } in &self.config.authentication.hostapd
        {
            let mut ports = self.config.gateway.ports();
            let Some((_, named)) = ports.find(|(index, _)| index == port) else { continue };
            let place = Place {
                source: Source::dot1x(*port),
                socket: socket.clone(),
                own: directory.join(format!("hostapd-{}.sock", named.name)),
                interface: named.interface.clone(),
                reauthenticate: *reauthenticate,
            };
            tokio::spawn(socket::follow(place, claims.clone()));
        }
    }

    pub(super) fn observe(&self, claim: Claim) {
        let acts = {
            let mut keeper = self.keeper();
            let acts = keeper.leases.observe(claim, monotonic());
            // Under the lock, so that the kernel hears in the order of the claims.
            self.enforce(&acts);
            acts
        };
        self.tell(acts);
    }

    fn pass(&self) {
        let acts = {
            let mut keeper = self.keeper();
            let acts = keeper.leases.pass(monotonic());
            self.enforce(&acts);
            acts
        };
        self.tell(acts);
    }

    /// A policy has come into force. The first one that a daemon has takes over the leases of the
    /// daemon before.
    pub(super) fn adopt(&self, policy: &Policy, names: &Names) {
        let acts = {
            let mut keeper = self.keeper();
            let register = Register::new(policy, names);
            keeper.allowed.send_replace(Arc::new(register.addresses(Authentication::Lease)));
            let mut acts = keeper.leases.adopt(register);
            if !std::mem::replace(&mut keeper.is_restored, true) {
                acts.extend(self.restore(&mut keeper));
            }
            self.enforce(&acts);
            acts
        };
        self.tell(acts);
    }

    fn restore(&self, keeper: &mut Keeper) -> Vec<Act> {
        let kept = keeper.store.as_ref().map_or_else(|| Ok(Vec::new()), Store::read);
        let kept = kept.unwrap_or_else(|error| {
            tracing::error!(%error, "every node must prove itself again");
            Vec::new()
        });
        let Keeper { leases, sources, .. } = keeper;
        let standing = |slot: NodeSlot| lease::end(&self.maps, self.clock, slot);
        leases.restore(kept, monotonic(), |source| sources.contains(&source), standing)
    }

    /// Says on disk who has a lease, if that has changed, or was renewed so long ago.
    pub fn tell_disk(&self, renewals_after: Duration) {
        let mut keeper = self.keeper();
        let progress = keeper.leases.progress();
        let ((changes, renewals), at) = keeper.written;
        let is_due = progress.1 != renewals && at.elapsed() >= renewals_after;
        if progress.0 == changes && !is_due {
            return;
        }
        let Some(store) = keeper.store.clone() else { return };
        let kept = keeper.leases.kept();
        keeper.written = (progress, Instant::now());
        drop(keeper);
        if let Err(error) = store.write(kept) {
            tracing::error!(%error, "leases are not on disk, and end with this daemon");
            self.keeper().written.0 = (0, 0);
        }
    }

    pub(super) fn enforce(&self, acts: &[Act]) {
        let mut granter = Granter::new(&self.maps, self.clock);
        for act in acts {
            match act {
                Act::Hold { slot, until } => granter.hold(*slot, *until),
                Act::End { slot } => granter.end(*slot),
                Act::Tell(_) => {}
            }
        }
    }

    pub(super) fn tell(&self, acts: Vec<Act>) {
        for act in acts {
            match act {
                Act::Hold { .. } | Act::End { .. } => {}
                Act::Tell(news) => self.tell_news(news),
            }
        }
    }

    fn tell_news(&self, news: News) {
        let mut grave = None;
        let (kind, node, reason, source, message) = match news {
            News::Granted { node, source, identity } => {
                let message = format!("{node} may speak: {source} has seen it as {identity:?}");
                (EventKind::Lease, Some(node), "granted", source, message)
            }
            News::Renewed { node, source } => {
                let message = format!("{node} goes on by another proof, which {source} has seen");
                (EventKind::Lease, Some(node), "renewed", source, message)
            }
            News::InGrace { node, source, grace } => {
                let seconds = grace.as_secs();
                let message = format!("{node} speaks for {seconds} s more: {source} is lost");
                (EventKind::Grace, Some(node), "grace", source, message)
            }
            News::Ended { node, source, reason } => {
                let message = format!("{node} may not speak any more: {reason}, says {source}");
                grave = Some(severity(reason));
                (EventKind::Lease, Some(node), reason.name(), source, message)
            }
            News::Refused(Refused { source, identity, mac, address, refusal }) => {
                let mac = mac.map(|mac| mac.to_string());
                let whence = mac.or_else(|| address.map(|address| address.to_string()));
                let whence = whence.unwrap_or_else(|| "an unknown place".to_owned());
                let message =
                    format!("{identity:?} from {whence} grants nobody a lease: {refusal}");
                (EventKind::LeaseRefused, None, refusal.name(), source, message)
            }
            News::Lost { source, ended, in_grace } => {
                let message = format!(
                    "{source} does not answer: {ended} leases ended, {in_grace} go on in grace"
                );
                (EventKind::SourceLost, None, "source_lost", source, message)
            }
            News::Back { source } => {
                (EventKind::SourceBack, None, "source_back", source, format!("{source} is back"))
            }
        };
        if kind == EventKind::SourceLost {
            tracing::error!(%kind, "{message}");
        } else {
            tracing::info!(%kind, "{message}");
        }
        self.events.record(kind, |event| {
            event.severity = grave.unwrap_or(event.severity);
            event.node = node.map(|node| node.to_string());
            event.reason = Some(reason.to_owned());
            event.port = self.port_of(source).map(str::to_owned);
            event.message = Some(message);
        });
    }

    /// The name of the only port that a source sees.
    pub(super) fn port_of(&self, source: Source) -> Option<&str> {
        let port = source.port()?;
        let mut ports = self.config.gateway.ports();
        ports.find(|(index, _)| *index == port).map(|(_, port)| &*port.name)
    }

    pub(super) fn keeper(&self) -> MutexGuard<'_, Keeper> {
        // Whoever died with the lock left at worst a lease too few.
        self.keeper.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How grave it is that a lease ended so.
const fn severity(reason: EndReason) -> EventSeverity {
    match reason {
        EndReason::Logoff
        | EndReason::Carrier
        | EndReason::Silent
        | EndReason::Unanswered
        | EndReason::Forgotten
        | EndReason::Restarted
        | EndReason::Expired
        | EndReason::Policy => EventSeverity::Low,
        EndReason::Replaced | EndReason::Revoked | EndReason::Unknown => EventSeverity::Medium,
        EndReason::SourceLost => EventSeverity::High,
    }
}
