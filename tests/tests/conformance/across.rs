//! Every row of the table, by the program alone and across a real gateway.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use firewall_policy::explain::Sizes;
use firewall_tests::gateway::{Gateway, Ledger};
use firewall_tests::lab::{Lab, RawPort};

use crate::fixture::{Arrival, World, inside, outside, retagged};
use crate::row::{Fixture, Mode, POLICY, Step, Way, hex};
use crate::{link, neighbours, network, transport};

const SHORT: Duration = Duration::from_millis(200);
const LONG: Duration = Duration::from_secs(10);

#[test]
fn the_program_gives_every_row_its_verdict_in_both_directions() {
    let world = World::under(POLICY, &Sizes::default());
    for (fixture, way) in runs() {
        world.memory.gateway.trial.forget_flows().unwrap();
        for (place, step) in (fixture.steps)(&way).into_iter().enumerate() {
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
fn native_xdp_lets_nothing_across_and_counts_every_row_by_its_name() {
    across(Mode::Bridge, "native");
}

#[test]
fn generic_xdp_lets_nothing_across_and_counts_every_row_by_its_name() {
    across(Mode::Bridge, "generic");
}

#[test]
fn every_row_of_the_table_has_fixtures_and_every_fixture_a_name_of_its_own() {
    let mut names = BTreeMap::new();
    for fixture in fixtures() {
        let before = names.insert((fixture.row, fixture.name), ());
        assert!(before.is_none(), "{} twice", fixture.name);
    }
    let rows: std::collections::BTreeSet<_> = names.keys().map(|(row, _)| *row).collect();
    assert_eq!(rows, (1..=15).collect());
}

fn fixtures() -> impl Iterator<Item = &'static Fixture> {
    [link::FIXTURES, network::FIXTURES, transport::FIXTURES, neighbours::FIXTURES]
        .into_iter()
        .flatten()
}

/// Every fixture in both directions, each run with a number of its own.
fn runs() -> impl Iterator<Item = (&'static Fixture, Way)> {
    let ways = fixtures().flat_map(|fixture| [(fixture, true), (fixture, false)]);
    ways.zip(1..).map(|((fixture, is_out), number)| {
        (fixture, if is_out { Way::out(number) } else { Way::back(number) })
    })
}

/// Sends all rows through a gateway in force. What passes arrives with the right tag and in order;
/// nothing else arrives; and the counters know each frame by its reason.
fn across(mode: Mode, xdp: &str) {
    let mut gateway = gateway(mode, xdp);
    gateway.restart();
    assert!(gateway.status().ports.iter().all(|port| port.armed && port.xdp.name() == xdp));
    let ports = [gateway.lab().near().port(), gateway.lab().far().port()];
    let before = gateway.ledger();
    let (mut passed, mut dropped) = (BTreeMap::new(), BTreeMap::new());
    for (fixture, way) in runs() {
        let steps = (fixture.steps)(&way);
        let is_talk = steps.iter().any(|step| step.is_answer);
        for step in steps {
            let is_out = target(&way, &step).is_out();
            let side = if is_out { "inside" } else { "outside" };
            let [from, to] = if is_out { [&ports[0], &ports[1]] } else { [&ports[1], &ports[0]] };
            let bytes = step.frame.bytes();
            from.send_bytes(&bytes);
            if is_pass(step.verdict) {
                arrives(mode, to, &bytes, target(&way, &step).to.vlan, &name(fixture, &way));
                *passed.entry((side, step.verdict)).or_insert(0) += 1;
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

/// Between a host on either side that says nothing by itself.
fn gateway(mode: Mode, xdp: &str) -> Gateway {
    let gateway = Gateway::in_lab(Lab::new(), POLICY);
    let text = match mode {
        Mode::Bridge => gateway.config_text(),
    };
    let interfaces = ["inside", "outside"].map(|name| format!("interface = \"{name}\"\n"));
    let text = interfaces
        .iter()
        .fold(text, |text, line| text.replace(line, &format!("{line}xdp = \"{xdp}\"\n")));
    gateway.write_config(&text);
    gateway
}

/// Panics unless exactly that frame is the next one, with its new tag.
fn arrives(mode: Mode, port: &RawPort, sent: &[u8], vlan: u16, name: &str) {
    let expected = match mode {
        Mode::Bridge => retagged(sent, vlan),
    };
    let Some(frame) = port.receive(LONG) else { panic!("{name}: {} is lost", hex(sent)) };
    assert_eq!(hex(&frame), hex(&expected), "{name}");
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
    if target(way, step).is_out() {
        inside(step.frame.clone())
    } else {
        outside(step.frame.clone())
    }
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
    format!("row {row}, {name}, {}", if way.is_out() { "out" } else { "back" })
}
