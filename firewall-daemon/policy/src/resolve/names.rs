//! Who is called what.

use std::hash::BuildHasher as _;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use crate::diagnostic::Span;

/// The names of one kind of things, each once. A table of places, so that a million of them fit into
/// the processor's caches.
#[derive(Default)]
pub(super) struct NameList<'s> {
    entries: Vec<Named<'s>>,
    places: HashTable<u32>,
    state: RandomState,
}

struct Named<'s> {
    name: &'s str,
    index: u32,
    span: Span,
}

impl<'s> NameList<'s> {
    /// Makes room for so many.
    pub(super) fn reserve(&mut self, count: usize) {
        let Self { entries, places, state } = self;
        entries.reserve(count);
        places.reserve(count, |&place| state.hash_one(entries[place as usize].name));
    }

    /// Enters a name, or tells where it was entered before.
    pub(super) fn insert(&mut self, name: &'s str, index: u32, span: Span) -> Result<(), Span> {
        let Self { entries, places, state } = self;
        let entry = places.entry(
            state.hash_one(name),
            |&place| entries[place as usize].name == name,
            |&place| state.hash_one(entries[place as usize].name),
        );
        match entry {
            Entry::Occupied(entry) => Err(entries[*entry.get() as usize].span),
            Entry::Vacant(entry) => {
                entry.insert(u32::try_from(entries.len()).unwrap_or(u32::MAX));
                entries.push(Named { name, index, span });
                Ok(())
            }
        }
    }

    /// What was entered with that name.
    pub(super) fn get(&self, name: &str) -> Option<u32> {
        let Self { entries, places, state } = self;
        let is_wanted = |&place: &u32| entries[place as usize].name == name;
        let place = places.find(state.hash_one(name), is_wanted)?;
        Some(entries[*place as usize].index)
    }

    /// All names, in the order they were entered.
    pub(super) fn names(&self) -> impl Iterator<Item = &'s str> {
        self.entries.iter().map(|entry| entry.name)
    }
}
