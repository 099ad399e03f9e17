//! BPF arrays in our memory.

use std::io;
use std::marker::PhantomData;
use std::num::NonZeroUsize;
use std::ops::Deref;
use std::os::fd::{AsFd, BorrowedFd};
use std::ptr::NonNull;

use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};

use super::map_info;

/// A BPF array made with `BPF_F_MMAPABLE`, in our memory: one `T` an element.
///
/// Only types whose every write is an atomic store may be shared like this; that is what
/// [`Shared`] says.
pub struct Mapping<T> {
    start: NonNull<T>,
    count: usize,
    bytes: NonZeroUsize,
    kind: PhantomData<T>,
}

/// Types that the kernel and userspace may read and write at once.
///
/// # Safety
/// The type is plain words; whoever writes through a shared reference does so with atomics.
pub unsafe trait Shared {}

// SAFETY: atomics.
unsafe impl Shared for firewall_common::abi::Control {}
// SAFETY: atomics.
unsafe impl Shared for firewall_common::flow::table::Slot {}
// SAFETY: an atomic.
unsafe impl Shared for firewall_common::flow::table::Bucket {}
// SAFETY: atomics.
unsafe impl Shared for firewall_common::abi::NodeState {}
// SAFETY: atomics.
unsafe impl Shared for firewall_common::abi::PortState {}
// SAFETY: atomics.
unsafe impl Shared for firewall_common::abi::SubnetworkState {}
// SAFETY: atomics.
unsafe impl Shared for std::sync::atomic::AtomicU64 {}
// SAFETY: eight atomics.
unsafe impl Shared for AtomicLine {}

/// An image line as it is written and read back: word by word.
#[repr(C, align(64))]
pub struct AtomicLine(pub [std::sync::atomic::AtomicU64; 8]);

// SAFETY: the memory is shared by its nature; `Shared` types are made of atomics.
unsafe impl<T: Shared> Send for Mapping<T> {}
// SAFETY: as above.
unsafe impl<T: Shared> Sync for Mapping<T> {}

impl<T: Shared> Mapping<T> {
    /// Maps the whole array; its value must be as large as `T`.
    pub fn new(map: BorrowedFd<'_>) -> io::Result<Self> {
        let info = map_info(map)?;
        if info.value_size as usize != size_of::<T>() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the map's values differ"));
        }
        let count = info.max_entries as usize;
        let bytes = NonZeroUsize::new(count * size_of::<T>())
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the map is empty"))?;
        let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice.
        let start = unsafe { mmap(None, bytes, protection, MapFlags::MAP_SHARED, map.as_fd(), 0) }?;
        Ok(Self { start: start.cast(), count, bytes, kind: PhantomData })
    }
}

impl<T> Deref for Mapping<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: mapped for as long as self lives; array values lie `size_of::<T>()` apart, since
        // every `Shared` type is a multiple of eight bytes.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.count) }
    }
}

impl<T> Drop for Mapping<T> {
    fn drop(&mut self) {
        // SAFETY: made by `new`, and nobody borrows it any more.
        let result = unsafe { munmap(self.start.cast(), self.bytes.get()) };
        debug_assert!(result.is_ok(), "a mapping of ours can be unmapped");
    }
}
