//! The description says what the types say.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::Value;

use crate::*;

fn schemas() -> Value {
    let description: Value = serde_json::from_str(OPENAPI).unwrap();
    description["components"]["schemas"].clone()
}

/// Checks a value with everything it can have against its schema, all the way down.
fn compare(name: &str, full: &impl Serialize) {
    agree(
        &schemas(),
        &serde_json::json!({ "$ref": reference(name) }),
        &serde_json::to_value(full).unwrap(),
        name,
    );
}

fn reference(name: &str) -> String {
    format!("#/components/schemas/{name}")
}

fn agree(schemas: &Value, schema: &Value, value: &Value, path: &str) {
    let schema = match schema["$ref"].as_str() {
        Some(reference) => &schemas[reference.rsplit('/').next().unwrap()],
        None => schema,
    };
    match value {
        Value::Object(fields) => {
            let described = schema["properties"].as_object().unwrap_or_else(|| panic!("{path}"));
            let described: BTreeSet<_> = described.keys().collect();
            assert_eq!(described, fields.keys().collect(), "{path}");
            for (key, value) in fields {
                let path = format!("{path}.{key}");
                agree(schemas, &schema["properties"][key], value, &path);
            }
        }
        Value::Array(items) => {
            assert_eq!(schema["type"], "array", "{path}");
            assert!(!items.is_empty(), "{path}: nothing to compare");
            items.iter().for_each(|item| agree(schemas, &schema["items"], item, path));
        }
        Value::String(text) => {
            assert!(names_type(schema, "string"), "{path}");
            if let Some(names) = schema["enum"].as_array() {
                assert!(names.iter().any(|name| name == text), "{path}: {text}");
            }
        }
        Value::Number(number) => {
            let kind = if number.is_f64() { "number" } else { "integer" };
            assert!(names_type(schema, kind), "{path}");
        }
        Value::Bool(_) => assert!(names_type(schema, "boolean"), "{path}"),
        Value::Null => panic!("{path}: nothing is null"),
    }
}

fn names_type(schema: &Value, name: &str) -> bool {
    schema["type"] == name
        || schema["type"].as_array().is_some_and(|types| types.contains(&name.into()))
}

/// Checks that a value without what it need not have has exactly what is required.
fn require(name: &str, least: &impl Serialize) {
    let value = serde_json::to_value(least).unwrap();
    let schemas = schemas();
    let required = schemas[name]["required"].as_array().unwrap();
    let required: BTreeSet<_> = required.iter().map(|key| key.as_str().unwrap()).collect();
    assert_eq!(required, value.as_object().unwrap().keys().map(String::as_str).collect(), "{name}");
}

fn text() -> String {
    "text".to_owned()
}

fn caller() -> Caller {
    Caller { uid: 1, gid: 1, pid: 1, user: Some(text()), process: Some(text()) }
}

fn stop() -> Stop {
    Stop { level: StopLevel::Hard, since: Some(text()), by: Some(caller()), reason: Some(text()) }
}

fn flow() -> Flow {
    let end =
        FlowEnd { node: Some(text()), subnetwork: Some(text()), address: text(), port: Some(104) };
    Flow {
        from: end.clone(),
        to: end,
        protocol: text(),
        application_port: Some(104),
        state: FlowState::HalfOpen,
        rule: Some(text()),
        essential: true,
        generation: 1,
        expires_in_seconds: 1,
    }
}

fn diagnostic() -> Diagnostic {
    Diagnostic {
        severity: Severity::Warning,
        code: text(),
        message: text(),
        file: Some(text()),
        line: Some(1),
        column: Some(1),
        help: Some(text()),
        rendered: Some(text()),
    }
}

#[test]
fn the_status_is_described() {
    let status = Status {
        version: text(),
        started: text(),
        uptime_seconds: 1,
        mode: Mode::Bridge,
        stop: stop(),
        policy: Policy {
            generation: 1,
            hash: text(),
            armed: true,
            activated: Some(text()),
            nodes: 1,
            rules: 1,
        },
        ports: vec![Port {
            name: text(),
            interface: text(),
            interface_index: 1,
            driver: Some(text()),
            xdp: XdpMode::Native,
            vlan_offload: VlanOffload::Off,
            armed: true,
            peer: Some(text()),
        }],
        subnetworks: vec![Subnetwork {
            name: text(),
            criticality: Criticality::RealTime,
            port: text(),
            vlan: Some(120),
            nodes: 1,
            stop: stop(),
            effective: StopLevel::Hard,
        }],
        nodes: vec![NodeCount {
            subnetwork: text(),
            authentication: Authentication::Dot1x,
            state: NodeState::NoLease,
            count: 1,
        }],
        sources: vec![LeaseSource {
            source: text(),
            port: Some(text()),
            up: true,
            leases: 1,
            in_grace: 1,
        }],
        flows: FlowTable { count: 1, capacity: 1, half_open: 1, half_open_capacity: 1 },
        health: vec![Check { name: text(), state: Health::Ok, sentence: text() }],
    };
    compare("Status", &status);
    let source = LeaseSource { source: text(), port: None, up: false, leases: 0, in_grace: 0 };
    require("LeaseSource", &source);
    require("Stop", &Stop::default());
    require("Caller", &Caller::default());
}

#[test]
fn the_counters_are_described() {
    let count = Tally { packets: 1, bytes: 1 };
    let counters = Counters {
        ports: vec![PortCounters {
            port: text(),
            received: count,
            verdicts: vec![VerdictCount { verdict: Verdict::Drop, reason: text(), count }],
        }],
        rules: vec![RuleCount { rule: text(), count }],
        pairs: vec![PairCount { from: text(), to: text(), count }],
        events: EventCounters {
            emitted: 1,
            suppressed: 1,
            lost: 1,
            kinds: vec![KindCount { kind: EventKind::Drop, count: 1 }],
        },
        authentication: AuthenticationCounters {
            refused: vec![ReasonCount { reason: text(), count: 1 }],
            radius_statements: 1,
            radius_retransmissions: 1,
            radius_refused: vec![ReasonCount { reason: text(), count: 1 }],
        },
    };
    compare("Counters", &counters);
}

#[test]
fn flows_and_nodes_are_described() {
    compare("Flows", &Flows { flows: vec![flow()], total: 1 });
    let node = Node {
        name: text(),
        subnetwork: text(),
        kind: Some(text()),
        addresses: vec![text()],
        mac: Some(text()),
        authentication: Authentication::Static,
        state: NodeState::Isolated,
        lease_seconds: Some(1),
        lease_source: Some("dot1x".into()),
        identity: Some("ct-1".into()),
        in_grace: true,
        flows: 1,
    };
    compare("Nodes", &Nodes { nodes: vec![node.clone()], total: 1 });
    require(
        "Node",
        &Node {
            kind: None,
            mac: None,
            lease_seconds: None,
            lease_source: None,
            identity: None,
            in_grace: false,
            ..node
        },
    );
    require("Flow", &Flow { application_port: None, rule: None, ..flow() });
    require("FlowEnd", &FlowEnd::default());
}

#[test]
fn events_are_described() {
    let event = Event::new(1, text(), 1, EventKind::Drop);
    require("Event", &event);
    let party = Party {
        mac: Some(text()),
        address: Some(text()),
        port: Some(104),
        node: Some(text()),
        subnetwork: Some(text()),
    };
    let full = Event {
        verdict: Some(Verdict::Drop),
        reason: Some(text()),
        port: Some(text()),
        vlan: Some(120),
        ethertype: Some(0x800),
        source: Some(party.clone()),
        destination: Some(party),
        protocol: Some(text()),
        length: Some(64),
        rule: Some(text()),
        subnetwork: Some(text()),
        node: Some(text()),
        generation: Some(1),
        count: Some(1),
        by: Some(caller()),
        message: Some(text()),
        ..event
    };
    compare("Event", &full);
    require("Party", &Party::default());
}

#[test]
fn commands_and_reports_are_described() {
    let (subnetwork, reason) = (Some(text()), text());
    compare("StopRequest", &StopRequest { subnetwork: subnetwork.clone(), hard: true, reason });
    compare("ResumeRequest", &ResumeRequest { subnetwork: subnetwork.clone(), reason: text() });
    compare("ReasonRequest", &ReasonRequest { reason: text() });
    let report = StopReport {
        subnetwork,
        latched: StopLevel::Ordinary,
        effective: StopLevel::Ordinary,
        since: Some(text()),
        took_microseconds: 1,
        message: text(),
    };
    compare("StopReport", &report);
    require("StopReport", &StopReport { subnetwork: None, since: None, ..report });
    let report = NodeReport {
        node: text(),
        state: NodeState::Isolated,
        cut_flows: 1,
        took_microseconds: 1,
        message: text(),
    };
    compare("NodeReport", &report);
    let names = vec![text()];
    let changes = Changes::new(names.clone(), names.clone(), names.clone(), names);
    let report = ReloadReport {
        generation: 1,
        policy_hash: text(),
        nodes: changes.clone(),
        rules: changes.clone(),
        subnetworks: changes,
        cut_flows: vec![flow()],
        cut_flows_count: 1,
        warnings: vec![diagnostic()],
        took_microseconds: 1,
        steps: Steps::default(),
        message: text(),
    };
    compare("ReloadReport", &report);
}

#[test]
fn a_long_list_of_names_is_cut_short_and_counted() {
    let names: Vec<_> = (0..2500).rev().map(|number| format!("n{number:04}")).collect();
    let changes = Changes::new(names, vec!["b".into(), "a".into()], Vec::new(), Vec::new());
    assert_eq!(changes.added.len(), 1000);
    assert_eq!((&*changes.added[0], &*changes.added[999]), ("n0000", "n0999"));
    assert_eq!(changes.removed, ["a", "b"]);
    assert_eq!(changes.totals, Totals { added: 2500, removed: 2, changed: 0, kept: 0 });
}

#[test]
fn refusals_are_described() {
    let body = ErrorBody {
        error: text(),
        hint: Some(text()),
        code: ErrorCode::InvalidPolicy,
        diagnostics: vec![diagnostic()],
    };
    compare("ErrorBody", &body);
    require("ErrorBody", &ErrorBody { hint: None, diagnostics: Vec::new(), ..body });
}

#[test]
fn every_name_is_described() {
    fn check(schema: &str, names: impl Iterator<Item = &'static str>) {
        assert_eq!(schemas()[schema]["enum"], serde_json::json!(names.collect::<Vec<_>>()));
    }
    check("Mode", Mode::ALL.iter().map(|name| name.name()));
    check("StopLevel", StopLevel::ALL.iter().map(|name| name.name()));
    check("XdpMode", XdpMode::ALL.iter().map(|name| name.name()));
    check("VlanOffload", VlanOffload::ALL.iter().map(|name| name.name()));
    check("Criticality", Criticality::ALL.iter().map(|name| name.name()));
    check("Authentication", Authentication::ALL.iter().map(|name| name.name()));
    check("EventSeverity", EventSeverity::ALL.iter().map(|name| name.name()));
    check("NodeState", NodeState::ALL.iter().map(|name| name.name()));
    check("Health", Health::ALL.iter().map(|name| name.name()));
    check("Verdict", Verdict::ALL.iter().map(|name| name.name()));
    check("EventKind", EventKind::ALL.iter().map(|name| name.name()));
    check("FlowState", FlowState::ALL.iter().map(|name| name.name()));
    check("Severity", Severity::ALL.iter().map(|name| name.name()));
    check("ErrorCode", ErrorCode::ALL.iter().map(|name| name.name()));
}

#[test]
fn every_reference_leads_somewhere() {
    let schemas = schemas();
    for part in OPENAPI.split("\"#/components/schemas/").skip(1) {
        let name = part.split('"').next().unwrap();
        assert!(schemas[name].is_object(), "{name}");
    }
}
