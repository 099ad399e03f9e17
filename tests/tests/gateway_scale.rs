//! A policy of many nodes: it is activated, listed by pages, and stands in no stop's way.

use std::thread;

use firewall_control::{NodeQuery, Nodes, StopLevel};
use firewall_tests::gateway::{Gateway, measured};
use firewall_tests::generate;
use tokio::runtime::Builder;

const NODES: u32 = 50_000;
const RULES: u32 = 5_000;

/// A gateway with room for the policy, which lies there and is not in force yet.
fn large() -> Gateway {
    let mut gateway = Gateway::prepare("version = 1\n");
    let small = gateway.config_text();
    let room = format!("nodes = {}\nrules = {RULES}\n", generate::addresses(NODES));
    let large = small.replace("nodes = 256\nrules = 256\n", &room);
    assert_ne!(small, large);
    gateway.write_config(&large);
    gateway.restart();
    let policy: String = generate::policy(NODES, RULES).into_iter().map(|(_, text)| text).collect();
    gateway.policy(&policy);
    gateway
}

#[test]
fn fifty_thousand_nodes_are_activated_and_listed_by_pages() {
    let gateway = large();
    let report = gateway.reload();
    assert_eq!(report.nodes.totals.added, u64::from(NODES));
    assert_eq!(report.nodes.added.len(), 1000, "a long list is cut short");
    assert_eq!(report.rules.totals.added, u64::from(RULES));
    assert_eq!(gateway.status().policy.nodes, NODES);
    measured(format_args!("{NODES} nodes and {RULES} rules: {:?}", report.steps));

    let nodes = |query: NodeQuery| -> Nodes { gateway.wait(gateway.api().nodes(&query)).unwrap() };
    let all = NodeQuery { limit: Some(7), ..NodeQuery::default() };
    let first = nodes(all.clone());
    assert_eq!((first.nodes.len(), first.total), (7, u64::from(NODES)));
    assert!(first.nodes.is_sorted_by(|one, other| one.name < other.name));
    let last = first.nodes.last().map(|node| node.name.clone());
    let second = nodes(NodeQuery { after: last.clone(), ..all.clone() });
    assert_eq!(second.total, u64::from(NODES) - 7);
    assert!(second.nodes.iter().all(|node| Some(&node.name) > last.as_ref()));
    let pumps = nodes(NodeQuery { name: Some("pump-3-".into()), ..all.clone() });
    assert!(pumps.total > 7 && pumps.nodes.iter().all(|node| node.subnetwork == "ward-3"));
    let ward = nodes(NodeQuery { subnetwork: Some("ward-3".into()), ..all });
    assert_eq!(ward.total, 2500);

    let listed = gateway.cordon(&["nodes"]).done();
    assert!(listed.ends_with("49,900 more; --limit and --all show more of them.\n"), "{listed}");
    assert_eq!(gateway.cordon(&["nodes", "--all"]).done().lines().count(), NODES as usize + 1);
    let filtered = gateway.cordon(&["nodes", "--subnetwork", "ward-3", "--name", "pump"]).done();
    assert!(filtered.contains("525 more"), "{filtered}");
}

#[test]
fn a_stop_answers_while_a_large_policy_is_compiled() {
    let gateway = large();
    let (mut during, mut slowest) = (0, 0);
    let client = gateway.api().clone();
    let reload = thread::spawn(move || {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(client.reload()).unwrap()
    });
    while !reload.is_finished() {
        let stop = gateway.stop(None, false);
        assert_eq!(stop.effective, StopLevel::Ordinary);
        if !reload.is_finished() {
            during += 1;
            slowest = slowest.max(stop.took_microseconds);
        }
        gateway.resume(None);
    }
    let report = reload.join().unwrap();
    assert_eq!(report.rules.totals.added, u64::from(RULES));
    assert!(during > 0, "every stop had to wait for the reload");
    measured(format_args!("{during} stops while a policy was compiled, at most {slowest} us"));
}
