//! As whom nodes authenticate.

use std::sync::Arc;

use foldhash::{HashMap, HashMapExt as _};

use super::complaints::Complaints;
use super::{Resolver, values};
use crate::diagnostic::{Code, Diagnostic, Span, quote};
use crate::model::Authentication;
use crate::spec::NodeSpec;

impl<'s> Resolver<'s> {
    /// Two nodes of one identity could not be told apart, and a node that has no MAC of its own could
    /// not be told from others on the same wire.
    pub(super) fn check_identities(&mut self, nodes: impl Iterator<Item = &'s NodeSpec<'s>>) {
        let mut known: HashMap<(Authentication, &str), (Span, &str)> = HashMap::new();
        for spec in nodes {
            let Some(word) = &spec.authentication else { continue };
            let is = |way: Authentication| word.value == way.name();
            let (authentication, identity) = match &spec.identity {
                Some(identity) if is(Authentication::Dot1x) => (Authentication::Dot1x, identity),
                Some(identity) if is(Authentication::Lease) => (Authentication::Lease, identity),
                None if is(Authentication::Lease) => (Authentication::Lease, &spec.name),
                Some(_) | None => continue,
            };
            if is(Authentication::Dot1x) && spec.mac.is_none() {
                self.report(lacks(spec, "mac", "802.1X tells nodes apart by their MACs"));
            }
            let claim = (identity.span, &*spec.name.value);
            let (first, owner) = *known.entry((authentication, &identity.value)).or_insert(claim);
            if first != identity.span {
                let message = format!("{} is `{owner}` already", quote(&identity.value));
                self.report(
                    Diagnostic::at(Code::DuplicateIdentity, identity.span, message)
                        .related(first, "first claimed here")
                        .help("every node has an identity of its own"),
                );
            }
        }
    }
}

/// What the source of the node's lease must say of it; none if it needs no lease.
pub(super) fn identity(
    spec: &NodeSpec<'_>,
    authentication: Option<Authentication>,
    complaints: &mut Complaints,
) -> Option<Arc<str>> {
    if let Some(text) = &spec.identity {
        complaints.accept(Code::InvalidIdentity, text.span, values::identity(&text.value));
    }
    let name = &spec.name;
    match (authentication, &spec.identity) {
        // What was written for it has been refused.
        (None, _) if spec.authentication.is_some() => None,
        (None | Some(Authentication::Static), Some(text)) => {
            let message = format!("{} proves no identity", quote(&name.value));
            let help = "write authentication = \"802.1x\" or \"lease\", or take `identity` out";
            complaints.report(Diagnostic::at(Code::InvalidIdentity, text.span, message).help(help));
            None
        }
        (None | Some(Authentication::Static), None) => None,
        (Some(Authentication::Dot1x | Authentication::Lease), Some(text)) => {
            Some(Arc::from(&*text.value))
        }
        (Some(Authentication::Lease), None) => Some(Arc::from(&*name.value)),
        (Some(Authentication::Dot1x), None) => {
            let help = "write the user name that it authenticates with";
            complaints.report(lacks(spec, "identity", help));
            None
        }
    }
}

fn lacks(spec: &NodeSpec<'_>, key: &str, help: &str) -> Diagnostic {
    let span = spec.authentication.as_ref().map_or(spec.name.span, |word| word.span);
    let name = quote(&spec.name.value);
    let message = format!("{name} authenticates by 802.1X and needs the key `{key}`");
    Diagnostic::at(Code::MissingKey, span, message).help(help)
}
