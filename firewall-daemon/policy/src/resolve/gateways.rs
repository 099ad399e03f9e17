//! Which routers a subnetwork's nodes use across the gateway.

use crate::diagnostic::{Code, Diagnostic, quote};
use crate::model::{Gateway, Policy, SubnetworkId};

/// One for each subnetwork. Where it cannot be told, the nodes must be told by other means, and a
/// warning says so.
pub(super) fn find(policy: &Policy, found: &mut Vec<Diagnostic>) -> Vec<Gateway> {
    if policy.is_routed() {
        // Each asks the gateway itself.
        return vec![Gateway::None; policy.subnetworks().len()];
    }
    let mut routers: Vec<Vec<SubnetworkId>> = vec![Vec::new(); policy.subnetworks().len()];
    let find = |ends: &mut Vec<SubnetworkId>, selectors: &[_]| {
        ends.clear();
        ends.extend(selectors.iter().filter_map(|selector| policy.subnetwork_of(selector)));
        ends.sort_unstable();
        ends.dedup();
    };
    let (mut senders, mut receivers) = (Vec::new(), Vec::new());
    for rule in policy.rules() {
        find(&mut senders, &rule.from);
        find(&mut receivers, &rule.to);
        for &from in &senders {
            for &to in &receivers {
                let [one, other] = [from, to].map(|id| policy.subnetwork(id));
                if one.port == other.port {
                    continue;
                }
                if !other.routers.is_empty() {
                    routers[from.index()].push(to);
                }
                if !one.routers.is_empty() {
                    routers[to.index()].push(from);
                }
            }
        }
    }
    let lists = policy.subnetworks().iter().zip(routers);
    let gateways = lists.map(|(subnetwork, mut routers)| {
        routers.sort_unstable();
        routers.dedup();
        match *routers {
            [] => Gateway::None,
            [only] => Gateway::One(only),
            [..] => {
                let names = routers.iter().map(|id| quote(&policy.subnetwork(*id).name));
                let names: Vec<String> = names.collect();
                let message = format!(
                    "`{}` is connected to several subnetworks with routers: {}",
                    subnetwork.name,
                    names.join(", ")
                );
                found.push(Diagnostic::at(Code::AmbiguousGateway, subnetwork.span, message).help(
                    "its nodes cannot resolve a router's address unless the router is a node",
                ));
                Gateway::Several(routers)
            }
        }
    });
    gateways.collect()
}
