//! Elements of maps, one by one and in batches.

use std::io;
use std::os::fd::BorrowedFd;

use nix::libc;

use super::{bpf, number};

const MAP_LOOKUP: u32 = 1;
const MAP_UPDATE: u32 = 2;
const MAP_DELETE: u32 = 3;
const MAP_LOOKUP_BATCH: u32 = 24;

fn address<T: ?Sized>(value: &T) -> u64 {
    std::ptr::from_ref(value).cast::<u8>() as u64
}

#[derive(Default)]
#[repr(C)]
struct ElementAttributes {
    map: u32,
    padding: u32,
    key: u64,
    value: u64,
    flags: u64,
}

impl ElementAttributes {
    fn new<K, V: ?Sized>(map: BorrowedFd<'_>, key: &K, value: Option<&V>) -> Self {
        let value = value.map_or(0, address);
        Self { map: number(map), padding: 0, key: address(key), value, flags: 0 }
    }
}

/// Sets an element. `K` and `V` must be as large as the map's key and value.
///
/// # Safety
/// They are.
pub unsafe fn map_update<K, V: ?Sized>(map: BorrowedFd<'_>, key: &K, value: &V) -> io::Result<()> {
    let mut attributes = ElementAttributes::new(map, key, Some(value));
    // SAFETY: BPF_MAP_UPDATE_ELEM; sizes by the caller's promise.
    unsafe { bpf(MAP_UPDATE, &mut attributes) }.map(drop)
}

/// Reads an element into `value`, which for per-CPU maps holds one value a possible CPU.
///
/// # Safety
/// `K` is as large as the map's key, `value` as what the kernel writes.
pub unsafe fn map_lookup<K, V>(map: BorrowedFd<'_>, key: &K, value: &mut [V]) -> io::Result<()> {
    let mut attributes = ElementAttributes::new(map, key, Some(&*value));
    // SAFETY: BPF_MAP_LOOKUP_ELEM; sizes by the caller's promise.
    unsafe { bpf(MAP_LOOKUP, &mut attributes) }.map(drop)
}

/// Forgets an element; `false` if there was none.
///
/// # Safety
/// `K` is as large as the map's key.
pub unsafe fn map_delete<K>(map: BorrowedFd<'_>, key: &K) -> io::Result<bool> {
    let mut attributes = ElementAttributes::new::<K, u8>(map, key, None);
    // SAFETY: BPF_MAP_DELETE_ELEM; sizes by the caller's promise.
    match unsafe { bpf(MAP_DELETE, &mut attributes) } {
        Ok(_) => Ok(true),
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(false),
        Err(error) => Err(error),
    }
}

#[derive(Default)]
#[repr(C)]
struct BatchAttributes {
    in_batch: u64,
    out_batch: u64,
    keys: u64,
    values: u64,
    count: u32,
    map: u32,
    element_flags: u64,
    flags: u64,
}

/// Where a batched walk of a map stands: an opaque cursor of the kernel.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cursor(Option<u64>);

impl Cursor {
    /// Where the walk of an array comes to that element.
    pub fn at(index: u32) -> Self {
        Self(index.checked_sub(1).map(u64::from))
    }
}

/// Reads up to `keys.len()` elements from `cursor` on, into `keys` and `values` (for per-CPU maps
/// several values a key). Returns how many, and the cursor to go on from, `None` at the end.
///
/// # Safety
/// `K` is as large as the map's key; `values` has room for `keys.len()` values as the kernel writes
/// them.
pub unsafe fn map_lookup_batch<K, V>(
    map: BorrowedFd<'_>,
    cursor: Cursor,
    keys: &mut [K],
    values: &mut [V],
) -> io::Result<(usize, Option<Cursor>)> {
    let next: u64 = 0;
    let mut attributes = BatchAttributes {
        in_batch: cursor.0.as_ref().map_or(0, address),
        out_batch: address(&next),
        keys: address(&*keys),
        values: address(&*values),
        count: u32::try_from(keys.len()).unwrap_or(u32::MAX),
        map: number(map),
        ..BatchAttributes::default()
    };
    // SAFETY: BPF_MAP_LOOKUP_BATCH; sizes by the caller's promise, cursors are at most eight bytes.
    let result = unsafe { bpf(MAP_LOOKUP_BATCH, &mut attributes) };
    let count = attributes.count as usize;
    // SAFETY: written by the kernel behind our back.
    let next = unsafe { std::ptr::read_volatile(&raw const next) };
    match result {
        Ok(_) => Ok((count, Some(Cursor(Some(next))))),
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok((count, None)),
        Err(error) => Err(error),
    }
}
