//! Packets that are not plain: global functions, as in `consult`, which no other packet calls. What
//! they look up in maps and enter lies in their note, so they take it from the map that it is in: of an
//! argument Linux 6.1 takes no key and no value.

use core::ptr;

use aya_ebpf::bindings::{__sk_buff, xdp_md};
use firewall_common::decide::{self, Course, Named};
use firewall_common::flow::Flow;
use firewall_common::image::Tolerance;
use firewall_common::parse::{self, Options, Part};
use firewall_common::{DropReason, Note, Port, eapol};

use crate::frame::{Buffer, Packet};
use crate::maps::{self, Kernel};

/// No answer is as large.
const REFUSED: u64 = 1 << 48;

#[inline(always)]
pub(crate) fn told(answer: u64, note: &Note) -> Result<u64, DropReason> {
    if answer == REFUSED { Err(note.refusal) } else { Ok(answer) }
}

/// A [`Tolerance`] that was an answer.
#[inline(always)]
pub(crate) fn tolerance(answer: u64) -> Tolerance {
    Tolerance::from_bits((answer & 0xffff) as u16)
}

/// [`Options`] that were an answer.
#[inline(always)]
pub(crate) fn options(answer: u64) -> Result<Options, DropReason> {
    if answer == REFUSED {
        return Err(DropReason::ExtensionHeader);
    }
    Ok(Options { next: (answer & 0xff) as u8, length: (answer >> 8 & 0xff) as u32 })
}

#[inline(always)]
fn called(note: *mut Note, function: impl FnOnce(&mut Note) -> Result<u64, DropReason>) -> u64 {
    // An argument that is not looked at LLVM would not pass on.
    if note.is_null() {
        return REFUSED;
    }
    let Some(note) = maps::scratch() else {
        return REFUSED;
    };
    readable();
    match function(note) {
        Ok(answer) => answer,
        Err(reason) => {
            note.refusal = reason;
            REFUSED
        }
    }
}

/// A call of a helper leaves five registers that the verifier lets nobody read, and LLVM takes one of
/// them where it stores an undefined part of an enum.
#[inline(always)]
fn readable() {
    // SAFETY: it changes nothing that LLVM has not given away.
    unsafe {
        core::arch::asm!(
            "r1 = 0",
            "r2 = 0",
            "r3 = 0",
            "r4 = 0",
            "r5 = 0",
            out("r1") _,
            out("r2") _,
            out("r3") _,
            out("r4") _,
            out("r5") _,
            options(nomem, nostack)
        );
    }
}

/// What reads the frame, once for each kind of context.
macro_rules! read {
    ($frame:ident, $context:ty, $kernel:expr; $eapol:ident $extension:ident $tolerance:ident $chain:ident $named:ident) => {
        #[unsafe(no_mangle)]
        #[inline(never)]
        pub(crate) extern "C" fn $eapol(context: *mut $context, note: *mut Note, port: u64) -> u64 {
            let port = Port((port & 0xffff) as u16);
            called(note, |note| {
                eapol::judge(&$frame::of(context), &$kernel, note, port).map(|()| 0)
            })
        }

        #[unsafe(no_mangle)]
        #[inline(never)]
        pub(crate) extern "C" fn $extension(context: *mut $context, place: u64) -> u64 {
            // So small that the verifier follows them into the packet.
            let (start, end) = ((place & 0x3fff) as u32, (place >> 32 & 0x3fff) as u32);
            let Some(note) = maps::scratch() else {
                return REFUSED;
            };
            readable();
            match parse::extension(&$frame::of(context), &note.walk, start, end) {
                Ok(Options { next, length }) => next as u64 | (length as u64) << 8,
                Err(_) => REFUSED,
            }
        }

        #[unsafe(no_mangle)]
        #[inline(never)]
        pub(crate) extern "C" fn $tolerance(
            context: *mut $context,
            note: *mut Note,
            start: u64,
        ) -> u64 {
            let start = (start & 0xff) as u32;
            called(note, |note| {
                decide::tolerance(&$frame::of(context), &$kernel, note, start)
                    .map(|tolerance| tolerance.bits() as u64)
            })
        }

        #[unsafe(no_mangle)]
        #[inline(never)]
        pub(crate) extern "C" fn $chain(
            context: *mut $context,
            note: *mut Note,
            named: u64,
        ) -> u64 {
            called(note, |note| {
                decide::chain(&$frame::of(context), note, tolerance(named)).map(Part::encode)
            })
        }

        #[unsafe(no_mangle)]
        #[inline(never)]
        pub(crate) extern "C" fn $named(context: *mut $context, note: *mut Note, part: u64) -> u64 {
            called(note, |note| {
                decide::named(&$frame::of(context), &$kernel, note, Part::decode(part))
                    .map(Named::encode)
            })
        }
    };
}

read! {
    Packet, xdp_md, Kernel::new(ptr::null_mut());
    cordon_eapol cordon_extension cordon_tolerance cordon_chain cordon_named
}
read! {
    Buffer, __sk_buff, Kernel::of_gateway();
    cordon_eapol_out cordon_extension_out cordon_tolerance_out cordon_chain_out cordon_named_out
}

// These answer as those of `consult` do.

/// What a packet makes of its flow, once for what comes in and once for what the gateway's own kernel
/// sends, which asks for no routes.
macro_rules! course {
    ($follow:ident $begin:ident ($($context:ident: $type:ty)?) $kernel:expr) => {
        #[unsafe(no_mangle)]
        #[inline(never)]
        pub(crate) extern "C" fn $follow(
            $($context: $type,)?
            note: *mut Note,
            flow: *const Flow,
            course: u64,
        ) -> u64 {
            // SAFETY: the caller's reference, lent for the call.
            let Some(flow) = (unsafe { flow.as_ref() }) else {
                return REFUSED;
            };
            called(note, |note| match Course::decode(course) {
                Some(course) => decide::follow(&$kernel, note, course, flow).map(|()| 0),
                None => Err(DropReason::NoRule),
            })
        }

        #[unsafe(no_mangle)]
        #[inline(never)]
        pub(crate) extern "C" fn $begin(
            $($context: $type,)?
            note: *mut Note,
            course: u64,
        ) -> u64 {
            called(note, |note| match Course::decode(course) {
                Some(course) => decide::begin(&$kernel, note, course).map(|()| 0),
                None => Err(DropReason::NoRule),
            })
        }
    };
}

course!(cordon_follow cordon_begin (context: *mut xdp_md) Kernel::new(context));
course!(cordon_follow_out cordon_begin_out () Kernel::of_gateway());

/// What neither reads the frame nor asks for routes.
macro_rules! note {
    ($name:ident, $function:path) => {
        #[unsafe(no_mangle)]
        #[inline(never)]
        pub(crate) extern "C" fn $name(note: *mut Note) -> u64 {
            called(note, |note| $function(&Kernel::new(ptr::null_mut()), note).map(|()| 0))
        }
    };
}

note!(cordon_admit, decide::admit);
note!(cordon_track, decide::track);
note!(cordon_reassemble, decide::reassemble);
