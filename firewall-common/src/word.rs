//! Words that several CPUs, and the daemon, read and write. LLVM has no atomic loads for bpfel below
//! CPU version 4, so in the kernel a word is a volatile cell: one aligned load or store either way.

#[cfg(not(target_arch = "bpf"))]
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering::SeqCst};

macro_rules! word {
    ($(#[$meta:meta])* $name:ident, $value:ty, $atomic:ident) => {
        $(#[$meta])*
        #[cfg(not(target_arch = "bpf"))]
        #[derive(Debug, Default)]
        #[repr(transparent)]
        pub struct $name($atomic);

        $(#[$meta])*
        #[cfg(target_arch = "bpf")]
        #[derive(Debug, Default)]
        #[repr(transparent)]
        pub struct $name(core::cell::UnsafeCell<$value>);

        // SAFETY: only reached through aligned volatile accesses, which the JIT makes single
        // instructions.
        #[cfg(target_arch = "bpf")]
        unsafe impl Sync for $name {}

        impl $name {
            /// A word with that value.
            #[inline(always)]
            pub const fn new(value: $value) -> Self {
                #[cfg(not(target_arch = "bpf"))]
                return Self($atomic::new(value));
                #[cfg(target_arch = "bpf")]
                return Self(core::cell::UnsafeCell::new(value));
            }

            /// The value.
            #[inline(always)]
            pub fn load(&self) -> $value {
                #[cfg(not(target_arch = "bpf"))]
                return self.0.load(SeqCst);
                #[cfg(target_arch = "bpf")]
                // SAFETY: the cell is valid and aligned.
                return unsafe { self.0.get().read_volatile() };
            }

            /// Sets the value.
            #[inline(always)]
            pub fn store(&self, value: $value) {
                #[cfg(not(target_arch = "bpf"))]
                self.0.store(value, SeqCst);
                #[cfg(target_arch = "bpf")]
                // SAFETY: the cell is valid and aligned.
                unsafe {
                    self.0.get().write_volatile(value);
                }
            }

            /// The word, for the operations that only userspace has.
            #[cfg(not(target_arch = "bpf"))]
            pub const fn atomic(&self) -> &$atomic {
                &self.0
            }
        }
    };
}

word! {
    /// A shared 32-bit word.
    Word32, u32, AtomicU32
}
word! {
    /// A shared 64-bit word.
    Word64, u64, AtomicU64
}

impl Word64 {
    /// Adds to the value, at once for all CPUs; what was stored before is seen by whoever sees it.
    #[cfg(not(target_arch = "bpf"))]
    pub fn add(&self, value: u64) {
        self.0.fetch_add(value, SeqCst);
    }

    /// Adds to the value, at once for all CPUs; what was stored before is seen by whoever sees it, for
    /// which the kernel has the form that fetches (since 5.12).
    #[cfg(target_arch = "bpf")]
    #[inline(always)]
    pub fn add(&self, value: u64) {
        // SAFETY: the cell is valid and aligned.
        unsafe {
            core::arch::asm!(
                "{0} = atomic_fetch_add((u64 *)({1} + 0), {0})",
                inlateout(reg) value => _,
                in(reg) self.0.get(),
                options(nostack)
            );
        }
    }

    /// Sets the value if it is still `current`, at once for all CPUs; what it was.
    #[cfg(not(target_arch = "bpf"))]
    pub fn exchange(&self, current: u64, value: u64) -> u64 {
        match self.0.compare_exchange(current, value, SeqCst, SeqCst) {
            Ok(found) | Err(found) => found,
        }
    }

    /// Sets the value if it is still `current`, at once for all CPUs; what it was.
    #[cfg(target_arch = "bpf")]
    #[inline(always)]
    pub fn exchange(&self, current: u64, value: u64) -> u64 {
        let found;
        // rustc knows no exchanges on this target. The kernel has this one since 5.12.
        // SAFETY: the cell is valid and aligned.
        unsafe {
            core::arch::asm!(
                "r0 = cmpxchg_64({} + 0, r0, {})",
                in(reg) self.0.get(),
                in(reg) value,
                inlateout("r0") current => found,
                options(nostack)
            );
        }
        found
    }
}
