//! One primitive reads a frame.

use core::ptr;

use aya_ebpf::bindings::xdp_md;
use aya_ebpf::programs::XdpContext;
use firewall_common::Frame;
use firewall_common::frame::wire::Wire;

/// The frame that the kernel handed us.
pub(crate) struct Packet {
    context: *mut xdp_md,
}

impl Packet {
    #[inline(always)]
    pub(crate) fn new(context: &XdpContext) -> Self {
        Self { context: context.ctx }
    }

    /// The volatile reads keep LLVM from passing the two around as arguments, in a form in which
    /// the verifier no longer knows `data_end` as the packet's end.
    #[inline(always)]
    pub(crate) fn bounds(&self) -> (usize, usize) {
        // SAFETY: the kernel hands a valid context to the program for as long as it runs.
        unsafe {
            let start = ptr::read_volatile(&raw const (*self.context).data);
            let end = ptr::read_volatile(&raw const (*self.context).data_end);
            (start as usize, end as usize)
        }
    }
}

/// No frame is longer; with it the verifier can bound every offset.
const LONGEST: usize = 0x3fff;

/// An offset as a word of which LLVM knows nothing, so that it is compared as 64 bits. Linux 6.1's
/// verifier forgets after a 32-bit `|=` that the upper half is zero, and what it learns from a
/// 32-bit comparison does not bound the offset then.
#[inline(always)]
fn whole(offset: u32) -> usize {
    let mut offset = offset as usize;
    if !core::intrinsics::is_val_statically_known(offset) {
        // SAFETY: no instruction at all.
        unsafe {
            core::arch::asm!(
                "/* {0} */",
                inout(reg) offset,
                options(pure, nomem, nostack, preserves_flags)
            );
        }
    }
    offset
}

impl Frame for Packet {
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "frames are shorter than 64 KiB")]
    fn length(&self) -> u32 {
        let (start, end) = self.bounds();
        (end - start) as u32
    }

    #[inline(always)]
    fn load<T: Wire>(&self, offset: u32) -> Option<T> {
        let (start, end) = self.bounds();
        let offset = whole(offset);
        if offset > LONGEST {
            return None;
        }
        let first = start + offset;
        if first + size_of::<T>() > end {
            return None;
        }
        // SAFETY: the bytes of a T from `first` on lie before the packet's end, as just checked.
        Some(unsafe { T::read(first as *const u8) })
    }
}
