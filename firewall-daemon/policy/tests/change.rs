//! What a reload says it would change, and what expectations look at.
#![expect(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

use firewall_policy::model::{Expected, Protocol};
use firewall_policy::{
    Capacity, Change, Code, Policy, Ports, SequentialSlots, Sources, check, compile, resolve,
};

const BASE: &str = r#"
[subnetwork.a]
port = "inside"
networks = ["10.1.0.0/16"]
[subnetwork.b]
port = "outside"
networks = ["10.2.0.0/16"]
[node.n]
subnetwork = "a"
addresses = ["10.1.0.1"]
[node.m]
subnetwork = "b"
addresses = ["10.2.0.1"]
[application.p]
tcp = ["10-20"]
udp = ["7"]
[[allow]]
name = "first"
from = ["n"]
to = ["m"]
applications = ["p"]
[[allow]]
name = "second"
from = ["b/*"]
to = ["n"]
applications = ["p"]
"#;

fn sources(text: &str) -> Sources {
    // A version in a later file is one, too.
    Sources::from_texts([("a.toml", text), ("b.toml", "version = 1\n")])
}

fn policy(text: &str) -> Policy {
    resolve(&sources(text), &Ports::unknown()).unwrap().policy
}

fn change(old: &str, new: &str) -> Change {
    assert!(BASE.contains(old));
    Change::between(Some(&policy(BASE)), &policy(&BASE.replacen(old, new, 1)))
}

#[test]
fn everything_is_added_to_nothing() {
    let change = Change::between(None, &policy(BASE));
    assert_eq!(change.nodes.added, ["n", "m"]);
    assert_eq!(change.rules.added, ["first", "second"]);
    assert_eq!(change.subnetworks.added, ["a", "b"]);
    assert!(!change.is_empty());
}

#[test]
fn the_same_policy_in_another_order_is_no_change() {
    let (head, tail) = BASE.split_at(BASE.find("[node.m]").unwrap());
    let (node, rest) = tail.split_at(tail.find("[application").unwrap());
    let moved = format!("{node}{head}{rest}");
    assert!(Change::between(Some(&policy(BASE)), &policy(&moved)).is_empty());
}

#[test]
fn a_renamed_rule_is_another_rule() {
    let change = change("\"second\"", "\"third\"");
    assert_eq!(change.rules.kept, ["first"]);
    assert_eq!(change.rules.removed, ["second"]);
    assert_eq!(change.rules.added, ["third"]);
    assert!(change.nodes.is_empty() && change.applications.is_empty());
}

#[test]
fn a_changed_application_changes_the_rules_that_use_it() {
    let change = change("10-20", "10-21");
    assert_eq!(change.applications.changed, ["p"]);
    assert_eq!(change.rules.changed, ["first", "second"]);
}

#[test]
fn a_node_with_another_address_has_changed() {
    let change = change("10.2.0.1", "10.2.0.2");
    assert_eq!(change.nodes.changed, ["m"]);
    assert_eq!(change.nodes.kept, ["n"]);
    assert!(change.rules.is_empty());
}

#[test]
fn an_expectation_looks_at_every_part_of_an_application() {
    let expecting = |application: &str, verdict: &str| {
        let text = format!(
            "{BASE}[application.x]\n{application}\n[[expect]]\nfrom = \"n\"\nto = \"m\"\n\
             application = \"x\"\nverdict = \"{verdict}\"\n"
        );
        match resolve(&sources(&text), &Ports::unknown()) {
            Ok(resolved) => {
                assert_eq!(resolved.policy.expectations().len(), 1);
                "holds".to_owned()
            }
            Err(found) => {
                let mut errors = found.iter().filter(|one| one.code == Code::ExpectationFailed);
                errors.next().unwrap().message.rsplit(": ").next().unwrap().to_owned()
            }
        }
    };
    assert_eq!(expecting("tcp = [\"10-20\"]", "pass"), "holds");
    assert_eq!(expecting("tcp = [\"10-21\"]", "pass"), "TCP port 21");
    assert_eq!(expecting("tcp = [\"9-12\"]", "pass"), "TCP port 9");
    assert_eq!(expecting("tcp = [\"5-12\"]", "drop"), "TCP port 10");
    assert_eq!(expecting("tcp = [\"21-30\"]\nudp = [\"8\"]", "drop"), "holds");
    assert_eq!(expecting("tcp = [\"11\"]\nudp = [\"7-8\"]", "pass"), "UDP port 8");
    assert_eq!(expecting("tcp = [\"11\"]\nicmp = [\"echo\"]", "pass"), "ICMP echo");
    assert_eq!(expecting("icmp = [\"echo\"]", "drop"), "holds");
}

#[test]
fn the_model_answers_who_may_open_what() {
    let policy = policy(BASE);
    let [n, m] = ["n", "m"].map(|name| policy.node_named(name).unwrap());
    let rule = |from, to, port| {
        policy.allows(from, to, Protocol::Tcp, port).map(|rule| rule.name.to_string())
    };
    assert_eq!(rule(n, m, 10).as_deref(), Some("first"));
    assert_eq!(rule(m, n, 20).as_deref(), Some("second"));
    assert_eq!(rule(n, m, 21), None);
    assert_eq!(rule(n, n, 10), None);
    assert_eq!(policy.applications()[0].samples(), [(Protocol::Tcp, 10), (Protocol::Udp, 7)]);
    assert_ne!(Expected::Pass, Expected::Drop);
}

#[test]
fn slots_stay_with_their_names() {
    let mut slots = SequentialSlots::new();
    let capacity = Capacity::default();
    let before = compile(&policy(BASE), &mut slots, 1, &capacity).unwrap();
    let text = BASE
        .replace("[node.n]", "[node.l]\nsubnetwork = \"a\"\naddresses = [\"10.1.0.9\"]\n[node.n]");
    let after = compile(&policy(&text), &mut slots, 1, &capacity).unwrap();
    for node in before.names.nodes() {
        assert_eq!(after.names.node(node.slot).unwrap().name, node.name);
    }
    assert_eq!(after.names.nodes().len(), 3);
}

#[test]
fn a_check_finds_what_only_the_compiler_knows() {
    let found = check(&sources(BASE), &Ports::unknown(), &Capacity::new(1, 9, 9)).unwrap_err();
    assert!(found.iter().any(|diagnostic| diagnostic.code == Code::Capacity));
    assert!(check(&sources(BASE), &Ports::unknown(), &Capacity::default()).is_ok());
}

#[test]
fn a_policy_that_says_only_its_version_allows_nothing() {
    let image = compile(&policy(""), &mut SequentialSlots::new(), 1, &Capacity::default()).unwrap();
    assert_eq!(image.header.shapes, 0);
    assert!(image.names.nodes().is_empty());
}

#[test]
fn complaints_are_counted_in_one_sentence() {
    let text = format!("{BASE}[application.unused]\ntcp = [\"0\"]\n");
    let found = resolve(&sources(&text), &Ports::unknown()).unwrap_err();
    assert_eq!(found.to_string(), "the policy has 1 error and 3 warnings");
}
