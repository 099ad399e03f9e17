//! Policies from small to as large as they get: from `cordon reload` to the new generation in force,
//! what its steps take, and what the daemon, flows and nodes weigh.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::time::Instant;

use firewall_common::abi::map;
use firewall_daemon::dataplane::sys;
use firewall_tests::generate;
use firewall_tests::lab::Lab;
use nix::sys::socket::{getsockopt, sockopt};
use serde_json::{Value, json};

use crate::Effort;
use crate::gateway::Cordon;
use crate::report::{Report, Row, Target};
use crate::statistics::Samples;

/// A policy's size, and when it is to be in force.
struct Size {
    nodes: u32,
    rules: u32,
    target_ms: f64,
    rounds: [usize; 2],
}

const SIZES: [Size; 4] = [
    Size { nodes: 1000, rules: 1000, target_ms: 20.0, rounds: [10, 100] },
    Size { nodes: 10_000, rules: 10_000, target_ms: 30.0, rounds: [10, 100] },
    Size { nodes: 100_000, rules: 100_000, target_ms: 100.0, rounds: [3, 30] },
    Size { nodes: 1_000_000, rules: 100_000, target_ms: 500.0, rounds: [3, 10] },
];
/// The largest set that nftables is given.
const PEER_ELEMENTS: u32 = 100_000;
const STEPS: [&str; 8] =
    ["read", "parse", "resolve", "compile", "try", "flows", "activate", "compare"];

pub(crate) fn measure(effort: Effort, report: &mut Report) {
    for size in &SIZES {
        let cordon = start(size);
        reloads(size, &cordon, effort, report);
        weigh_daemon(size, &cordon, report);
        if size.nodes == SIZES[1].nodes {
            memory(&cordon, report);
        }
    }
}

/// A gateway with the capacity for that size, and its policy in force.
fn start(size: &Size) -> Cordon {
    let Size { nodes, rules, .. } = *size;
    let mut files = generate::files(nodes, rules);
    let (_, house) = files.next().unwrap();
    let mut cordon = Cordon::with_policy(Lab::new(), &house);
    cordon.kill();
    for (name, text) in files {
        fs::write(cordon.policy().with_file_name(name), text).unwrap();
    }
    let mut configuration = fs::read_to_string(cordon.configuration()).unwrap();
    let addresses = generate::addresses(nodes);
    write!(configuration, "[capacity]\nnodes = {addresses}\nrules = {rules}\n").unwrap();
    fs::write(cordon.configuration(), configuration).unwrap();
    cordon.start();
    cordon
}

/// The port of one application is the only thing that changes.
fn reloads(size: &Size, cordon: &Cordon, effort: Effort, report: &mut Report) {
    let Size { nodes, rules, target_ms, rounds: [few, many] } = *size;
    let house = fs::read_to_string(cordon.policy()).unwrap();
    let texts = [house.clone(), house.replace("24105", "24106")];
    let (mut own, mut command, mut peer) =
        (Samples::default(), Samples::default(), Samples::default());
    let mut steps = STEPS.map(|step| (step, Samples::default()));
    for round in 1..=effort.pick(few, many) {
        fs::write(cordon.policy(), &texts[round % 2]).unwrap();
        let begun = Instant::now();
        let answer = cordon.ask(&["reload"]);
        command.push(begun.elapsed().as_secs_f64() * 1e3);
        own.push(answer["took_microseconds"].as_f64().unwrap() / 1e3);
        for (step, samples) in &mut steps {
            samples.push(answer["steps"][format!("{step}_ms")].as_f64().unwrap());
        }
        if nodes <= PEER_ELEMENTS && round <= 10 {
            peer.push(nft(cordon, nodes));
        }
    }
    let median = own.median();
    let has_peer = nodes <= PEER_ELEMENTS;
    report.row(Row {
        what: format!("reload of {nodes} nodes and {rules} rules, to the new generation"),
        ours: format!("{} ms", own.show(1)),
        peer: if has_peer {
            format!("nft -f of {nodes} elements, {} ms", peer.show(1))
        } else {
            String::new()
        },
        ratio: if has_peer { format!("{:.2}", median / peer.median()) } else { String::new() },
        target: Target::at_most(target_ms, "ms", median),
    });
    let told = steps.iter().map(|(step, samples)| format!("{step} {:.1}", samples.median()));
    report.row(Row {
        what: format!("of that, and compare after it ({nodes} nodes)"),
        ours: format!("{} ms", told.collect::<Vec<_>>().join(", ")),
        ..Row::default()
    });
    report.row(Row {
        what: format!("the command as a whole, report of cut flows included ({nodes} nodes)"),
        ours: format!("{} ms", command.show(1)),
        ..Row::default()
    });
    let steps = steps.iter().map(|(step, samples)| ((*step).to_owned(), samples.json()));
    report.samples(
        format!("reload-{nodes}"),
        json!({
            "own_ms": own.json(),
            "command_ms": command.json(),
            "nft_ms": peer.json(),
            "steps_ms": Value::Object(steps.collect()),
        }),
    );
}

/// Milliseconds that nftables takes to bring a set of so many addresses into force.
fn nft(cordon: &Cordon, elements: u32) -> f64 {
    use crate::gateway::Gateway as _;
    let elements: Vec<_> = (1..=elements)
        .map(|element| element.to_be_bytes())
        .map(|[_, b, c, d]| format!("10.{b}.{c}.{d}"))
        .collect();
    let text = format!(
        "table inet peer\ndelete table inet peer\ntable inet peer {{ set nodes {{ type ipv4_addr; \
         elements = {{ {} }}\n}}\n}}\n",
        elements.join(", ")
    );
    let begun = Instant::now();
    let mut nft = cordon.lab().gateway().command("nft");
    let mut nft = nft.args(["-f", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    nft.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    assert!(nft.wait().unwrap().success(), "nft refuses the set");
    begun.elapsed().as_secs_f64() * 1e3
}

/// The memory of the daemon, and of the maps that grow with the policy.
fn weigh_daemon(size: &Size, cordon: &Cordon, report: &mut Report) {
    let socket = cordon.configuration().with_file_name("control.sock");
    let stream = UnixStream::connect(socket).unwrap();
    let process = getsockopt(&stream, sockopt::PeerCredentials).unwrap().pid();
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let mebibytes = |field: &str| {
        let mut lines = status.lines();
        let line = lines.find_map(|line| line.strip_prefix(field)).unwrap();
        let kibibytes: u64 = line.trim_matches([' ', '\t', ':', 'k', 'B']).parse().unwrap();
        kibibytes >> 10
    };
    let maps = [map::IMAGE, map::NODES, map::NAMES].map(|name| memlock(&cordon.map(name)));
    report.row(Row {
        what: format!("memory of the daemon with {} nodes and {} rules", size.nodes, size.rules),
        ours: format!(
            "{} MiB, at most {}; {} MiB of maps",
            mebibytes("VmRSS"),
            mebibytes("VmHWM"),
            maps.iter().sum::<u64>() >> 20
        ),
        ..Row::default()
    });
}

fn memory(cordon: &Cordon, report: &mut Report) {
    let weigh = |names: &[&str], count: u32| {
        let bytes: u64 = names.iter().map(|name| memlock(&cordon.map(name))).sum();
        #[expect(clippy::cast_precision_loss, reason = "some megabytes")]
        let bytes = bytes as f64;
        bytes / f64::from(count)
    };
    let nodes = sys::map_info(cordon.map(map::NODES).as_fd()).unwrap().max_entries - 1;
    report.row(Row {
        what: format!("memory of a node and a rule, both image halves ({nodes} each)"),
        ours: format!("{:.0} B", weigh(&[map::IMAGE, map::NODES, map::NAMES], nodes)),
        ..Row::default()
    });
}

/// Bytes that the kernel charges for a map (`memlock` in fdinfo; includes the map's fixed part).
fn memlock(map: &OwnedFd) -> u64 {
    let path = format!("/proc/self/fdinfo/{}", map.as_raw_fd());
    let text = fs::read_to_string(path).unwrap();
    let mut lines = text.lines();
    let bytes = lines.find_map(|line| line.strip_prefix("memlock:")?.trim().parse().ok());
    bytes.expect("the kernel says how much memory a map takes")
}
