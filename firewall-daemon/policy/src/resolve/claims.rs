//! An address and a MAC belong to one node.

use std::collections::hash_map::Entry;
use std::fmt;

use firewall_common::{Addr, Mac};
use foldhash::{HashMap, HashMapExt as _};

use super::complaints::repeated;
use super::{Resolver, values};
use crate::diagnostic::{Code, Diagnostic, Span, quote};
use crate::spec::{NodeSpec, Text};

/// What nodes claim. A million claims are told apart by sorting them; whose they are, and where that
/// is said, is looked for only once two are the same.
#[derive(Default)]
pub(super) struct Claims<'s> {
    /// As numbers in the order of their bytes, so that they come nearly sorted.
    addresses: Vec<[u64; 2]>,
    macs: Vec<Mac>,
    routers: HashMap<Mac, (Span, &'s str)>,
}

/// Whose a MAC is.
enum Owner<'s> {
    Node(&'s str),
    RouterOf(&'s str),
}

impl fmt::Display for Owner<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node(name) => formatter.write_str(&quote(name)),
            Self::RouterOf(subnetwork) => write!(formatter, "a router of `{subnetwork}`"),
        }
    }
}

impl<'s> Claims<'s> {
    pub(super) fn router(&mut self, mac: Mac, span: Span, subnetwork: &'s str) {
        self.routers.entry(mac).or_insert((span, subnetwork));
    }

    pub(super) fn address(&mut self, address: Addr) {
        self.addresses.push(address.words().map(u64::from_le).map(u64::swap_bytes));
    }

    pub(super) fn mac(&mut self, mac: Mac) {
        self.macs.push(mac);
    }

    /// Those of other nodes, too.
    pub(super) fn extend(&mut self, others: Self) {
        let Self { addresses, macs, routers: _ } = others;
        self.addresses.extend(addresses);
        self.macs.extend(macs);
    }

    fn are_distinct(mut self) -> bool {
        self.addresses.sort_unstable();
        self.macs.sort_unstable();
        let is_repeated = self.addresses.array_windows().any(|[one, other]| one == other)
            || self.macs.array_windows().any(|[one, other]| one == other);
        !is_repeated && !self.macs.iter().any(|mac| self.routers.contains_key(mac))
    }
}

impl<'s> Resolver<'s> {
    /// Complains of each claim of something that is somebody's already.
    pub(super) fn check_claims(&mut self, nodes: impl Iterator<Item = &'s NodeSpec<'s>>) {
        let claims = std::mem::take(&mut self.claims);
        let routers = claims.routers.iter();
        let mut macs: HashMap<Mac, (Span, Owner<'s>)> = routers
            .map(|(mac, &(span, subnetwork))| (*mac, (span, Owner::RouterOf(subnetwork))))
            .collect();
        if claims.are_distinct() {
            return;
        }
        let mut addresses = HashMap::new();
        for node in nodes {
            let list = node.addresses.as_ref().map(|list| &*list.value).unwrap_or_default();
            let repeated = repeated(list);
            let texts =
                list.iter().enumerate().filter(|(place, _)| repeated.binary_search(place).is_err());
            for (_, text) in texts {
                self.check_address(&mut addresses, &node.name.value, text);
            }
            if let Some(text) = &node.mac {
                self.check_mac(&mut macs, &node.name.value, text);
            }
        }
    }

    fn check_address(
        &mut self,
        known: &mut HashMap<Addr, (Span, &'s str)>,
        node: &'s str,
        text: &Text<'_>,
    ) {
        // What is no address has been said.
        let Ok(address) = values::address(&text.value) else { return };
        match known.entry(address.into()) {
            Entry::Vacant(entry) => {
                entry.insert((text.span, node));
            }
            Entry::Occupied(entry) => {
                let &(first, owner) = entry.get();
                let message = format!("{address} belongs to `{owner}` already");
                self.report(
                    Diagnostic::at(Code::DuplicateAddress, text.span, message)
                        .related(first, "first claimed here"),
                );
            }
        }
    }

    fn check_mac(
        &mut self,
        known: &mut HashMap<Mac, (Span, Owner<'s>)>,
        node: &'s str,
        text: &Text<'_>,
    ) {
        let Ok(mac) = values::mac(&text.value) else { return };
        match known.entry(mac) {
            Entry::Vacant(entry) => {
                entry.insert((text.span, Owner::Node(node)));
            }
            Entry::Occupied(entry) => {
                let (first, owner) = entry.get();
                let message = format!("{mac} belongs to {owner} already");
                self.report(
                    Diagnostic::at(Code::DuplicateMac, text.span, message)
                        .related(*first, "first claimed here")
                        .help("a device with several addresses is one node that lists them all"),
                );
            }
        }
    }
}
