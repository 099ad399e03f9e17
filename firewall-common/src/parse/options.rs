//! The options of a SYN: what the two ends agree on for the whole connection.

use crate::flow::Scale;
use crate::frame::wire;
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
