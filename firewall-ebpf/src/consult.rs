//! The slow path's questions, each a function of the kernel's.

use core::ptr;

use firewall_common::decide::{self, Question};
use firewall_common::flow::Flow;
use firewall_common::identity::{self, Direction, Role};
use firewall_common::tables::Full;
use firewall_common::{DropReason, Note};

use crate::flows;
use crate::maps::Kernel;

#[inline(always)]
pub(crate) fn answered(answer: u64, note: &Note) -> Result<(), DropReason> {
    if answer == YES { Ok(()) } else { Err(note.refusal) }
}

pub(crate) const YES: u64 = 0;
const NO: u64 = u64::MAX;

/// A global BPF function: the verifier walks it once, with nothing known but the types of its
/// arguments, and not again on each of the thousands of ways that lead there.
macro_rules! global {
    ($name:ident, $argument:ty, [$($variant:ident)*] else $last:ident, $function:path) => {
        #[unsafe(no_mangle)]
        #[inline(never)]
        pub(crate) extern "C" fn $name(note: *mut Note, argument: u64) -> u64 {
            let argument = match argument {
                $(argument if argument == <$argument>::$variant as u64 => <$argument>::$variant,)*
                _ => <$argument>::$last,
            };
            answer(note, |note| $function(&kernel(), note, argument).map(|()| YES))
        }
    };
    ($name:ident, $argument:path, $function:path) => {
        #[unsafe(no_mangle)]
        #[inline(never)]
        pub(crate) extern "C" fn $name(note: *mut Note) -> u64 {
            answer(note, |note| $function(&kernel(), note, $argument).map(|()| YES))
        }
    };
}

#[inline(always)]
fn kernel() -> Kernel {
    Kernel::new(ptr::null_mut())
}

/// What a global function returns: `NO` with the reason in the note, or what `function` does.
#[inline(always)]
pub(crate) fn answer(
    note: *mut Note,
    function: impl FnOnce(&mut Note) -> Result<u64, DropReason>,
) -> u64 {
    // SAFETY: the caller's reference, lent for the call; the verifier wants the check for null.
    let Some(note) = (unsafe { note.as_mut() }) else {
        return NO;
    };
    match function(note) {
        Ok(answer) => answer,
        Err(reason) => {
            note.refusal = reason;
            NO
        }
    }
}

/// [`flows::find`].
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn cordon_find(note: *mut Note) -> u64 {
    answer(note, |note| Ok(flows::find(note)))
}

/// Enters the note's flow, half-open; anything but [`YES`] says that there is no room.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn cordon_open(note: *mut Note) -> u64 {
    answer(note, |note| match flows::open(note) {
        Ok(()) => Ok(YES),
        Err(Full) => Err(DropReason::FlowTableFull),
    })
}

// Three functions for one question each: the stack of one is that of its widest branch.
global!(cordon_authorise, Question, [FlowOpenedByLow] else FlowOpenedByHigh, decide::consult);
global!(cordon_judge, Question::Claim, decide::consult);
global!(cordon_report, Question::Report, decide::consult);
global!(cordon_identify, Role, [Source] else Destination, identity::identify);
global!(cordon_search, Role, [Source] else Destination, identity::search);
global!(cordon_permit, Direction, [Forward] else Backward, identity::permit);

#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn cordon_charge(note: *mut Note) -> u64 {
    answer(note, |note| decide::charge(&kernel(), note).map(|()| YES))
}

#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn cordon_refund(note: *mut Note, flow: *const Flow) -> u64 {
    // SAFETY: the caller's reference, lent for the call.
    let Some(flow) = (unsafe { flow.as_ref() }) else {
        return NO;
    };
    answer(note, |note| {
        decide::refund(&kernel(), note, flow);
        Ok(YES)
    })
}
