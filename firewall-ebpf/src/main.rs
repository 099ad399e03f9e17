//! The adapter between the kernel's hooks (XDP in, tcx out) and the decision. It decides nothing: it reads the
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
mod constants;
#[cfg(target_arch = "bpf")]
mod consult;
#[cfg(target_arch = "bpf")]
mod egress;
#[cfg(target_arch = "bpf")]
mod extended;
#[cfg(target_arch = "bpf")]
mod flows;
#[cfg(target_arch = "bpf")]
mod frame;
#[cfg(target_arch = "bpf")]
mod maps;
#[cfg(target_arch = "bpf")]
mod record;
#[cfg(target_arch = "bpf")]
mod route;

#[cfg(target_arch = "bpf")]
mod program {
    use aya_ebpf::bindings::xdp_action::{XDP_DROP, XDP_PASS, XDP_REDIRECT};
    use aya_ebpf::bindings::{TC_ACT_SHOT, TC_ACT_UNSPEC};
    use aya_ebpf::macros::{classifier, xdp};
    use aya_ebpf::maps::DevMap;
    use aya_ebpf::programs::{TcContext, XdpContext};
    use firewall_common::decide::{Exit, Leaving, Origin, leave};
    use firewall_common::{DropReason, Frame, Port, Verdict, decide};

    use crate::frame::{Buffer, Packet};
    use crate::maps::Kernel;
    use crate::{constants, egress, maps, record};

    /// Every frame of a gateway port comes in here.
    #[xdp]
    #[inline(always)]
    pub(crate) fn cordon(context: XdpContext) -> u32 {
        enter(&context, Packet::new(&context), maps::ports())
    }

    /// Or here, where frames may be longer than a page. To tell how long one is takes a call: 6 ns.
    #[xdp(frags)]
    #[inline(always)]
    pub(crate) fn cordon_jumbo(context: XdpContext) -> u32 {
        enter(&context, Packet::in_pieces(&context), maps::ports_jumbo())
    }

    #[inline(always)]
    fn enter(context: &XdpContext, packet: Packet, ports: &DevMap) -> u32 {
        let length = packet.length();
        let kernel = Kernel::new(context.ctx);
        record::received(length);
        let Some(note) = maps::scratch() else {
            return act(Verdict::Drop(DropReason::NotArmed), Exit::GATEWAY, length);
        };
        let now = maps::now();
        let (verdict, exit) = match decide(&packet, &kernel, now, note) {
            Ok(passage) => match egress::send(context, &kernel, ports, note, passage.exit) {
                Ok(()) => {
                    record::passed(&passage, length);
                    (Verdict::Pass(passage.reason), passage.exit)
                }
                Err(reason) => (Verdict::Drop(reason), Exit::GATEWAY),
            },
            Err(reason) => (Verdict::Drop(reason), Exit::GATEWAY),
        };
        record::event(verdict, note, &packet, now, length);
        act(verdict, exit, length)
    }

    /// Every frame that the gateway's own kernel sends out of a port comes by here. What XDP redirects
    /// does not.
    #[classifier]
    #[inline(always)]
    pub(crate) fn guard(context: TcContext) -> i32 {
        let buffer = Buffer::new(&context);
        let length = buffer.length();
        record::received(length);
        let Some(note) = maps::scratch() else {
            return let_out(Verdict::Drop(DropReason::NotArmed), length);
        };
        let now = maps::now();
        let Some(tag) = buffer.tag() else {
            return let_out(Verdict::Drop(DropReason::Egress), length);
        };
        let leaving =
            Leaving { origin: maps::origin(buffer.origin()), port: constants::port(), tag };
        let verdict = match leave(&buffer, &Kernel::of_gateway(), now, note, leaving) {
            Ok(passage) => {
                if leaving.origin == Origin::Gateway {
                    record::passed(&passage, length);
                }
                Verdict::Pass(passage.reason)
            }
            Err(reason) => Verdict::Drop(reason),
        };
        record::event(verdict, note, &buffer, now, length);
        let_out(verdict, length)
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

    /// The only place where a verdict over what comes in becomes an action.
    #[inline(always)]
    fn act(verdict: Verdict, exit: Exit, length: u32) -> u32 {
        record::verdict(verdict, length);
        match verdict {
            Verdict::Pass(_) if exit.port == Port::GATEWAY => XDP_PASS,
            Verdict::Pass(_) => XDP_REDIRECT,
            Verdict::Drop(_) => XDP_DROP,
        }
    }

    /// The only place where a verdict over what goes out becomes one. What may leave is left to
    /// others that may refuse it.
    #[inline(always)]
    fn let_out(verdict: Verdict, length: u32) -> i32 {
        record::verdict(verdict, length);
        match verdict {
            Verdict::Pass(_) => TC_ACT_UNSPEC,
            Verdict::Drop(_) => TC_ACT_SHOT,
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
