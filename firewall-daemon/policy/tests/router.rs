//! Policies of a router: the gateway as an end of rules, and networks that it tells apart.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use firewall_common::Ticks;
use firewall_policy::explain::{Memory, Question, explain};
use firewall_policy::{
    Capacity, Code, Diagnostics, Policy, Ports, SequentialSlots, Sources, Style, compile, resolve,
};

const BASE: &str = r#"version = 1

[subnetwork.radiology]
port = "trunk"
vlan = 120
networks = ["10.20.0.0/24", "fd00:20::/64"]

[subnetwork.wards]
port = "trunk"
vlan = 130
networks = ["10.30.0.0/24"]

[subnetwork.hospital]
port = "outside"
networks = ["10.0.0.0/8"]
routers = ["02:00:5e:00:00:fe"]

[node.ct-1]
subnetwork = "radiology"
addresses = ["10.20.0.11", "fd00:20::11"]
mac = "02:00:00:20:00:11"

[node.monitor]
subnetwork = "wards"
addresses = ["10.30.0.30"]
mac = "02:00:00:30:00:30"

[node.pacs]
subnetwork = "hospital"
addresses = ["10.0.5.20"]

[application.dicom]
tcp = ["104"]
"#;

const IMAGES: &str = r#"
[[allow]]
name = "images"
from = ["ct-1", "monitor"]
to = ["pacs"]
applications = ["dicom"]
"#;

fn rule(from: &str, to: &str) -> String {
    format!(
        "{IMAGES}\n[[allow]]\nname = \"more\"\nfrom = [\"{from}\"]\nto = [\"{to}\"]\n\
         applications = [\"dicom\"]\n"
    )
}

fn router() -> Ports {
    Ports::routed(["trunk", "outside", "side"].map(str::to_owned))
}

fn bridge() -> Ports {
    let ports = [("trunk", 1), ("outside", 0)];
    Ports::paired(ports.map(|(name, peer)| (name.to_owned(), Some(firewall_common::Port(peer)))))
}

fn accepted(text: &str, ports: &Ports) -> Policy {
    let sources = Sources::from_texts([("policy.toml", text)]);
    match resolve(&sources, ports) {
        Ok(resolved) => resolved.policy,
        Err(found) => panic!("{}", found.render(&sources, Style::Plain)),
    }
}

/// What people read, and the codes.
fn complaints(text: &str, ports: &Ports) -> (Vec<Code>, String) {
    let sources = Sources::from_texts([("policy.toml", text)]);
    let found: Diagnostics = match resolve(&sources, ports) {
        Ok(resolved) => resolved.warnings,
        Err(found) => found,
    };
    let codes = found.iter().map(|diagnostic| diagnostic.code).collect();
    (codes, found.render(&sources, Style::Plain))
}

#[test]
fn a_rule_of_a_router_may_name_the_gateway_at_either_end() {
    for (from, to) in [("ct-1", "gateway"), ("gateway", "pacs"), ("hospital/any", "gateway")] {
        let policy = accepted(&format!("{BASE}{}", rule(from, to)), &router());
        assert!(policy.is_routed());
    }
}

#[test]
fn a_gateway_that_is_not_at_hand_is_a_router_if_a_rule_names_it() {
    let named = accepted(&format!("{BASE}{}", rule("gateway", "pacs")), &Ports::unknown());
    assert!(named.is_routed());
    // Between subnetworks of one port, too.
    let turning = accepted(&format!("{BASE}{}", rule("ct-1", "monitor")), &Ports::unknown());
    assert!(turning.is_routed());
    assert!(!accepted(&format!("{BASE}{IMAGES}"), &Ports::unknown()).is_routed());
}

#[test]
fn subnetworks_of_one_port_may_talk_through_a_router_only() {
    let text = format!("{BASE}{}", rule("ct-1", "monitor"));
    assert!(accepted(&text, &router()).is_routed());
    assert_eq!(complaints(&text, &bridge()).0, [Code::NoWay]);
    let within = format!("{BASE}{}", rule("ct-1", "radiology/*"));
    assert_eq!(complaints(&within, &router()).0, [Code::WithinSubnetwork]);
}

#[test]
fn a_rule_of_a_bridge_cannot_name_the_gateway() {
    let (codes, text) = complaints(&format!("{BASE}{}", rule("ct-1", "gateway")), &bridge());
    assert_eq!(codes, [Code::UnknownNode], "{text}");
    insta::assert_snapshot!(text);
}

#[test]
fn a_rule_from_the_gateway_to_itself_is_refused() {
    let (codes, text) = complaints(&format!("{BASE}{}", rule("gateway", "gateway")), &router());
    assert_eq!(codes, [Code::WithinSubnetwork], "{text}");
    insta::assert_snapshot!(text);
}

#[test]
fn a_node_of_a_router_cannot_be_called_gateway() {
    let node = "[node.gateway]\nsubnetwork = \"hospital\"\naddresses = [\"10.0.5.1\"]\n";
    let text = format!("{BASE}{node}{}", rule("ct-1", "gateway"));
    let (codes, said) = complaints(&text, &router());
    assert_eq!(codes, [Code::DuplicateName], "{said}");
    insta::assert_snapshot!(said);
    // A bridge has had such nodes for long.
    assert!(!accepted(&text, &bridge()).is_routed());
    assert!(!accepted(&text, &Ports::unknown()).is_routed());
}

#[test]
fn one_network_on_two_ports_of_a_router_is_refused() {
    let text = format!("{BASE}{IMAGES}").replace("10.0.0.0/8", "10.20.0.0/24");
    let text = text.replace("10.0.5.20", "10.20.0.20");
    let (codes, said) = complaints(&text, &router());
    assert_eq!(codes, [Code::OverlappingSubnetworks], "{said}");
    insta::assert_snapshot!(said);
    assert_eq!(complaints(&text, &bridge()).0, []);
}

#[test]
fn networks_within_one_another_are_told_apart_by_their_prefix() {
    let text = format!("{BASE}{}", rule("wards/any", "hospital/any"));
    let (codes, said) = complaints(&text, &router());
    assert_eq!(codes, [Code::AnySource], "{said}");
}

#[test]
fn the_prefixes_that_a_router_must_tell_apart_are_counted() {
    let nested: String = (17..25)
        .map(|length| {
            format!(
                "[subnetwork.n{length}]\nport = \"side\"\nvlan = {length}\n\
                 networks = [\"10.{length}.0.0/{length}\"]\n"
            )
        })
        .collect();
    let text = format!("{BASE}{nested}{}", rule("ct-1", "hospital/any"));
    let (codes, said) = complaints(&text, &router());
    assert!(codes.contains(&Code::TooManyPrefixLengths), "{said}");
    // Where nobody selects the wide one, no address is looked for.
    let text = format!("{BASE}{nested}{IMAGES}");
    assert!(!complaints(&text, &router()).0.contains(&Code::TooManyPrefixLengths));
}

fn told(rules: &str, from: &str, to: &str) -> String {
    let policy = accepted(&format!("{BASE}{rules}"), &router());
    let image = compile(&policy, &mut SequentialSlots::new(), 7, &Capacity::default()).unwrap();
    let question = Question::named(&policy, from, to, "dicom").unwrap();
    let mut memory = Memory::running(&image);
    let explained = explain(&policy, &image.names, &mut memory, question, Ticks(1)).unwrap();
    let sentences: Vec<_> = explained.answers.into_iter().map(|one| one.sentence).collect();
    assert_eq!(explained.allowed, sentences.iter().all(|one| one.contains(" may open ")));
    sentences.join("\n")
}

#[test]
fn the_gateway_is_explained_as_an_end() {
    let cases = [
        ("ct-1", "gateway", "ct-1", "gateway"),
        ("gateway", "pacs", "gateway", "pacs"),
        ("gateway", "pacs", "pacs", "gateway"),
        ("gateway", "pacs", "gateway", "ct-1"),
        ("ct-1", "gateway", "monitor", "gateway"),
        ("ct-1", "monitor", "ct-1", "monitor"),
        ("ct-1", "monitor", "monitor", "ct-1"),
        ("ct-1", "monitor", "ct-1", "pacs"),
    ];
    let lines = cases.map(|(by, towards, from, to)| told(&rule(by, towards), from, to));
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn a_bridge_has_no_gateway_to_explain() {
    let policy = accepted(&format!("{BASE}{IMAGES}"), &bridge());
    let error = Question::named(&policy, "ct-1", "gateway", "dicom").unwrap_err();
    assert_eq!(error.to_string(), "the policy has no node `gateway`");
}
