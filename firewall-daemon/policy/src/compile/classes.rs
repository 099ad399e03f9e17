//! Nodes of one subnetwork with the same roles share a class: a rule for a role costs as many
//! entries as there are kinds of nodes, not as there are nodes.

use std::sync::Arc;

use foldhash::{HashMap, HashMapExt as _};

use super::CompileError;
use crate::model::{Policy, SubnetworkId};

pub(super) struct Classes<'p> {
    /// By node; numbers start at 1.
    pub(super) of_node: Vec<u16>,
    of_subnetwork: Vec<Vec<u16>>,
    of_role: HashMap<(SubnetworkId, &'p str), Vec<u16>>,
}

impl<'p> Classes<'p> {
    pub(super) fn of(policy: &'p Policy) -> Result<Self, CompileError> {
        let mut classes = Self {
            of_node: Vec::with_capacity(policy.nodes().len()),
            of_subnetwork: vec![Vec::new(); policy.subnetworks().len()],
            of_role: HashMap::new(),
        };
        let mut known: HashMap<(SubnetworkId, &[Arc<str>]), u16> = HashMap::new();
        for node in policy.nodes() {
            let key = (node.subnetwork, &*node.roles);
            if let Some(&class) = known.get(&key) {
                classes.of_node.push(class);
                continue;
            }
            let class = u16::try_from(known.len() + 1).map_err(|_| CompileError::Classes)?;
            known.insert(key, class);
            classes.of_node.push(class);
            classes.of_subnetwork[node.subnetwork.index()].push(class);
            for role in &*node.roles {
                classes.of_role.entry((node.subnetwork, role)).or_default().push(class);
            }
        }
        Ok(classes)
    }

    /// The classes of a subnetwork's declared nodes.
    pub(super) fn declared(&self, subnetwork: SubnetworkId) -> &[u16] {
        &self.of_subnetwork[subnetwork.index()]
    }

    /// The classes of a subnetwork's nodes with that role.
    pub(super) fn role(&self, subnetwork: SubnetworkId, role: &'p str) -> &[u16] {
        self.of_role.get(&(subnetwork, role)).map_or(&[], Vec::as_slice)
    }
}
