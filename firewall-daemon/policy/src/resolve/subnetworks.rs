//! `[subnetwork.NAME]`

use std::sync::Arc;

use firewall_common::image::{ROUTERS_PER_SUBNETWORK, SUBNETWORKS, Tolerance};
use firewall_common::{Mac, Vlan};

use super::networks::Written;
use super::ports::NO_PORT;
use super::{Resolver, What, inventory, values};
use crate::diagnostic::{Code, Diagnostic, quote};
use crate::model::{Criticality, Subnetwork, SubnetworkId};
use crate::spec::{SubnetworkSpec, Text, Texts};
use crate::suggest::did_you_mean;

impl<'s> Resolver<'s> {
    pub(super) fn subnetwork(&mut self, spec: &'s SubnetworkSpec<'s>) {
        let SubnetworkSpec { name, description, organisation, responsible, .. } = spec;
        self.accept(Code::InvalidName, name.span, values::name(&name.value));
        let index = self.subnetworks.len();
        self.define(What::Subnetwork, index, name);
        // Slot 0 is nobody's.
        if index + 1 == SUBNETWORKS as usize {
            let message = format!("a gateway holds at most {} subnetworks", SUBNETWORKS - 1);
            self.report(Diagnostic::at(Code::TooManySubnetworks, name.span, message));
        }
        let criticality = spec.criticality.as_ref().and_then(|text| {
            let words = Criticality::ALL.map(|criticality| (criticality.name(), criticality));
            let value = values::word("criticality", &text.value, &words);
            self.accept(Code::InvalidCriticality, text.span, value)
        });
        let port = spec.port.as_ref().and_then(|text| self.port(text));
        let vlan = spec.vlan.as_ref().and_then(|number| {
            self.accept(Code::InvalidVlan, number.span, values::vlan(number.value))
        });
        let id = SubnetworkId(u32::try_from(index).unwrap_or(u32::MAX));
        let (port, vlan) = (port.unwrap_or(NO_PORT), vlan.unwrap_or(Vlan::UNTAGGED));
        let mut networks = Vec::new();
        for text in self.distinct(spec.networks.as_ref()) {
            let network = values::network(&text.value);
            if let Some(network) = self.accept(Code::InvalidNetwork, text.span, network) {
                networks.push(network);
                self.networks.push(Written {
                    subnetwork: id,
                    port,
                    vlan,
                    network,
                    span: text.span,
                });
            }
        }
        let routers = self.routers(&name.value, spec.routers.as_ref());
        let headers = self.extension_headers(spec.extension_headers.as_ref());
        let fragments = spec.fragments.as_ref().and_then(|text| {
            let words = [("drop", Tolerance::default()), ("track", Tolerance::FRAGMENTS)];
            let value = values::word("way to treat fragments", &text.value, &words);
            self.accept(Code::InvalidFragments, text.span, value)
        });
        let tolerance = headers.or(fragments.unwrap_or_default());
        self.subnetworks.push(Subnetwork {
            name: Arc::from(&*name.value),
            inventory: inventory(description.as_ref(), organisation.as_ref(), responsible.as_ref()),
            criticality: criticality.unwrap_or_default(),
            port,
            vlan,
            networks,
            routers,
            tolerance,
            span: name.span,
        });
    }

    fn port(&mut self, text: &'s Text<'s>) -> Option<firewall_common::Port> {
        let port = self.ports.find(&text.value);
        if port.is_none() {
            let names = self.ports.names();
            let help =
                did_you_mean(&text.value, names.iter().copied(), self.complaints.found.len())
                    .unwrap_or_else(|| format!("its ports are {}", names.join(", ")));
            let message = format!("the gateway has no port {}", quote(&text.value));
            self.report(Diagnostic::at(Code::UnknownPort, text.span, message).help(help));
        }
        port
    }

    fn extension_headers(&mut self, texts: Option<&'s Texts<'s>>) -> Tolerance {
        let mut tolerance = Tolerance::default();
        for text in self.distinct(texts) {
            let header = values::extension_header(&text.value);
            if let Some(header) = self.accept(Code::InvalidExtensionHeader, text.span, header) {
                tolerance = tolerance.or(header);
            }
        }
        tolerance
    }

    /// One router may serve several subnetworks: its MAC may stand in each.
    fn routers(&mut self, name: &'s str, texts: Option<&'s Texts<'s>>) -> Vec<Mac> {
        let Some(list) = texts else { return Vec::new() };
        let mut routers: Vec<Mac> = Vec::new();
        for text in self.distinct(texts) {
            let mac = values::mac(&text.value);
            let Some(mac) = self.accept(Code::InvalidMac, text.span, mac) else { continue };
            self.claims.router(mac, text.span, name);
            routers.push(mac);
        }
        if routers.len() > ROUTERS_PER_SUBNETWORK {
            let message = format!("{} has {} routers", quote(name), routers.len());
            let help = format!("a subnetwork has at most {ROUTERS_PER_SUBNETWORK}");
            self.report(Diagnostic::at(Code::TooManyRouters, list.span, message).help(help));
        }
        routers
    }
}
