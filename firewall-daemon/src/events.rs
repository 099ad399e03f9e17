//! What happened: the kernel's events enriched with names, the operators' acts, kept for a while and
//! handed to followers. Bounded everywhere; what is lost is counted.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use firewall_common::event::Event as Raw;
use firewall_common::flow::Signature;
use firewall_common::parse::ethertype;
use firewall_common::{Addr, NodeSlot, RuleSlot, SubnetworkSlot, Ticks, Verdict};
use firewall_control::{Event, EventKind, KindCount, Party};
use firewall_policy::Names;
use jiff::Timestamp;
use tokio::sync::{broadcast, mpsc};

use crate::dataplane::clock::{self, Clock};

/// How many events are kept.
const KEPT: usize = 16_384;
/// How far a follower may fall behind.
const BEHIND: usize = 4096;

/// The events of this daemon's life.
pub struct EventLog {
    inner: Mutex<Inner>,
    followers: broadcast::Sender<Event>,
}

#[derive(Default)]
struct Inner {
    sequence: u64,
    kept: VecDeque<Event>,
    counts: std::collections::BTreeMap<EventKind, u64>,
    missed: u64,
}

impl Default for EventLog {
    fn default() -> Self {
        Self { inner: Mutex::default(), followers: broadcast::Sender::new(BEHIND) }
    }
}

impl EventLog {
    /// Records what the closure makes of an event about nothing yet.
    pub fn record(&self, kind: EventKind, describe: impl FnOnce(&mut Event)) {
        let boot = u64::try_from(clock::monotonic().as_nanos()).unwrap_or(u64::MAX);
        self.record_at(Timestamp::now(), boot, kind, describe);
    }

    /// The same, of an earlier instant.
    pub fn record_at(
        &self,
        time: Timestamp,
        boot_nanoseconds: u64,
        kind: EventKind,
        describe: impl FnOnce(&mut Event),
    ) {
        let mut inner = self.lock();
        inner.sequence += 1;
        let mut event = Event::new(inner.sequence, time.to_string(), boot_nanoseconds, kind);
        describe(&mut event);
        *inner.counts.entry(kind).or_default() += 1;
        if inner.kept.len() == KEPT {
            inner.kept.pop_front();
        }
        inner.kept.push_back(event.clone());
        // Nobody follows: nobody misses it. Sent under the lock, so that followers see the order.
        let _ = self.followers.send(event);
    }

    /// How often what happened since the daemon started.
    pub fn counts(&self) -> Vec<KindCount> {
        let inner = self.lock();
        inner.counts.iter().map(|(&kind, &count)| KindCount { kind, count }).collect()
    }

    /// How many events slow followers have missed.
    pub fn missed(&self) -> u64 {
        self.lock().missed
    }

    /// The events since then, and if `follow` those to come.
    pub fn stream(
        self: &std::sync::Arc<Self>,
        since: Option<Timestamp>,
        follow: bool,
    ) -> mpsc::Receiver<Event> {
        let (sender, receiver) = mpsc::channel(64);
        let (kept, mut coming) = {
            let inner = self.lock();
            let since = since.map(|since| since.to_string());
            let is_wanted =
                |event: &&Event| since.as_ref().is_none_or(|since| later(&event.time, since));
            let kept: Vec<_> = inner.kept.iter().filter(is_wanted).cloned().collect();
            (kept, self.followers.subscribe())
        };
        let log = std::sync::Arc::clone(self);
        tokio::spawn(async move {
            for event in kept {
                if sender.send(event).await.is_err() {
                    return;
                }
            }
            if !follow {
                return;
            }
            loop {
                let event = match coming.recv().await {
                    Ok(event) => event,
                    Err(broadcast::error::RecvError::Lagged(count)) => log.lost(count),
                    Err(broadcast::error::RecvError::Closed) => return,
                };
                tokio::select! {
                    sent = sender.send(event) => if sent.is_err() { return },
                    () = sender.closed() => return,
                }
            }
        });
        receiver
    }

    fn lost(&self, count: u64) -> Event {
        let mut inner = self.lock();
        inner.missed += count;
        let boot = u64::try_from(clock::monotonic().as_nanos()).unwrap_or(u64::MAX);
        let time = Timestamp::now().to_string();
        let mut event = Event::new(inner.sequence, time, boot, EventKind::Lost);
        event.count = Some(count);
        event.message = Some(format!("{count} events are missing here: the follower was too slow"));
        event
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Whoever died with the lock left at worst one event half counted.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn later(time: &str, since: &str) -> bool {
    match (time.parse::<Timestamp>(), since.parse::<Timestamp>()) {
        (Ok(time), Ok(since)) => time >= since,
        (Ok(_) | Err(_), _) => true,
    }
}

/// Records an event of the kernel, with the names of the policy in force.
pub fn record_raw(log: &EventLog, raw: &Raw, names: &Names, ports: &[String], clock: Clock) {
    let Some(verdict) = Verdict::from_index(u32::from(raw.verdict)) else {
        return;
    };
    let (kind, outcome) = match verdict {
        Verdict::Pass(_) => (EventKind::Flow, firewall_control::Verdict::Pass),
        Verdict::Drop(_) => (EventKind::Drop, firewall_control::Verdict::Drop),
    };
    let age = clock.since(Ticks(raw.ticks));
    let time = Timestamp::now().checked_sub(age).unwrap_or_else(|_| Timestamp::now());
    let boot = u64::try_from(clock::monotonic().saturating_sub(age).as_nanos()).unwrap_or(u64::MAX);
    let signature = Signature::from_words(raw.signature);
    log.record_at(time, boot, kind, |event| {
        event.verdict = Some(outcome);
        event.reason = Some(verdict.name().to_owned());
        event.port = ports.get(usize::from(signature.port().0)).cloned();
        event.vlan = Some(signature.vlan().0).filter(|vlan| *vlan != 0);
        event.ethertype = Some(raw.ethertype).filter(|ethertype| *ethertype != 0);
        event.length = Some(raw.length);
        event.rule = names.rule(RuleSlot(raw.rule)).map(|rule| rule.name.to_string());
        event.protocol = protocol(raw);
        let party = |mac: firewall_common::Mac, address, port: u16, node, subnetwork| {
            let node = names.node(NodeSlot(node));
            let subnetwork = names.subnetwork(SubnetworkSlot(subnetwork));
            Some(Party {
                mac: Some(mac.to_string()),
                address: Some(address)
                    .filter(|address| *address != Addr::UNSPECIFIED)
                    .map(|address: Addr| address.to_string()),
                port: Some(port).filter(|port| *port != 0),
                node: node.map(|node| node.name.to_string()),
                subnetwork: subnetwork.map(|subnetwork| subnetwork.name.to_string()),
            })
        };
        let (from, to) = (signature.source(), signature.destination());
        event.source =
            party(from, raw.source, raw.source_port, raw.source_node, raw.source_subnetwork);
        event.destination = party(
            to,
            raw.destination,
            raw.destination_port,
            raw.destination_node,
            raw.destination_subnetwork,
        );
    });
}

fn protocol(raw: &Raw) -> Option<String> {
    match (raw.ethertype, raw.protocol) {
        (ethertype::ARP, _) => Some("arp".to_owned()),
        (_, 0) => None,
        (_, number) => Some(protocol_name(number)),
    }
}

/// The name of an IP protocol, or its number; 0 stands for neighbour discovery.
pub fn protocol_name(number: u8) -> String {
    use firewall_common::parse::protocol;
    match number {
        protocol::TCP => "tcp".to_owned(),
        protocol::UDP => "udp".to_owned(),
        protocol::ICMP => "icmp".to_owned(),
        protocol::ICMPV6 => "icmpv6".to_owned(),
        other => other.to_string(),
    }
}
