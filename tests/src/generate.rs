//! Policies of any size, such as a large hospital would write: a file for each department, and rules
//! that each select little.

use std::fmt::Write as _;
use std::ops::Range;

/// What is in one file at most: nodes, or rules.
const PER_FILE: u32 = 5000;
/// The most subnetworks inside and outside; a gateway holds 255.
const WARDS: u32 = 100;
const HALLS: u32 = 20;
/// Nodes of a ward and of a hall, before there are more of them.
const PER_WARD: u32 = 2500;
const PER_HALL: u32 = 10_000;
/// Below so many nodes there is one hall, and nobody behind routers.
const SMALL: u32 = 64;
/// One rule of so many leads behind the routers: there a pair costs two more entries of the image.
const CAMPUS_RULES: u32 = 8;

const DEVICES: [&str; 4] = ["monitor", "pump", "ventilator", "workstation"];
const SERVERS: [&str; 4] = ["central", "archive", "records", "laboratory"];
/// No two have a port in common: each is one service.
const APPLICATIONS: [(&str, &str); 6] = [
    ("telemetry", "udp = [\"24105\"]"),
    ("images", "tcp = [\"104\", \"11112\"]"),
    ("messages", "tcp = [\"2575\"]"),
    ("records", "tcp = [\"443\", \"8443\"]"),
    ("time", "udp = [\"123\"]"),
    ("service", "tcp = [\"5000-5100\"]"),
];

/// A policy of so many nodes and rules for a bridge between the ports `inside` and `outside`, as
/// (file name, TOML). The same numbers yield the same policy.
///
/// It is valid, and compiles within a capacity of [`addresses`] and `rules`. There are two nodes at
/// least.
pub fn policy(nodes: u32, rules: u32) -> Vec<(String, String)> {
    files(nodes, rules).collect()
}

/// The same, file by file.
pub fn files(nodes: u32, rules: u32) -> impl Iterator<Item = (String, String)> {
    let house = House::of(nodes);
    let first = [("00-house.toml".to_owned(), house.subnetworks(rules))];
    let sites = [Side::Ward, Side::Hall].into_iter().flat_map(move |side| {
        (0..house.sites(side)).flat_map(move |site| {
            chunks(house.nodes_of(side, site)).enumerate().map(move |(part, nodes)| {
                let order = match side {
                    Side::Ward => 10,
                    Side::Hall => 20,
                };
                let name = format!("{order}-{}-{site}-{part:02}.toml", side.name());
                (name, house.nodes(side, site, nodes))
            })
        })
    });
    let lists = chunks(0..rules).enumerate();
    let lists = lists.map(move |(part, rules)| {
        (format!("30-rules-{part:03}.toml"), rules.map(|rule| house.rule(rule)).collect())
    });
    let expectations = (rules > 0).then(|| ("40-expectations.toml".into(), house.expectations()));
    first.into_iter().chain(sites).chain(lists).chain(expectations)
}

/// The addresses that [`policy`] gives so many nodes: what `[capacity]` must have room for.
pub fn addresses(nodes: u32) -> u32 {
    let nodes = nodes.max(2);
    // Of an ordinary site's nodes one in 32 has two addresses, the first is one of them.
    let house = House::of(nodes);
    let extra = [Side::Ward, Side::Hall].into_iter().flat_map(|side| {
        (0..house.sites(side)).map(move |site| {
            let Range { start, end } = house.nodes_of(side, site);
            (end - start).div_ceil(32)
        })
    });
    nodes + extra.sum::<u32>()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Ward,
    Hall,
}

impl Side {
    const fn name(self) -> &'static str {
        match self {
            Self::Ward => "ward",
            Self::Hall => "hall",
        }
    }
}

/// How the nodes are spread: half inside, half outside, evenly over each side's sites.
#[derive(Clone, Copy)]
struct House {
    inside: u32,
    outside: u32,
    wards: u32,
    halls: u32,
}

impl House {
    fn of(nodes: u32) -> Self {
        let nodes = nodes.max(2);
        let inside = nodes / 2;
        let outside = nodes - inside;
        let halls = if nodes < SMALL { 1 } else { (outside / PER_HALL).clamp(2, HALLS) };
        Self { inside, outside, wards: (inside / PER_WARD).clamp(1, WARDS), halls }
    }

    const fn sites(self, side: Side) -> u32 {
        match side {
            Side::Ward => self.wards,
            Side::Hall => self.halls,
        }
    }

    /// Counted from 0 on each side.
    fn nodes_of(self, side: Side, site: u32) -> Range<u32> {
        let (nodes, sites) = match side {
            Side::Ward => (self.inside, self.wards),
            Side::Hall => (self.outside, self.halls),
        };
        let share = |site: u32| {
            let share = u64::from(nodes) * u64::from(site) / u64::from(sites);
            u32::try_from(share).expect("a share is no larger than the whole")
        };
        share(site)..share(site + 1)
    }

    /// The first hall's nodes are behind routers.
    const fn is_campus(self, side: Side, site: u32) -> bool {
        match side {
            Side::Ward => false,
            Side::Hall => self.halls > 1 && site == 0,
        }
    }

    fn subnetworks(self, rules: u32) -> String {
        let mut text = "# A hospital that nobody has; made by `cargo xtask generate-policy`.\n\
                        version = 1\n"
            .to_owned();
        for (side, port) in [(Side::Ward, "inside"), (Side::Hall, "outside")] {
            for site in 0..self.sites(side) {
                let network = network(side, site);
                let name = side.name();
                write!(
                    text,
                    "\n[subnetwork.{name}-{site}]\nport = \"{port}\"\n\
                     networks = [\"10.{network}.0.0/16\", \"fd00:{network:x}::/64\"]\n",
                )
                .unwrap();
                text += &match side {
                    Side::Ward => {
                        let vlan = 100 + site;
                        format!("criticality = \"real-time\"\nvlan = {vlan}\n")
                    }
                    Side::Hall if self.is_campus(side, site) => {
                        "routers = [\"02:00:5e:00:00:fe\"]\n".to_owned()
                    }
                    Side::Hall => format!("vlan = {}\n", 1000 + site),
                };
            }
        }
        for (name, ports) in &APPLICATIONS[..APPLICATIONS.len().min(rules as usize)] {
            write!(text, "\n[application.{name}]\n{ports}\n").unwrap();
        }
        text
    }

    fn nodes(self, side: Side, site: u32, nodes: Range<u32>) -> String {
        let mut text = String::with_capacity(200 * nodes.len());
        let first = self.nodes_of(side, site).start;
        let is_campus = self.is_campus(side, site);
        for node in nodes {
            let place = node - first;
            let (kind, network) = (kind(side, place), network(side, site));
            let [_, _, high, low] = (place + 1).to_be_bytes();
            let old = format!("10.{network}.{high}.{low}");
            let new = format!("fd00:{network:x}::{:x}", place + 1);
            let addresses = match place % 32 {
                0 => format!("\"{old}\", \"{new}\""),
                1 | 17 => format!("\"{new}\""),
                _ => format!("\"{old}\""),
            };
            let duty = if place.is_multiple_of(8) { ", \"on-duty\"" } else { "" };
            let (name, subnetwork) = (self.name(side, node), side.name());
            write!(
                text,
                "\n[node.{name}]\nsubnetwork = \"{subnetwork}-{site}\"\nkind = \"{kind}\"\n\
                 addresses = [{addresses}]\nroles = [\"{kind}\"{duty}]\n"
            )
            .unwrap();
            if !is_campus {
                let side = u8::from(side == Side::Hall);
                let [a, b, c, d] = node.to_be_bytes();
                writeln!(text, "mac = \"0{}:{a:02x}:01:{b:02x}:{c:02x}:{d:02x}\"", 2 + 4 * side)
                    .unwrap();
            }
        }
        text
    }

    /// `pump-3-17`
    fn name(self, side: Side, node: u32) -> String {
        let (site, place) = self.place(side, node);
        format!("{}-{site}-{place}", kind(side, place))
    }

    /// The site of a node, and which of its nodes it is.
    fn place(self, side: Side, node: u32) -> (u32, u32) {
        let sites = 0..self.sites(side);
        let mut sites = sites.map(|site| (site, self.nodes_of(side, site)));
        let (site, nodes) = sites.find(|(_, nodes)| nodes.contains(&node)).expect("a site has it");
        (site, node - nodes.start)
    }

    /// Who opens by a rule, and to whom.
    fn ends(self, rule: u32) -> [u32; 2] {
        let from = scatter(rule, 0) % self.inside;
        let campus = if self.halls > 1 { self.nodes_of(Side::Hall, 0).end } else { 0 };
        let to = scatter(rule, 1);
        let to = if campus > 0 && rule % CAMPUS_RULES == CAMPUS_RULES - 1 {
            to % campus
        } else {
            campus + to % (self.outside - campus)
        };
        [from, to]
    }

    fn application(rule: u32) -> usize {
        scatter(rule, 2) as usize % APPLICATIONS.len().min(1 + rule as usize)
    }

    fn rule(self, rule: u32) -> String {
        let [from, to] = self.ends(rule);
        let [sender, receiver] = [self.name(Side::Ward, from), self.name(Side::Hall, to)];
        let chosen = Self::application(rule);
        let application = APPLICATIONS[chosen].0;
        let role = |side: Side, node| {
            let (site, place) = self.place(side, node);
            format!("{}-{site}/{}", side.name(), kind(side, place))
        };
        let (mut from_text, mut to_text) = (format!("\"{sender}\""), format!("\"{receiver}\""));
        let mut applications = format!("\"{application}\"");
        let mut rest = "";
        match rule % 32 {
            10 if self.inside > 1 => {
                let other = self.name(Side::Ward, (from + 1) % self.inside);
                write!(from_text, ", \"{other}\"").unwrap();
            }
            14 => from_text = format!("\"{}\"", role(Side::Ward, from)),
            18 => to_text = format!("\"{}\"", role(Side::Hall, to)),
            22 => {
                let other = APPLICATIONS[(chosen + 1) % APPLICATIONS.len()].0;
                write!(applications, ", \"{other}\"").unwrap();
            }
            26 => rest = "essential = true\n",
            _ => {}
        }
        format!(
            "\n[[allow]]\nname = \"{application} {rule}\"\nfrom = [{from_text}]\nto = [{to_text}]\n\
             applications = [{applications}]\n{rest}"
        )
    }

    /// What the first rule allows, and that nobody may answer it unasked.
    fn expectations(self) -> String {
        let [from, to] = self.ends(0);
        let [from, to] = [self.name(Side::Ward, from), self.name(Side::Hall, to)];
        let application = APPLICATIONS[Self::application(0)].0;
        let expect = |from: &str, to: &str, verdict: &str| {
            format!(
                "\n[[expect]]\nfrom = \"{from}\"\nto = \"{to}\"\napplication = \"{application}\"\n\
                 verdict = \"{verdict}\"\n"
            )
        };
        expect(&from, &to, "pass") + &expect(&to, &from, "drop")
    }
}

/// The second byte of a site's IPv4 addresses.
const fn network(side: Side, site: u32) -> u32 {
    match side {
        Side::Ward => site + 1,
        Side::Hall => site + 128,
    }
}

fn kind(side: Side, place: u32) -> &'static str {
    let kinds = match side {
        Side::Ward => DEVICES,
        Side::Hall => SERVERS,
    };
    kinds[place as usize % kinds.len()]
}

fn chunks(range: Range<u32>) -> impl Iterator<Item = Range<u32>> {
    let end = range.end;
    range.step_by(PER_FILE as usize).map(move |start| start..end.min(start + PER_FILE))
}

/// A number without visible order for every rule and purpose (the finaliser of murmur3).
const fn scatter(rule: u32, purpose: u32) -> u32 {
    let mut hash = rule ^ purpose.wrapping_mul(0x9e37_79b9);
    hash = (hash ^ hash >> 16).wrapping_mul(0x85eb_ca6b);
    hash = (hash ^ hash >> 13).wrapping_mul(0xc2b2_ae35);
    hash ^ hash >> 16
}

#[cfg(test)]
mod tests {
    use firewall_policy::{Capacity, Ports, Sources, check};

    use super::*;

    #[test]
    fn a_generated_policy_of_any_size_is_valid_and_warns_of_nothing() {
        for (nodes, rules) in
            [(2, 0), (2, 1), (3, 70), (63, 200), (64, 64), (1000, 1000), (30_000, 9000)]
        {
            let sources = Sources::from_texts(policy(nodes, rules));
            let ports = [("inside", 1), ("outside", 0)]
                .map(|(name, peer)| (name.to_owned(), Some(firewall_common::Port(peer))));
            let capacity = Capacity::new(addresses(nodes), rules.max(1), 1);
            let resolved = match check(&sources, &Ports::paired(ports), &capacity) {
                Ok(resolved) => resolved,
                Err(found) => panic!("{}", found.render(&sources, firewall_policy::Style::Plain)),
            };
            let addresses_used: usize =
                resolved.policy.nodes().iter().map(|node| node.addresses.len()).sum();
            assert_eq!(addresses_used, addresses(nodes) as usize, "{nodes} nodes");
            assert_eq!(resolved.policy.nodes().len(), nodes as usize);
            assert_eq!(resolved.policy.rules().len(), rules as usize);
            let warnings = resolved.warnings.iter();
            let warnings: Vec<_> = warnings.map(|warning| warning.message.clone()).collect();
            assert!(rules < 20 || warnings.is_empty(), "{nodes}, {rules}: {warnings:?}");
        }
        assert_eq!(policy(1000, 100), policy(1000, 100));
    }

    #[test]
    fn a_million_nodes_fit_into_the_largest_gateway() {
        assert!(addresses(1_000_000) <= 1 << 20);
    }
}
