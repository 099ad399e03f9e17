//! A list that mostly has one item.

use std::fmt;
use std::ops::Deref;

/// A list that takes no memory of its own while it has a single item: of a million nodes nearly all
/// have one address.
#[derive(Clone)]
pub struct Few<T>(Items<T>);

#[derive(Clone)]
enum Items<T> {
    One([T; 1]),
    Others(Vec<T>),
}

impl<T> Few<T> {
    /// Adds an item at the end.
    pub(crate) fn push(&mut self, item: T) {
        let Self(items) = self;
        *items = match std::mem::replace(items, Items::Others(Vec::new())) {
            Items::One([first]) => Items::Others(vec![first, item]),
            Items::Others(list) if list.is_empty() => Items::One([item]),
            Items::Others(mut list) => {
                list.push(item);
                Items::Others(list)
            }
        };
    }
}

impl<T> Default for Few<T> {
    fn default() -> Self {
        Self(Items::Others(Vec::new()))
    }
}

impl<T> Deref for Few<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        let Self(items) = self;
        match items {
            Items::One(item) => item,
            Items::Others(list) => list,
        }
    }
}

impl<T> FromIterator<T> for Few<T> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        let mut few = Self::default();
        items.into_iter().for_each(|item| few.push(item));
        few
    }
}

impl<T: PartialEq> PartialEq for Few<T> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<T: Eq> Eq for Few<T> {}

impl<T: fmt::Debug> fmt::Debug for Few<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_few_is_the_list_of_its_items() {
        for count in 0..5 {
            let few: Few<usize> = (0..count).collect();
            assert_eq!(*few, *(0..count).collect::<Vec<_>>());
            assert_eq!(few, few.clone());
        }
    }
}
