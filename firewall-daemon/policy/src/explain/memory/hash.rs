//! The kernel's LRU hashes in host memory.

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::Hash;

use firewall_common::flow::Flow;
use firewall_common::fragment::Datagram;
use firewall_common::tables::Full;

/// A value that is written in place.
pub(super) trait Entry: Default {
    fn copy(&self, other: &Self);
}

impl Entry for Flow {
    fn copy(&self, other: &Self) {
        self.copy(other);
    }
}

impl Entry for Datagram {
    fn copy(&self, other: &Self) {
        self.copy(other);
    }
}

/// A hash of preallocated entries, as the kernel's: an entry is written in place, and one that is
/// removed while it is looked at stays readable.
#[derive(Debug)]
pub(super) struct Table<K, V> {
    entries: Vec<V>,
    index: RefCell<Index<K>>,
}

#[derive(Debug)]
struct Index<K> {
    places: HashMap<K, Place>,
    free: Vec<usize>,
    inserted: u64,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    entry: usize,
    order: u64,
}

impl<K: Copy + Eq + Hash, V: Entry> Table<K, V> {
    pub(super) fn new(capacity: usize) -> Self {
        let mut entries = Vec::new();
        entries.resize_with(capacity, V::default);
        let free = (0..capacity).rev().collect();
        let index = RefCell::new(Index { places: HashMap::new(), free, inserted: 0 });
        Self { entries, index }
    }

    pub(super) fn find(&self, key: &K) -> Option<&V> {
        let Place { entry, .. } = *self.index.borrow().places.get(key)?;
        self.entries.get(entry)
    }

    pub(super) fn insert(&self, key: &K, entry: &V) -> Result<(), Full> {
        let mut index = self.index.borrow_mut();
        if !index.places.contains_key(key) && index.free.is_empty() {
            index.evict();
        }
        let known = index.places.get(key).map(|place| place.entry);
        let place = known.or_else(|| index.free.pop()).ok_or(Full)?;
        index.inserted += 1;
        let order = index.inserted;
        index.places.insert(*key, Place { entry: place, order });
        self.entries.get(place).ok_or(Full)?.copy(entry);
        Ok(())
    }

    pub(super) fn remove(&self, key: &K) {
        self.index.borrow_mut().remove(key);
    }

    pub(super) fn clear(&self) {
        let mut index = self.index.borrow_mut();
        let places: Vec<usize> = index.places.drain().map(|(_, place)| place.entry).collect();
        index.free.extend(places);
    }

    pub(super) fn len(&self) -> usize {
        self.index.borrow().places.len()
    }

    /// What `of` says of each entry, with its key.
    pub(super) fn list<T>(&self, of: impl Fn(&V) -> T) -> Vec<(K, T)> {
        let index = self.index.borrow();
        let places = index.places.iter();
        places.filter_map(|(key, place)| Some((*key, of(self.entries.get(place.entry)?)))).collect()
    }
}

impl<K: Copy + Eq + Hash> Index<K> {
    fn evict(&mut self) {
        let oldest = self.places.iter().min_by_key(|(_, place)| place.order);
        if let Some(key) = oldest.map(|(key, _)| *key) {
            self.remove(&key);
        }
    }

    fn remove(&mut self, key: &K) {
        if let Some(place) = self.places.remove(key) {
            self.free.push(place.entry);
        }
    }
}
