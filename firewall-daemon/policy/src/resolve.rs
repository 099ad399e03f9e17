//! From what is written to what is meant: every name looked up, every value checked, and every
//! complaint collected before the first is shown.

mod applications;
mod claims;
mod complaints;
mod gateways;
mod identities;
mod names;
mod networks;
mod nodes;
mod ports;
mod rules;
mod subnetworks;
mod values;

use std::sync::Arc;

use foldhash::{HashMap, HashMapExt as _, HashSet};

use crate::diagnostic::{Code, Diagnostic, Diagnostics, Severity, Span};
use crate::model::{
    Application, Expectation, Expected, Inventory, Node, Parts, Policy, Protocol, Rule, Subnetwork,
    SubnetworkId,
};
use crate::source::Sources;
use crate::spec::{self, Spec, Text, Texts};
use claims::Claims;
use complaints::Complaints;
use names::NameList;
use networks::Written;
pub(crate) use networks::{lies_within, mapped_length};
use ports::PortNames;
pub use ports::Ports;
use values::Problem;

/// A valid policy and what someone should look at.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// The policy.
    pub policy: Policy,
    /// Warnings only.
    pub warnings: Diagnostics,
}

/// Reads a policy for a gateway with those ports.
///
/// # Errors
/// Everything that is wrong with it, warnings included, in the order of the text. Expectations are
/// tried only on a policy that is valid otherwise.
pub fn resolve(sources: &Sources, ports: &Ports) -> Result<Resolved, Diagnostics> {
    parse(sources).resolve(ports)
}

/// A policy whose form has been read, and nothing else.
pub struct Parsed<'a> {
    sources: &'a Sources,
    read: spec::Read<'a>,
}

/// The first half of [`resolve`].
pub fn parse(sources: &Sources) -> Parsed<'_> {
    Parsed { sources, read: spec::read(sources) }
}

impl Parsed<'_> {
    /// The second half of [`resolve`].
    ///
    /// # Errors
    /// Those of [`resolve`].
    pub fn resolve(self, ports: &Ports) -> Result<Resolved, Diagnostics> {
        let Self { sources, read } = self;
        let spec::Read { specs, found, is_broken } = read;
        if is_broken {
            return Err(Diagnostics::sorted(found));
        }
        let mut resolver = Resolver::new(ports, found);
        resolver.resolve(&specs);
        resolver.finish(sources)
    }
}

/// Below so many nodes or rules a thread costs more than it saves.
const WORTH_A_THREAD: usize = 4000;

/// What can be defined by name.
#[derive(Clone, Copy)]
enum What {
    Subnetwork,
    Node,
    Application,
    Rule,
}

impl What {
    fn word(self) -> &'static str {
        match self {
            Self::Subnetwork => "subnetwork",
            Self::Node => "node",
            Self::Application => "application",
            Self::Rule => "rule",
        }
    }
}

/// Each name's place in its list and in the text, by [`What`] it names.
#[derive(Default)]
struct NameLists([NameList; 4]);

impl NameLists {
    fn of(&self, what: What) -> &NameList {
        &self.0[what as usize]
    }
}

struct Resolver<'s> {
    complaints: Complaints,
    ports: PortNames<'s>,
    names: NameLists,
    claims: Claims<'s>,
    /// Roles of nodes whose subnetwork is not known: selectors may mean them.
    lost_roles: Vec<&'s str>,
    subnetworks: Vec<Subnetwork>,
    /// The networks of all subnetworks and where they stand.
    networks: Vec<Written>,
    /// None: its subnetwork is not known.
    nodes: Vec<Option<Node>>,
    /// Where each of them is.
    homes: Vec<Option<SubnetworkId>>,
    roles: Roles<'s>,
    /// The subnetworks that have nodes.
    peopled: HashSet<SubnetworkId>,
    /// The subnetwork of some node is not known.
    is_any_lost: bool,
    applications: Vec<Application>,
    is_application_used: Vec<bool>,
    rules: Vec<Rule>,
    /// Where a subnetwork is first selected with `/any`.
    any: HashMap<u32, Span>,
    expectations: Vec<Expectation>,
    /// Some rule names the gateway itself.
    is_gateway_named: bool,
    /// Some rule leads out of the port that it comes in by.
    is_turning: bool,
}

/// The names of roles, kept once, and the subnetworks whose nodes have them.
#[derive(Default)]
struct Roles<'s> {
    names: HashMap<&'s str, Arc<str>>,
    /// Lists of roles that nodes have, each kept once.
    lists: HashMap<Vec<Arc<str>>, Arc<[Arc<str>]>>,
    held: HashSet<(u32, &'s str)>,
}

impl<'s> Resolver<'s> {
    fn new(ports: &'s Ports, found: Vec<Diagnostic>) -> Self {
        Self {
            complaints: Complaints::new(found),
            ports: PortNames::new(ports),
            names: NameLists::default(),
            claims: Claims::default(),
            lost_roles: Vec::new(),
            subnetworks: Vec::new(),
            networks: Vec::new(),
            nodes: Vec::new(),
            homes: Vec::new(),
            roles: Roles::default(),
            peopled: HashSet::default(),
            is_any_lost: false,
            applications: Vec::new(),
            is_application_used: Vec::new(),
            rules: Vec::new(),
            any: HashMap::new(),
            expectations: Vec::new(),
            is_gateway_named: false,
            is_turning: false,
        }
    }

    fn resolve(&mut self, specs: &'s [Spec<'s>]) {
        for subnetwork in specs.iter().flat_map(|spec| &spec.subnetworks) {
            self.subnetwork(subnetwork);
        }
        self.check_overlaps();
        if self.ports.is_routed(false) {
            self.check_repeats();
        }
        self.nodes(specs);
        self.check_claims(specs.iter().flat_map(|spec| &spec.nodes));
        self.check_identities(specs.iter().flat_map(|spec| &spec.nodes));
        self.warn_of_bare_addresses();
        for application in specs.iter().flat_map(|spec| &spec.applications) {
            self.application(application);
        }
        self.rules(specs);
        self.check_any();
        self.warn_of_the_unused();
    }

    fn finish(mut self, sources: &Sources) -> Result<Resolved, Diagnostics> {
        let has_errors = |found: &[Diagnostic]| {
            found.iter().any(|diagnostic| diagnostic.severity() == Severity::Error)
        };
        self.complaints.suggest(&self.names);
        if has_errors(&self.complaints.found) {
            return Err(Diagnostics::sorted(self.complaints.found));
        }
        let is_routed = self.ports.is_routed(self.is_gateway_named || self.is_turning);
        let parts = Parts {
            digest: sources.digest(),
            ports: self.ports.into_names(),
            subnetworks: self.subnetworks,
            nodes: self.nodes.into_iter().flatten().collect(),
            homes: self.homes.into_iter().flatten().collect(),
            applications: self.applications,
            rules: self.rules,
            expectations: self.expectations,
            gateways: Vec::new(),
            is_routed,
        };
        let mut policy = Policy { parts };
        policy.parts.gateways = gateways::find(&policy, &mut self.complaints.found);
        try_expectations(&policy, &mut self.complaints.found);
        if has_errors(&self.complaints.found) {
            return Err(Diagnostics::sorted(self.complaints.found));
        }
        Ok(Resolved { policy, warnings: Diagnostics::sorted(self.complaints.found) })
    }

    fn report(&mut self, diagnostic: Diagnostic) {
        self.complaints.report(diagnostic);
    }

    fn accept<T>(&mut self, code: Code, span: Span, value: Result<T, Problem>) -> Option<T> {
        self.complaints.accept(code, span, value)
    }

    fn distinct(
        &mut self,
        list: Option<&'s Texts<'s>>,
    ) -> impl Iterator<Item = &'s Text<'s>> + use<'s> {
        self.complaints.distinct(list)
    }

    /// The same for subnetworks and applications.
    fn define(&mut self, what: What, index: usize, name: &'s Text<'s>) -> bool {
        self.names.0[what as usize].define(what, index, name, &mut self.complaints)
    }
}

fn inventory(
    description: Option<&Text<'_>>,
    organisation: Option<&Text<'_>>,
    responsible: Option<&Text<'_>>,
) -> Inventory {
    let [description, organisation, responsible] =
        [description, organisation, responsible].map(owned);
    Inventory { description, organisation, responsible }
}

fn owned(text: Option<&Text<'_>>) -> Option<String> {
    text.map(|text| text.value.clone().into_owned())
}

fn try_expectations(policy: &Policy, found: &mut Vec<Diagnostic>) {
    for expectation in policy.expectations() {
        let Some((protocol, port)) = policy.contradiction(expectation) else { continue };
        let part = match protocol {
            Protocol::Tcp | Protocol::Udp => format!("{} port {port}", protocol.name()),
            Protocol::Echo => protocol.name().to_owned(),
        };
        let Expectation { from, to, application, verdict, span } = expectation;
        let (from, to) = (&policy.node(*from).name, &policy.node(*to).name);
        let application = &policy.application(*application).name;
        let (message, help) = match verdict {
            Expected::Pass => (
                format!("no rule lets `{from}` open `{application}` to `{to}`: {part}"),
                "add a rule, or expect `drop`",
            ),
            Expected::Drop => (
                format!("a rule lets `{from}` open `{application}` to `{to}`: {part}"),
                "narrow the rule, or expect `pass`",
            ),
        };
        found.push(Diagnostic::at(Code::ExpectationFailed, *span, message).help(help));
    }
}
