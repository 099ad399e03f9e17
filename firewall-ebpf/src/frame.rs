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
const LONGEST: u32 = 0x3fff;

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
        if offset > LONGEST {
            return None;
        }
        let first = start + offset as usize;
        if first + size_of::<T>() > end {
            return None;
        }
        // SAFETY: the bytes of a T from `first` on lie before the packet's end, as just checked.
        Some(unsafe { T::read(first as *const u8) })
    }
}
