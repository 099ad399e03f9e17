//! Policies as somebody may write them.

use firewall_common::{Port, Ticks};
use firewall_policy::explain::{Memory, Question, Whom, explain, explain_frame, openings};
use firewall_policy::model::{ApplicationId, NodeId, Protocol};
use firewall_policy::{
    Capacity, Change, Image, Policy, Ports, SequentialSlots, Sources, Style, compile, resolve,
};

/// So many nodes and applications are asked about.
const ASKED: usize = 3;

/// Files of a policy, separated by a form feed.
///
/// Panics unless what is wrong can be shown, and unless a policy that is valid compiles to the same
/// image twice, differs in nothing from itself, and passes and drops what its words say.
pub fn policy(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let files = text.split('\u{c}').enumerate();
    let sources = Sources::from_texts(files.map(|(place, text)| (format!("{place}.toml"), text)));
    let pairs = [("inside", 1), ("outside", 0), ("left", 3), ("right", 2)];
    let ports = pairs.map(|(name, peer)| (name.to_owned(), Some(Port(peer))));
    let resolved = match resolve(&sources, &Ports::paired(ports)) {
        Ok(resolved) => resolved,
        Err(found) => {
            assert!(found.has_errors(), "refused for nothing");
            assert!(found.render(&sources, Style::Plain).contains("error"));
            found.records(&sources);
            return;
        }
    };
    let policy = resolved.policy;
    resolved.warnings.iter().for_each(|warning| drop(warning.record(&sources)));
    assert!(Change::between(Some(&policy), &policy).is_empty(), "it differs from itself");
    let image = || {
        let capacity = Capacity { nodes: 64, rules: 256, ..Capacity::default() };
        compile(&policy, &mut SequentialSlots::new(), 7, &capacity)
    };
    match (image(), image()) {
        (Ok(one), Ok(other)) => {
            assert!(same(&one, &other), "it compiles to two images");
            means_what_it_says(&policy, &one);
        }
        (Err(error), Err(_)) => drop(error.to_string()),
        (Ok(_), Err(error)) | (Err(error), Ok(_)) => panic!("now and then {error}"),
    }
}

fn same(one: &Image, other: &Image) -> bool {
    let lines = one.lines.iter().zip(&other.lines);
    one.lines.len() == other.lines.len() && lines.into_iter().all(|(one, other)| one.0 == other.0)
}

fn means_what_it_says(policy: &Policy, image: &Image) {
    let mut memory = Memory::running(image);
    for node in image.names.nodes() {
        memory.grant(node.slot, Ticks(u64::MAX >> 2));
    }
    let nodes: Vec<_> = policy.nodes().iter().take(ASKED).map(|node| &*node.name).collect();
    let applications = policy.applications().iter().take(ASKED);
    let applications: Vec<_> =
        applications.filter_map(|one| policy.application_named(&one.name)).collect();
    for from in &nodes {
        for to in nodes.iter().filter(|to| *to != from) {
            let (Some(from), Some(to)) = (policy.node_named(from), policy.node_named(to)) else {
                panic!("a node is not found by its name");
            };
            for application in &applications {
                means_it_between(policy, image, &mut memory, [from, to], *application);
            }
        }
    }
}

fn means_it_between(
    policy: &Policy,
    image: &Image,
    memory: &mut Memory,
    [from, to]: [NodeId; 2],
    application: ApplicationId,
) {
    let port = |node| policy.subnetwork(policy.node(node).subnetwork).port.0;
    let face = port(from) != port(to);
    for (protocol, number) in policy.application(application).samples() {
        let expected = face && policy.allows(from, to, protocol, number).is_some();
        for (port, frame) in openings(policy, from, to, protocol, number) {
            memory.forget_flows();
            let told = explain_frame(policy, &image.names, memory, &frame, port, Ticks(1000));
            let what = (protocol.name(), number);
            assert_eq!(told.outcome.passes(), expected, "{what:?}: {told:?}");
        }
    }
    let question = Question { from: Whom::Node(from), to: Whom::Node(to), application };
    if let Ok(explanation) = explain(policy, &image.names, memory, question, Ticks(1000)) {
        let allowed = policy.application(application).samples().iter().all(
            |&(protocol, port): &(Protocol, u16)| policy.allows(from, to, protocol, port).is_some(),
        );
        assert!(!explanation.allowed || allowed, "{explanation:?}");
    }
}
