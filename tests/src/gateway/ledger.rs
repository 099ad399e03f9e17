//! What the ports counted, as a whole: a frame that nobody expected fails the test.

use std::{
    collections::BTreeMap,
    thread::sleep,
    time::{Duration, Instant},
};

use firewall_control::{Counters, PortCounters, Tally, Verdict, VerdictCount};

/// How long the ports may take to fall silent.
const QUIET: Duration = Duration::from_secs(10);
/// How long they must have been silent.
const STILL: Duration = Duration::from_millis(20);

/// What every port has counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    ports: BTreeMap<String, Page>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Page {
    received: Tally,
    passed: BTreeMap<String, Tally>,
    dropped: BTreeMap<String, Tally>,
}

impl Ledger {
    /// What those counters say.
    pub fn of(counters: &Counters) -> Self {
        let ports = counters.ports.iter().map(|port| {
            let PortCounters { port, received, verdicts } = port;
            let of = |wanted: Verdict| {
                let counts = verdicts.iter().filter(move |count| count.verdict == wanted);
                counts
                    .map(|VerdictCount { reason, count, .. }| (reason.clone(), *count))
                    .collect::<BTreeMap<_, _>>()
            };
            let (passed, dropped) = (of(Verdict::Pass), of(Verdict::Drop));
            (port.clone(), Page { received: *received, passed, dropped })
        });
        Self { ports: ports.collect() }
    }

    /// Reads until two readings are the same.
    pub fn settled(read: impl Fn() -> Counters) -> Self {
        let end = Instant::now() + QUIET;
        let mut last = Self::of(&read());
        loop {
            sleep(STILL);
            let now = Self::of(&read());
            if now == last {
                return now;
            }
            assert!(Instant::now() < end, "the ports do not fall silent");
            last = now;
        }
    }

    /// What this one has more than an earlier one. Panics if anything was counted backwards, or if
    /// what was received is not what was passed and dropped.
    pub fn since(&self, before: &Self) -> Change {
        let nothing = Page::default();
        let pages = self.ports.iter().map(|(port, page)| {
            let before = before.ports.get(port).unwrap_or(&nothing);
            let received = more(page.received, before.received);
            let (passed, dropped) =
                (increase(&page.passed, &before.passed), increase(&page.dropped, &before.dropped));
            let accounted = passed.values().chain(dropped.values()).copied().sum::<Tally>();
            assert_eq!(received, accounted, "{port}: {passed:?} {dropped:?}");
            (port.clone(), Page { received, passed, dropped })
        });
        Change { ports: pages.collect() }
    }

    /// Frames that a port has let pass.
    pub fn passed(&self, port: &str) -> u64 {
        self.ports[port].passed.values().map(|count| count.packets).sum()
    }

    /// What was dropped since an earlier one; frames may be on their way.
    pub fn drops_since(&self, before: &Self) -> Vec<(String, String, u64)> {
        let nothing = Page::default();
        let drops = self.ports.iter().flat_map(|(port, page)| {
            let before = before.ports.get(port).unwrap_or(&nothing);
            let drops = increase(&page.dropped, &before.dropped).into_iter();
            drops.map(|(reason, count)| (port.clone(), reason, count.packets))
        });
        drops.collect()
    }

    /// Panics if anything in this one is less than in an earlier one.
    pub fn assert_not_before(&self, before: &Self) {
        for (port, page) in &before.ports {
            let now = &self.ports[port];
            more(now.received, page.received);
            increase(&now.passed, &page.passed);
            increase(&now.dropped, &page.dropped);
        }
    }
}

fn increase(
    now: &BTreeMap<String, Tally>,
    before: &BTreeMap<String, Tally>,
) -> BTreeMap<String, Tally> {
    let counts = now.iter().map(|(reason, count)| {
        let before = before.get(reason).copied().unwrap_or_default();
        (reason.clone(), more(*count, before))
    });
    counts.filter(|(_, count)| *count != Tally::default()).collect()
}

fn more(now: Tally, before: Tally) -> Tally {
    let packets = now.packets.checked_sub(before.packets).expect("packets were counted backwards");
    let bytes = now.bytes.checked_sub(before.bytes).expect("bytes were counted backwards");
    Tally { packets, bytes }
}

/// What was counted between two ledgers.
#[derive(Clone, Debug)]
pub struct Change {
    ports: BTreeMap<String, Page>,
}

impl Change {
    /// Frames that a port received.
    pub fn received(&self, port: &str) -> u64 {
        self.ports[port].received.packets
    }

    /// Frames that a port let pass.
    pub fn passed(&self, port: &str) -> u64 {
        self.ports[port].passed.values().map(|count| count.packets).sum()
    }

    /// Frames that a port let pass for one reason.
    pub fn passed_as(&self, port: &str, reason: &str) -> u64 {
        self.ports[port].passed.get(reason).map_or(0, |count| count.packets)
    }

    /// Frames that a port dropped for one reason.
    pub fn dropped(&self, port: &str, reason: &str) -> u64 {
        self.ports[port].dropped.get(reason).map_or(0, |count| count.packets)
    }

    /// Every drop, as `port reason count`.
    pub fn drops(&self) -> Vec<(&str, &str, u64)> {
        let drops = self.ports.iter().flat_map(|(port, page)| {
            page.dropped.iter().map(|(reason, count)| (&**port, &**reason, count.packets))
        });
        drops.collect()
    }

    /// Panics unless exactly these frames were dropped.
    pub fn assert_drops(&self, expected: &[(&str, &str, u64)]) {
        let mut expected = expected.to_vec();
        expected.sort_unstable();
        assert_eq!(self.drops(), expected, "drops; all in all {self:#?}");
    }

    /// Panics if frames were dropped for any other reason than these.
    pub fn assert_only(&self, reasons: &[&str]) {
        let others = self.drops().into_iter().filter(|(_, reason, _)| !reasons.contains(reason));
        assert_eq!(others.collect::<Vec<_>>(), Vec::new(), "unexpected drops");
    }
}
