//! What people read.

use clap::CommandFactory;
use firewall_control::*;
use insta::assert_snapshot;

use super::*;
use crate::failure::{Exit, Told};
use crate::paint::Paint;

const NOW: &str = "2026-01-31T12:00:00Z";

fn caller() -> Caller {
    Caller {
        uid: 1000,
        gid: 990,
        pid: 4711,
        user: Some("eva".into()),
        process: Some("cordon".into()),
    }
}

fn stopped(level: StopLevel) -> Stop {
    Stop {
        level,
        since: Some(NOW.into()),
        by: Some(caller()),
        reason: Some("malware on ct-1".into()),
    }
}

fn port(name: &str, peer: &str, xdp: XdpMode) -> Port {
    Port {
        name: name.into(),
        interface: "eth1".into(),
        interface_index: 3,
        driver: Some("ixgbe".into()),
        xdp,
        vlan_offload: VlanOffload::Off,
        armed: xdp != XdpMode::None,
        peer: Some(peer.into()),
    }
}

fn subnetwork(name: &str, vlan: Option<u16>, stop: Stop, effective: StopLevel) -> Subnetwork {
    Subnetwork {
        name: name.into(),
        criticality: Criticality::TimeCritical,
        port: "inside".into(),
        vlan,
        nodes: 12,
        stop,
        effective,
    }
}

fn status() -> Status {
    let ordinary = StopLevel::Ordinary;
    Status {
        version: "0.1.0".into(),
        started: NOW.into(),
        uptime_seconds: 93_784,
        mode: Mode::Bridge,
        stop: Stop::default(),
        policy: Policy {
            generation: 7,
            hash: "c0ffee1234567890".into(),
            armed: true,
            activated: Some(NOW.into()),
            nodes: 1024,
            rules: 1,
        },
        ports: vec![
            port("inside", "outside", XdpMode::Native),
            port("outside", "inside", XdpMode::None),
        ],
        subnetworks: vec![
            subnetwork("radiology", Some(120), stopped(ordinary), ordinary),
            subnetwork("hospital", None, Stop::default(), StopLevel::None),
        ],
        nodes: vec![
            NodeCount {
                subnetwork: "radiology".into(),
                authentication: Authentication::Dot1x,
                state: NodeState::Expired,
                count: 3,
            },
            NodeCount {
                subnetwork: "hospital".into(),
                authentication: Authentication::Static,
                state: NodeState::Authenticated,
                count: 1021,
            },
        ],
        sources: vec![
            LeaseSource {
                source: "dot1x".into(),
                port: Some("inside".into()),
                up: false,
                leases: 3,
                in_grace: 3,
            },
            LeaseSource { source: "lease".into(), port: None, up: true, leases: 1020, in_grace: 0 },
        ],
        flows: FlowTable {
            count: 1234,
            capacity: 262_144,
            half_open: 5,
            half_open_capacity: 65_536,
        },
        health: vec![Check {
            name: "latch".into(),
            state: Health::Ok,
            sentence: "the latch on disk and the kernel agree".into(),
        }],
    }
}

#[test]
fn a_check_tells_only_what_is_not_well_and_fails_for_what_fails() {
    let check = |name: &str, state, sentence: &str| Check {
        name: name.into(),
        state,
        sentence: sentence.into(),
    };
    let unwell = |health| status::Unwell::of(Status { health, ..status() });
    let mut health = status().health;
    let well = unwell(health.clone());
    assert_eq!(well.render(Paint::plain()), "ok\n");
    assert!(well.verdict().is_ok());
    health.push(check("guard", Health::Warn, "repaired 3 s ago: somebody lifted the stop"));
    assert!(unwell(health.clone()).verdict().is_ok(), "a warning");
    health.push(check("port inside", Health::Fail, "there is no interface eth1"));
    let unwell = unwell(health);
    assert_snapshot!(unwell.render(Paint::plain()), @r"
      check        state
      guard        warn   repaired 3 s ago: somebody lifted the stop
      port inside  fail   there is no interface eth1
    ");
    let told = told(unwell.verdict().unwrap_err());
    assert_eq!((told.exit, &*told.sentence), (Exit::Refused, "not well: port inside"));
}

fn end(node: Option<&str>, address: &str, port: Option<u16>) -> FlowEnd {
    FlowEnd { node: node.map(str::to_owned), subnetwork: None, address: address.into(), port }
}

fn flow() -> Flow {
    Flow {
        from: end(Some("ct-1"), "10.20.0.11", Some(40001)),
        to: end(Some("pacs"), "fd00:20::20", Some(104)),
        protocol: "tcp".into(),
        application_port: Some(104),
        state: FlowState::Established,
        rule: Some("images to the archive".into()),
        essential: true,
        generation: 7,
        expires_in_seconds: 86_399,
    }
}

#[test]
fn the_command_line_is_consistent() {
    Arguments::command().debug_assert();
    assert_snapshot!(Arguments::command().term_width(100).render_help());
}

#[test]
fn a_status_tells_who_stopped_what_and_why() {
    assert_snapshot!(status::render(&status(), Paint::plain()));
}

#[test]
fn a_stop_of_everything_is_the_first_thing_said() {
    let status = Status { stop: stopped(StopLevel::Hard), ..status() };
    let text = status::render(&status, Paint::plain());
    assert_eq!(
        text.lines().next(),
        Some(
            "STOPPED, hard by eva (uid 1000, cordon, pid 4711) since 2026-01-31T12:00:00Z: \
             malware on ct-1"
        )
    );
}

#[test]
fn a_firewall_is_in_force_only_if_every_port_is_armed() {
    let headline = |status: &Status| {
        status::render(status, Paint::plain()).lines().next().unwrap_or_default().to_owned()
    };
    let mut status = status();
    assert_eq!(headline(&status), "NOT ARMED: nothing is forwarded on outside.");
    status.ports.pop();
    assert_eq!(headline(&status), "In force; stopped: radiology.");
    status.subnetworks.remove(0);
    assert_eq!(headline(&status), "In force.");
    status.policy.armed = false;
    assert_eq!(headline(&status), "NOT ARMED: no policy is active, everything is dropped.");
}

#[test]
fn counters_add_up_before_the_eye() {
    let count = Tally { packets: 1_234_567, bytes: 987_654_321 };
    let verdict =
        |verdict, reason: &str, count| VerdictCount { verdict, reason: reason.into(), count };
    let counters = Counters {
        ports: vec![PortCounters {
            port: "inside".into(),
            received: count,
            verdicts: vec![
                verdict(Verdict::Pass, "established", count),
                verdict(Verdict::Drop, "no_rule", Tally { packets: 1, bytes: 60 }),
                verdict(Verdict::Drop, "fragment", Tally::default()),
            ],
        }],
        rules: vec![RuleCount { rule: "images to the archive".into(), count }],
        pairs: vec![PairCount { from: "radiology".into(), to: "hospital".into(), count }],
        events: EventCounters { emitted: 1000, suppressed: 20, lost: 0, kinds: Vec::new() },
        authentication: AuthenticationCounters::default(),
    };
    assert_snapshot!(counters::render(&counters, false, 100, Paint::plain()));
}

#[test]
fn nodes_stand_in_a_table() {
    let node = Node {
        name: "ct-1".into(),
        subnetwork: "radiology".into(),
        kind: Some("modality".into()),
        addresses: vec!["10.20.0.11".into(), "fd00:20::11".into()],
        mac: Some("02:00:00:20:00:11".into()),
        authentication: Authentication::Lease,
        state: NodeState::Authenticated,
        lease_seconds: Some(3599),
        lease_source: Some("dot1x".into()),
        identity: Some("ct-1.radiology.example".into()),
        in_grace: false,
        flows: 2,
    };
    let isolated = Node {
        name: "pacs".into(),
        kind: None,
        mac: None,
        lease_seconds: None,
        lease_source: None,
        identity: None,
        state: NodeState::Isolated,
        ..node.clone()
    };
    assert_snapshot!(nodes::render(
        &Nodes { nodes: vec![node, isolated], total: 7 },
        Paint::plain()
    ));
}

#[test]
fn flows_stand_in_a_table() {
    let ping = Flow {
        from: end(None, "10.20.0.99", None),
        protocol: "icmp".into(),
        state: FlowState::HalfOpen,
        rule: None,
        ..flow()
    };
    let flows = Flows { flows: vec![flow(), ping], total: 1002 };
    assert_snapshot!(flows::render(&flows, Paint::plain()));
    assert_eq!(flows::render(&Flows::default(), Paint::plain()), "No flows are live.\n");
}

#[test]
fn an_event_is_one_line() {
    let drop = Event {
        verdict: Some(Verdict::Drop),
        reason: Some("no_rule".into()),
        port: Some("inside".into()),
        vlan: Some(120),
        ethertype: Some(0x800),
        protocol: Some("tcp".into()),
        source: Some(Party {
            address: Some("10.20.0.11".into()),
            port: Some(40001),
            node: Some("ct-1".into()),
            ..Party::default()
        }),
        destination: Some(Party {
            address: Some("fd00::1".into()),
            port: Some(80),
            ..Party::default()
        }),
        length: Some(60),
        ..Event::new(1, NOW.into(), 0, EventKind::Drop)
    };
    let strange = Event {
        verdict: Some(Verdict::Drop),
        reason: Some("ethertype".into()),
        port: Some("inside".into()),
        ethertype: Some(0x88cc),
        source: Some(Party { mac: Some("02:00:00:20:00:11".into()), ..Party::default() }),
        ..Event::new(2, NOW.into(), 0, EventKind::Drop)
    };
    let stop = Event {
        reason: Some("a drill".into()),
        subnetwork: Some("radiology".into()),
        by: Some(caller()),
        ..Event::new(3, NOW.into(), 0, EventKind::Stop)
    };
    let lines = [drop, strange, stop].map(|event| events::render(&event, Paint::plain()));
    assert_snapshot!(lines.join("\n"));
}

#[test]
fn a_reload_tells_what_changed_and_what_was_cut() {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let report = ReloadReport {
        generation: 8,
        policy_hash: "c0ffee1234567890".into(),
        nodes: Changes::new(
            names(&["ct-2"]),
            names(&["ct-9", "mr-9"]),
            Vec::new(),
            (0..60).map(|index| format!("node-{index:02}")).collect(),
        ),
        rules: Changes::new(vec![], vec![], names(&["images to the archive"]), vec![]),
        subnetworks: Changes::new(vec![], vec![], vec![], names(&["hospital", "radiology"])),
        cut_flows: vec![flow()],
        cut_flows_count: 3,
        warnings: vec![Diagnostic {
            severity: Severity::Warning,
            code: "any-source".into(),
            message: "any address may open this".into(),
            file: Some("10-radiology.toml".into()),
            line: Some(12),
            column: Some(1),
            help: Some("name the nodes".into()),
            rendered: None,
        }],
        took_microseconds: 12_345,
        steps: Steps { read_ms: 0.5, compile_ms: 11.8, ..Steps::default() },
        message: String::new(),
    };
    let brief = reload::render(&report, false, Paint::plain());
    let verbose = reload::render(&report, true, Paint::plain());
    assert_eq!(verbose.lines().count(), brief.lines().count() + report.steps.named().len());
    assert!(verbose.ends_with("  compare         0.0 ms\n"), "{verbose}");
    assert_snapshot!(brief);
}

#[test]
fn a_stop_tells_what_the_kernel_says_and_how_long_it_took() {
    let report = StopReport {
        subnetwork: Some("radiology".into()),
        latched: StopLevel::Ordinary,
        effective: StopLevel::Ordinary,
        since: Some(NOW.into()),
        took_microseconds: 812,
        message: String::new(),
    };
    assert_snapshot!(stop_all::render(&report, Paint::plain()));
}

#[test]
fn an_isolation_tells_what_was_cut() {
    let report = NodeReport {
        node: "ct-1".into(),
        state: NodeState::Isolated,
        cut_flows: 1,
        took_microseconds: 95,
        message: "ct-1 is cut off in both directions".into(),
    };
    assert_snapshot!(isolate::render(&report, Paint::plain()));
}

fn told(failure: Failure) -> Told {
    match failure {
        Failure::Told(told) => told,
        Failure::NobodyReads => panic!("nothing is told"),
    }
}

#[test]
fn an_unreachable_daemon_is_told_with_what_the_pins_say() {
    let error = ClientError::Unreachable {
        path: "/run/cordon/control.sock".into(),
        source: std::io::Error::from_raw_os_error(2),
    };
    let told = told(Failure::of_client(error, std::path::Path::new("/nowhere")));
    assert_eq!(told.exit, Exit::Unreachable);
    assert_snapshot!(told.render(Paint::plain()));
}

#[test]
fn a_refusal_is_a_sentence_and_a_hint() {
    let body = ErrorBody {
        error: "there is no node \"ct-\u{1b}[2J\"".into(),
        hint: Some("`cordon nodes` lists them".into()),
        code: ErrorCode::NotFound,
        diagnostics: Vec::new(),
    };
    let refused = ClientError::Refused { status: 404, body: Box::new(body.clone()) };
    let refused = told(Failure::of_client(refused, std::path::Path::new("/nowhere")));
    assert_eq!(refused.exit, Exit::Refused);
    assert_snapshot!(refused.render(Paint::plain()));

    let body = ErrorBody { code: ErrorCode::InvalidPolicy, ..body };
    let invalid = ClientError::Refused { status: 422, body: Box::new(body) };
    let invalid = told(Failure::of_client(invalid, std::path::Path::new("/nowhere")));
    assert_eq!(invalid.exit, Exit::Invalid);
}
