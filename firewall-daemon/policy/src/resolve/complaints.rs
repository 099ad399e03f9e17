//! What there is to complain of.

use foldhash::{HashSet, HashSetExt as _};

use super::values::Problem;
use super::{NameLists, What};
use crate::diagnostic::{Code, Diagnostic, Span, quote};
use crate::spec::{Text, Texts};
use crate::suggest::did_you_mean;

/// Complaints of the whole policy, or of a part that is resolved beside others.
#[derive(Default)]
pub(super) struct Complaints {
    pub(super) found: Vec<Diagnostic>,
    unknown: Vec<Unknown>,
}

/// A name that nothing has.
struct Unknown {
    /// Which complaint says so.
    place: usize,
    what: What,
    name: String,
}

impl Complaints {
    pub(super) const fn new(found: Vec<Diagnostic>) -> Self {
        Self { found, unknown: Vec::new() }
    }

    /// Those of another part, too.
    pub(super) fn extend(&mut self, others: Self) {
        let Self { found, unknown } = others;
        let before = self.found.len();
        let unknown = unknown.into_iter();
        self.unknown.extend(unknown.map(|one| Unknown { place: before + one.place, ..one }));
        self.found.extend(found);
    }

    /// Complains of a name that nothing has; what may have been meant is said by
    /// [`Complaints::suggest`].
    pub(super) fn report_unknown(&mut self, what: What, name: &str, diagnostic: Diagnostic) {
        self.unknown.push(Unknown { place: self.found.len(), what, name: name.to_owned() });
        self.report(diagnostic);
    }

    /// Looks for names close to those that nothing has: only now that all complaints are counted, for
    /// each takes a look at every name.
    pub(super) fn suggest(&mut self, names: &NameLists) {
        for Unknown { place, what, name } in self.unknown.drain(..) {
            if let Some(complaint) = self.found.get_mut(place) {
                complaint.help = did_you_mean(&name, names.of(what).names(), place);
            }
        }
    }

    pub(super) fn report(&mut self, diagnostic: Diagnostic) {
        self.found.push(diagnostic);
    }

    /// The value, or a complaint about it.
    pub(super) fn accept<T>(
        &mut self,
        code: Code,
        span: Span,
        value: Result<T, Problem>,
    ) -> Option<T> {
        match value {
            Ok(value) => Some(value),
            Err(Problem { message, help }) => {
                self.report(Diagnostic { help, ..Diagnostic::at(code, span, message) });
                None
            }
        }
    }

    /// The items of a list, a complaint about each that stands there twice.
    pub(super) fn distinct<'s>(
        &mut self,
        list: Option<&'s Texts<'s>>,
    ) -> impl Iterator<Item = &'s Text<'s>> + use<'s> {
        let list = list.map(|list| &*list.value).unwrap_or_default();
        let repeated = repeated(list);
        for item in repeated.iter().filter_map(|&place| list.get(place)) {
            let message = format!("{} stands here twice", quote(&item.value));
            self.report(Diagnostic::at(Code::Repeated, item.span, message));
        }
        let items = list.iter().enumerate();
        items.filter(move |(place, _)| repeated.binary_search(place).is_err()).map(|(_, item)| item)
    }
}

/// Up to so many items, comparing each with all before it is faster than hashing.
const FEW: usize = 8;

/// The places of items that are in the list already.
pub(super) fn repeated(list: &[Text<'_>]) -> Vec<usize> {
    let items = list.iter().enumerate();
    if list.len() <= FEW {
        let is_before =
            |place: usize, item: &Text<'_>| list[..place].iter().any(|one| one.value == item.value);
        let repeated = items.filter(|&(place, item)| is_before(place, item));
        return repeated.map(|(place, _)| place).collect();
    }
    let mut seen = HashSet::with_capacity(list.len());
    items.filter(|(_, item)| !seen.insert(&*item.value)).map(|(place, _)| place).collect()
}
