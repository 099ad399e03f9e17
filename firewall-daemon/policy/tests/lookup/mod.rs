//! Asks an image, with the readers of firewall-common and nothing else.

use firewall_common::image::{
    Allowed, Header, Line, Party, RuleEntry, SERVICE_LINES_PER_PROTOCOL, SERVICES_PER_LINE,
    Selector, Shape, Subnetwork, buckets, network_hash, node_hash, rule_hash,
};
use firewall_common::{Addr, Port, Service, SubnetworkSlot};
use firewall_policy::Image;
use firewall_policy::model::Protocol;

pub(crate) struct Lookup<'i> {
    lines: &'i [Line],
    header: Header,
}

impl<'i> Lookup<'i> {
    pub(crate) fn new(image: &'i Image) -> Self {
        let header = Header::decode(&image.lines[0]);
        assert_eq!(header, image.header);
        Self { lines: &image.lines, header }
    }

    pub(crate) fn node(&self, address: Addr) -> Option<Party> {
        let mut lines = self.identities(node_hash(address, self.header.seed));
        lines.find_map(|line| Party::find_node(line, address))
    }

    pub(crate) fn network(&self, address: Addr, port: Port) -> Option<Party> {
        let lengths = self.header.any_prefix_lengths;
        lengths.into_iter().take_while(|&length| length > 0).find_map(|length| {
            let network = address.masked(length);
            let mut lines = self.identities(network_hash(network, length, port, self.header.seed));
            lines.find_map(|line| Party::find_network(line, network, length, port))
        })
    }

    pub(crate) fn subnetwork(&self, slot: u32) -> Subnetwork {
        Subnetwork::decode(self.line(self.header.subnetwork_base + slot - 1))
    }

    pub(crate) fn allowed(
        &self,
        from: Addr,
        to: Addr,
        protocol: Protocol,
        port: u16,
    ) -> Vec<Allowed> {
        let service = match protocol {
            Protocol::Tcp => self.service(0, port),
            Protocol::Udp => self.service(1, port),
            Protocol::Echo => self.header.echo,
        };
        self.rules(&self.selectors(from), &self.selectors(to), service)
    }

    pub(crate) fn connected(&self, from: Addr, to: Addr) -> Vec<Allowed> {
        self.rules(&self.selectors(from), &self.selectors(to), Service::CONNECTED)
    }

    pub(crate) fn connects_routers(&self, node: Addr, subnetwork: u16) -> bool {
        let routers = [Selector::routers(SubnetworkSlot(subnetwork))];
        let node = self.selectors(node);
        let there = !self.rules(&node, &routers, Service::CONNECTED).is_empty();
        let back = !self.rules(&routers, &node, Service::CONNECTED).is_empty();
        assert_eq!(there, back);
        there
    }

    fn service(&self, protocol: u32, port: u16) -> Service {
        let (line, lane) =
            (u32::from(port) / SERVICES_PER_LINE, u32::from(port) % SERVICES_PER_LINE);
        let base = self.header.service_base + protocol * SERVICE_LINES_PER_PROTOCOL;
        let bytes = self.line(base + line).0.map(u64::to_le_bytes);
        let [low, high] = [0, 1].map(|byte| bytes.as_flattened()[2 * lane as usize + byte]);
        Service(u16::from_le_bytes([low, high]))
    }

    fn selectors(&self, address: Addr) -> Vec<Selector> {
        let Some(party) = self.node(address) else { return Vec::new() };
        vec![
            Selector::node(party.node()),
            Selector::class(party.class()),
            Selector::any(party.subnetwork()),
        ]
    }

    /// One answer for each shape that has one.
    fn rules(&self, from: &[Selector], to: &[Selector], service: Service) -> Vec<Allowed> {
        let mut found = Vec::new();
        if service == Service::NONE {
            return found;
        }
        for &from in from {
            for &to in to {
                let shape = Shape { from: from.kind(), to: to.kind() };
                if self.header.shapes & 1 << shape.index() == 0 {
                    continue;
                }
                let hash = rule_hash(from, to, service, self.header.seed);
                let buckets = buckets(hash, self.header.rule_buckets);
                let mut lines = buckets.into_iter().map(|line| self.header.rule_base + line);
                found.extend(
                    lines.find_map(|line| RuleEntry::find(self.line(line), from, to, service)),
                );
            }
        }
        found
    }

    fn identities(&self, hash: u64) -> impl Iterator<Item = &'i Line> {
        let lines = buckets(hash, self.header.identity_buckets);
        lines.map(|line| self.line(self.header.identity_base + line)).into_iter()
    }

    fn line(&self, index: u32) -> &'i Line {
        &self.lines[index as usize]
    }
}
