//! A gateway that is never left alone: legal and illegal traffic, reloads, stops and resumes, and a
//! daemon that is killed and started again, at random for as long as was asked. In the end every
//! frame is accounted for and nothing illegal has passed.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a soak that cannot build its surroundings has failed"
)]

mod acts;
mod illegal;
#[expect(dead_code, reason = "it is the random tests'")]
#[path = "../../tests/program/random.rs"]
mod random;

use std::env;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use firewall_tests::gateway::policy::{FAR, NEAR, allow, images};
use firewall_tests::gateway::{Change, Datagrams, Flood, Gateway, Ledger, Stream, Watch};

use crate::acts::Acts;
use crate::random::Random;

fn main() {
    let minutes = number("--minutes").unwrap_or(1);
    let seed = number("--seed").unwrap_or_else(|| {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() % 1_000_000
    });
    println!("soak: {minutes} min, seed {seed}");
    let mut gateway = Gateway::start(&policies()[0]);
    let before = gateway.ledger();
    let traffic = Traffic::start(&gateway);
    let end = Instant::now() + Duration::from_secs(60 * minutes);
    let mut acts = Acts::new(Random::new(seed));
    while Instant::now() < end {
        acts.one(&mut gateway);
        traffic.assert_flows(&gateway);
    }
    let sums = traffic.end();
    let change = gateway.since(&before);
    report(&acts, &sums, &change);
    // `since` has compared what each port received with what it passed and dropped.
    assert_eq!(sums.leaked, 0, "illegal frames passed");
    let only: Vec<_> = illegal::REASONS.iter().chain(acts::REASONS).copied().collect();
    change.assert_only(&only);
}

/// The policies that reloads go through; each allows what is legal here.
fn policies() -> [String; 2] {
    [images(), images() + &allow("time", &["time"], false).replace("radiology/modality", "ct-2")]
}

fn number(name: &str) -> Option<u64> {
    let mut arguments = env::args().skip_while(|argument| argument != name).skip(1);
    arguments.next().map(|text| text.parse().unwrap_or_else(|error| panic!("{name}: {error}")))
}

/// What goes on all the time.
struct Traffic {
    streams: Vec<Stream>,
    datagrams: Vec<Datagrams>,
    floods: Vec<Flood>,
    watches: Vec<Watch>,
    begun: Instant,
}

/// What it came to.
struct Sums {
    bytes: u64,
    sent: u64,
    answered: u64,
    illegal: u64,
    leaked: u64,
    took: Duration,
}

impl Traffic {
    fn start(gateway: &Gateway) -> Self {
        let (near, far) = (gateway.lab().near(), gateway.lab().far());
        let families = [(NEAR.v4, FAR.v4), (NEAR.v6, FAR.v6)];
        let mut streams = Vec::new();
        // Images, and alarms, which are essential.
        for port in [104, 11112, 2575] {
            streams.extend(families.map(|(_, to)| Stream::open(near, far, to, port)));
        }
        let datagrams = families.map(|ends| Datagrams::exchange(near, far, ends, 514)).into();
        let watches = [near, far].map(|host| Watch::start(host, illegal::WORD)).into();
        // Two on either side: every fifth frame is illegal.
        let mut floods = Vec::new();
        for _ in 0..2 {
            floods.push(Flood::start(near, &illegal::from_near()));
            floods.push(Flood::start(far, &illegal::from_far()));
        }
        Self { streams, datagrams, floods, watches, begun: Instant::now() }
    }

    /// Panics unless all that is legal goes on, a ping included.
    fn assert_flows(&self, gateway: &Gateway) {
        for stream in &self.streams {
            stream.assert_flows();
        }
        for address in FAR.addresses() {
            let mut ping = gateway.lab().near().command("ping");
            let output =
                ping.args(["-n", "-q", "-c", "3", "-i", "0.1", "-W", "2", address]).output();
            assert!(output.expect("start ping").status.success(), "{address} does not answer");
        }
    }

    fn end(self) -> Sums {
        let Self { streams, datagrams, floods, watches, begun } = self;
        let took = begun.elapsed();
        let illegal = floods.into_iter().map(Flood::end).sum();
        let bytes = streams.iter().map(Stream::echoed).sum();
        drop(streams);
        let ends = datagrams.into_iter().map(Datagrams::end);
        let (sent, answered) = ends.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        let leaked = watches.into_iter().map(Watch::end).sum();
        Sums { bytes, sent, answered, illegal, leaked, took }
    }
}

fn report(acts: &Acts, sums: &Sums, change: &Change) {
    let Sums { bytes, sent, answered, illegal, leaked, took } = sums;
    let received = ["inside", "outside"].map(|port| change.received(port));
    let all: u64 = received.iter().sum();
    println!("time           {:>12} s", took.as_secs());
    for (act, count) in acts.counts() {
        println!("{act:<14} {count:>12}");
    }
    println!("TCP            {bytes:>12} bytes there and back, on connections that never broke");
    println!("UDP            {sent:>12} questions, {answered} answered");
    println!(
        "illegal        {illegal:>12} frames, {} %; {leaked} passed",
        100 * illegal / all.max(1)
    );
    for (port, received) in ["inside", "outside"].into_iter().zip(received) {
        let dropped: u64 =
            change.drops().iter().filter(|drop| drop.0 == port).map(|drop| drop.2).sum();
        let passed = change.passed(port);
        println!("{port:<14} {received:>12} received = {passed} passed + {dropped} dropped");
        for (_, reason, count) in change.drops().iter().filter(|drop| drop.0 == port) {
            println!("  {reason:<12} {count:>12}");
        }
    }
}

/// Counters never go back, not even over a daemon's death.
fn not_before(gateway: &Gateway, before: &Ledger) {
    gateway.glance().assert_not_before(before);
}
