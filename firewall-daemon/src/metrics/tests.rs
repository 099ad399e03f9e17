use std::io::Write;
use std::process::{Command, Stdio};

use firewall_control::{
    Authentication, AuthenticationCounters, Check, Criticality, EventKind, Health, KindCount,
    LeaseSource, Mode, NodeCount, NodeState, PairCount, Policy, Port, PortCounters, ReasonCount,
    RuleCount, Stop, StopLevel, Subnetwork, Tally, Verdict, VerdictCount, VlanOffload, XdpMode,
};
use firewall_control::{EventCounters, FlowTable};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

fn snapshot() -> Snapshot {
    let status = Status {
        version: "0.1.0".into(),
        started: "2026-01-31T12:00:00Z".into(),
        uptime_seconds: 60,
        mode: Mode::Bridge,
        stop: Stop::default(),
        policy: Policy {
            generation: 7,
            hash: "c0ffee".into(),
            armed: true,
            activated: None,
            nodes: 2,
            rules: 1,
        },
        ports: vec![Port {
            name: "inside".into(),
            interface: "eth1".into(),
            interface_index: 3,
            driver: None,
            xdp: XdpMode::Native,
            vlan_offload: VlanOffload::Off,
            armed: true,
            peer: None,
        }],
        subnetworks: vec![Subnetwork {
            name: "radiology".into(),
            criticality: Criticality::TimeCritical,
            port: "inside".into(),
            vlan: Some(120),
            nodes: 1,
            stop: Stop::default(),
            effective: StopLevel::Ordinary,
        }],
        nodes: vec![NodeCount {
            subnetwork: "radiology".into(),
            authentication: Authentication::Dot1x,
            state: NodeState::NoLease,
            count: 1,
        }],
        sources: vec![
            LeaseSource {
                source: "dot1x".into(),
                port: Some("inside".into()),
                up: false,
                leases: 3,
                in_grace: 2,
            },
            LeaseSource { source: "radius".into(), port: None, up: true, leases: 1, in_grace: 0 },
        ],
        flows: FlowTable { count: 5, capacity: 262_144, half_open: 2, half_open_capacity: 65_536 },
        health: vec![Check {
            name: "latch".into(),
            state: Health::Ok,
            sentence: "the latch can be written".into(),
        }],
    };
    let tally = Tally { packets: 3, bytes: 180 };
    let dropped = VerdictCount { verdict: Verdict::Drop, reason: "no_rule".into(), count: tally };
    let counters = Counters {
        ports: vec![PortCounters {
            port: "inside".into(),
            received: tally,
            verdicts: vec![dropped],
        }],
        rules: vec![RuleCount { rule: "images to \"the\" \\ archive".into(), count: tally }],
        pairs: vec![PairCount { from: "radiology".into(), to: "hospital".into(), count: tally }],
        events: EventCounters {
            emitted: 4,
            suppressed: 1,
            lost: 0,
            kinds: vec![KindCount { kind: EventKind::Drop, count: 4 }],
        },
        authentication: AuthenticationCounters {
            refused: vec![ReasonCount { reason: "certificate".into(), count: 6 }],
            radius_statements: 8,
            radius_retransmissions: 9,
            radius_refused: vec![ReasonCount { reason: "stale".into(), count: 7 }],
        },
    };
    Snapshot { status, counters }
}

fn text() -> String {
    prometheus(&openmetrics(snapshot()).unwrap())
}

#[test]
fn the_page_has_the_metrics_of_the_contract() {
    let text = text();
    for line in [
        "cordon_packets_total{port=\"inside\",verdict=\"drop\",reason=\"no_rule\"} 3",
        "cordon_bytes_total{port=\"inside\",verdict=\"drop\",reason=\"no_rule\"} 180",
        "cordon_rule_packets_total{rule=\"images to \\\"the\\\" \\\\ archive\"} 3",
        "cordon_rule_bytes_total{rule=\"images to \\\"the\\\" \\\\ archive\"} 180",
        "cordon_subnetwork_stopped{subnetwork=\"radiology\",criticality=\"time-critical\"} 1",
        "cordon_stopped 0",
        "cordon_policy_generation 7",
        "cordon_policy_info{hash=\"c0ffee\"} 1",
        "cordon_nodes{subnetwork=\"radiology\",authentication=\"802.1x\",state=\"no_lease\"} 1",
        "cordon_flows 5",
        "cordon_flow_capacity 262144",
        "cordon_flow_capacity_half_open 65536",
        "cordon_events_total{kind=\"drop\"} 4",
        "cordon_events_lost_total 0",
        "cordon_armed{port=\"inside\"} 1",
        "cordon_authentication_source_up{source=\"dot1x\",port=\"inside\"} 0",
        "cordon_authentication_source_up{source=\"radius\"} 1",
        "cordon_leases{source=\"dot1x\",port=\"inside\"} 3",
        "cordon_leases{source=\"radius\"} 1",
        "cordon_leases_in_grace{source=\"dot1x\",port=\"inside\"} 2",
        "cordon_lease_refused_total{reason=\"certificate\"} 6",
        "cordon_radius_statements_total 8",
        "cordon_radius_retransmissions_total 9",
        "cordon_radius_refused_total{reason=\"stale\"} 7",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
}

#[test]
fn promtool_has_nothing_to_say() {
    let promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut promtool) = promtool else {
        eprintln!("skipped: promtool of the package `prometheus` is not installed");
        return;
    };
    promtool.stdin.take().unwrap().write_all(text().as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

async fn scrape(accept: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(serve(listener, || async { Ok(snapshot()) }));
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET /metrics HTTP/1.1\r\nhost: cordon\r\naccept: {accept}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    server.abort();
    answer
}

#[tokio::test]
async fn whoever_asks_for_openmetrics_gets_it() {
    let answer = scrape("application/openmetrics-text;version=1.0.0,text/plain;q=0.5").await;
    assert!(answer.contains(OPENMETRICS), "{answer}");
    assert!(answer.contains("# TYPE cordon_packets counter"), "{answer}");
    assert!(answer.trim_end().ends_with("# EOF"), "{answer}");
}

#[tokio::test]
async fn everybody_else_gets_the_text_format() {
    let answer = scrape("*/*").await;
    assert!(answer.contains(TEXT), "{answer}");
    assert!(answer.contains("# TYPE cordon_packets_total counter"), "{answer}");
    assert!(!answer.contains("# EOF"), "{answer}");
}
