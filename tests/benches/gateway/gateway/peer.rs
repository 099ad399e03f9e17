//! What Cordon is compared with.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::Stdio;

use firewall_tests::lab::{Lab, Link};

use super::{Gateway, Mode, address, bridged, routed};
use crate::frames::{Ends, FAR_V4, Family, NEAR_V4};
use crate::kernel::{self, MapKind};
use crate::traffic;

/// An XDP program that redirects every frame.
pub(crate) struct Bare {
    lab: Lab,
    _links: Vec<OwnedFd>,
}

impl Bare {
    pub(crate) fn new() -> Self {
        let lab = Lab::new();
        let mut links = Vec::new();
        for (from, to) in [(lab.inside(), lab.outside()), (lab.outside(), lab.inside())] {
            let devices = kernel::map(MapKind::Devices, 4, 1);
            lab.gateway().run(|| kernel::set_element(&devices, 0, [to.index()]));
            let program = kernel::load(&traffic::bare_redirect(&devices));
            let from = from.index();
            links.push(lab.gateway().run(|| kernel::attach(&program, from)));
        }
        Self { lab, _links: links }
    }
}

impl Gateway for Bare {
    fn lab(&self) -> &Lab {
        &self.lab
    }

    fn ends(&self, family: Family) -> Ends {
        bridged(&self.lab, family)
    }
}

/// The kernel forwards what nftables accepts.
pub(crate) struct Nftables {
    lab: Lab,
    mode: Mode,
}

/// How nftables knows what it may accept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rules {
    /// The first rule accepts what conntrack calls established.
    Tracked,
    /// One rule for each of that many pairs of addresses, ours last; no state.
    Linear(u32),
    /// The same pairs in a set.
    Set(u32),
}

impl Rules {
    /// In the syntax of nft(8).
    fn text(self, mode: Mode) -> String {
        let family = match mode {
            Mode::Bridge => "bridge",
            Mode::Router => "inet",
        };
        let rules = match self {
            Self::Tracked => TRACKED.to_owned(),
            Self::Linear(rules) => {
                pairs(rules).fold(String::new(), |mut text, [from, to, port]| {
                    writeln!(text, "ip saddr {from} ip daddr {to} udp dport {port} accept")
                        .unwrap();
                    text
                })
            }
            Self::Set(rules) => {
                let elements: Vec<_> = pairs(rules).map(|pair| pair.join(" . ")).collect();
                format!("ip saddr . ip daddr . udp dport {{ {} }} accept\n", elements.join(", "))
            }
        };
        let hook = "type filter hook forward priority filter; policy drop;";
        format!("table {family} bench {{ chain forward {{\n{hook}\n{rules}}}\n}}\n")
    }
}

const TRACKED: &str = "\
ct state established accept
ip saddr 10.1.0.10 ip daddr 10.2.0.20 udp dport 4000-4400 ct state new accept
ip saddr 10.5.0.0/16 ip daddr 10.2.0.20 udp dport 4000-4400 ct state new accept
ip6 saddr fd00:1::10 ip6 daddr fd00:2::20 udp dport 4000-4400 ct state new accept
";

/// Source, destination and port; those of the frames last.
fn pairs(count: u32) -> impl Iterator<Item = [String; 3]> {
    let others = (1..count).map(|pair| {
        let [_, _, high, low] = pair.to_be_bytes();
        [format!("10.8.{high}.{low}"), format!("10.9.{high}.{low}"), "4000".to_owned()]
    });
    others.chain([[NEAR_V4, FAR_V4, "4000"].map(str::to_owned)])
}

impl Nftables {
    pub(crate) fn new(mode: Mode, rules: Rules) -> Self {
        let lab = Lab::new();
        match mode {
            Mode::Bridge => {
                let bridge = Link::bridge(lab.gateway(), "bridge");
                [lab.inside(), lab.outside()].into_iter().for_each(|port| port.enslave(&bridge));
            }
            Mode::Router => {
                address(&lab);
                lab.gateway().run(|| {
                    for setting in ["ipv4/ip_forward", "ipv6/conf/all/forwarding"] {
                        fs::write(Path::new("/proc/sys/net").join(setting), "1").unwrap();
                    }
                });
            }
        }
        let mut nft = lab.gateway().command("nft");
        let mut nft = nft.args(["-f", "-"]).stdin(Stdio::piped()).spawn().unwrap();
        nft.stdin.take().unwrap().write_all(rules.text(mode).as_bytes()).unwrap();
        assert!(nft.wait().unwrap().success(), "nft refuses the rules");
        Self { lab, mode }
    }
}

impl Gateway for Nftables {
    fn lab(&self) -> &Lab {
        &self.lab
    }

    fn ends(&self, family: Family) -> Ends {
        match self.mode {
            Mode::Bridge => bridged(&self.lab, family),
            Mode::Router => routed(&self.lab, family),
        }
    }
}
