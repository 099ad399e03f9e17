//! Slots stay with their names, however a policy is edited.
#![expect(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

use std::fmt::Write as _;

use firewall_policy::{
    Capacity, Kept, Names, Policy, Ports, SequentialSlots, Sources, compile, resolve,
};
use proptest::prelude::*;

const MOST: u8 = 12;

/// Nodes and rules of those numbers, in that order.
fn policy(nodes: &[u8], rules: &[u8]) -> Policy {
    let mut text = "version = 1\n\
        [subnetwork.a]\nport = \"inside\"\nnetworks = [\"10.0.0.0/16\"]\n\
        [subnetwork.b]\nport = \"outside\"\nnetworks = [\"10.1.0.0/16\"]\n\
        [application.x]\ntcp = [\"1\"]\n"
        .to_owned();
    for node in nodes {
        let address = format!("10.0.0.{}", node + 1);
        write!(text, "[node.n{node}]\nsubnetwork = \"a\"\naddresses = [\"{address}\"]\n").unwrap();
    }
    for rule in rules {
        write!(text, "[[allow]]\nname = \"r{rule}\"\nfrom = [\"a/any\"]\nto = [\"b/any\"]\n")
            .unwrap();
        text += "applications = [\"x\"]\n";
    }
    resolve(&Sources::from_texts([("a.toml", text)]), &Ports::unknown()).unwrap().policy
}

/// Some of the numbers, in some order.
fn some() -> impl Strategy<Value = Vec<u8>> {
    Just((0..MOST).collect::<Vec<_>>()).prop_shuffle().prop_flat_map(|numbers| {
        let count = numbers.len();
        // Most edits leave the order as it is.
        (prop::sample::subsequence(numbers, 0..=count), any::<bool>()).prop_map(
            |(mut some, is_sorted)| {
                if is_sorted {
                    some.sort_unstable();
                }
                some
            },
        )
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn slots_kept_from_the_policy_before_are_those_of_the_source(
        edits in prop::collection::vec((some(), some()), 1..5),
    ) {
        let mut slots = SequentialSlots::new();
        let mut before: Option<(Policy, Names)> = None;
        for (nodes, rules) in edits {
            let policy = policy(&nodes, &rules);
            let mut same = slots.clone();
            let capacity = Capacity::default();
            let wanted = compile(&policy, &mut same, 1, &capacity).unwrap();
            let live = before.as_ref().map(|(policy, names)| (policy, names));
            let image = compile(&policy, &mut Kept::new(&mut slots, live), 1, &capacity).unwrap();
            prop_assert_eq!(&image.lines, &wanted.lines);
            for (named, wanted) in image.names.nodes().iter().zip(wanted.names.nodes()) {
                prop_assert_eq!((named.slot, &named.name), (wanted.slot, &wanted.name));
            }
            for (named, wanted) in image.names.rules().iter().zip(wanted.names.rules()) {
                prop_assert_eq!((named.slot, &named.name), (wanted.slot, &wanted.name));
            }
            before = Some((policy, image.names));
        }
    }
}
