//! A large policy: from `cordon reload` to the new generation in force, and what flows and nodes
//! weigh.

use std::fmt::Write as _;
use std::fs;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::Instant;

use firewall_common::abi::map;
use firewall_daemon::dataplane::sys;
use firewall_policy::{Sources, resolve};
use firewall_tests::lab::Lab;
use serde_json::json;

use crate::Effort;
use crate::gateway::Cordon;
use crate::report::{Report, Row, Target};
use crate::statistics::Samples;

const NODES: u32 = 10_000;
const RULES: u32 = 10_000;

pub(crate) fn measure(effort: Effort, report: &mut Report) {
    let (texts, rules) = ([nodes(4000), nodes(4001)], rules());
    let cordon = Cordon::with_policy(Lab::new(), &texts[0]);
    fs::write(cordon.policy().with_file_name("rules.toml"), &rules).unwrap();
    let (mut own, mut command, mut read) =
        (Samples::default(), Samples::default(), Samples::default());
    for round in 1..=effort.pick(10, 100) {
        let text = &texts[round % 2];
        fs::write(cordon.policy(), text).unwrap();
        let begun = Instant::now();
        let answer = cordon.ask(&["reload"]);
        command.push(begun.elapsed().as_secs_f64() * 1e3);
        own.push(answer["took_microseconds"].as_f64().unwrap() / 1e3);
        read.push(resolving(text, &rules));
    }
    let median = own.median();
    report.row(Row {
        what: format!("reload of {NODES} nodes and {RULES} rules, to the new generation"),
        ours: format!("{} ms", own.show(1)),
        target: Target::at_most(100.0, "ms", median),
        ..Row::default()
    });
    report.row(Row {
        what: "reload: of that, reading and resolving the text".to_owned(),
        ours: format!("{} ms", read.show(1)),
        ratio: format!("{:.2}", read.median() / median),
        ..Row::default()
    });
    report.row(Row {
        what: "reload: the command as a whole, report of cut flows included".to_owned(),
        ours: format!("{} ms", command.show(1)),
        ..Row::default()
    });
    report.samples(
        "reload",
        json!({ "own_ms": own.json(), "command_ms": command.json(), "resolve_ms": read.json() }),
    );
    memory(&cordon, report);
}

/// Milliseconds for what this process can do as the daemon does it: read, and resolve.
fn resolving(nodes: &str, rules: &str) -> f64 {
    let gateway: firewall_daemon::config::Config =
        "[gateway]\npairs = [[\"inside\", \"outside\"]]\n[port.inside]\ninterface = \"inside\"\n\
         [port.outside]\ninterface = \"outside\"\n"
            .parse()
            .unwrap();
    let ports = firewall_daemon::candidate::ports(&gateway.gateway);
    let begun = Instant::now();
    let sources = Sources::from_texts([("bench.toml", nodes), ("rules.toml", rules)]);
    assert!(resolve(&sources, &ports).is_ok(), "the generated policy is valid");
    begun.elapsed().as_secs_f64() * 1e3
}

fn memory(cordon: &Cordon, report: &mut Report) {
    let weigh = |names: &[&str], count: u32| {
        let bytes: u64 = names.iter().map(|name| memlock(&cordon.map(name))).sum();
        #[expect(clippy::cast_precision_loss, reason = "some megabytes")]
        let bytes = bytes as f64;
        bytes / f64::from(count)
    };
    let flows = sys::map_info(cordon.map(map::FLOWS).as_fd()).unwrap();
    let nodes = sys::map_info(cordon.map(map::NODES).as_fd()).unwrap().max_entries - 1;
    let flow = weigh(&[map::FLOWS], flows.max_entries);
    let computed = 48
        + flows.key_size.next_multiple_of(8)
        + flows.value_size.next_multiple_of(8)
        + 16 * (flows.max_entries.next_power_of_two() / flows.max_entries);
    report.row(Row {
        what: format!(
            "memory of a flow: key, value, bucket, element ({} entries)",
            flows.max_entries
        ),
        ours: format!("{computed} B ({flow:.2} B charged, the map's fixed part included)"),
        target: Target::at_most(176.0, "B", computed.into()),
        ..Row::default()
    });
    report.row(Row {
        what: format!("memory of a node and a rule, both image halves ({nodes} each)"),
        ours: format!("{:.0} B", weigh(&[map::IMAGE, map::NODES, map::NAMES], nodes)),
        ..Row::default()
    });
    report.samples("memory", json!({ "flow_bytes": flow, "flow_bytes_computed": computed }));
}

/// Bytes that the kernel charges for a map (`memlock` in fdinfo; includes the map's fixed part).
fn memlock(map: &OwnedFd) -> u64 {
    let path = format!("/proc/self/fdinfo/{}", map.as_raw_fd());
    let text = fs::read_to_string(path).unwrap();
    let mut lines = text.lines();
    let bytes = lines.find_map(|line| line.strip_prefix("memlock:")?.trim().parse().ok());
    bytes.expect("the kernel says how much memory a map takes")
}

/// Half of the nodes inside, half outside. The port of one application is the only thing that
/// changes.
fn nodes(port: u16) -> String {
    let mut text = format!(
        "version = 1\n\
         [subnetwork.ward]\nport = \"inside\"\nnetworks = [\"10.1.0.0/16\"]\n\
         [subnetwork.hospital]\nport = \"outside\"\nnetworks = [\"10.2.0.0/16\"]\n\
         [application.telemetry]\nudp = [\"{port}\"]\n\
         [application.images]\ntcp = [\"104\", \"11112\"]\n"
    );
    let half = NODES / 2;
    for node in 0..NODES {
        let (subnetwork, network) = if node < half { ("ward", 1) } else { ("hospital", 2) };
        let [_, _, high, low] = (node % half + 1).to_be_bytes();
        writeln!(
            text,
            "[node.n{node}]\nsubnetwork = \"{subnetwork}\"\naddresses = [\"10.{network}.{high}.{low}\"]\n\
             mac = \"02:00:00:0{network}:{high:02x}:{low:02x}\""
        )
        .unwrap();
    }
    text
}

/// Every rule allows one pair one application.
fn rules() -> String {
    let (mut text, half) = (String::new(), NODES / 2);
    for rule in 0..RULES {
        let (from, to) = (rule % half, half + (rule * 7 + rule / half) % half);
        let application = if rule < half { "telemetry" } else { "images" };
        writeln!(
            text,
            "[[allow]]\nname = \"r{rule}\"\nfrom = [\"n{from}\"]\nto = [\"n{to}\"]\n\
             applications = [\"{application}\"]"
        )
        .unwrap();
    }
    text
}
