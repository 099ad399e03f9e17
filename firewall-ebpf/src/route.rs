//! The kernel's routes.

use aya_ebpf::bindings::{bpf_fib_lookup as Parameters, xdp_md};
use aya_ebpf::helpers::bpf_fib_lookup;
use firewall_common::abi::Attachment;
use firewall_common::flow::Sender;
use firewall_common::tables::{Lookup, Route};
use firewall_common::{Hop, Note};

use crate::maps;

const AF_INET: u64 = 2;
const AF_INET6: u64 = 10;
const SUCCESS: i64 = 0;
/// `BPF_FIB_LKUP_RET_NO_NEIGH`.
const NO_NEIGHBOUR: i64 = 7;

/// Asks for the next hop of a packet of `sender` that came in on `from`. Wherever the routes lead but `to`, the
/// packet does not go.
#[inline(always)]
pub(crate) fn look_up(
    context: *mut xdp_md,
    note: &Note,
    sender: Sender,
    from: Attachment,
    to: Attachment,
) -> Route {
    let Some(ingress) = maps::interface(from) else {
        return Route::Astray;
    };
    let (source, destination) = match sender {
        Sender::Low => (&note.key.low, &note.key.high),
        Sender::High => (&note.key.high, &note.key.low),
    };
    let ([a, b], [c, d]) = (source.words(), destination.words());
    let lookup = &note.lookup;
    // `struct bpf_fib_lookup` in words: family; interface; both addresses; what comes back.
    let is_v4 = source.is_v4();
    lookup[0].store(if is_v4 { AF_INET } else { AF_INET6 });
    lookup[1].store(ingress as u64);
    lookup[2].store(if is_v4 { b >> 32 } else { a });
    lookup[3].store(if is_v4 { 0 } else { b });
    lookup[4].store(if is_v4 { d >> 32 } else { c });
    lookup[5].store(if is_v4 { 0 } else { d });
    lookup[6].store(0);
    lookup[7].store(0);
    let result = ask(context, lookup);
    let interface = lookup[1].load() & 0xffff_ffff;
    let leads_there = maps::attachment(interface as u32) == Some(to);
    match result {
        SUCCESS if leads_there => Route::Hop(Hop::from_word(lookup[7].load() >> 16)),
        NO_NEIGHBOUR if leads_there => Route::Unresolved,
        _ => Route::Astray,
    }
}

#[inline(always)]
fn ask(context: *mut xdp_md, lookup: &Lookup) -> i64 {
    const SIZE: i32 = 64;
    const _: () = assert!(size_of::<Parameters>() == 64 && size_of::<Lookup>() == 64);
    // SAFETY: the context is the kernel's; the words are as large as the structure, and cells.
    unsafe { bpf_fib_lookup(context.cast(), lookup.as_ptr().cast_mut().cast(), SIZE, 0) }
}
