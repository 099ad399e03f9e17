//! One primitive reads a frame.

use core::ptr;

use aya_ebpf::bindings::xdp_md;
use aya_ebpf::programs::XdpContext;
use firewall_common::flow::Scale;
use firewall_common::frame::wire::Wire;
use firewall_common::{DropReason, Frame, parse};

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

    #[inline(always)]
    fn window_scale(&self, start: u32, end: u32) -> Result<Scale, DropReason> {
        let scale = cordon_window_scale(self.context, start as u64 | (end as u64) << 32);
        if scale == MALFORMED {
            return Err(DropReason::TransportHeader);
        }
        Ok(Scale::from_bits((scale & 15) as u32))
    }
}

const MALFORMED: u64 = 16;

/// A global function, as in `maps`: the walk over the options of a SYN, of every length and order.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn cordon_window_scale(context: *mut xdp_md, place: u64) -> u64 {
    // So small that the verifier follows them into the packet.
    let (start, end) = ((place & 0x3fff) as u32, (place >> 32 & 0x3fff) as u32);
    match parse::window_scale(&Packet { context }, start, end) {
        Ok(scale) => scale.bits() as u64,
        Err(_) => MALFORMED,
    }
}
