//! A mixed flood on all CPUs: every frame is received once, and ends in one named reason.

use std::thread;
use std::time::Duration;

use firewall_tests::lab::Host;
use serde_json::{Value, json};

use crate::Effort;
use crate::frames::{self, Family, Frame, Side};
use crate::gateway::{Cordon, Gateway};
use crate::report::{Report, Row, Target};
use crate::traffic::{Generator, Sink, Timing};

/// How many times in eight each comes.
const REASONS: [(&str, u64); 4] =
    [("established", 4), ("unknown_source", 2), ("no_rule", 1), ("ethertype", 1)];

/// What the daemon has counted on both ports.
pub(super) struct Ledger {
    received: u64,
    verdicts: Vec<(String, u64)>,
}

impl Ledger {
    pub(super) fn read(cordon: &Cordon) -> Self {
        let counters = cordon.ask(&["counters"]);
        let packets = |value: &Value| value["packets"].as_u64().unwrap();
        let (mut received, mut verdicts) = (0, Vec::new());
        for port in counters["ports"].as_array().unwrap() {
            received += packets(&port["received"]);
            let counted = port["verdicts"].as_array().unwrap().iter();
            verdicts.extend(
                counted.map(|verdict| {
                    (verdict["reason"].as_str().unwrap().to_owned(), packets(verdict))
                }),
            );
        }
        Self { received, verdicts }
    }

    pub(super) fn of(&self, reason: &str) -> u64 {
        let found = self.verdicts.iter().filter(|(name, _)| name == reason);
        found.map(|(_, packets)| packets).sum()
    }

    fn sum(&self) -> u64 {
        self.verdicts.iter().map(|(_, packets)| packets).sum()
    }
}

/// What was counted everywhere at one time.
struct Moment {
    ledger: Ledger,
    arrived: u64,
    lost: u64,
}

impl Moment {
    fn now(cordon: &Cordon, sinks: &[Sink; 2]) -> Self {
        Self {
            ledger: Ledger::read(cordon),
            arrived: sinks.iter().map(|sink| sink.arrived().frames).sum(),
            lost: hosts(cordon).into_iter().map(link_losses).sum(),
        }
    }
}

fn hosts(cordon: &Cordon) -> [&Host; 2] {
    [cordon.lab().near(), cordon.lab().far()]
}

pub(crate) fn measure(effort: Effort, report: &mut Report) {
    let cpus = thread::available_parallelism().map_or(1, usize::from);
    let each: u32 = effort.pick(500_000, 5_000_000) / 8 * 8;
    let sent = 2 * u64::from(each);
    let cordon = Cordon::new();
    let sinks = hosts(&cordon).map(|host| Sink::new(host.link(), Timing::None));
    for family in [Family::V4, Family::V6, Family::Tagged] {
        cordon.establish(family, 1);
    }
    let before = Moment::now(&cordon, &sinks);
    thread::scope(|scope| {
        // One side each: two CPUs that fill one ring would lose frames before the gateway.
        for ((host, side), cpu) in hosts(&cordon).into_iter().zip([Side::Near, Side::Far]).zip(0..)
        {
            let generator = Generator::new(host.link(), &mixture(&cordon, side));
            scope.spawn(move || generator.send(cpu % cpus, each));
        }
    });
    let mut after = Moment::now(&cordon, &sinks);
    for _ in 0..20 {
        let received = after.ledger.received - before.ledger.received;
        if received + after.lost - before.lost == sent {
            break;
        }
        thread::sleep(Duration::from_millis(50));
        after = Moment::now(&cordon, &sinks);
    }
    compare(report, sent, &before, &after);
}

fn mixture(cordon: &Cordon, side: Side) -> [Frame; 8] {
    let frame = |family| frames::established(cordon.ends(family), family, side);
    let plain = cordon.ends(Family::V4);
    [
        frame(Family::V4),
        frames::unknown_source(plain, side),
        frame(Family::V6),
        frames::no_rule(plain, side),
        frame(Family::Tagged),
        frames::unknown_source(plain, side),
        frame(Family::V4),
        frames::foreign(plain, side),
    ]
}

fn compare(report: &mut Report, sent: u64, before: &Moment, after: &Moment) {
    let lost = after.lost - before.lost;
    let received = after.ledger.received - before.ledger.received;
    let sum = after.ledger.sum() - before.ledger.sum();
    let arrived = after.arrived - before.arrived;
    let count = |reason| after.ledger.of(reason) - before.ledger.of(reason);
    let mut row = |what: &str, ours: u64, peer: u64| {
        report.row(Row {
            what: format!("ledger: {what}"),
            ours: ours.to_string(),
            peer: peer.to_string(),
            target: Target::exactly("equal", ours == peer),
            ..Row::default()
        });
    };
    row("received, of sent on two CPUs less what the links lost", received, sent - lost);
    row("passed and dropped by reason, of received", sum, received);
    row("arrived at the hosts, of passed", arrived, count("established"));
    if lost == 0 {
        // What the links lost is of an unknown kind.
        REASONS.iter().for_each(|(reason, eighths)| row(reason, count(reason), sent / 8 * eighths));
    }
    if lost > 0 {
        report.note(format!("ledger: {lost} frames found the ring before the gateway full"));
    }
    report.samples(
        "ledger",
        json!({ "sent": sent, "lost": lost, "received": received, "sum": sum, "arrived": arrived }),
    );
}

/// Frames that found the ring between a host and the gateway full.
fn link_losses(host: &Host) -> u64 {
    let output = host.command("ethtool").args(["-S", "eth0"]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = text.lines().filter_map(|line| {
        let (name, value) = line.trim().split_once(": ")?;
        name.ends_with("xdp_xmit_errors").then(|| value.parse::<u64>().unwrap_or(0))
    });
    errors.sum()
}
