//! What the policy in force wants of nodes that must authenticate.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;

use firewall_common::image::MacBinding;
use firewall_common::{Addr, Mac, NodeSlot, Port};
use firewall_policy::model::{Authentication, Criticality};
use firewall_policy::{Names, Policy};
use foldhash::HashMap;
use sha2::{Digest, Sha256};

use super::{LONGEST, Proof, Refusal};

/// A node that must authenticate.
#[derive(Clone, Debug)]
pub struct Subject {
    /// Its name.
    pub name: Arc<str>,
    /// Where its standing lies in the kernel.
    pub slot: NodeSlot,
    /// As whom it must prove itself.
    pub identity: Arc<str>,
    /// In which way.
    pub authentication: Authentication,
    /// The MAC of its frames; none if it is behind a router, or any will do.
    pub mac: Option<Mac>,
    /// The port it is behind.
    pub port: Port,
    /// Its addresses.
    pub addresses: Vec<Addr>,
    /// How much harm an outage of its subnetwork does.
    pub criticality: Criticality,
    /// Of everything that a lease was granted for: when it changes, the lease ends.
    pub binding: u64,
}

/// Every node that must authenticate.
#[derive(Debug, Default)]
pub struct Register {
    subjects: Vec<Subject>,
    by_name: HashMap<Arc<str>, usize>,
    by_identity: HashMap<(Authentication, Arc<str>), usize>,
}

impl Register {
    /// Those of that policy.
    pub fn new(policy: &Policy, names: &Names) -> Self {
        let mut register = Self::default();
        for named in names.nodes() {
            let node = policy.node(named.id);
            let Some(identity) = node.identity.clone() else { continue };
            let subnetwork = policy.subnetwork(node.subnetwork);
            let mac = match node.mac {
                MacBinding::Exact(mac) => Some(mac),
                MacBinding::Router | MacBinding::Any => None,
            };
            let port = policy.ports().get(usize::from(subnetwork.port.0));
            let binding = format!(
                "{:?} {identity:?} {mac:?} {:?} {:?} {port:?} {:?}",
                node.authentication, node.addresses, subnetwork.name, subnetwork.vlan
            );
            let subject = Subject {
                name: Arc::clone(&node.name),
                slot: named.slot,
                identity,
                authentication: node.authentication,
                mac,
                port: subnetwork.port,
                addresses: node.addresses.to_vec(),
                criticality: subnetwork.criticality,
                binding: fingerprint(&binding),
            };
            register.enter(subject);
        }
        register
    }

    pub(super) fn enter(&mut self, subject: Subject) {
        let place = self.subjects.len();
        self.by_name.insert(Arc::clone(&subject.name), place);
        let identity = (subject.authentication, Arc::clone(&subject.identity));
        self.by_identity.insert(identity, place);
        self.subjects.push(subject);
    }

    /// All of them.
    pub fn subjects(&self) -> &[Subject] {
        &self.subjects
    }

    /// The node of that name.
    pub fn named(&self, name: &str) -> Option<&Subject> {
        self.by_name.get(name).and_then(|place| self.subjects.get(*place))
    }

    /// From where those may prove themselves who must in that way.
    pub fn addresses(&self, way: Authentication) -> HashSet<IpAddr> {
        let meant = self.subjects.iter().filter(|subject| subject.authentication == way);
        meant.flat_map(|subject| subject.addresses.iter().copied().map(IpAddr::from)).collect()
    }

    /// Whose proof that is.
    ///
    /// # Errors
    /// Why it is nobody's.
    pub fn judge(&self, proof: &Proof) -> Result<&Subject, Refusal> {
        let Proof { source, identity, mac, address, session, length: _, chain: _ } = proof;
        if identity.len() > LONGEST || session.len() > LONGEST {
            return Err(Refusal::Length);
        }
        let find = |way| self.by_identity.get(&(way, Arc::from(identity.as_str())));
        let Some(subject) = find(source.proves()).and_then(|place| self.subjects.get(*place))
        else {
            let other = Authentication::ALL.into_iter().any(|way| find(way).is_some());
            return Err(if other { Refusal::Authentication } else { Refusal::Identity });
        };
        match (source.proves(), *mac, subject.mac) {
            (_, Some(mac), Some(bound)) if mac == bound => {}
            // Behind a router the node's own MAC is nobody's business.
            (Authentication::Lease, _, None) => {}
            // The address is proof enough: in the kernel it goes with the MAC.
            (Authentication::Lease, None, Some(_)) if address.is_some() => {}
            (Authentication::Static | Authentication::Dot1x | Authentication::Lease, _, _) => {
                return Err(Refusal::Mac);
            }
        }
        if source.port().is_some_and(|port| port != subject.port) {
            return Err(Refusal::Port);
        }
        if address.is_some_and(|address| !subject.addresses.contains(&address)) {
            return Err(Refusal::Address);
        }
        Ok(subject)
    }
}

fn fingerprint(text: &str) -> u64 {
    Sha256::digest(text).first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}
