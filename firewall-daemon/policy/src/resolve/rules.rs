//! `[[allow]]` and `[[expect]]`

use std::sync::Arc;

use super::complaints::Complaints;
use super::names::NameList;
use super::{Resolver, WORTH_A_THREAD, What, owned, values};
use crate::diagnostic::{Code, Diagnostic, Span, quote};
use crate::model::{
    ApplicationId, Expectation, Expected, GATEWAY, NodeId, Rule, Selector, Subnetwork, SubnetworkId,
};
use crate::parallel::{beside, each};
use crate::spec::{ExpectationSpec, RuleSpec, Spec, Text, Texts};
use crate::suggest::did_you_mean;

/// The subnetworks that one end of a rule names, and where first.
type Ends = Vec<(SubnetworkId, Span)>;

impl<'s> Resolver<'s> {
    /// The rules and expectations of all files, side by side; and beside them, which is called what.
    pub(super) fn rules(&mut self, specs: &'s [Spec<'s>]) {
        let count = specs.iter().map(|spec| spec.rules.len()).sum();
        let (is_much, known) = (count >= WORTH_A_THREAD, &*self);
        let (complaints, files) = beside(
            is_much,
            || rule_names(specs, count),
            || each(specs, is_much, |_, spec| said(known, spec)),
        );
        self.rules.reserve(count);
        for said in files {
            let Said {
                complaints,
                rules,
                expectations,
                is_application_used,
                any,
                is_gateway_named,
                is_turning,
            } = said;
            self.complaints.extend(complaints);
            self.rules.extend(rules);
            self.expectations.extend(expectations);
            let used = self.is_application_used.iter_mut().zip(is_application_used);
            used.for_each(|(known, is_used)| *known |= is_used);
            for (subnetwork, span) in any {
                self.any.entry(subnetwork).or_insert(span);
            }
            self.is_gateway_named |= is_gateway_named;
            self.is_turning |= is_turning;
        }
        self.complaints.extend(complaints);
    }

    pub(super) fn warn_of_the_unused(&mut self) {
        let unused = self.applications.iter().zip(&self.is_application_used);
        let unused = unused.filter(|(_, is_used)| !**is_used).map(|(application, _)| {
            let message = format!("no rule uses the application `{}`", application.name);
            Diagnostic::at(Code::UnusedApplication, application.span, message)
        });
        let mut warnings: Vec<Diagnostic> = unused.collect();
        for (index, subnetwork) in (0_u32..).zip(&self.subnetworks) {
            let is_met =
                self.peopled.contains(&SubnetworkId(index)) || self.any.contains_key(&index);
            if self.is_any_lost || is_met {
                continue;
            }
            let message = format!("`{}` has no nodes", subnetwork.name);
            warnings.push(
                Diagnostic::at(Code::EmptySubnetwork, subnetwork.span, message)
                    .help("nothing can pass from or to it"),
            );
        }
        self.complaints.found.extend(warnings);
    }
}

fn rule_names(specs: &[Spec<'_>], count: usize) -> Complaints {
    let (mut names, mut complaints) = (NameList::default(), Complaints::default());
    names.reserve(count);
    for (index, rule) in specs.iter().flat_map(|spec| &spec.rules).enumerate() {
        if let Some(name) = &rule.name {
            names.define(What::Rule, index, name, &mut complaints);
        }
    }
    complaints
}

/// What the rules and expectations of one file say.
#[derive(Default)]
struct Said {
    complaints: Complaints,
    rules: Vec<Rule>,
    expectations: Vec<Expectation>,
    is_application_used: Vec<bool>,
    /// Where subnetworks are selected with `/any`.
    any: Vec<(u32, Span)>,
    is_gateway_named: bool,
    is_turning: bool,
}

fn said<'s>(known: &Resolver<'s>, spec: &'s Spec<'s>) -> Said {
    let said = Said {
        rules: Vec::with_capacity(spec.rules.len()),
        is_application_used: vec![false; known.applications.len()],
        ..Said::default()
    };
    let mut file = FileRules { known, said };
    spec.rules.iter().for_each(|rule| file.rule(rule));
    spec.expectations.iter().for_each(|expectation| file.expectation(expectation));
    file.said
}

/// A file whose rules are resolved side by side with those of others: nothing here looks at them.
struct FileRules<'r, 's> {
    known: &'r Resolver<'s>,
    said: Said,
}

impl<'s> FileRules<'_, 's> {
    fn rule(&mut self, spec: &'s RuleSpec<'s>) {
        let RuleSpec { span, name, description, from, to, applications, essential } = spec;
        if let Some(name) = name {
            self.said.complaints.accept(Code::InvalidName, name.span, values::title(&name.value));
        }
        let (from, senders) = self.selectors(from.as_ref());
        let (to, receivers) = self.selectors(to.as_ref());
        self.warn_of_any_source(spec);
        self.check_ways(&senders, &receivers);
        if from.contains(&Selector::Gateway) && to.contains(&Selector::Gateway) {
            let message = "both ends are the gateway itself";
            self.said.complaints.report(
                Diagnostic::at(Code::WithinSubnetwork, *span, message)
                    .help("what the gateway says to itself does not leave it"),
            );
        }
        let mut ids = Vec::new();
        for text in self.said.complaints.distinct(applications.as_ref()) {
            ids.extend(self.application_id(text));
        }
        self.said.rules.push(Rule {
            name: Arc::from(name.as_ref().map_or("", |name| &*name.value)),
            description: owned(description.as_ref()),
            from,
            to,
            applications: ids,
            essential: *essential,
            span: name.as_ref().map_or(*span, |name| name.span),
        });
    }

    fn expectation(&mut self, spec: &'s ExpectationSpec<'s>) {
        let ExpectationSpec { span, from, to, application, verdict } = spec;
        let from = from.as_ref().and_then(|text| Some((self.node_id(text)?, text.span)));
        let to = to.as_ref().and_then(|text| Some((self.node_id(text)?, text.span)));
        let application = application.as_ref().and_then(|text| self.application_id(text));
        let verdict = verdict.as_ref().and_then(|text| {
            let words = [("pass", Expected::Pass), ("drop", Expected::Drop)];
            let value = values::word("verdict", &text.value, &words);
            self.said.complaints.accept(Code::InvalidVerdict, text.span, value)
        });
        let (Some((from, from_span)), Some((to, to_span))) = (from, to) else { return };
        let place = |id: NodeId, span| {
            let subnetwork = self.known.homes.get(id.index()).copied().flatten()?;
            Some(vec![(subnetwork, span)])
        };
        if let (Some(sender), Some(receiver)) = (place(from, from_span), place(to, to_span)) {
            self.check_within(&sender, &receiver);
        }
        if let (Some(application), Some(verdict)) = (application, verdict) {
            let span = *span;
            self.said.expectations.push(Expectation { from, to, application, verdict, span });
        }
    }

    fn application_id(&mut self, text: &'s Text<'s>) -> Option<ApplicationId> {
        let index = self.look_up(What::Application, &text.value, text.span)?;
        let id = ApplicationId(index);
        if let Some(is_used) = self.said.is_application_used.get_mut(id.index()) {
            *is_used = true;
        }
        Some(id)
    }

    fn node_id(&mut self, text: &'s Text<'s>) -> Option<NodeId> {
        self.look_up(What::Node, &text.value, text.span).map(NodeId)
    }

    /// The selectors of one end, and where they lead as far as that is known.
    fn selectors(&mut self, texts: Option<&'s Texts<'s>>) -> (Vec<Selector>, Ends) {
        let mut selectors = Vec::new();
        let mut ends: Ends = Vec::new();
        for text in self.said.complaints.distinct(texts) {
            let selector = match text.value.split_once('/') {
                Some((subnetwork, nodes)) => self.group(text, subnetwork, nodes),
                None => self.single(text),
            };
            let Some(selector) = selector else { continue };
            let subnetwork = match &selector {
                Selector::Node(id) => self.known.homes.get(id.index()).copied().flatten(),
                Selector::Role(subnetwork, _)
                | Selector::Declared(subnetwork)
                | Selector::Any(subnetwork) => Some(*subnetwork),
                Selector::Gateway => None,
            };
            if let Some(subnetwork) = subnetwork
                && !ends.iter().any(|(known, _)| *known == subnetwork)
            {
                ends.push((subnetwork, text.span));
            }
            selectors.push(selector);
        }
        (selectors, ends)
    }

    /// `NODE`
    fn single(&mut self, text: &'s Text<'s>) -> Option<Selector> {
        let name = &*text.value;
        if let Some(index) = self.known.names.of(What::Node).get(name) {
            return Some(Selector::Node(NodeId(index)));
        }
        if name == GATEWAY {
            return self.gateway(text);
        }
        if self.known.names.of(What::Subnetwork).get(name).is_some() {
            let message = format!("{} is a subnetwork, not a node", quote(name));
            self.said.complaints.report(
                Diagnostic::at(Code::UnknownNode, text.span, message)
                    .help(format!("its declared nodes are `{name}/*`")),
            );
            return None;
        }
        self.node_id(text).map(Selector::Node)
    }

    /// `gateway`, unless a node has that name.
    fn gateway(&mut self, text: &Text<'_>) -> Option<Selector> {
        if self.known.ports.may_be_routed() {
            self.said.is_gateway_named = true;
            return Some(Selector::Gateway);
        }
        let message = "the gateway is a bridge and has no address: nothing can speak with it";
        self.said.complaints.report(
            Diagnostic::at(Code::UnknownNode, text.span, message)
                .help("only with `mode = \"router\"` can a rule name `gateway`"),
        );
        None
    }

    /// `SUBNETWORK/ROLE`, `SUBNETWORK/*` or `SUBNETWORK/any`
    fn group(
        &mut self,
        text: &'s Text<'s>,
        subnetwork: &'s str,
        nodes: &'s str,
    ) -> Option<Selector> {
        if subnetwork.is_empty() || nodes.is_empty() || nodes.contains('/') {
            let message = format!("{} selects nothing", quote(&text.value));
            self.said.complaints.report(
                Diagnostic::at(Code::InvalidSelector, text.span, message)
                    .help("write NODE, SUBNETWORK/ROLE, SUBNETWORK/* or SUBNETWORK/any"),
            );
            return None;
        }
        let index = self.look_up(What::Subnetwork, subnetwork, text.span)?;
        let id = SubnetworkId(index);
        match nodes {
            "any" => {
                self.said.any.push((index, text.span));
                Some(Selector::Any(id))
            }
            "*" => {
                // A node that got lost may be meant.
                let is_met = self.known.peopled.contains(&id) || self.known.is_any_lost;
                if !is_met {
                    let message = format!("`{subnetwork}` has no declared nodes");
                    let help = format!("`{subnetwork}/any` selects every address in its networks");
                    let diagnostic = Diagnostic::at(Code::EmptySelector, text.span, message);
                    self.said.complaints.report(diagnostic.help(help));
                }
                Some(Selector::Declared(id))
            }
            role => {
                if !self.known.roles.held.contains(&(index, role))
                    && !self.known.lost_roles.contains(&role)
                {
                    self.report_empty_role(text, id, subnetwork, role);
                }
                let role =
                    self.known.roles.names.get(role).cloned().unwrap_or_else(|| Arc::from(role));
                Some(Selector::Role(id, role))
            }
        }
    }

    fn report_empty_role(
        &mut self,
        text: &Text<'_>,
        subnetwork: SubnetworkId,
        name: &str,
        role: &str,
    ) {
        let held = self.known.roles.held.iter();
        let mut roles: Vec<&str> =
            held.filter(|(index, _)| *index == subnetwork.0).map(|(_, role)| *role).collect();
        roles.sort_unstable();
        let suggestion =
            did_you_mean(role, roles.iter().copied(), self.said.complaints.found.len());
        let help = suggestion.or_else(|| {
            roles.truncate(8);
            (!roles.is_empty()).then(|| format!("its nodes have the roles {}", roles.join(", ")))
        });
        let message = format!("no node of {} has the role {}", quote(name), quote(role));
        let diagnostic = Diagnostic::at(Code::EmptySelector, text.span, message);
        self.said.complaints.report(Diagnostic { help, ..diagnostic });
    }

    fn warn_of_any_source(&mut self, spec: &'s RuleSpec<'s>) {
        for text in spec.from.iter().flat_map(|from| &*from.value) {
            let Some((subnetwork, "any")) = text.value.split_once('/') else { continue };
            let message = format!("any address in {} may use this rule", quote(subnetwork));
            self.said.complaints.report(
                Diagnostic::at(Code::AnySource, text.span, message)
                    .help("declare the nodes that need it, and select them"),
            );
        }
    }

    fn check_ways(&mut self, senders: &Ends, receivers: &Ends) {
        self.check_within(senders, receivers);
        for &(from, _) in senders {
            for &(to, span) in receivers {
                let [one, other] = [from, to].map(|id| {
                    let Subnetwork { name, port, .. } = &self.known.subnetworks[id.index()];
                    (name, *port)
                });
                if from == to || self.known.ports.connects(one.1, other.1) {
                    self.said.is_turning |= from != to && one.1 == other.1;
                    continue;
                }
                let message = format!("there is no way from `{}` to `{}`", one.0, other.0);
                let label = if one.1 == other.1 {
                    format!("both lie behind port `{}`", self.known.ports.name(one.1))
                } else {
                    let [one, other] = [one.1, other.1].map(|port| self.known.ports.name(port));
                    format!("the ports `{one}` and `{other}` are no pair")
                };
                let help = "rules cross the gateway from one port of a pair to the other";
                let diagnostic = Diagnostic::at(Code::NoWay, span, message);
                self.said.complaints.report(diagnostic.label(label).help(help));
            }
        }
    }

    fn check_within(&mut self, senders: &Ends, receivers: &Ends) {
        for &(id, from) in senders {
            let Some(&(_, to)) = receivers.iter().find(|(receiver, _)| *receiver == id) else {
                continue;
            };
            let name = &self.known.subnetworks[id.index()].name;
            let message = format!("both ends lie in `{name}`");
            self.said.complaints.report(
                Diagnostic::at(Code::WithinSubnetwork, to, message)
                    .related(from, "the other end")
                    .help("what stays within a subnetwork does not cross the gateway"),
            );
        }
    }

    fn look_up(&mut self, what: What, name: &str, span: Span) -> Option<u32> {
        self.known.names.of(what).look_up(what, name, span, &mut self.said.complaints)
    }
}
