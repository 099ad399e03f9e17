//! What there is to complain of.

use foldhash::{HashSet, HashSetExt as _};

use super::values::Problem;
use crate::diagnostic::{Code, Diagnostic, Span, quote};
use crate::spec::{Text, Texts};

/// Complaints of the whole policy, or of a part that is resolved beside others.
pub(super) struct Complaints {
    pub(super) found: Vec<Diagnostic>,
    /// How many there were before.
    before: usize,
    /// How many parts there are.
    parts: usize,
}

impl Complaints {
    pub(super) const fn new(found: Vec<Diagnostic>) -> Self {
        Self { found, before: 0, parts: 1 }
    }

    /// Those of one of so many parts.
    pub(super) const fn part(&self, parts: usize) -> Self {
        Self { found: Vec::new(), before: self.count(), parts }
    }

    /// How many there are, if there are as many in every other part.
    pub(super) const fn count(&self) -> usize {
        self.before + self.parts * self.found.len()
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
