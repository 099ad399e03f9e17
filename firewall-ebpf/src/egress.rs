//! The way out: the tag that the receiver's subnetwork carries, and the port.

use core::ptr;

use aya_ebpf::bindings::xdp_action::XDP_DROP;
use aya_ebpf::helpers::bpf_xdp_adjust_head;
use aya_ebpf::programs::XdpContext;
use firewall_common::flow::Signature;
use firewall_common::parse::ethertype;
use firewall_common::{DropReason, Tables, Vlan};

use crate::frame::Packet;
use crate::maps::{self, Kernel};

/// Retags the frame if it must be, and hands it to the peer port.
#[inline(always)]
pub(crate) fn send(
    context: &XdpContext,
    kernel: &Kernel,
    frame: Signature,
    egress: Vlan,
) -> Result<(), DropReason> {
    if frame.vlan() != egress {
        retag(context, frame, egress).ok_or(DropReason::RedirectFailed)?;
    }
    match maps::ports().redirect(kernel.peer().0 as u32, XDP_DROP as u64) {
        Ok(_) => Ok(()),
        Err(_) => Err(DropReason::RedirectFailed),
    }
}

const TAG: usize = 4;
const MACS: usize = 12;

/// Pushes, pops or replaces the tag. The priority (PCP, DEI) of a replaced tag stays, a pushed one
/// has none.
#[inline(always)]
fn retag(context: &XdpContext, frame: Signature, egress: Vlan) -> Option<()> {
    let tagged = frame.vlan() != Vlan::UNTAGGED;
    if tagged && egress == Vlan::UNTAGGED {
        let macs: [u8; MACS] = read(context, 0)?;
        write(context, TAG, macs)?;
        return adjust(context, TAG as i32);
    }
    let mut priority = 0;
    if tagged {
        let [high, _] = read(context, MACS + 2)?;
        priority = u16::from_be_bytes([high, 0]) & 0xf000;
    } else {
        let macs: [u8; MACS] = read(context, 0)?;
        adjust(context, -(TAG as i32))?;
        write(context, 0, macs)?;
    }
    let [type_high, type_low] = ethertype::VLAN.to_be_bytes();
    let [high, low] = (priority | egress.0).to_be_bytes();
    write(context, MACS, [type_high, type_low, high, low])
}

#[inline(always)]
fn adjust(context: &XdpContext, delta: i32) -> Option<()> {
    // SAFETY: the context is the kernel's; every later access reads the bounds again.
    let result = unsafe { bpf_xdp_adjust_head(context.ctx, delta) };
    if result == 0 { Some(()) } else { None }
}

#[inline(always)]
fn place<const N: usize>(context: &XdpContext, offset: usize) -> Option<*mut [u8; N]> {
    let (start, end) = Packet::new(context).bounds();
    let first = start + offset;
    if first + N > end { None } else { Some(first as *mut [u8; N]) }
}

#[inline(always)]
fn read<const N: usize>(context: &XdpContext, offset: usize) -> Option<[u8; N]> {
    // SAFETY: `place` has checked the packet's end.
    place(context, offset).map(|bytes| unsafe { ptr::read_unaligned(bytes) })
}

#[inline(always)]
fn write<const N: usize>(context: &XdpContext, offset: usize, bytes: [u8; N]) -> Option<()> {
    // SAFETY: `place` has checked the packet's end; the frame is ours alone.
    place(context, offset).map(|place| unsafe { ptr::write_unaligned(place, bytes) })
}
