//! Work on many things at once.

use std::num::NonZeroUsize;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// One thread a processor, each takes the next item that nobody has. Results are in the order of the
/// items.
pub(crate) fn side_by_side<'a, T: Sync, R: Send + Sync>(
    items: &'a [T],
    work: impl Fn(usize, &'a T) -> R + Sync,
) -> Vec<R> {
    let results: Vec<OnceLock<R>> = items.iter().map(|_| OnceLock::new()).collect();
    let next = AtomicUsize::new(0);
    let threads = thread::available_parallelism().map_or(1, NonZeroUsize::get).min(items.len());
    let rest = || {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let (Some(item), Some(place)) = (items.get(index), results.get(index)) else { return };
            place.get_or_init(|| work(index, item));
        }
    };
    if threads > 1 {
        thread::scope(|scope| {
            // A thread that could not be started leaves its items to us.
            let others = (1..threads)
                .map(|_| thread::Builder::new().name("policy".into()).spawn_scoped(scope, rest));
            let others: Vec<_> = others.collect();
            rest();
            drop(others);
        });
    }
    let results = results.into_iter().zip(items).enumerate();
    let results = results
        .map(|(index, (result, item))| result.into_inner().unwrap_or_else(|| work(index, item)));
    results.collect()
}

/// The same, without threads if there is too little to do.
pub(crate) fn each<'a, T: Sync, R: Send + Sync>(
    items: &'a [T],
    is_much: bool,
    work: impl Fn(usize, &'a T) -> R + Sync,
) -> Vec<R> {
    if is_much {
        return side_by_side(items, work);
    }
    items.iter().enumerate().map(|(index, item)| work(index, item)).collect()
}

/// Two things at once, if there is enough to do.
pub(crate) fn beside<A: Send + Sync, B: Send + Sync>(
    is_much: bool,
    one: impl Fn() -> A + Sync,
    other: impl Fn() -> B + Sync,
) -> (A, B) {
    let (first, second) = (OnceLock::new(), OnceLock::new());
    each(&[true, false], is_much, |_, &is_one| {
        if is_one {
            first.get_or_init(&one);
        } else {
            second.get_or_init(&other);
        }
    });
    (first.into_inner().unwrap_or_else(one), second.into_inner().unwrap_or_else(other))
}
