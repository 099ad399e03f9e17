//! Lists of options: of a SYN, what the two ends agree on for the whole connection; of IPv6, what
//! must not be more than it seems.

use crate::flow::Scale;
use crate::frame::wire;
use crate::word::Word64;
use crate::{DropReason, Frame};

/// The window scale that the TCP options from `start` to `end` offer (RFC 9293, 3.1; RFC 7323, 2.2).
#[inline(always)]
pub fn window_scale<F: Frame + ?Sized>(
    frame: &F,
    start: u32,
    end: u32,
) -> Result<Scale, DropReason> {
    const END: u8 = 0;
    const NOTHING: u8 = 1;
    const WINDOW_SCALE: u8 = 3;
    let length = end - start;
    let byte = |at: u32| match frame.load::<wire::Byte>(start + at - 1) {
        Some(wire::Byte { value, .. }) if at < length => Ok(value),
        Some(_) | None => Err(DropReason::TransportHeader),
    };
    let (mut scale, mut at) = (Scale::NONE, 0);
    // A header has 40 bytes of options at most.
    for _ in 0..40 {
        // Whatever came before, the verifier takes this for any of 64 places and need not follow
        // every way here.
        at &= 63;
        if at >= length {
            break;
        }
        let kind = byte(at)?;
        if kind == END {
            break;
        }
        if kind == NOTHING {
            at += 1;
            continue;
        }
        let size = byte(at + 1)? as u32;
        if size < 2 || at + size > length || kind == WINDOW_SCALE && size != 3 {
            return Err(DropReason::TransportHeader);
        }
        if kind == WINDOW_SCALE {
            scale = Scale::offered(byte(at + 2)?);
        }
        at += size;
    }
    Ok(scale)
}

/// An IPv6 header of options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// What follows it.
    pub next: u8,
    /// Its bytes.
    pub length: u32,
}

/// The longest header of options, in bytes (RFC 8504, 5.3: a limit is the host's to choose).
const LONGEST: u32 = 64;

/// Reads the hop-by-hop or destination options that begin at `start`, in a packet that ends at `end`
/// (RFC 8200, 4.2). Every option must be one that whoever does not know it skips: a home address
/// (201) would be another source, a jumbo payload (194) another length.
///
/// How far it has come lies in `walk`: known in a register, every turn is another one to the verifier,
/// of Linux 6.1 more than a million instructions.
#[inline(always)]
pub fn extension<F: Frame + ?Sized>(
    frame: &F,
    walk: &Word64,
    start: u32,
    end: u32,
) -> Result<Options, DropReason> {
    const PAD: u8 = 0;
    const OTHER_THAN_SKIP: u8 = 0xc0;
    let byte = |at: u32| match frame.load::<wire::Byte>(start + at - 1) {
        Some(wire::Byte { value, .. }) => Ok(value),
        None => Err(DropReason::ExtensionHeader),
    };
    let next = byte(0)?;
    let length = (byte(1)? as u32 + 1) * 8;
    if length > LONGEST || start + length > end {
        return Err(DropReason::ExtensionHeader);
    }
    walk.store(2);
    for _ in 0..LONGEST {
        let at = (walk.load() & 127) as u32;
        if at >= length {
            break;
        }
        let kind = byte(at)?;
        if kind == PAD {
            walk.store(at as u64 + 1);
            continue;
        }
        let size = 2 + byte(at + 1)? as u32;
        if kind & OTHER_THAN_SKIP != 0 || at + size > length {
            return Err(DropReason::ExtensionHeader);
        }
        walk.store((at + size) as u64);
    }
    Ok(Options { next, length })
}
