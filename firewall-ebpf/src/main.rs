//! The adapter between the kernel's XDP hook and the decision. It decides nothing: it reads the
//! frame, asks [`firewall_common::decide()`], and turns the verdict into the kernel's action in the
//! one `match` of `act`.
//!
//! Built for the host this is an empty program, so that the whole workspace compiles with stable
//! Rust; the object comes from `cargo xtask build`.
#![cfg_attr(target_arch = "bpf", no_std, no_main)]
#![cfg_attr(target_arch = "bpf", feature(asm_experimental_arch, core_intrinsics))]
#![cfg_attr(
    target_arch = "bpf",
    expect(internal_features, reason = "to tell constant offsets from others")
)]

#[cfg(not(target_arch = "bpf"))]
fn main() {}

#[cfg(target_arch = "bpf")]
mod egress;
#[cfg(target_arch = "bpf")]
mod frame;
#[cfg(target_arch = "bpf")]
mod maps;
#[cfg(target_arch = "bpf")]
mod record;

#[cfg(target_arch = "bpf")]
mod program {
    use aya_ebpf::bindings::xdp_action::{XDP_DROP, XDP_PASS, XDP_REDIRECT};
    use aya_ebpf::macros::xdp;
    use aya_ebpf::programs::XdpContext;
    use firewall_common::{DropReason, Frame, Verdict, decide};

    use crate::frame::Packet;
    use crate::maps::Kernel;
    use crate::{egress, maps, record};

    /// Every frame of a gateway port comes in here.
    #[xdp]
    #[inline(always)]
    pub(crate) fn cordon(context: XdpContext) -> u32 {
        let packet = Packet::new(&context);
        let length = packet.length();
        let kernel = Kernel::new();
        record::received(&kernel, length);
        let Some(note) = maps::scratch() else {
            return act(&kernel, Verdict::Drop(DropReason::NotArmed), length);
        };
        let now = maps::now();
        let verdict = match decide(&packet, &kernel, now, note) {
            Ok(passage) => match egress::send(&context, &kernel, note.signature, passage.egress) {
                Ok(()) => {
                    record::passed(&passage, length);
                    Verdict::Pass(passage.reason)
                }
                Err(reason) => Verdict::Drop(reason),
            },
            Err(reason) => Verdict::Drop(reason),
        };
        record::event(verdict, note, &packet, now, length);
        act(&kernel, verdict, length)
    }

    /// Never attached: leaves the kernel's tick in the first eight bytes of the frame that the daemon
    /// runs it over.
    #[xdp]
    pub(crate) fn clock(context: XdpContext) -> u32 {
        match egress::write::<u64>(&context, 0, maps::now().0) {
            Some(()) => XDP_PASS,
            None => XDP_DROP,
        }
    }

    /// The only place where a verdict becomes an action.
    #[inline(always)]
    fn act(kernel: &Kernel, verdict: Verdict, length: u32) -> u32 {
        record::verdict(kernel, verdict, length);
        match verdict {
            Verdict::Pass(_) => XDP_REDIRECT,
            Verdict::Drop(_) => XDP_DROP,
        }
    }

    #[panic_handler]
    fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
        loop {}
    }

    /// `bpf_fib_lookup` and others are for GPL-compatible programs only.
    #[unsafe(link_section = "license")]
    #[unsafe(no_mangle)]
    static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
}
