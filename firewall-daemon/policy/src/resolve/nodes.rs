//! `[node.NAME]`

use std::net::IpAddr;
use std::sync::Arc;

use firewall_common::Addr;
use firewall_common::image::MacBinding;
use foldhash::{HashMap, HashMapExt as _};

use super::claims::Claims;
use super::complaints::Complaints;
use super::identities::identity;
use super::names::NameList;
use super::{Resolver, Roles, WORTH_A_THREAD, What, inventory, values};
use crate::diagnostic::{Code, Diagnostic, Span, quote};
use crate::model::{Authentication, GATEWAY, Node, Subnetwork, SubnetworkId};
use crate::parallel::{beside, each};
use crate::spec::{InventorySpec, NodeSpec, Spec, Text};

impl<'s> Resolver<'s> {
    /// The nodes of all files, side by side; and beside them, who is called what.
    pub(super) fn nodes(&mut self, specs: &'s [Spec<'s>]) {
        let count = specs.iter().map(|spec| spec.nodes.len()).sum();
        let (is_much, known) = (count >= WORTH_A_THREAD, &*self);
        let ((names, complaints), files) = beside(
            is_much,
            || node_names(specs, count),
            || each(specs, is_much, |_, spec| FileNodes::of(known, spec)),
        );
        self.names.0[What::Node as usize] = names;
        self.nodes.reserve(count);
        self.homes.reserve(count);
        for file in files {
            let FileNodes { complaints, nodes, homes, roles, kinds: _, claims, lost_roles } = file;
            self.complaints.extend(complaints);
            self.nodes.extend(nodes);
            self.peopled.extend(homes.iter().flatten());
            self.is_any_lost |= homes.iter().any(Option::is_none);
            self.homes.extend(homes);
            self.roles.names.extend(roles.names);
            self.roles.held.extend(roles.held);
            self.claims.extend(claims);
            self.lost_roles.extend(lost_roles);
        }
        self.complaints.extend(complaints);
    }

    /// One warning for each subnetwork: there may be thousands of nodes.
    pub(super) fn warn_of_bare_addresses(&mut self) {
        let mut bare: Vec<(&Node, usize)> = Vec::new();
        let mut places: HashMap<SubnetworkId, usize> = HashMap::new();
        for node in self.nodes.iter().flatten() {
            match node.mac {
                MacBinding::Any => {
                    let place = *places.entry(node.subnetwork).or_insert(bare.len());
                    match bare.get_mut(place) {
                        Some((_, others)) => *others += 1,
                        None => bare.push((node, 0)),
                    }
                }
                MacBinding::Exact(_) | MacBinding::Router => {}
            }
        }
        let warnings = bare.into_iter().map(|(node, others)| {
            let name = &node.name;
            let message = match others {
                0 => format!("`{name}` is known by its address only"),
                1 => format!("`{name}` and another node are known by their addresses only"),
                _ => format!("`{name}` and {others} other nodes are known by their addresses only"),
            };
            let help = format!(
                "give `mac`, or list the `routers` of `{}` if its nodes are behind them",
                self.subnetworks[node.subnetwork.index()].name
            );
            Diagnostic::at(Code::AddressOnly, node.span, message).help(help)
        });
        let warnings: Vec<_> = warnings.collect();
        self.complaints.found.extend(warnings);
    }
}

fn node_names(specs: &[Spec<'_>], count: usize) -> (NameList, Complaints) {
    let (mut names, mut complaints) = (NameList::default(), Complaints::default());
    names.reserve(count);
    for (index, node) in specs.iter().flat_map(|spec| &spec.nodes).enumerate() {
        names.define(What::Node, index, &node.name, &mut complaints);
    }
    (names, complaints)
}

/// The nodes of one file.
struct FileNodes<'s> {
    complaints: Complaints,
    /// None: its subnetwork is not known.
    nodes: Vec<Option<Node>>,
    homes: Vec<Option<SubnetworkId>>,
    roles: Roles<'s>,
    /// The kinds of nodes, kept once.
    kinds: HashMap<&'s str, Arc<str>>,
    claims: Claims<'s>,
    lost_roles: Vec<&'s str>,
}

impl<'s> FileNodes<'s> {
    fn of(known: &Resolver<'s>, spec: &'s Spec<'s>) -> Self {
        let count = spec.nodes.len();
        let mut file = Self {
            complaints: Complaints::default(),
            nodes: Vec::with_capacity(count),
            homes: Vec::with_capacity(count),
            roles: Roles::default(),
            kinds: HashMap::new(),
            claims: Claims::default(),
            lost_roles: Vec::new(),
        };
        for node in &spec.nodes {
            file.node(known, node);
        }
        file
    }

    fn node(&mut self, known: &Resolver<'s>, spec: &'s NodeSpec<'s>) {
        let name = &spec.name;
        self.complaints.accept(Code::InvalidName, name.span, values::name(&name.value));
        if name.value == GATEWAY && known.ports.is_routed(false) {
            let message = "`gateway` is the gateway itself, and needs no declaration";
            self.complaints.report(
                Diagnostic::at(Code::DuplicateName, name.span, message)
                    .help("give the node another name"),
            );
        }
        let subnetwork = spec.subnetwork.as_ref().and_then(|text| {
            let names = known.names.of(What::Subnetwork);
            let index =
                names.look_up(What::Subnetwork, &text.value, text.span, &mut self.complaints)?;
            Some(SubnetworkId(index))
        });
        let addresses = self.complaints.distinct(spec.addresses.as_ref());
        let addresses =
            addresses.filter_map(|text| self.address(known, subnetwork, text)).collect();
        let kind = spec.kind.as_ref().map(|text| {
            let kept = self.kinds.entry(&*text.value).or_insert_with(|| Arc::from(&*text.value));
            Arc::clone(kept)
        });
        let mac = spec.mac.as_ref().and_then(|text| {
            let mac =
                self.complaints.accept(Code::InvalidMac, text.span, values::mac(&text.value))?;
            self.claims.mac(mac);
            Some(mac)
        });
        let roles = self.node_roles(spec, subnetwork);
        let authentication = spec.authentication.as_ref().and_then(|text| {
            let words = Authentication::ALL.map(|way| (way.name(), way));
            let value = values::word("authentication", &text.value, &words);
            self.complaints.accept(Code::InvalidAuthentication, text.span, value)
        });
        let identity = identity(spec, authentication, &mut self.complaints);
        self.homes.push(subnetwork);
        self.nodes.push(subnetwork.map(|subnetwork| Node {
            name: Arc::from(&*name.value),
            inventory: spec.inventory.as_deref().map(|spec| {
                let InventorySpec { description, organisation, responsible } = spec;
                let [description, organisation, responsible] =
                    [description, organisation, responsible].map(Option::as_ref);
                Box::new(inventory(description, organisation, responsible))
            }),
            subnetwork,
            kind,
            addresses,
            mac: match mac {
                Some(mac) => MacBinding::Exact(mac),
                // A MAC that was refused is not one that was left out.
                None if spec.mac.is_some() => MacBinding::Router,
                None if known.subnetworks[subnetwork.index()].routers.is_empty() => MacBinding::Any,
                None => MacBinding::Router,
            },
            roles,
            authentication: authentication.unwrap_or_default(),
            identity,
            span: name.span,
        }));
    }

    fn address(
        &mut self,
        known: &Resolver<'s>,
        subnetwork: Option<SubnetworkId>,
        text: &'s Text<'s>,
    ) -> Option<Addr> {
        let value = values::address(&text.value);
        let address = self.complaints.accept(Code::InvalidAddress, text.span, value)?;
        if let Some(subnetwork) = subnetwork {
            self.check_place(address, &known.subnetworks[subnetwork.index()], text.span);
        }
        self.claims.address(address.into());
        Some(address.into())
    }

    fn check_place(&mut self, address: IpAddr, subnetwork: &Subnetwork, span: Span) {
        let networks = &subnetwork.networks;
        // Without networks there is nothing to compare with, and that has been said.
        if networks.is_empty() {
            return;
        }
        let Some(network) = networks.iter().find(|network| network.contains(&address)) else {
            let name = quote(&subnetwork.name);
            let message = format!("{address} lies in no network of {name}");
            let networks: Vec<String> = networks.iter().take(8).map(ToString::to_string).collect();
            let help = format!("its networks are {}", networks.join(", "));
            let related = subnetwork.span;
            self.complaints.report(
                Diagnostic::at(Code::AddressOutsideSubnetwork, span, message)
                    .related(related, "the subnetwork")
                    .help(help),
            );
            return;
        };
        if let Some(kind) = values::border(address, *network) {
            let message = format!("{address} is the {kind} address of {network}");
            self.complaints.report(Diagnostic::at(Code::InvalidAddress, span, message));
        }
    }

    fn node_roles(
        &mut self,
        spec: &'s NodeSpec<'s>,
        subnetwork: Option<SubnetworkId>,
    ) -> Arc<[Arc<str>]> {
        let mut roles = Vec::new();
        for text in self.complaints.distinct(spec.roles.as_ref()) {
            let role: &'s str = &text.value;
            self.complaints.accept(Code::InvalidName, text.span, values::name(role));
            if role == "any" || role == "*" {
                let message = format!("{} cannot be the name of a role", quote(role));
                let help = "`SUBNETWORK/any` and `SUBNETWORK/*` have a meaning of their own";
                self.complaints
                    .report(Diagnostic::at(Code::ReservedRole, text.span, message).help(help));
            }
            match subnetwork {
                Some(subnetwork) => {
                    self.roles.held.insert((subnetwork.0, role));
                }
                None => self.lost_roles.push(role),
            }
            let kept = self.roles.names.entry(role).or_insert_with(|| Arc::from(role));
            roles.push(kept.clone());
        }
        roles.sort_unstable();
        if let Some(kept) = self.roles.lists.get(&roles) {
            return Arc::clone(kept);
        }
        let kept: Arc<[_]> = Arc::from(&*roles);
        self.roles.lists.insert(roles, Arc::clone(&kept));
        kept
    }
}
