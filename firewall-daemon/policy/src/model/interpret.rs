//! The policy, word for word: slow and obviously right. It never looks at an image, so that the
//! compiler can be compared with it.

use super::{Application, Expectation, Expected, NodeId, Policy, PortRange, Rule, Selector};

/// What a packet asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    /// TCP, with a destination port.
    Tcp,
    /// UDP, with a destination port.
    Udp,
    /// ICMP or ICMPv6 echo; the port does not matter.
    Echo,
}

impl Protocol {
    /// As people write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
            Self::Echo => "ICMP echo",
        }
    }
}

impl Application {
    /// A protocol and port for each part of the application: what a trial of it has to send. For
    /// echo the port is 0.
    pub fn samples(&self) -> Vec<(Protocol, u16)> {
        let tcp = self.tcp.iter().map(|ports| (Protocol::Tcp, ports.first));
        let udp = self.udp.iter().map(|ports| (Protocol::Udp, ports.first));
        tcp.chain(udp).chain(self.echo.then_some((Protocol::Echo, 0))).collect()
    }

    /// Whether the application names that protocol and port.
    pub fn contains(&self, protocol: Protocol, port: u16) -> bool {
        match protocol {
            Protocol::Tcp => self.tcp.iter().any(|ports| ports.contains(port)),
            Protocol::Udp => self.udp.iter().any(|ports| ports.contains(port)),
            Protocol::Echo => self.echo,
        }
    }
}

impl Policy {
    /// Whether a selector matches a declared node.
    pub fn selects(&self, selector: &Selector, id: NodeId) -> bool {
        let node = self.node(id);
        match selector {
            Selector::Node(wanted) => *wanted == id,
            Selector::Role(subnetwork, role) => {
                node.subnetwork == *subnetwork && node.roles.contains(role)
            }
            Selector::Declared(subnetwork) | Selector::Any(subnetwork) => {
                node.subnetwork == *subnetwork
            }
            Selector::Gateway => false,
        }
    }

    /// The rule by which one node may open that port of the other: the first essential one, or
    /// else the first.
    pub fn allows(&self, from: NodeId, to: NodeId, protocol: Protocol, port: u16) -> Option<&Rule> {
        let mut allowing = self.connecting(from, to).filter(|rule| {
            let mut applications = rule.applications.iter();
            applications.any(|&id| self.application(id).contains(protocol, port))
        });
        let first = allowing.next()?;
        if first.essential {
            return Some(first);
        }
        Some(allowing.find(|rule| rule.essential).unwrap_or(first))
    }

    /// The rules from one node to the other, in the order of the text.
    pub fn connecting(&self, from: NodeId, to: NodeId) -> impl Iterator<Item = &Rule> {
        self.rules().iter().filter(move |rule| {
            rule.from.iter().any(|selector| self.selects(selector, from))
                && rule.to.iter().any(|selector| self.selects(selector, to))
        })
    }

    /// The first protocol and port that does not go as expected; for echo the port is 0.
    pub fn contradiction(&self, expectation: &Expectation) -> Option<(Protocol, u16)> {
        let Expectation { from, to, application, verdict, span: _ } = expectation;
        let rules: Vec<&Rule> = self.connecting(*from, *to).collect();
        let applications = || rules.iter().flat_map(|rule| &rule.applications);
        let allowed = applications().map(|&id| self.application(id));
        let Application { tcp, udp, echo, .. } = self.application(*application);
        let is_wanted = *verdict == Expected::Pass;
        if *echo && allowed.clone().any(|application| application.echo) != is_wanted {
            return Some((Protocol::Echo, 0));
        }
        for (protocol, wanted) in [(Protocol::Tcp, tcp), (Protocol::Udp, udp)] {
            let ranges = allowed.clone().flat_map(|application| match protocol {
                Protocol::Tcp => application.tcp.iter(),
                Protocol::Udp | Protocol::Echo => application.udp.iter(),
            });
            let ranges: Vec<PortRange> = ranges.copied().collect();
            // A port's fate can change only where a range begins or has just ended.
            let mut ports: Vec<u16> = wanted.iter().map(|ports| ports.first).collect();
            for range in &ranges {
                let borders = [Some(range.first), range.last.checked_add(1)];
                let borders = borders.into_iter().flatten();
                ports.extend(
                    borders.filter(|&port| wanted.iter().any(|ports| ports.contains(port))),
                );
            }
            ports.sort_unstable();
            for port in ports {
                if ranges.iter().any(|range| range.contains(port)) != is_wanted {
                    return Some((protocol, port));
                }
            }
        }
        None
    }
}
