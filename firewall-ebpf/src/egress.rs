//! The way out: the tag that the receiver's subnetwork carries, and the port.

use core::ptr;

use aya_ebpf::bindings::xdp_action::XDP_DROP;
use aya_ebpf::helpers::bpf_xdp_adjust_head;
use aya_ebpf::maps::DevMap;
use aya_ebpf::programs::XdpContext;
use firewall_common::decide::Exit;
use firewall_common::flow::Signature;
use firewall_common::parse::ethertype;
use firewall_common::tables::Way;
use firewall_common::{DropReason, Hop, Note, Port, Tables, Vlan};

use crate::frame::Packet;
use crate::maps::Kernel;

/// Rewrites what a router rewrites, retags the frame if it must be, and hands it to its port. What
/// the gateway's kernel takes stays as it is.
#[inline(always)]
pub(crate) fn send(
    context: &XdpContext,
    kernel: &Kernel,
    ports: &DevMap,
    note: &Note,
    exit: Exit,
) -> Result<(), DropReason> {
    let Exit { port, vlan, hop } = exit;
    if port == Port::GATEWAY {
        return Ok(());
    }
    let frame = note.signature;
    if let Way::Router = kernel.way() {
        let Some(state) = kernel.port_state(port) else {
            return Err(DropReason::NoRoute);
        };
        let is_v4 = note.ethertype() == ethertype::IPV4;
        forward(context, frame, is_v4, hop, state.mac.load()).ok_or(DropReason::RedirectFailed)?;
    }
    if frame.vlan() != vlan {
        retag(context, frame, vlan).ok_or(DropReason::RedirectFailed)?;
    }
    match ports.redirect(port.0 as u32, XDP_DROP as u64) {
        Ok(_) => Ok(()),
        Err(_) => Err(DropReason::RedirectFailed),
    }
}

/// Both MACs, and one hop less (RFC 1812, 5.3.1; RFC 1624; RFC 8200, 3).
#[inline(always)]
fn forward(context: &XdpContext, frame: Signature, is_v4: bool, hop: Hop, own: u64) -> Option<()> {
    write::<u64>(context, 0, hop.word() | own << 48)?;
    write::<u32>(context, 8, (own >> 16 & 0xffff_ffff) as u32)?;
    let network = if frame.vlan() == Vlan::UNTAGGED { MACS + 2 } else { MACS + 2 + TAG };
    // Two bytes each: of a check for one the verifier learns nothing.
    if is_v4 {
        const TTL: usize = 8;
        const CHECKSUM: usize = 10;
        let [hops, protocol]: [u8; 2] = read::<u16>(context, network + TTL)?.to_le_bytes();
        let checksum: u16 = read(context, network + CHECKSUM)?;
        // Linux's `ip_decrease_ttl`: what would become 0xffff becomes 0 (RFC 1624, 3).
        let sum = u16::from_be(checksum) as u32 + 0x0100;
        let sum = sum + (sum >= 0xffff) as u32;
        write(context, network + TTL, u16::from_le_bytes([hops.wrapping_sub(1), protocol]))?;
        write(context, network + CHECKSUM, ((sum & 0xffff) as u16).to_be())
    } else {
        const NEXT_HEADER: usize = 6;
        let [next, hops]: [u8; 2] = read::<u16>(context, network + NEXT_HEADER)?.to_le_bytes();
        write(context, network + NEXT_HEADER, u16::from_le_bytes([next, hops.wrapping_sub(1)]))
    }
}

const TAG: usize = 4;
const MACS: usize = 12;
/// A tag again, as `bpf_xdp_adjust_head` counts.
const GROWTH: i32 = 4;

/// Pushes, pops or replaces the tag. The priority (PCP, DEI) of a replaced tag stays, a pushed one
/// has none.
#[inline(always)]
fn retag(context: &XdpContext, frame: Signature, egress: Vlan) -> Option<()> {
    let tagged = frame.vlan() != Vlan::UNTAGGED;
    if tagged && egress == Vlan::UNTAGGED {
        let (first, second) = macs(context)?;
        write::<u32>(context, TAG + 8, second)?;
        write::<u64>(context, TAG, first)?;
        return adjust(context, GROWTH);
    }
    let mut priority = 0;
    if tagged {
        let control: u16 = read(context, MACS + 2)?;
        priority = u16::from_be(control) & 0xf000;
    } else {
        let (first, second) = macs(context)?;
        adjust(context, -GROWTH)?;
        write::<u64>(context, 0, first)?;
        write::<u32>(context, 8, second)?;
    }
    write(context, MACS, [ethertype::VLAN.to_be(), (priority | egress.0).to_be()])
}

/// Both MACs in two words; moved as one block they would become a call of memmove.
#[inline(always)]
fn macs(context: &XdpContext) -> Option<(u64, u32)> {
    Some((read(context, 0)?, read(context, 8)?))
}

#[inline(always)]
fn adjust(context: &XdpContext, delta: i32) -> Option<()> {
    // SAFETY: the context is the kernel's; every later access reads the bounds again.
    let result = unsafe { bpf_xdp_adjust_head(context.ctx, delta) };
    if result == 0 { Some(()) } else { None }
}

#[inline(always)]
fn place<T>(context: &XdpContext, offset: usize) -> Option<*mut T> {
    let (start, end) = Packet::new(context).bounds();
    let first = start + offset;
    if first + size_of::<T>() > end { None } else { Some(first as *mut T) }
}

#[inline(always)]
fn read<T: Copy>(context: &XdpContext, offset: usize) -> Option<T> {
    // SAFETY: `place` has checked the packet's end, and the types below are plain integers.
    place(context, offset).map(|bytes| unsafe { ptr::read_unaligned(bytes) })
}

#[inline(always)]
pub(crate) fn write<T: Copy>(context: &XdpContext, offset: usize, value: T) -> Option<()> {
    // SAFETY: `place` has checked the packet's end; the frame is ours alone.
    place(context, offset).map(|place| unsafe { ptr::write_unaligned(place, value) })
}
