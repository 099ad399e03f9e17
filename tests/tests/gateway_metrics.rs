//! What machines read: metrics, JSON, exit codes.
#![expect(clippy::expect_used, reason = "helpers of tests panic like tests")]

use std::collections::BTreeMap;

use firewall_tests::{
    gateway::{
        Gateway, Stream, assert_promtool_has_nothing_to_say,
        policy::{FAR, NEAR, images},
    },
    packet::{tcp, udp},
};

#[test]
fn the_metrics_page_satisfies_promtool_and_says_what_the_counters_say() {
    let gateway = Gateway::start(&images());
    let (near, far) = (gateway.lab().near(), gateway.lab().far());
    for address in FAR.addresses() {
        Stream::open(near, far, address, 104).assert_flows();
    }
    for headers in NEAR.to(&FAR) {
        near.port().send(&(&headers / udp(1, 2)));
        near.port().send(&(&headers / tcp(1, 104).syn().fin()));
    }
    gateway.stop(Some("hospital"), false);
    gateway.ledger();
    let page = gateway.metrics_page();
    assert_promtool_has_nothing_to_say(&page);
    let metrics = parse(&page);
    let value = |name: &str| {
        metrics.get(name).copied().unwrap_or_else(|| panic!("{name} is not in {page}"))
    };
    let (counters, status) = (gateway.counters(), gateway.status());
    for port in &counters.ports {
        let name = &port.port;
        let received = format!("cordon_received_packets_total{{port=\"{name}\"}}");
        assert_eq!(value(&received), port.received.packets);
        for count in &port.verdicts {
            let labels = format!(
                "{{port=\"{name}\",verdict=\"{}\",reason=\"{}\"}}",
                count.verdict, count.reason
            );
            assert_eq!(value(&format!("cordon_packets_total{labels}")), count.count.packets);
            assert_eq!(value(&format!("cordon_bytes_total{labels}")), count.count.bytes);
        }
        assert_eq!(value(&format!("cordon_armed{{port=\"{name}\"}}")), 1);
    }
    assert!(counters.rules.iter().any(|rule| rule.count.packets > 0));
    for rule in &counters.rules {
        let labels = format!("{{rule=\"{}\"}}", rule.rule);
        assert_eq!(value(&format!("cordon_rule_packets_total{labels}")), rule.count.packets);
        assert_eq!(value(&format!("cordon_rule_bytes_total{labels}")), rule.count.bytes);
    }
    assert_eq!(value("cordon_policy_generation"), u64::from(status.policy.generation));
    assert_eq!(value(&format!("cordon_policy_info{{hash=\"{}\"}}", status.policy.hash)), 1);
    assert_eq!(value("cordon_flow_capacity"), status.flows.capacity);
    assert_eq!(value("cordon_flow_capacity_half_open"), status.flows.half_open_capacity);
    assert_eq!(value("cordon_stopped"), 0);
    for (subnetwork, criticality, stopped) in
        [("hospital", "planned", 1), ("radiology", "time-critical", 0)]
    {
        let labels = format!("{{subnetwork=\"{subnetwork}\",criticality=\"{criticality}\"}}");
        assert_eq!(value(&format!("cordon_subnetwork_stopped{labels}")), stopped);
    }
    assert_eq!(value("cordon_events_total{kind=\"stop\"}"), 1);
    assert_eq!(value("cordon_events_lost_total"), counters.events.lost);
}

fn parse(page: &str) -> BTreeMap<String, u64> {
    let samples = page.lines().filter(|line| !line.starts_with('#'));
    let samples = samples.filter_map(|line| line.rsplit_once(' '));
    samples.map(|(name, value)| (name.to_owned(), value.parse().expect(name))).collect()
}

#[test]
fn every_answer_is_json_for_those_who_want_json() {
    let gateway = Gateway::start(&images());
    let policies = gateway.lab().directory().join("policies");
    for command in [
        &["status"][..],
        &["counters"],
        &["flows"],
        &["nodes"],
        &["reload"],
        &["stop-all", "--subnetwork", "radiology", "--reason", "x"],
        &["resume", "--subnetwork", "radiology", "--reason", "x"],
        &["isolate", "ct-1", "--reason", "x"],
        &["release", "ct-1", "--reason", "x"],
        &["check", policies.to_str().unwrap()],
        &["stop-all", "--direct", "--reason", "x"],
    ] {
        let said = gateway.cordon(&[&["--json"], command].concat()).done();
        let answer: serde_json::Value = serde_json::from_str(&said)
            .unwrap_or_else(|error| panic!("{command:?}: {error}: {said}"));
        assert!(answer.as_object().is_some_and(|answer| !answer.is_empty()), "{command:?}");
    }
    let events = gateway.cordon(&["--json", "events"]).done();
    let kinds = events.lines().map(|line| {
        let event: serde_json::Value = serde_json::from_str(line).expect(line);
        event["kind"].as_str().unwrap().to_owned()
    });
    let kinds: Vec<_> = kinds.filter(|kind| !["drop", "flow"].contains(&&**kind)).collect();
    assert_eq!(kinds, ["start", "reload", "stop", "resume", "isolate", "release"]);
}

#[test]
fn an_exit_code_says_whose_turn_it_is() {
    let mut gateway = Gateway::start(&images());
    let policies = gateway.lab().directory().join("policies");
    let policies = policies.to_str().unwrap();
    for (code, command) in [
        (0, &["status"][..]),
        (0, &["check", policies]),
        (1, &["isolate", "nobody", "--reason", "x"]),
        (1, &["resume", "--subnetwork", "nowhere", "--reason", "x"]),
        (2, &["stop-all"]),
        (2, &["stop-all", "--reason", ""]),
        (2, &["stop-all", "--reason", "two\nlines"]),
        (2, &["dance"]),
        (2, &["check", "/nowhere"]),
    ] {
        let ended = gateway.cordon(command);
        assert_eq!(ended.code, Some(code), "{command:?}: {}", ended.errors);
    }
    gateway.policy("version = 3");
    assert_eq!(gateway.cordon(&["check", policies]).code, Some(2));
    assert_eq!(gateway.cordon(&["reload"]).code, Some(2));
    gateway.kill();
    for command in [
        &["status"][..],
        &["counters"],
        &["flows"],
        &["nodes"],
        &["events"],
        &["reload"],
        &["stop-all", "--reason", "x"],
        &["resume", "--reason", "x"],
        &["isolate", "ct-1", "--reason", "x"],
    ] {
        gateway.cordon(command).refused(3, "in place");
    }
}
