//! Who is called what.

use std::hash::BuildHasher as _;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use super::What;
use super::complaints::Complaints;
use crate::diagnostic::{Code, Diagnostic, Span, quote};
use crate::spec::Text;

/// The names of one kind of things, each once. Their letters lie side by side and everything else is
/// numbers, so that a lookup of one among a million waits for little memory.
#[derive(Default)]
pub(super) struct NameList {
    letters: String,
    entries: Vec<Named>,
    spans: Vec<Span>,
    places: HashTable<u32>,
    state: RandomState,
}

#[derive(Clone, Copy)]
struct Named {
    /// Where its letters are; sources are smaller than 4 GiB.
    start: u32,
    length: u32,
    index: u32,
}

impl NameList {
    /// Makes room for so many.
    pub(super) fn reserve(&mut self, count: usize) {
        let Self { letters, entries, spans, places, state } = self;
        entries.reserve(count);
        spans.reserve(count);
        places.reserve(count, |&place| state.hash_one(name(letters, entries, place)));
    }

    /// Enters a name, or tells where it was entered before.
    fn insert(&mut self, new: &str, index: u32, span: Span) -> Result<(), Span> {
        let Self { letters, entries, spans, places, state } = self;
        let entry = places.entry(
            state.hash_one(new),
            |&place| name(letters, entries, place) == new,
            |&place| state.hash_one(name(letters, entries, place)),
        );
        match entry {
            Entry::Occupied(entry) => Err(spans[*entry.get() as usize]),
            Entry::Vacant(entry) => {
                entry.insert(number(entries.len()));
                entries.push(Named {
                    start: number(letters.len()),
                    length: number(new.len()),
                    index,
                });
                letters.push_str(new);
                spans.push(span);
                Ok(())
            }
        }
    }

    /// Enters a name, or complains that it is there already.
    pub(super) fn define(
        &mut self,
        what: What,
        index: usize,
        name: &Text<'_>,
        complaints: &mut Complaints,
    ) -> bool {
        let Err(first) = self.insert(&name.value, number(index), name.span) else { return true };
        let message = format!("the {} {} is defined twice", what.word(), quote(&name.value));
        complaints.report(
            Diagnostic::at(Code::DuplicateName, name.span, message)
                .related(first, "first defined here")
                .help("keep one of them, or give this one another name"),
        );
        false
    }

    /// What was entered with that name, or a complaint that there is nothing.
    pub(super) fn look_up(
        &self,
        what: What,
        name: &str,
        span: Span,
        complaints: &mut Complaints,
    ) -> Option<u32> {
        if let Some(index) = self.get(name) {
            return Some(index);
        }
        let code = match what {
            What::Subnetwork => Code::UnknownSubnetwork,
            What::Node => Code::UnknownNode,
            What::Application | What::Rule => Code::UnknownApplication,
        };
        let message = format!("there is no {} {}", what.word(), quote(name));
        complaints.report_unknown(what, name, Diagnostic::at(code, span, message));
        None
    }

    /// What was entered with that name.
    pub(super) fn get(&self, wanted: &str) -> Option<u32> {
        let Self { letters, entries, places, state, .. } = self;
        let is_wanted = |&place: &u32| name(letters, entries, place) == wanted;
        let place = places.find(state.hash_one(wanted), is_wanted)?;
        Some(entries[*place as usize].index)
    }

    /// All names, in the order they were entered.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        (0..number(self.entries.len())).map(|place| name(&self.letters, &self.entries, place))
    }
}

fn name<'n>(letters: &'n str, entries: &[Named], place: u32) -> &'n str {
    let Named { start, length, .. } = entries[place as usize];
    &letters[start as usize..start as usize + length as usize]
}

fn number(place: usize) -> u32 {
    u32::try_from(place).unwrap_or(u32::MAX)
}
