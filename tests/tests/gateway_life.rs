//! The daemon comes and goes; what it guards does not notice.

use std::time::{Duration, Instant};

use firewall_tests::{
    gateway::{
        Datagrams, Flood, Gateway, Ledger, Stream, Watch, eventually, measured,
        policy::{FAR, NEAR, images},
        repeat,
    },
    packet::{Packet, payload, tcp, udp},
};

const SHORT: Duration = Duration::from_millis(200);
const LONG: Duration = Duration::from_secs(10);
const PERMITTED: &[u8] = b"a log that a rule permits";
const FORBIDDEN: &[u8] = b"what no rule permits";

fn permitted() -> Vec<Packet> {
    NEAR.to(&FAR).iter().map(|to| to / udp(40_000, 514) / payload(PERMITTED)).collect()
}

fn forbidden() -> Vec<Packet> {
    NEAR.to(&FAR).iter().map(|to| to / udp(40_000, 123) / payload(FORBIDDEN)).collect()
}

#[test]
fn a_start_that_goes_well_never_fails_the_check() {
    let gateway = Gateway::prepare(&images());
    for turn in 0..repeat(20) {
        let mut daemon = gateway.launch();
        let mut asked = || {
            assert!(daemon.is_running(), "start {turn}: {}", daemon.log());
            gateway.cordon(&["status", "--check"])
        };
        // Nobody answers before it has begun to listen.
        let first = std::iter::repeat_with(&mut asked).find(|ended| ended.code != Some(3)).unwrap();
        assert_eq!(first.code, Some(0), "start {turn}: {}", first.out);
        daemon.kill();
    }
}

#[test]
fn nothing_passes_before_the_first_policy_is_in_force() {
    let mut gateway = Gateway::prepare("version = 1\n[subnetwork.\n");
    let ended = gateway.daemon_fails();
    ended.refused(2, "");
    assert!(ended.errors.contains("policy.toml:2"), "{}", ended.errors);
    // What the hosts' kernels have said of groups meanwhile is counted, too.
    let before = Ledger::settled(|| gateway.pinned_counters());
    before.since(&Ledger::default()).assert_only(&["not_armed"]);
    let (near, far) = (gateway.lab().near().port(), gateway.lab().far().port());
    for packet in permitted().iter().chain(&forbidden()) {
        near.send(packet);
    }
    for headers in FAR.to(&NEAR) {
        far.send(&(headers / tcp(104, 104).syn().ack()));
    }
    far.expect_silence(SHORT);
    near.expect_silence(Duration::ZERO);
    let counted = Ledger::settled(|| gateway.pinned_counters()).since(&before);
    counted.assert_drops(&[("inside", "not_armed", 4), ("outside", "not_armed", 2)]);

    gateway.policy(&images());
    gateway.restart();
    for packet in permitted() {
        near.send(&packet);
        far.expect(&packet);
    }
    gateway.kill();
    // It armed the maps that were pinned, and counts on in them.
    let now = Ledger::settled(|| gateway.pinned_counters()).since(&before);
    now.assert_drops(&[("inside", "not_armed", 4), ("outside", "not_armed", 2)]);
    assert!(now.passed_as("inside", "opened") == 2, "{now:?}");
}

#[test]
fn a_starting_daemon_lets_the_permitted_through_only_once_armed_and_the_forbidden_never() {
    let mut gateway = Gateway::prepare(&images());
    let (times, mut sent, mut slowest) = (repeat(1), 0, u64::MAX);
    for _ in 0..times {
        let (near, far) = (gateway.lab().near(), gateway.lab().far());
        let (seen, leaked) = (Watch::start(far, PERMITTED), Watch::start(far, FORBIDDEN));
        let passing = Flood::start(near, &permitted());
        let flood = Flood::at(Flood::FAST, near, &forbidden());
        gateway.restart();
        let begun = seen.seen();
        assert!(eventually(LONG, || seen.seen() > begun + 20), "the permitted does not flow");
        slowest = slowest.min(flood.rate());
        let (forbidden, permitted) = (flood.end(), passing.end());
        let change = gateway.since(&Ledger::default());
        assert_eq!(leaked.end(), 0, "of {forbidden} forbidden frames");
        assert_eq!(change.passed("inside"), seen.end(), "of {permitted} permitted frames");
        change.assert_only(&["not_armed", "no_rule"]);
        assert!(change.dropped("inside", "not_armed") > 0, "{change:?}");
        sent += forbidden;
        gateway.stop_daemon();
        gateway.detach_all().done();
    }
    measured(format_args!(
        "{times} cold starts of a bridge: 0 of {sent} forbidden frames passed, at {slowest} a \
         second or more"
    ));
}

#[test]
fn a_killed_daemon_interrupts_nothing_opens_nothing_and_its_successor_adopts() {
    let mut gateway = Gateway::start(&images());
    let first = gateway.ledger();
    let (near, far) = (gateway.lab().near(), gateway.lab().far());
    let streams = FAR.addresses().map(|address| Stream::open(near, far, address, 104));
    let datagrams = Datagrams::exchange(near, far, (NEAR.v4, FAR.v4), 514);
    let leaked = Watch::start(far, FORBIDDEN);
    let flood = Flood::start(near, &forbidden());
    let (times, mut longest, mut slowest) = (repeat(10), Duration::ZERO, Duration::ZERO);
    let mut before = first.clone();
    for _ in 0..times {
        gateway.kill();
        for stream in &streams {
            longest = longest.max(stream.assert_flows());
        }
        let dead = Ledger::of(&gateway.pinned_counters());
        dead.assert_not_before(&before);
        let begun = Instant::now();
        gateway.restart();
        slowest = slowest.max(begun.elapsed());
        before = gateway.glance();
        before.assert_not_before(&dead);
        for stream in &streams {
            longest = longest.max(stream.assert_flows());
        }
    }
    let (sent, answered) = datagrams.end();
    let forbidden = flood.end();
    drop(streams);
    let change = gateway.ledger().since(&first);
    assert_eq!(leaked.end(), 0, "forbidden frames passed");
    assert!(sent - answered <= 1, "{answered} of {sent} datagrams answered");
    change.assert_only(&["no_rule", "tcp_state"]);
    assert!(change.dropped("inside", "no_rule") <= forbidden);
    measured(format_args!(
        "{times} times SIGKILL and start: 0 of {forbidden} forbidden frames passed, {answered} of \
         {sent} datagrams answered, 2 KiB of a stream took {longest:?} at most, a start {slowest:?}"
    ));
}

#[test]
fn an_ended_daemon_leaves_enforcement_and_detaching_takes_it_away() {
    let mut gateway = Gateway::start(&images());
    let stream = Stream::open(gateway.lab().near(), gateway.lab().far(), FAR.v4, 104);
    gateway.stop_daemon();
    stream.assert_flows();
    let unreachable = gateway.cordon(&["status"]);
    unreachable.refused(3, "enforcement");
    let said = gateway.detach_all().done();
    assert!(said.contains("inside") && said.contains("outside"), "{said}");
    // A bridge that nobody guards carries nothing.
    stream.assert_stands(SHORT);
    assert!(!gateway.pins().exists());
    gateway.restart();
    // The flow is forgotten; its client never learns of it but by silence.
    stream.assert_stands(SHORT);
}

#[test]
fn the_daemon_turns_off_what_hides_tags_and_reads_it_back() {
    let mut gateway = Gateway::prepare(&images());
    let features = ["rx-vlan-offload", "rx-vlan-stag-hw-parse"];
    let ports = [gateway.lab().inside().clone(), gateway.lab().outside().clone()];
    for port in &ports {
        port.feature("rxvlan", true);
        port.feature("rx-vlan-stag-hw-parse", true);
        assert!(features.iter().all(|feature| port.has_feature(feature)));
    }
    gateway.restart();
    for port in &ports {
        assert!(!features.iter().any(|feature| port.has_feature(feature)));
    }
    let status = gateway.status();
    assert_eq!(status.ports.len(), 2);
    for port in status.ports {
        assert!(port.armed, "{port:?}");
        assert_eq!(port.vlan_offload.name(), "off");
        assert_eq!(port.xdp.name(), "native");
        assert_eq!(port.driver.as_deref(), Some("veth"));
    }
}
