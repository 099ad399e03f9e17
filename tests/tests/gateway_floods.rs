//! Floods of new flows: what a node opens beyond its quota and beyond all room takes nothing from
//! others, and what is over is forgotten without haste.
#![expect(clippy::unwrap_used, reason = "helpers of tests panic like tests")]

use std::{
    net::UdpSocket,
    thread::sleep,
    time::{Duration, Instant},
};

use firewall_common::flow::{
    Flow, FlowKey,
    table::{self, Found, WAYS, buckets_for},
};
use firewall_daemon::dataplane::read::{self, Table};
use firewall_tests::{
    gateway::{
        Gateway, Stream, eventually, measured,
        policy::{FAR, IDLE, NEAR, Station, images},
    },
    lab::{Host, Lab},
    packet::{payload, udp},
};

/// How long once over a large table may take where the processor is slow.
const WALK: Duration = Duration::from_secs(300);
/// What a node may have open and unanswered, and so many again every 30 seconds.
const QUOTA: u64 = 1024;

/// Logs of the second host, which no other policy lets by.
fn policy() -> String {
    let logs = "[[allow]]\nname = \"logs\"\nfrom = [\"ct-2\"]\nto = [\"pacs\"]\n\
        applications = [\"log\"]\n";
    images() + logs
}

/// A gateway with so much room, two hosts on its near side and one on the other.
fn gateway(flows: u32) -> Gateway {
    let mut gateway = Gateway::in_lab(Lab::with_hosts(2, 1), &policy());
    let config = gateway.config_text().replace("flows = 4096", &format!("flows = {flows}"));
    gateway.write_config(&config);
    let lab = gateway.lab();
    let far = lab.far().link();
    FAR.address(far);
    for (station, host) in [(NEAR, lab.near()), (IDLE, lab.near_host(1))] {
        station.settle(host.link(), &FAR);
        far.neighbour(station.v4, station.mac);
        far.neighbour(station.v6, station.mac);
    }
    gateway.restart();
    gateway
}

/// From each of those ports one to the archive's log, or one back.
fn logs(from: &Station, to: &Station, ports: impl Iterator<Item = u16>) -> Vec<Vec<u8>> {
    let [headers, _] = from.to(to);
    let is_asked = to.mac == FAR.mac;
    let ends = |port| if is_asked { udp(port, 514) } else { udp(514, port) };
    ports.map(|port| (&headers / ends(port) / payload(b"<13>log")).bytes()).collect()
}

/// Puts all of them on the wire.
fn blast(host: &Host, frames: &[Vec<u8>]) -> u64 {
    let port = host.port();
    for batch in frames.chunks(64) {
        let mut batch: Vec<_> = batch.iter().map(Vec::as_slice).collect();
        while !batch.is_empty() {
            match port.try_send_all(&batch) {
                Ok(count) => drop(batch.drain(..count)),
                // A full queue.
                Err(_) => sleep(Duration::from_micros(200)),
            }
        }
    }
    frames.len() as u64
}

/// Opens flows of the first host's from those ports, and answers them.
fn establish(gateway: &Gateway, ports: std::ops::RangeInclusive<u16>) {
    let (near, far) = (gateway.lab().near().port(), gateway.lab().far().port());
    let asks = logs(&NEAR, &FAR, ports.clone());
    let answers = logs(&FAR, &NEAR, ports);
    for (ask, answer) in asks.iter().zip(&answers) {
        near.send_bytes(ask);
        far.send_bytes(answer);
    }
}

#[test]
fn a_node_that_floods_takes_nothing_from_another() {
    let gateway = gateway(1 << 14);
    let room = 1_u16 << 12;
    let (near, far) = (gateway.lab().near(), gateway.lab().far());
    // So that nobody answers, not even that there is nobody.
    let _silent = far.run(|| UdpSocket::bind((FAR.v4, 514))).unwrap();
    let stream = Stream::open(near, far, FAR.v4, 104);
    establish(&gateway, 1..=200);
    stream.assert_flows();
    let before = gateway.glance();
    let begun = Instant::now();
    // Four times as many as there is room for, and what is refused again.
    let flood = logs(&IDLE, &FAR, 1..=4 * room);
    let mut sent = blast(gateway.lab().near_host(1), &flood);
    stream.assert_flows();
    let other = Stream::open(near, far, FAR.v4, 11112);
    other.assert_flows();
    sent += blast(gateway.lab().near_host(1), &flood);
    let took = begun.elapsed();
    stream.assert_flows();
    other.assert_flows();
    assert_eq!(blast(near, &logs(&NEAR, &FAR, 1..=200)), 200);
    drop((stream, other));
    let change = gateway.since(&before);
    let refused = change.dropped("inside", "flow_limit");
    change.assert_drops(&[("inside", "flow_limit", refused)]);
    let opened = change.passed_as("inside", "opened") - 1;
    let again = QUOTA * (took.as_secs() + 2) / 30;
    assert!((QUOTA..=QUOTA + again).contains(&opened), "{opened} of {sent} in {took:?}");
    // Of the flooder's, what it has opened goes on in the second turn; nothing of it was forgotten.
    assert!(refused >= sent - 2 * opened && refused < sent - opened, "{refused} of {sent}");
    let (_, sentence) = gateway.check("flow table");
    measured(format_args!(
        "a flood of {sent} new flows in {took:?}: {opened} opened, {refused} refused; {sentence}"
    ));
}

#[test]
fn a_node_that_fills_the_table_with_a_helper_ends_no_flow_of_another() {
    const ROOM: u16 = 1024;
    const OTHERS: u16 = 200;
    let gateway = gateway(ROOM.into());
    establish(&gateway, 1..=OTHERS);
    let before = gateway.ledger();
    let (near, far) = (gateway.lab().near_host(1).port(), gateway.lab().far().port());
    let asks = logs(&IDLE, &FAR, 1..=4 * ROOM);
    let answers = logs(&FAR, &IDLE, 1..=4 * ROOM);
    for (ask, answer) in asks.iter().zip(&answers) {
        near.send_bytes(ask);
        far.send_bytes(answer);
    }
    let flood = gateway.since(&before);
    flood.assert_only(&["flow_limit", "flow_table_full", "no_rule"]);
    // It takes as many as it is made for, and more as long as either bucket of one has a free slot.
    let room = u64::from(ROOM)..=u64::from(WAYS * buckets_for(ROOM.into()));
    let others = u64::from(OTHERS);
    assert!(room.contains(&(others + flood.passed_as("outside", "established"))), "{flood:#?}");
    // As many as may be unanswered: those that found no room are.
    let full = flood.dropped("inside", "flow_table_full");
    assert!(full >= QUOTA, "{flood:#?}");
    assert_eq!(flood.dropped("inside", "flow_limit") + full, flood.dropped("outside", "no_rule"));
    let before = gateway.ledger();
    blast(gateway.lab().near(), &logs(&NEAR, &FAR, 1..=OTHERS));
    blast(gateway.lab().far(), &logs(&FAR, &NEAR, 1..=OTHERS));
    let change = gateway.since(&before);
    change.assert_drops(&[]);
    for port in ["inside", "outside"] {
        assert_eq!(change.passed_as(port, "established"), u64::from(OTHERS));
    }
    assert_eq!(gateway.check("flow table").0, "warn");
}

#[test]
fn flows_that_are_over_are_forgotten_at_a_fiftieth_of_a_processor() {
    const LIVE: u32 = 1 << 18;
    const OVER: u32 = 5000;
    // With some more, it finds room for every single one.
    let gateway = gateway((LIVE + OVER) / 8 * 9);
    establish(&gateway, 1..=1);
    let maps = gateway.pinned_maps();
    let (key, live) = only(|visit| read::flows(&maps, Table::Established, visit).unwrap());
    let over = Flow::default();
    over.copy(&live);
    // For longer than its timeout and the grace; and the others for an hour yet.
    over.age(200 * 1000);
    live.age((3600 * 1000_u32).wrapping_neg());
    let put = |number: u32, flow: &Flow| {
        let [a, b, c, d] = number.to_be_bytes();
        let low_port = u16::from_be_bytes([a, b]);
        let pair = firewall_common::Port(u16::from_be_bytes([c, d]));
        let key = FlowKey { low_port, pair, ..key };
        table::open(&maps, &key, flow).unwrap();
        let Found { slot, .. } = table::find(&maps, &key).unwrap();
        table::establish(&maps, &key, slot).unwrap();
    };
    (1 << 20..(1 << 20) + LIVE - 1).for_each(|number| put(number, &live));
    (1 << 24..(1 << 24) + OVER).for_each(|number| put(number, &over));
    let held = || {
        let mut held = 0;
        read::flows(&maps, Table::Established, |_, _| held += 1).unwrap();
        held
    };
    let (begun, before) = (Instant::now(), gateway.processor_time("sweep"));
    assert!(eventually(WALK, || held() == LIVE), "{} flows", held());
    let walked = begun.elapsed();
    sleep(Duration::from_secs(10));
    assert_eq!(held(), LIVE, "flows that are not over");
    let took = gateway.processor_time("sweep") - before;
    let share = 100.0 * took.as_secs_f64() / begun.elapsed().as_secs_f64();
    measured(format_args!(
        "{OVER} of {LIVE} flows swept in {walked:?}, {share:.2} % of a processor"
    ));
    assert!(share < 2.5, "{share} % of a processor");
}

/// What a walk visits.
fn only(walk: impl FnOnce(&mut dyn FnMut(&FlowKey, &Flow))) -> (FlowKey, Flow) {
    let mut found = None;
    walk(&mut |key, flow| {
        let copy = Flow::default();
        copy.copy(flow);
        found = Some((*key, copy));
    });
    found.unwrap()
}
