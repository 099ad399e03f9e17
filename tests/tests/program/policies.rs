//! Random policies: small hospitals, written as their administrators would.

use std::fmt::Write;

use firewall_policy::{Policy, Ports, Sources, resolve};

use crate::gateway::PORTS;
use crate::random::Random;

/// A valid policy.
pub(crate) fn policy(random: &mut Random) -> Policy {
    loop {
        let text = text(random);
        let sources = Sources::from_texts([("random.toml", text)]);
        let ports = PORTS.iter().zip([1, 0, 3, 2]);
        let ports =
            ports.map(|(name, peer)| ((*name).to_owned(), Some(firewall_common::Port(peer))));
        // A role that nobody has, a rule between ports that are no pair: not worth avoiding.
        if let Ok(resolved) = resolve(&sources, &Ports::paired(ports)) {
            return resolved.policy;
        }
    }
}

/// A valid policy of a router: with rules for the gateway, now and then subnetworks of one port, and
/// a network that holds the others'.
pub(crate) fn routed(random: &mut Random) -> Policy {
    loop {
        let mut text = text(random);
        for (name, from, to) in
            [("in", "n0", "gateway"), ("out", "gateway", "n1"), ("any", "s1/any", "gateway")]
        {
            if random.once_in(2) {
                writeln!(
                    text,
                    "[[allow]]\nname = \"{name}\"\nfrom = [\"{from}\"]\nto = [\"{to}\"]\n\
                     applications = [\"a0\"]"
                )
                .unwrap();
            }
        }
        if random.once_in(2) {
            text.push_str(
                "[subnetwork.wide]\nport = \"right\"\nvlan = 99\nnetworks = [\"10.0.0.0/8\"]\n\
                 routers = [\"02:00:5e:00:00:99\"]\n\
                 [[allow]]\nname = \"wide\"\nfrom = [\"wide/any\"]\nto = [\"n0\"]\n\
                 applications = [\"a0\"]\n",
            );
        }
        let sources = Sources::from_texts([("random.toml", text)]);
        // A router's ports are in the order of their names.
        let mut ports = PORTS.map(str::to_owned);
        ports.sort_unstable();
        if let Ok(resolved) = resolve(&sources, &Ports::routed(ports)) {
            return resolved.policy;
        }
    }
}

/// The TCP and UDP ports that applications are made of, with their neighbours tried by frames.
pub(crate) const SERVICES: [&str; 6] = ["104", "443", "2762-2765", "1-1023", "5000", "65535"];

fn text(random: &mut Random) -> String {
    let mut text = "version = 1\n".to_owned();
    let count = 2 + random.below(4);
    let mut nodes = Vec::new();
    for number in 0..count {
        subnetwork(random, &mut text, number, &mut nodes);
    }
    let applications = 1 + random.below(4);
    for number in 0..applications {
        writeln!(text, "[application.a{number}]").unwrap();
        let ports = |random: &mut Random| {
            let (one, other) = (random.pick(&SERVICES), random.pick(&SERVICES));
            if random.once_in(3) { format!("[{one:?}, {other:?}]") } else { format!("[{one:?}]") }
        };
        let kinds = 1 + random.below(7);
        if kinds & 1 != 0 {
            writeln!(text, "tcp = {}", ports(random)).unwrap();
        }
        if kinds & 2 != 0 {
            writeln!(text, "udp = {}", ports(random)).unwrap();
        }
        if kinds & 4 != 0 {
            writeln!(text, "icmp = [\"echo\"]").unwrap();
        }
    }
    for number in 0..1 + random.below(5) {
        let from = random.below(count);
        let to = (from + 1 + random.below(count - 1)) % count;
        let mut ends = |subnetwork| {
            let number = if random.once_in(4) { 2 } else { 1 };
            let ends = (0..number).map(|_| selector(random, subnetwork, &nodes));
            ends.collect::<Vec<_>>().join(", ")
        };
        let (from, to) = (ends(from), ends(to));
        let application = random.below(applications);
        let essential = random.once_in(3);
        writeln!(
            text,
            "[[allow]]\nname = \"r{number}\"\nfrom = [{from}]\nto = [{to}]\n\
             applications = [\"a{application}\"]\nessential = {essential}"
        )
        .unwrap();
    }
    text
}

fn subnetwork(random: &mut Random, text: &mut String, number: usize, nodes: &mut Vec<usize>) {
    // Most of them on the first pair of ports, so that rules find two ends.
    let port = if random.once_in(6) { 2 + number % 2 } else { number % 2 };
    let port = PORTS[port];
    let tagged = random.once_in(2).then(|| 10 * (number + 1));
    let length = *random.pick(&[16, 24, 24, 28]);
    let (four, six) = (format!("10.{number}.0.0/{length}"), format!("fd00:{number}::/64"));
    writeln!(text, "[subnetwork.s{number}]\nport = {port:?}").unwrap();
    if let Some(vlan) = tagged {
        writeln!(text, "vlan = {vlan}").unwrap();
    }
    writeln!(text, "networks = [{four:?}, {six:?}]").unwrap();
    if random.once_in(2) {
        writeln!(text, "routers = [\"02:00:5e:00:00:{number:02x}\"]").unwrap();
    }
    for _ in 0..1 + random.below(3) {
        let node = nodes.len();
        nodes.push(number);
        let host = 1 + node;
        writeln!(text, "[node.n{node}]\nsubnetwork = \"s{number}\"").unwrap();
        match random.below(3) {
            0 => writeln!(text, "addresses = [\"10.{number}.0.{host}\"]"),
            1 => writeln!(text, "addresses = [\"fd00:{number}::{host:x}\"]"),
            _ => {
                writeln!(
                    text,
                    "addresses = [\"10.{number}.0.{host}\", \"fd00:{number}::{host:x}\"]"
                )
            }
        }
        .unwrap();
        let mut is_bound = !random.once_in(3);
        if random.once_in(2) {
            writeln!(text, "roles = [\"{}\"]", random.pick(&["reader", "writer"])).unwrap();
        }
        if random.once_in(4) {
            let way = *random.pick(&["802.1x", "lease"]);
            writeln!(text, "authentication = \"{way}\"\nidentity = \"n{node}\"").unwrap();
            is_bound |= way == "802.1x";
        }
        if is_bound {
            writeln!(text, "mac = \"02:00:00:00:{number:02x}:{host:02x}\"").unwrap();
        }
    }
}

fn selector(random: &mut Random, subnetwork: usize, nodes: &[usize]) -> String {
    let ours = nodes.iter().enumerate().filter(|(_, place)| **place == subnetwork);
    let ours = ours.map(|(node, _)| node).collect::<Vec<_>>();
    match random.below(6) {
        0 => format!("\"s{subnetwork}/any\""),
        1 => format!("\"s{subnetwork}/*\""),
        2 => format!("\"s{subnetwork}/{}\"", random.pick(&["reader", "writer"])),
        _ => format!("\"n{}\"", random.pick(&ours)),
    }
}
