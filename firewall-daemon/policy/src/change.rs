//! What a reload would change, by name.

use foldhash::HashMap;
use serde::Serialize;

use crate::model::{Application, GATEWAY, Node, Policy, Rule, Selector, Subnetwork, SubnetworkId};

/// The difference of two policies.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Nodes.
    pub nodes: Difference,
    /// Rules; one whose application changed has changed.
    pub rules: Difference,
    /// Subnetworks.
    pub subnetworks: Difference,
    /// Applications.
    pub applications: Difference,
}

/// Names, each list in the order of its policy; `removed` in the order of the old one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// In the new policy only.
    pub added: Vec<String>,
    /// In the old policy only.
    pub removed: Vec<String>,
    /// In both, but not the same.
    pub changed: Vec<String>,
    /// In both, and the same.
    pub kept: Vec<String>,
}

impl Change {
    /// From no policy, or an old one, to a new one.
    pub fn between(old: Option<&Policy>, new: &Policy) -> Self {
        fn nodes(node: &Node) -> &str {
            &node.name
        }
        fn rules(rule: &Rule) -> &str {
            &rule.name
        }
        fn subnetworks(subnetwork: &Subnetwork) -> &str {
            &subnetwork.name
        }
        fn applications(application: &Application) -> &str {
            &application.name
        }
        Self {
            nodes: difference(old, new, Policy::nodes, nodes, same_node),
            rules: difference(old, new, Policy::rules, rules, same_rule),
            subnetworks: difference(old, new, Policy::subnetworks, subnetworks, same_subnetwork),
            applications: difference(old, new, Policy::applications, applications, |one, other| {
                same_application(one.1, other.1)
            }),
        }
    }

    /// Whether the two say the same.
    pub fn is_empty(&self) -> bool {
        let Self { nodes, rules, subnetworks, applications } = self;
        [nodes, rules, subnetworks, applications].iter().all(|difference| difference.is_empty())
    }
}

impl Difference {
    /// Whether everything was kept.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.changed.is_empty()
    }
}

/// Something of a policy, with the policy to resolve what it refers to.
type In<'p, T> = (&'p Policy, &'p T);

fn difference<'p, T>(
    old: Option<&'p Policy>,
    new: &'p Policy,
    list: fn(&Policy) -> &[T],
    name: fn(&T) -> &str,
    is_same: fn(In<'_, T>, In<'_, T>) -> bool,
) -> Difference {
    let mut difference = Difference::default();
    let mut enter = |before: Option<In<'_, T>>, item: &T| {
        let list = match before {
            None => &mut difference.added,
            Some(old) if is_same(old, (new, item)) => &mut difference.kept,
            Some(_) => &mut difference.changed,
        };
        list.push(name(item).to_owned());
    };
    let of_old = |old| list(old).iter().map(move |item| (old, item));
    let (before, after) = (old.into_iter().flat_map(of_old).collect::<Vec<_>>(), list(new));
    // Most edits change little, and leave the order as it is.
    let pairs = before.iter().zip(after);
    let aligned = pairs.take_while(|((_, one), other)| name(one) == name(other)).count();
    let (same, rest) = before.split_at(aligned);
    for (&old, item) in same.iter().zip(after) {
        enter(Some(old), item);
    }
    let mut rest_by_name: HashMap<&str, In<'_, T>> =
        rest.iter().map(|&(old, item)| (name(item), (old, item))).collect();
    for item in after.iter().skip(aligned) {
        enter(rest_by_name.remove(name(item)), item);
    }
    let removed = rest.iter().map(|(_, item)| name(item));
    let removed = removed.filter(|name| rest_by_name.contains_key(name));
    difference.removed = removed.map(str::to_owned).collect();
    difference
}

fn same_subnetwork(
    (one_in, one): In<'_, Subnetwork>,
    (other_in, other): In<'_, Subnetwork>,
) -> bool {
    let Subnetwork {
        name,
        inventory,
        criticality,
        port,
        vlan,
        networks,
        routers,
        tolerance,
        span: _,
    } = one;
    let port_name = |policy: &Policy, port: firewall_common::Port| {
        policy.ports().get(usize::from(port.0)).cloned()
    };
    *name == other.name
        && *inventory == other.inventory
        && *criticality == other.criticality
        && port_name(one_in, *port) == port_name(other_in, other.port)
        && *vlan == other.vlan
        && *networks == other.networks
        && *routers == other.routers
        && *tolerance == other.tolerance
}

fn same_node((one_in, one): In<'_, Node>, (other_in, other): In<'_, Node>) -> bool {
    let Node {
        name,
        inventory,
        subnetwork,
        kind,
        addresses,
        mac,
        roles,
        authentication,
        identity,
        span: _,
    } = one;
    *name == other.name
        && *inventory == other.inventory
        && one_in.subnetwork(*subnetwork).name == other_in.subnetwork(other.subnetwork).name
        && *kind == other.kind
        && *addresses == other.addresses
        && *mac == other.mac
        && *roles == other.roles
        && *authentication == other.authentication
        && *identity == other.identity
}

fn same_application(one: &Application, other: &Application) -> bool {
    let Application { name, description, tcp, udp, echo, span: _ } = one;
    *name == other.name
        && *description == other.description
        && *tcp == other.tcp
        && *udp == other.udp
        && *echo == other.echo
}

fn same_rule((one_in, one): In<'_, Rule>, (other_in, other): In<'_, Rule>) -> bool {
    let Rule { name, description, from, to, applications, essential, span: _ } = one;
    let is_same_end = |one: &[_], other: &[_]| {
        let one = one.iter().map(|selector| written(one_in, selector));
        one.eq(other.iter().map(|selector| written(other_in, selector)))
    };
    *name == other.name
        && *description == other.description
        && is_same_end(from, &other.from)
        && is_same_end(to, &other.to)
        && applications.len() == other.applications.len()
        && applications.iter().zip(&other.applications).all(|(&one, &other)| {
            same_application(one_in.application(one), other_in.application(other))
        })
        && *essential == other.essential
}

/// What stands before and after the slash; names have none.
fn written<'p>(policy: &'p Policy, selector: &'p Selector) -> [&'p str; 2] {
    let name = |id: &SubnetworkId| &*policy.subnetwork(*id).name;
    match selector {
        Selector::Node(id) => [&policy.node(*id).name, ""],
        Selector::Role(subnetwork, role) => [name(subnetwork), role],
        Selector::Declared(subnetwork) => [name(subnetwork), "*"],
        Selector::Any(subnetwork) => [name(subnetwork), "any"],
        Selector::Gateway => [GATEWAY, ""],
    }
}
