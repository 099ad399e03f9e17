//! The image says what the policy says: both are asked the same questions, by code that has nothing
//! in common.
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests may panic as tests do")]

mod lookup;

use firewall_common::Port;
use firewall_policy::model::{NodeId, Protocol};
use firewall_policy::{
    Capacity, Change, Image, Policy, Ports, SequentialSlots, Sources, Style, compile, resolve,
};
use lookup::Lookup;
use proptest::prelude::*;

fn gateway() -> Ports {
    Ports::paired([("inside".to_owned(), Some(Port(1))), ("outside".to_owned(), Some(Port(0)))])
}

fn policy(text: &str) -> Policy {
    let sources = Sources::from_texts([("policy.toml", text)]);
    match resolve(&sources, &gateway()) {
        Ok(resolved) => resolved.policy,
        Err(found) => panic!("{}", found.render(&sources, Style::Plain)),
    }
}

fn image(policy: &Policy, seed: u64) -> Image {
    let capacity = Capacity::default();
    let image = compile(policy, &mut SequentialSlots::new(), seed, &capacity).unwrap();
    assert!(image.lines.len() <= capacity.lines as usize);
    image
}

/// Choices, as long as there are any; then always the first.
struct Choices<'c>(std::slice::Iter<'c, u8>);

impl Choices<'_> {
    fn below(&mut self, end: usize) -> usize {
        usize::from(self.0.next().copied().unwrap_or(0)) % end
    }
}

/// A valid policy: two subnetworks behind each of two ports, with routers or without.
fn written(choices: &[u8]) -> String {
    let mut choices = Choices(choices.iter());
    let mut text = "version = 1\n".to_owned();
    let mut selectors: [Vec<String>; 2] = [Vec::new(), Vec::new()];
    for subnetwork in 0..4 {
        let side = subnetwork % 2;
        let port = ["inside", "outside"][side];
        text += &format!(
            "[subnetwork.s{subnetwork}]\nport = \"{port}\"\nvlan = {}\nnetworks = [\"10.{subnetwork}.0.0/{}\", \"fd00:{subnetwork}::/64\"]\n",
            subnetwork + 1,
            16 + choices.below(8)
        );
        if choices.below(2) == 1 {
            text += &format!("routers = [\"02:00:00:00:00:0{subnetwork}\"]\n");
        }
        selectors[side].push(format!("s{subnetwork}/any"));
        for node in 0..choices.below(4) {
            let name = format!("n{subnetwork}{node}");
            text += &format!(
                "[node.{name}]\nsubnetwork = \"s{subnetwork}\"\naddresses = [\"10.{subnetwork}.0.{}\", \"fd00:{subnetwork}::{}\"]\n",
                node + 1,
                node + 1
            );
            let roles = choices.below(4);
            let roles: Vec<&str> = ["a", "b"]
                .into_iter()
                .enumerate()
                .filter(|(bit, _)| roles >> bit & 1 == 1)
                .map(|(_, role)| role)
                .collect();
            if !roles.is_empty() {
                text += &format!("roles = {roles:?}\n");
            }
            selectors[side].extend(roles.iter().map(|role| format!("s{subnetwork}/{role}")));
            selectors[side].extend([name, format!("s{subnetwork}/*")]);
        }
    }
    for application in 0..4 {
        text += &format!("[application.p{application}]\n");
        for protocol in ["tcp", "udp"] {
            let first = 1 + choices.below(8);
            let last = first + choices.below(4);
            text += &format!("{protocol} = [\"{first}-{last}\", \"{}\"]\n", 12 + choices.below(2));
        }
        if choices.below(3) == 0 {
            text += "icmp = [\"echo\"]\n";
        }
    }
    for rule in 0..choices.below(8) {
        let from = choices.below(2);
        let mut ends = [from, 1 - from].map(|side| {
            let ends: Vec<String> = (0..=choices.below(2))
                .map(|_| selectors[side][choices.below(selectors[side].len())].clone())
                .collect();
            ends
        });
        let [from, to] = &mut ends;
        let applications: Vec<String> =
            (0..=choices.below(2)).map(|_| format!("p{}", choices.below(4))).collect();
        text += &format!(
            "[[allow]]\nname = \"r{rule}\"\nfrom = {from:?}\nto = {to:?}\napplications = {applications:?}\nessential = {}\n",
            choices.below(3) == 0
        );
    }
    text
}

fn compare(policy: &Policy, image: &Image) {
    let lookup = Lookup::new(image);
    let ids: Vec<NodeId> =
        policy.nodes().iter().filter_map(|node| policy.node_named(&node.name)).collect();
    for &from in &ids {
        for &to in ids.iter().filter(|&&to| to != from) {
            let nodes = [from, to].map(|id| policy.node(id));
            for family in 0..2 {
                let [one, other] = nodes.map(|node| node.addresses[family]);
                let is_connected = policy.connecting(from, to).next().is_some()
                    || policy.connecting(to, from).next().is_some();
                assert_eq!(!lookup.connected(one, other).is_empty(), is_connected);
                for port in 0..18 {
                    for protocol in [Protocol::Tcp, Protocol::Udp, Protocol::Echo] {
                        let expected = policy.allows(from, to, protocol, port);
                        let hits = lookup.allowed(one, other, protocol, port);
                        assert_eq!(!hits.is_empty(), expected.is_some());
                        let is_essential = expected.is_some_and(|rule| rule.essential);
                        assert_eq!(hits.iter().any(|hit| hit.essential), is_essential);
                        for hit in hits {
                            let name = &image.names.rule(hit.rule).unwrap().name;
                            let mut rules = policy.connecting(from, to);
                            let rule = rules.find(|rule| rule.name == *name).unwrap();
                            assert_eq!(rule.essential, hit.essential);
                            let mut applications = rule.applications.iter();
                            assert!(
                                applications
                                    .any(|&id| policy.application(id).contains(protocol, port))
                            );
                        }
                    }
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_image_answers_as_the_policy_does(choices: Vec<u8>, seed: u64) {
        let policy = policy(&written(&choices));
        compare(&policy, &image(&policy, seed));
    }

    #[test]
    fn the_same_policy_and_seed_yield_the_same_bytes(choices: Vec<u8>, seed: u64) {
        let text = written(&choices);
        let [one, other] = [policy(&text), policy(&text)];
        prop_assert!(image(&one, seed).lines == image(&other, seed).lines);
        let change = Change::between(Some(&one), &other);
        prop_assert!(change.is_empty());
        prop_assert_eq!(change.nodes.kept.len(), one.nodes().len());
    }
}

#[test]
fn an_undeclared_address_is_known_by_its_network_and_port() {
    let policy = policy(
        "version = 1\n[subnetwork.a]\nport = \"inside\"\nnetworks = [\"10.1.0.0/16\", \"fd00:1::/64\"]\n\
         [subnetwork.b]\nport = \"outside\"\nnetworks = [\"10.0.0.0/8\", \"192.0.2.0/24\"]\n\
         [node.n]\nsubnetwork = \"a\"\naddresses = [\"10.1.0.1\"]\n\
         [application.p]\ntcp = [\"1\"]\n\
         [[allow]]\nname = \"r\"\nfrom = [\"n\"]\nto = [\"b/any\"]\napplications = [\"p\"]\n",
    );
    let image = image(&policy, 7);
    assert_eq!(image.header.any_prefix_lengths, [120, 104, 0, 0, 0, 0, 0, 0]);
    let lookup = Lookup::new(&image);
    let address = |text: &str| text.parse::<std::net::IpAddr>().unwrap().into();
    let found =
        |text, port| lookup.network(address(text), Port(port)).map(|one| one.subnetwork().0);
    assert_eq!(found("10.7.7.7", 1), Some(2));
    assert_eq!(found("192.0.2.9", 1), Some(2));
    assert_eq!(found("10.7.7.7", 0), None);
    assert_eq!(found("fd00:1::7", 0), None);
}

#[test]
fn routers_are_connected_with_those_they_serve() {
    let policy = policy(
        "version = 1\n[subnetwork.a]\nport = \"inside\"\nvlan = 5\nnetworks = [\"10.1.0.0/16\"]\n\
         [subnetwork.b]\nport = \"outside\"\nnetworks = [\"10.2.0.0/16\"]\nrouters = [\"02:00:00:00:00:01\"]\n\
         [node.n]\nsubnetwork = \"a\"\naddresses = [\"10.1.0.1\"]\n\
         [node.m]\nsubnetwork = \"b\"\naddresses = [\"10.2.0.1\"]\n\
         [application.p]\ntcp = [\"1\"]\n\
         [[allow]]\nname = \"r\"\nfrom = [\"n\"]\nto = [\"m\"]\napplications = [\"p\"]\n",
    );
    let image = image(&policy, 7);
    let lookup = Lookup::new(&image);
    assert!(lookup.connects_routers(policy.nodes()[0].addresses[0], 2));
    assert!(!lookup.connects_routers(policy.nodes()[1].addresses[0], 1));
    let subnetwork = lookup.subnetwork(1);
    assert_eq!((subnetwork.port, subnetwork.vlan.0, subnetwork.gateway.0), (Port(0), 5, 2));
    assert_eq!(lookup.subnetwork(2).gateway.0, 0);
}

#[test]
fn a_closed_image_knows_nobody() {
    let image = Image::closed(3);
    let address = "10.1.0.1".parse::<std::net::IpAddr>().unwrap().into();
    assert!(Lookup::new(&image).node(address).is_none());
    assert_eq!(image.lines.len(), image.header.lines as usize);
}

/// `nodes` on each side of the gateway, and a rule with three ports from each to its counterpart.
fn large(nodes: usize) -> String {
    let mut text = "version = 1\n[subnetwork.a]\nport = \"inside\"\nnetworks = [\"10.0.0.0/8\"]\n\
        [subnetwork.b]\nport = \"outside\"\nnetworks = [\"11.0.0.0/8\"]\nrouters = [\"02:00:00:00:00:01\"]\n\
        [application.p]\ntcp = [\"1\"]\n[application.q]\ntcp = [\"2\"]\n[application.r]\nudp = [\"3\"]\n"
        .to_owned();
    for node in 1..=nodes {
        let host = format!("{}.{}.{}", node >> 16, node >> 8 & 255, node & 255);
        text += &format!(
            "[node.a{node}]\nsubnetwork = \"a\"\naddresses = [\"10.{host}\"]\n\
             [node.b{node}]\nsubnetwork = \"b\"\naddresses = [\"11.{host}\"]\n\
             [[allow]]\nname = \"r{node}\"\nfrom = [\"a{node}\"]\nto = [\"b{node}\"]\napplications = [\"p\", \"q\", \"r\"]\n"
        );
    }
    text
}

#[test]
fn a_hundred_thousand_nodes_and_their_rules_are_all_found() {
    let nodes = 50_000;
    let text = large(nodes);
    let started = std::time::Instant::now();
    let policy = policy(&text);
    let resolved = started.elapsed();
    let capacity = Capacity::new(100_000, 100_000, 0);
    let mut slots = SequentialSlots::new();
    compile(&policy, &mut slots, 6, &capacity).unwrap();
    let started = std::time::Instant::now();
    let image = compile(&policy, &mut slots, 7, &capacity).unwrap();
    println!("{nodes} rules: read in {resolved:?}, compiled in {:?}", started.elapsed());
    let lookup = Lookup::new(&image);
    for pair in policy.nodes().chunks_exact(2) {
        let [one, other] = [pair[0].addresses[0], pair[1].addresses[0]];
        assert_eq!(lookup.allowed(one, other, Protocol::Udp, 3).len(), 1);
        assert_eq!(lookup.allowed(other, one, Protocol::Udp, 3).len(), 0);
        assert_eq!(lookup.connected(other, one).len(), 1);
    }
}
