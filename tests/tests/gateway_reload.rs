//! One policy takes the place of another under load.

use std::time::Duration;

use firewall_tests::{
    gateway::{
        Datagrams, Flood, Gateway, Stream, Watch, eventually, measured,
        policy::{FAR, NEAR, NODES, allow, expect},
        repeat,
    },
    packet::{Packet, echo_reply, echo_request, payload, udp},
};

const LONG: Duration = Duration::from_secs(10);
const FORBIDDEN: &[u8] = b"what neither policy permits";

/// Both allow images and logs, each something else besides; neither allows the time.
fn policies() -> [String; 2] {
    let both = format!("{NODES}{}", allow("images", &["dicom", "log"], false));
    [
        both.clone() + &allow("alarms", &["alarm"], false) + &expect("alarm", "pass"),
        both + &allow("pings", &["ping"], false) + &expect("alarm", "drop"),
    ]
}

#[test]
fn a_reload_under_load_loses_nothing_that_both_policies_allow_and_passes_nothing_that_both_forbid()
{
    let policies = policies();
    let gateway = Gateway::start(&policies[0]);
    let (near, far) = (gateway.lab().near(), gateway.lab().far());
    let before = gateway.ledger();
    let streams = FAR.addresses().map(|address| Stream::open(near, far, address, 104));
    let datagrams = [(NEAR.v4, FAR.v4), (NEAR.v6, FAR.v6)]
        .map(|ends| Datagrams::exchange(near, far, ends, 514));
    let forbidden: Vec<Packet> =
        NEAR.to(&FAR).iter().map(|to| to / udp(40_000, 123) / payload(FORBIDDEN)).collect();
    let (flood, leaked) = (Flood::start(near, &forbidden), Watch::start(far, FORBIDDEN));
    let times = repeat(20);
    let (mut slowest, mut generation) = (0, gateway.status().policy.generation);
    for (_, policy) in (0..times).zip(policies.iter().cycle().skip(1)) {
        gateway.policy(policy);
        let report = gateway.reload();
        assert!(report.generation > generation, "{report:?}");
        assert_eq!((report.cut_flows_count, report.nodes.kept.len()), (0, 3), "{report:?}");
        (slowest, generation) = (slowest.max(report.took_microseconds), report.generation);
        for stream in &streams {
            stream.assert_flows();
        }
    }
    let [(sent, answered), (sent6, answered6)] = datagrams.map(Datagrams::end);
    assert_eq!((sent - answered, sent6 - answered6), (0, 0), "datagrams were lost");
    let tried = flood.end();
    drop(streams);
    let change = gateway.since(&before);
    assert_eq!(leaked.end(), 0, "of {tried} forbidden frames");
    // The last segments of connections that are being closed may come after their flow's end.
    change.assert_only(&["no_rule", "tcp_state"]);
    assert_eq!(change.dropped("inside", "no_rule"), tried);
    assert_eq!(change.dropped("outside", "no_rule"), 0);
    measured(format_args!(
        "{times} reloads, the slowest in {slowest} us: 0 of {tried} forbidden frames passed, 0 of \
         {} datagrams lost",
        sent + sent6
    ));
}

#[test]
fn a_flow_that_the_new_policy_does_not_allow_is_dead_on_its_next_packet() {
    let [with_alarms, with_pings] = policies();
    let gateway = Gateway::start(&with_alarms);
    let (near, far) = (gateway.lab().near(), gateway.lab().far());
    let alarms = FAR.addresses().map(|address| Stream::open(near, far, address, 2575));
    let images = Stream::open(near, far, FAR.v4, 104);
    for stream in &alarms {
        stream.assert_flows();
    }
    let before = gateway.glance();

    gateway.policy(&with_pings);
    let said = gateway.cordon(&["reload"]).done();
    for words in ["alarms", "pings", "images", "2575", "ct-1", "pacs", "2 live flows cut"] {
        assert!(said.contains(words), "{words}: {said}");
    }
    for stream in &alarms {
        stream.assert_stands(Duration::from_millis(200));
    }
    images.assert_flows();
    let drops = gateway.drops_since(&before);
    let revoked = drops.iter().filter(|(_, reason, _)| reason == "revoked");
    let revoked: u64 = revoked.map(|(_, _, count)| count).sum();
    // Each of the two flows dies once; what is said after that belongs to no flow.
    assert_eq!(revoked, 2, "{drops:?}");
    let reasons = ["revoked", "no_rule"];
    assert!(drops.iter().all(|(_, reason, _)| reasons.contains(&&**reason)), "{drops:?}");
    assert!(gateway.flows().iter().all(|flow| flow.to.port != Some(2575)));
}

#[test]
fn a_revoked_ping_dies_on_its_next_packet() {
    let [with_alarms, with_pings] = policies();
    let mut gateway = Gateway::in_lab(firewall_tests::lab::Lab::new(), &with_pings);
    gateway.restart();
    let (near, far) = (gateway.lab().near().port(), gateway.lab().far().port());
    for (there, back) in NEAR.to(&FAR).iter().zip(&FAR.to(&NEAR)) {
        near.send(&(there / echo_request(7, 1)));
        far.expect(&(there / echo_request(7, 1)));
        far.send(&(back / echo_reply(7, 1)));
        near.expect(&(back / echo_reply(7, 1)));
    }
    gateway.policy(&with_alarms);
    assert_eq!(gateway.reload().cut_flows_count, 2);
    let before = gateway.ledger();
    for there in NEAR.to(&FAR) {
        near.send(&(&there / echo_request(7, 2)));
        near.send(&(&there / echo_request(7, 3)));
    }
    far.expect_silence(Duration::from_millis(200));
    gateway.since(&before).assert_drops(&[("inside", "no_rule", 2), ("inside", "revoked", 2)]);
}

#[test]
fn a_policy_that_is_not_valid_changes_nothing() {
    let [good, _] = policies();
    let gateway = Gateway::start(&good);
    let (near, far) = (gateway.lab().near(), gateway.lab().far());
    let stream = Stream::open(near, far, FAR.v4, 104);
    let before = gateway.status().policy;
    for (bad, words) in [
        ("version = 1\n[subnetwork.\n".to_owned(), "policy.toml:2"),
        (good.replace("\"dicom\", \"log\"", "\"dicon\", \"log\""), "dicon"),
        (good.replacen("\"10.20.0.11\"", "\"10.21.0.11\"", 1), "10.21.0.11"),
        (good.replacen("port = \"inside\"", "port = \"insight\"", 1), "insight"),
        (good.clone() + &expect("dicom", "drop"), "dicom"),
        (good.clone() + &expect("ping", "pass"), "ping"),
    ] {
        gateway.policy(&bad);
        let ended = gateway.cordon(&["reload"]);
        assert_eq!(ended.code, Some(2), "{}", ended.errors);
        assert!(ended.errors.contains(words), "{words}: {}", ended.errors);
        assert!(ended.sentence().len() > 10);
        let now = gateway.status().policy;
        assert_eq!((now.generation, &now.hash), (before.generation, &before.hash));
        stream.assert_flows();
    }
    let refused = gateway.events().iter().filter(|e| e.kind.name() == "reload_refused").count();
    assert_eq!(refused, 6);
    gateway.policy(&good);
    assert!(gateway.reload().generation > before.generation);
    assert!(eventually(LONG, || gateway.status().policy.hash == before.hash));
    stream.assert_flows();
}
