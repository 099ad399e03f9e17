//! Every row of the table, by the program alone and across a real gateway.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use firewall_daemon::dataplane::interface::Interface;
use firewall_policy::explain::Sizes;
use firewall_tests::gateway::{Gateway, Ledger};
use firewall_tests::lab::{Lab, RawPort};

use crate::fixture::{Arrival, World, forwarded, inside, outside, retagged};
use crate::routed::Routed;
use crate::row::{
    End, Fixture, HOSPITAL, Mac, Mode, POLICY, Step, WARD, Way, arp_reply, eth, hex, ipv6,
    neighbour_advertisement,
};
use crate::{link, neighbours, network, transport};

const SHORT: Duration = Duration::from_millis(200);
const LONG: Duration = Duration::from_secs(10);

/// Where a router rightly differs: the verdicts of a row's steps.
const OF_A_ROUTER: &[(u8, &str, &[&str])] = &[
    // Its kernel has answered by then; what comes from the other side nobody has asked for.
    (12, "a question and its answer pass", &["arp", "arp_spoof"]),
    (13, "a question and its answer pass", &["nd", "nd_spoof"]),
];

#[test]
fn the_program_gives_every_row_its_verdict_in_both_directions() {
    let world = World::under(POLICY, &Sizes::default());
    for (fixture, way) in runs(Mode::Bridge, WARD) {
        world.memory.gateway.trial.forget_flows().unwrap();
        for (place, step) in steps(fixture, &way).into_iter().enumerate() {
            let told = world.told(&arrival(&way, &step));
            let expected = if is_pass(step.verdict) {
                format!("{} out {}", step.verdict, target(&way, &step).to.vlan)
            } else {
                step.verdict.to_owned()
            };
            assert_eq!(
                told,
                expected,
                "{} step {}: {:?}",
                name(fixture, &way),
                place + 1,
                step.frame
            );
        }
    }
}

#[test]
fn a_routers_program_gives_every_row_its_verdict_in_both_directions() {
    let router = Routed::new();
    for (fixture, way) in runs(Mode::Router, WARD) {
        router.forget_flows();
        for (place, step) in steps(fixture, &way).into_iter().enumerate() {
            let place = format!("{} step {}", name(fixture, &way), place + 1);
            let target = target(&way, &step);
            let bytes = step.frame.bytes();
            let (verdict, left) = router.run(target.is_out, &bytes);
            assert_eq!(verdict, step.verdict, "{place}: {:?}", step.frame);
            if is_pass(step.verdict) {
                // What is between the gateway and its neighbour goes no further.
                let passes_on = !is_between_neighbours(step.verdict);
                let expected = passes_on.then(|| on_the_far_side(&bytes, &target));
                assert_eq!(left.as_deref().map(hex), expected.as_deref().map(hex), "{place}");
            }
        }
    }
}

#[test]
fn native_xdp_lets_nothing_across_and_counts_every_row_by_its_name() {
    across(Mode::Bridge, "native");
}

#[test]
fn generic_xdp_lets_nothing_across_and_counts_every_row_by_its_name() {
    across(Mode::Bridge, "generic");
}

#[test]
fn a_router_in_native_mode_lets_nothing_across_and_counts_every_row_by_its_name() {
    across(Mode::Router, "native");
}

#[test]
fn a_router_in_generic_mode_lets_nothing_across_and_counts_every_row_by_its_name() {
    across(Mode::Router, "generic");
}

#[test]
fn every_row_of_the_table_has_fixtures_and_every_fixture_a_name_of_its_own() {
    let mut names = BTreeMap::new();
    for fixture in fixtures(Mode::Router) {
        let before = names.insert((fixture.row, fixture.name), ());
        assert!(before.is_none(), "{} twice", fixture.name);
    }
    let rows: std::collections::BTreeSet<_> = names.keys().map(|(row, _)| *row).collect();
    assert_eq!(rows, (1..=15).collect());
    for (row, name, _) in OF_A_ROUTER {
        assert!(names.contains_key(&(*row, *name)), "no row {row}, {name}");
    }
}

fn fixtures(mode: Mode) -> impl Iterator<Item = &'static Fixture> {
    let more: &[Fixture] = match mode {
        Mode::Bridge => &[],
        Mode::Router => neighbours::OF_A_ROUTER,
    };
    [link::FIXTURES, network::FIXTURES, transport::FIXTURES, neighbours::FIXTURES, more]
        .into_iter()
        .flatten()
}

/// Every fixture in both directions, each run with a number of its own.
fn runs(mode: Mode, ward: End) -> impl Iterator<Item = (&'static Fixture, Way)> {
    let ways = fixtures(mode).flat_map(|fixture| [(fixture, true), (fixture, false)]);
    ways.zip(1..).map(move |((fixture, is_out), number)| {
        let out = Way::out(mode, ward, number);
        (fixture, if is_out { out } else { out.turned() })
    })
}

/// What comes in, and what must become of it there.
fn steps(fixture: &Fixture, way: &Way) -> Vec<Step> {
    let mut steps = (fixture.steps)(way);
    let differs =
        |(row, name, _): &&(u8, &str, &[&str])| (*row, *name) == (fixture.row, fixture.name);
    if way.mode == Mode::Router
        && let Some((_, name, verdicts)) = OF_A_ROUTER.iter().find(differs)
    {
        assert_eq!(steps.len(), verdicts.len(), "{name}");
        steps.iter_mut().zip(*verdicts).for_each(|(step, verdict)| step.verdict = verdict);
    }
    steps
}

/// Sends all rows through a gateway in force. What passes arrives as it must and in order; nothing
/// else arrives; and the counters know each frame by its reason.
fn across(mode: Mode, xdp: &str) {
    let (mut gateway, ward) = gateway(mode, xdp);
    gateway.restart();
    assert!(gateway.status().ports.iter().all(|port| port.armed && port.xdp.name() == xdp));
    let ports = [gateway.lab().near().port(), gateway.lab().far().port()];
    let before = gateway.ledger();
    ports.iter().for_each(|port| drop(port.drain()));
    let (mut passed, mut dropped) = (BTreeMap::new(), BTreeMap::new());
    for (fixture, way) in runs(mode, ward) {
        let steps = steps(fixture, &way);
        let is_talk = steps.iter().any(|step| step.is_answer);
        for step in steps {
            let target = target(&way, &step);
            let side = if target.is_out { "inside" } else { "outside" };
            let [from, to] =
                if target.is_out { [&ports[0], &ports[1]] } else { [&ports[1], &ports[0]] };
            let bytes = step.frame.bytes();
            from.send_bytes(&bytes);
            if is_pass(step.verdict) {
                let name = name(fixture, &way);
                let count = if mode == Mode::Router && is_between_neighbours(step.verdict) {
                    answers(from, &target, step.verdict, &name);
                    // The kernel's answer leaves by the same port.
                    2
                } else {
                    arrives(to, &on_the_far_side(&bytes, &target), &name);
                    1
                };
                *passed.entry((side, step.verdict)).or_insert(0) += count;
            } else {
                *dropped.entry((side, step.verdict)).or_insert(0) += 1;
                if is_talk {
                    settle(&gateway, &before, side, step.verdict, dropped[&(side, step.verdict)]);
                }
            }
        }
    }
    for port in &ports {
        port.expect_silence(SHORT);
    }
    let change = gateway.since(&before);
    let dropped: Vec<_> =
        dropped.into_iter().map(|((side, reason), count)| (side, reason, count)).collect();
    change.assert_drops(&dropped);
    for ((side, reason), count) in passed {
        assert_eq!(change.passed_as(side, reason), count, "{side} {reason}: {change:#?}");
    }
}

/// Between a host on either side that says nothing by itself; and the near end. A router's is untagged:
/// its daemon learns the tags from VLAN devices, which not every kernel has.
fn gateway(mode: Mode, xdp: &str) -> (Gateway, End) {
    let (gateway, ward) = match mode {
        Mode::Bridge => (Gateway::in_lab(Lab::new(), POLICY), WARD),
        Mode::Router => {
            let policy = POLICY.replace("vlan = 120\n", "");
            let gateway = Gateway::router_in_lab(Lab::new(), &policy);
            let lab = gateway.lab();
            for (link, end) in [(lab.inside(), WARD), (lab.outside(), HOSPITAL)] {
                link.sysctl("ipv6", "mldv2_unsolicited_report_interval", "1");
                link.address(&format!("{}/24", end.gate.v4));
                link.address(&format!("{}/64", end.gate.v6));
                link.neighbour(end.v4, end.mac);
                link.neighbour(end.v6, end.mac);
                // Who forwards joins groups, and reports that: before anything is counted.
                lab.gateway().run(|| Interface::new(link.name()).forward()).unwrap();
            }
            (gateway, End { vlan: 0, ..WARD })
        }
    };
    let text = fs::read_to_string(gateway.config_path()).unwrap();
    let interfaces = ["inside", "outside"].map(|name| format!("interface = \"{name}\"\n"));
    let text = interfaces
        .iter()
        .fold(text, |text, line| text.replace(line, &format!("{line}xdp = \"{xdp}\"\n")));
    gateway.write_config(&text);
    (gateway, ward)
}

/// A frame that passes, as it arrives there.
fn on_the_far_side(sent: &[u8], way: &Way) -> Vec<u8> {
    match way.mode {
        Mode::Bridge => retagged(sent, way.to.vlan),
        Mode::Router => {
            let macs = [way.to.gate.mac, way.to.mac].map(Mac::octets);
            forwarded(sent, macs, way.to.vlan)
        }
    }
}

/// ARP and neighbour discovery, which a router does not forward.
fn is_between_neighbours(verdict: &str) -> bool {
    ["arp", "nd"].contains(&verdict)
}

/// Panics unless exactly that frame is the next one.
fn arrives(port: &RawPort, expected: &[u8], name: &str) {
    let Some(frame) = port.receive(LONG) else { panic!("{name}: {} is lost", hex(expected)) };
    assert_eq!(hex(&frame), hex(expected), "{name}");
}

/// Panics unless the gateway's kernel says next where it is itself.
fn answers(port: &RawPort, way: &Way, verdict: &str, name: &str) {
    let Some(frame) = port.receive(LONG) else { panic!("{name}: no answer") };
    let (own, peer) = (way.from.gate, way.from);
    let answer = if verdict == "arp" {
        eth(own.mac, peer.mac) / arp_reply(own.mac, own.v4, peer.mac, peer.v4)
    } else {
        let flags = [0xe0, 0, 0, 0];
        let message = neighbour_advertisement(own.v6).rest(flags).target_link(own.mac);
        eth(own.mac, peer.mac) / ipv6(own.v6, peer.v6).hop_limit(255) / message
    };
    assert_eq!(hex(&frame), hex(&answer.bytes()), "{name}");
}

/// Waits until a drop is counted, so that what follows it comes after it.
fn settle(gateway: &Gateway, before: &Ledger, side: &str, reason: &str, count: u64) {
    let end = Instant::now() + LONG;
    let is_there = || {
        let drops = gateway.drops_since(before);
        drops
            .iter()
            .any(|(port, name, packets)| port == side && name == reason && *packets >= count)
    };
    while !is_there() {
        assert!(Instant::now() < end, "{side} does not count {reason} {count} times");
    }
}

fn arrival(way: &Way, step: &Step) -> Arrival {
    if target(way, step).is_out { inside(step.frame.clone()) } else { outside(step.frame.clone()) }
}

/// The direction of one frame.
const fn target(way: &Way, step: &Step) -> Way {
    if step.is_answer { way.turned() } else { *way }
}

fn is_pass(verdict: &str) -> bool {
    firewall_common::PassReason::from_name(verdict).is_some()
}

fn name(fixture: &Fixture, way: &Way) -> String {
    let Fixture { row, name, .. } = fixture;
    format!("row {row}, {name}, {}", if way.is_out { "out" } else { "back" })
}
