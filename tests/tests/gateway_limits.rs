//! Memory that the kernel does not give, tables and rings that are full, clocks that are wrong: it
//! never lets more through, and says what it is.
#![expect(clippy::unwrap_used, reason = "helpers of tests panic like tests")]

use std::{fs, io::Write, net::Ipv4Addr, process::Stdio, time::Duration};

use firewall_control::{Caller, Health, StopLevel};
use firewall_daemon::{
    dataplane::latch::{Latch, Latched, LatchedStop, Order},
    fault::Step,
};
use firewall_tests::{
    gateway::{
        Act, Ended, Fault, Flood, Gateway, Stream, Watch, binary, eventually, measured,
        policy::{FAR, NEAR, images},
        router::{self, PACS},
    },
    packet::{Packet, payload, udp},
};

const SHORT: Duration = Duration::from_millis(200);
const LONG: Duration = Duration::from_secs(20);
const PERMITTED: &[u8] = b"a log that a rule permits";
const FORBIDDEN: &[u8] = b"what no rule permits";

fn to(port: u16, data: &[u8]) -> Vec<Packet> {
    NEAR.to(&FAR).iter().map(|to| to / udp(40_000, port) / payload(data)).collect()
}

#[test]
fn a_map_that_the_kernel_does_not_make_is_named_and_so_is_why() {
    let mut gateway = Gateway::prepare(&images());
    let fault = Fault::arrange(&gateway, Step::MakeMaps, Act::Error, 2);
    let mut daemon = gateway.launch_faulty(&fault);
    assert!(eventually(LONG, || !daemon.is_running()));
    let ended = Ended { code: Some(1), out: String::new(), errors: daemon.log() };
    ended.refused(1, "does not make the map CONTROL: Cannot allocate memory");
    assert!(ended.errors.contains("lower [capacity]"), "{}", ended.errors);
    gateway.restart();
    assert_eq!(gateway.status().stop.level, StopLevel::None);
}

#[test]
fn a_full_flow_table_drops_new_flows_by_that_name_and_the_health_says_so() {
    // As many as fit into one bucket of the table.
    const FLOWS: u16 = 6;
    let mut gateway = Gateway::prepare(&images());
    let config = gateway.config_text().replace("flows = 4096", &format!("flows = {FLOWS}"));
    gateway.write_config(&config);
    gateway.restart();
    let before = gateway.ledger();
    let (near, far) = (gateway.lab().near().port(), gateway.lab().far().port());
    let [asks, _] = NEAR.to(&FAR);
    let [answers, _] = FAR.to(&NEAR);
    for port in 1..=FLOWS + 16 {
        near.send(&(&asks / udp(port, 514) / payload(PERMITTED)));
        far.send(&(&answers / udp(514, port) / payload(PERMITTED)));
    }
    let change = gateway.since(&before);
    change.assert_drops(&[("inside", "flow_table_full", 16), ("outside", "no_rule", 16)]);
    let flows = gateway.status().health.into_iter().find(|check| check.name == "flow table");
    let flows = flows.expect("a check of the flow table");
    assert_eq!((flows.state, &*flows.sentence), (Health::Warn, "the flow table is 100 % full"));
}

#[test]
fn a_full_ring_of_events_changes_no_verdict_and_what_is_lost_is_counted() {
    let gateway = Gateway::start(&images());
    let before = gateway.ledger();
    let (near, far) = (gateway.lab().near(), gateway.lab().far());
    let (seen, leaked) = (Watch::start(far, PERMITTED), Watch::start(far, FORBIDDEN));
    let floods = [
        Flood::start(near, &to(514, PERMITTED)),
        Flood::at(Flood::FAST, near, &to(123, FORBIDDEN)),
    ];
    gateway.freeze();
    let lost = || gateway.pinned_counters().events.lost;
    assert!(eventually(LONG, || lost() > 0), "the ring is never full");
    let count = seen.seen();
    assert!(eventually(LONG, || seen.seen() > count + 20), "the permitted does not flow");
    gateway.unfreeze();
    let [_, forbidden] = floods.map(Flood::end);
    let change = gateway.since(&before);
    assert_eq!(leaked.end(), 0, "of {forbidden} forbidden frames");
    assert_eq!(change.passed("inside"), seen.end());
    change.assert_only(&["no_rule"]);
    let events = gateway.counters().events;
    assert!(events.lost > 0, "{events:?}");
    measured(format_args!(
        "a full ring: {} events lost, 0 of {forbidden} frames passed",
        events.lost
    ));
}

#[test]
fn more_addresses_than_a_router_can_have_are_refused_by_name() {
    let mut gateway = Gateway::prepare_router(&router::images());
    crowd(&gateway, "add");
    let ended = gateway.daemon_fails();
    ended.refused(1, "addresses, and the program can be told of 4096");
    assert!(ended.errors.contains("hint: `ip address` lists them"), "{}", ended.errors);
    crowd(&gateway, "delete");
    gateway.restart();
}

#[test]
fn a_router_that_gets_more_addresses_than_it_can_have_is_unwell_until_they_are_gone() {
    let policy = format!(
        "{}{}",
        router::images(),
        router::rule("administration", "ct-1", "gateway", &["ping"])
    );
    let gateway = Gateway::route(&policy);
    let stream = Stream::open(gateway.lab().near(), gateway.lab().far(), PACS.v4, 104);
    let guard = || gateway.check("guard");
    assert_eq!(guard().0, "ok");
    crowd(&gateway, "add");
    let is_told = || guard().1.contains("the program can be told of 4096");
    assert!(eventually(LONG, is_told), "{:?}", guard());
    assert_eq!(guard().0, "fail");
    gateway.cordon(&["status", "--check"]).refused(1, "guard");
    assert!(gateway.metrics_page().contains("cordon_health{check=\"guard\"} 2\n"));
    assert_eq!(gateway.told("health", "the program can be told of 4096"), 1);
    // What it knows goes on; what it does not know is nobody's.
    stream.assert_flows();
    let known = gateway.known_addresses();
    assert_eq!(known.len(), 4096);
    let crowded: Vec<_> = (0..CROWD).map(crowded).collect();
    let unknown: Vec<_> = crowded.iter().filter(|one| !known.contains(&(**one).into())).collect();
    assert!(unknown.len() > 50, "{unknown:?}");
    let pings = |address: &str| {
        let arguments = ["-n", "-c", "1", "-W", "1", address];
        let near = gateway.lab().near().namespace();
        near.command("ping").args(arguments).output().unwrap().status.success()
    };
    let one = crowded.iter().find(|one| known.contains(&(**one).into())).unwrap();
    assert!(pings(&one.to_string()), "{one} is known");
    assert!(!pings(&unknown[0].to_string()), "{} is not known", unknown[0]);
    crowd(&gateway, "delete");
    assert!(eventually(LONG, || guard().0 == "ok"), "{:?}", guard());
    assert_eq!(gateway.cordon(&["status", "--check"]).done(), "ok\n");
    assert!(pings(router::INSIDE.v4));
    stream.assert_flows();
}

/// More than the map of the gateway's addresses holds.
const CROWD: u16 = 4200;

fn crowded(n: u16) -> Ipv4Addr {
    let [high, low] = n.to_be_bytes();
    Ipv4Addr::new(10, 99, high, low)
}

/// Gives the gateway so many addresses, or takes them away.
fn crowd(gateway: &Gateway, act: &str) {
    let mut batch = gateway.lab().gateway().command("ip");
    let mut batch = batch.args(["-batch", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    let line = |n| format!("address {act} {}/32 dev inside\n", crowded(n));
    let lines: String = (0..CROWD).map(line).collect();
    batch.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    assert!(batch.wait().unwrap().success(), "{act}");
}

#[test]
fn a_stop_outlives_a_clock_that_is_ten_years_wrong() {
    let mut gateway = Gateway::start(&images());
    let stream = Stream::open(gateway.lab().near(), gateway.lab().far(), FAR.v4, 104);
    for since in ["2016-01-02T03:04:05Z", "2036-01-02T03:04:05Z"] {
        gateway.kill();
        let order = Order {
            since: since.to_owned(),
            by: Caller::default(),
            reason: "ordered while the clock was wrong".to_owned(),
        };
        let stop = LatchedStop { level: StopLevel::Ordinary, order };
        let latched = Latched { everything: Some(stop), ..Latched::default() };
        Latch::new(&gateway.state()).write(&latched).unwrap();
        gateway.restart();
        stream.assert_stands(SHORT);
        let status = gateway.status();
        assert_eq!(status.stop.level, StopLevel::Ordinary);
        gateway.resume(None);
        stream.assert_flows();
    }
    // Nothing else lies on disk that could be read wrong.
    let files = fs::read_dir(gateway.state()).unwrap().flatten();
    assert_eq!(files.map(|file| file.file_name()).collect::<Vec<_>>(), ["latch"]);
}

#[test]
fn a_daemon_whose_clock_is_not_the_kernels_does_not_start_and_says_so() {
    let mut gateway = Gateway::start(&images());
    let stream = Stream::open(gateway.lab().near(), gateway.lab().far(), FAR.v4, 104);
    gateway.kill();
    // Ten years on. Back is not to be had: such a clock cannot be below zero.
    let mut shifted = gateway.lab().gateway().command("unshare");
    shifted.args(["--time", "--monotonic", "315360000", "--fork"]).arg(binary("cordond"));
    shifted.arg("--config").arg(gateway.config_path());
    Ended::of(shifted).refused(1, "time namespace");
    stream.assert_flows();
    gateway.restart();
    stream.assert_flows();
}
