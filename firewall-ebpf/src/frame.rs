//! One primitive reads a frame, on its way in or out.

use core::ptr;

use aya_ebpf::bindings::{__sk_buff, xdp_md};
use aya_ebpf::helpers::generated::bpf_xdp_get_buff_len;
use aya_ebpf::programs::{TcContext, XdpContext};
use firewall_common::decide::{self, Named, Quoted};
use firewall_common::flow::{Scale, Sender};
use firewall_common::frame::wire::Wire;
use firewall_common::image::Tolerance;
use firewall_common::parse::{self, Options, Part, ethertype};
use firewall_common::{DropReason, Frame, Note, Port, Tables, Vlan};

use crate::consult::answer;
use crate::extended;

/// The frame that the kernel handed us.
pub(crate) struct Packet {
    context: *mut xdp_md,
    length: u32,
}

impl Packet {
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "one page holds the frame")]
    pub(crate) fn new(context: &XdpContext) -> Self {
        let mut packet = Self { context: context.ctx, length: 0 };
        let (start, end) = packet.bounds();
        packet.length = (end - start) as u32;
        packet
    }

    /// The frame may go on in pages of its own, which cannot be read: no header lies there, or it is
    /// too short.
    #[inline(always)]
    pub(crate) fn in_pieces(context: &XdpContext) -> Self {
        Self::of(context.ctx)
    }

    /// Either kind, where nanoseconds do not matter.
    #[inline(always)]
    pub(crate) fn of(context: *mut xdp_md) -> Self {
        // SAFETY: the context is the kernel's.
        let length = unsafe { bpf_xdp_get_buff_len(context) };
        Self { context, length: (length & 0xffff_ffff) as u32 }
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

/// A frame that the kernel is about to send. What lies in its pages beyond `data_end` cannot be read;
/// headers of the kernel's own lie before.
pub(crate) struct Buffer {
    pub(crate) context: *mut __sk_buff,
}

impl Buffer {
    #[inline(always)]
    pub(crate) fn new(context: &TcContext) -> Self {
        Self::of(context.skb.skb)
    }

    #[inline(always)]
    pub(crate) fn of(context: *mut __sk_buff) -> Self {
        Self { context }
    }

    /// As for [`Packet`].
    #[inline(always)]
    fn bounds(&self) -> (usize, usize) {
        // SAFETY: as for `Packet`.
        unsafe {
            let start = ptr::read_volatile(&raw const (*self.context).data);
            let end = ptr::read_volatile(&raw const (*self.context).data_end);
            (start as usize, end as usize)
        }
    }

    /// The tag that lies beside the frame, if it is one of 802.1Q.
    #[inline(always)]
    pub(crate) fn tag(&self) -> Option<Vlan> {
        // SAFETY: as for `Packet`.
        let (present, protocol, control) = unsafe {
            let context = &*self.context;
            (context.vlan_present, context.vlan_proto, context.vlan_tci)
        };
        if present == 0 {
            return Some(Vlan::UNTAGGED);
        }
        let vlan = Vlan((control & 0x0fff) as u16);
        let is_ours = u16::from_be((protocol & 0xffff) as u16) == ethertype::VLAN;
        if is_ours && vlan != Vlan::UNTAGGED { Some(vlan) } else { None }
    }

    /// The interface that the kernel has it from; 0 if it has made it.
    #[inline(always)]
    pub(crate) fn origin(&self) -> u32 {
        // SAFETY: as for `Packet`.
        unsafe { (*self.context).ingress_ifindex }
    }
}

impl Frame for Buffer {
    #[inline(always)]
    fn length(&self) -> u32 {
        // SAFETY: as for `Packet`.
        unsafe { (*self.context).len }
    }

    #[inline(always)]
    fn load<T: Wire>(&self, offset: u32) -> Option<T> {
        load(self.bounds(), offset)
    }

    #[inline(always)]
    fn window_scale(&self, start: u32, end: u32) -> Result<Scale, DropReason> {
        scale(cordon_window_scale_out(self.context, start as u64 | (end as u64) << 32))
    }

    #[inline(always)]
    fn quoted(&self, note: &mut Note, quoted: Quoted) -> Result<Sender, DropReason> {
        sender(cordon_quoted_out(self.context, note, encode(quoted)), note)
    }

    #[inline(always)]
    fn extension(&self, start: u32, end: u32) -> Result<Options, DropReason> {
        let place = start as u64 | (end as u64) << 32;
        extended::options(extended::cordon_extension_out(self.context, place))
    }

    #[inline(always)]
    fn eapol<T: Tables + ?Sized>(
        &self,
        _tables: &T,
        note: &mut Note,
        port: Port,
    ) -> Result<(), DropReason> {
        let answer = extended::cordon_eapol_out(self.context, note, port.0 as u64);
        extended::told(answer, note).map(|_| ())
    }

    #[inline(always)]
    fn tolerance<T: Tables + ?Sized>(
        &self,
        _tables: &T,
        note: &mut Note,
        start: u32,
    ) -> Result<Tolerance, DropReason> {
        let answer = extended::cordon_tolerance_out(self.context, note, start as u64);
        extended::told(answer, note).map(extended::tolerance)
    }

    #[inline(always)]
    fn chain(&self, note: &mut Note, tolerance: Tolerance) -> Result<Part, DropReason> {
        let answer = extended::cordon_chain_out(self.context, note, tolerance.bits() as u64);
        extended::told(answer, note).map(Part::decode)
    }

    #[inline(always)]
    fn named<T: Tables + ?Sized>(
        &self,
        _tables: &T,
        note: &mut Note,
        part: Part,
    ) -> Result<Named, DropReason> {
        let answer = extended::cordon_named_out(self.context, note, part.encode());
        extended::told(answer, note).map(Named::decode)
    }
}

#[inline(always)]
fn load<T: Wire>((start, end): (usize, usize), offset: u32) -> Option<T> {
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

/// No frame is longer; with it the verifier can bound every offset.
const LONGEST: usize = 0x3fff;

/// An offset as a word of which LLVM knows nothing, so that it is compared as 64 bits. Linux 6.1's
/// verifier forgets after a 32-bit `|=` that the upper half is zero, and what it learns from a
/// 32-bit comparison does not bound the offset then.
#[inline(always)]
fn whole(offset: u32) -> usize {
    let mut offset = offset as usize;
    if !core::intrinsics::is_val_statically_known(offset) {
        // One instruction: of none, two lines of source would share a place, which the kernel refuses.
        // SAFETY: it changes nothing.
        unsafe {
            core::arch::asm!(
                "{0} = {0}",
                inout(reg) offset,
                options(pure, nomem, nostack, preserves_flags)
            );
        }
    }
    offset
}

impl Frame for Packet {
    #[inline(always)]
    fn length(&self) -> u32 {
        self.length
    }

    #[inline(always)]
    fn load<T: Wire>(&self, offset: u32) -> Option<T> {
        load(self.bounds(), offset)
    }

    #[inline(always)]
    fn window_scale(&self, start: u32, end: u32) -> Result<Scale, DropReason> {
        scale(cordon_window_scale(self.context, start as u64 | (end as u64) << 32))
    }

    #[inline(always)]
    fn quoted(&self, note: &mut Note, quoted: Quoted) -> Result<Sender, DropReason> {
        sender(cordon_quoted(self.context, note, encode(quoted)), note)
    }

    #[inline(always)]
    fn extension(&self, start: u32, end: u32) -> Result<Options, DropReason> {
        let place = start as u64 | (end as u64) << 32;
        extended::options(extended::cordon_extension(self.context, place))
    }

    #[inline(always)]
    fn eapol<T: Tables + ?Sized>(
        &self,
        _tables: &T,
        note: &mut Note,
        port: Port,
    ) -> Result<(), DropReason> {
        let answer = extended::cordon_eapol(self.context, note, port.0 as u64);
        extended::told(answer, note).map(|_| ())
    }

    #[inline(always)]
    fn tolerance<T: Tables + ?Sized>(
        &self,
        _tables: &T,
        note: &mut Note,
        start: u32,
    ) -> Result<Tolerance, DropReason> {
        let answer = extended::cordon_tolerance(self.context, note, start as u64);
        extended::told(answer, note).map(extended::tolerance)
    }

    #[inline(always)]
    fn chain(&self, note: &mut Note, tolerance: Tolerance) -> Result<Part, DropReason> {
        let answer = extended::cordon_chain(self.context, note, tolerance.bits() as u64);
        extended::told(answer, note).map(Part::decode)
    }

    #[inline(always)]
    fn named<T: Tables + ?Sized>(
        &self,
        _tables: &T,
        note: &mut Note,
        part: Part,
    ) -> Result<Named, DropReason> {
        let answer = extended::cordon_named(self.context, note, part.encode());
        extended::told(answer, note).map(Named::decode)
    }
}

const MALFORMED: u64 = 16;

#[inline(always)]
fn scale(found: u64) -> Result<Scale, DropReason> {
    if found == MALFORMED {
        return Err(DropReason::TransportHeader);
    }
    Ok(Scale::from_bits((found & 15) as u32))
}

/// A global function, as in `maps`: the walk over the options of a SYN, of every length and order.
macro_rules! window_scale {
    ($name:ident, $frame:ident, $context:ty) => {
        #[unsafe(no_mangle)]
        #[inline(never)]
        extern "C" fn $name(context: *mut $context, place: u64) -> u64 {
            // So small that the verifier follows them into the packet.
            let (start, end) = ((place & 0x3fff) as u32, (place >> 32 & 0x3fff) as u32);
            match parse::window_scale(&$frame::of(context), start, end) {
                Ok(scale) => scale.bits() as u64,
                Err(_) => MALFORMED,
            }
        }
    };
}

window_scale!(cordon_window_scale, Packet, xdp_md);
window_scale!(cordon_window_scale_out, Buffer, __sk_buff);

#[inline(always)]
const fn encode(quoted: Quoted) -> u64 {
    let Quoted { start, end, pair } = quoted;
    start as u64 | (end as u64) << 16 | (pair.0 as u64) << 32
}

const LOW: u64 = Sender::Low as u64;
const HIGH: u64 = Sender::High as u64;

#[inline(always)]
fn sender(answer: u64, note: &Note) -> Result<Sender, DropReason> {
    match answer {
        LOW => Ok(Sender::Low),
        HIGH => Ok(Sender::High),
        _ => Err(note.refusal),
    }
}

/// A global function: the walk into the packet that an ICMP error quotes, of either family.
macro_rules! quoted {
    ($name:ident, $frame:ident, $context:ty) => {
        #[unsafe(no_mangle)]
        #[inline(never)]
        extern "C" fn $name(context: *mut $context, note: *mut Note, place: u64) -> u64 {
            let quoted = Quoted {
                start: (place & 0x3fff) as u32,
                end: (place >> 16 & 0xffff) as u32,
                pair: Port((place >> 32 & 0xffff) as u16),
            };
            answer(note, |note| {
                decide::quoted(&$frame::of(context), note, quoted).map(|sender| sender as u64)
            })
        }
    };
}

quoted!(cordon_quoted, Packet, xdp_md);
quoted!(cordon_quoted_out, Buffer, __sk_buff);
