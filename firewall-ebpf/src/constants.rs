//! What the daemon tells a program when it loads it. Every port has a program of its own.

use aya_ebpf::Global;
use firewall_common::Port;
use firewall_common::flow::Phase;
use firewall_common::quota::Limits;
use firewall_common::tables::Way;

#[unsafe(no_mangle)]
static PORT: Global<u32> = Global::new(0);
/// The port that a bridge's frames leave by.
#[unsafe(no_mangle)]
static PEER: Global<u32> = Global::new(0);
/// Whether the gateway is a router.
#[unsafe(no_mangle)]
static IS_ROUTER: Global<u32> = Global::new(0);
/// Whether a router looks up routes; otherwise it leaves every packet to the kernel.
#[unsafe(no_mangle)]
static ROUTES: Global<u32> = Global::new(0);
/// Whether an authenticator speaks IEEE 802.1X with the nodes on the port.
#[unsafe(no_mangle)]
static AUTHENTICATES: Global<u32> = Global::new(0);
/// The TCP port at which the gateway grants leases; 0 if it does not.
#[unsafe(no_mangle)]
static ENROLMENT: Global<u32> = Global::new(0);
/// Lines of one half of the image.
#[unsafe(no_mangle)]
static LINES: Global<u32> = Global::new(0);
/// Buckets of established flows.
#[unsafe(no_mangle)]
static BUCKETS: Global<u32> = Global::new(0);
#[unsafe(no_mangle)]
static TIMEOUT_HALF_OPEN: Global<u32> = Global::new(0);
#[unsafe(no_mangle)]
static TIMEOUT_TCP: Global<u32> = Global::new(0);
#[unsafe(no_mangle)]
static TIMEOUT_TCP_CLOSING: Global<u32> = Global::new(0);
#[unsafe(no_mangle)]
static TIMEOUT_TCP_CLOSED: Global<u32> = Global::new(0);
#[unsafe(no_mangle)]
static TIMEOUT_DATAGRAM: Global<u32> = Global::new(0);
#[unsafe(no_mangle)]
static TIMEOUT_FRAGMENT: Global<u32> = Global::new(0);
#[unsafe(no_mangle)]
static LIMIT_HALF_OPEN: Global<u32> = Global::new(0);
#[unsafe(no_mangle)]
static LIMIT_NEW_FLOWS: Global<u32> = Global::new(0);
#[unsafe(no_mangle)]
static TICKS_PER_SECOND: Global<u32> = Global::new(0);
/// Events that one CPU may write in one tick.
#[unsafe(no_mangle)]
static EVENTS_PER_TICK: Global<u32> = Global::new(0);

/// The program's port.
#[inline(always)]
pub(crate) fn port() -> Port {
    Port((PORT.load() & 0xffff) as u16)
}

/// How frames cross the gateway.
#[inline(always)]
pub(crate) fn way() -> Way {
    if IS_ROUTER.load() == 0 {
        Way::Bridge { peer: Port((PEER.load() & 0xffff) as u16) }
    } else {
        Way::Router
    }
}

/// Whether a router looks up routes.
#[inline(always)]
pub(crate) fn looks_up_routes() -> bool {
    ROUTES.load() != 0
}

/// Whether an authenticator speaks IEEE 802.1X with the nodes on the port.
#[inline(always)]
pub(crate) fn authenticates() -> bool {
    AUTHENTICATES.load() != 0
}

/// The TCP port at which the gateway grants leases; 0 if it does not.
#[inline(always)]
pub(crate) fn enrolment() -> u16 {
    (ENROLMENT.load() & 0xffff) as u16
}

/// Lines of one half of the image.
#[inline(always)]
pub(crate) fn lines() -> u32 {
    LINES.load()
}

/// Buckets of established flows.
#[inline(always)]
pub(crate) fn buckets() -> u32 {
    BUCKETS.load()
}

/// How long a flow may be silent, in ticks.
#[inline(always)]
pub(crate) fn timeout(phase: Phase) -> u32 {
    match phase {
        Phase::Asked | Phase::SynSent | Phase::SynReceived => TIMEOUT_HALF_OPEN.load(),
        Phase::Established => TIMEOUT_TCP.load(),
        Phase::Closing => TIMEOUT_TCP_CLOSING.load(),
        Phase::Closed => TIMEOUT_TCP_CLOSED.load(),
        Phase::Answered => TIMEOUT_DATAGRAM.load(),
    }
}

/// How many flows one node may open.
#[inline(always)]
pub(crate) fn limits() -> Limits {
    Limits {
        half_open: LIMIT_HALF_OPEN.load(),
        new_flows: LIMIT_NEW_FLOWS.load(),
        second: TICKS_PER_SECOND.load(),
    }
}

/// How long a datagram in fragments may take, in ticks.
#[inline(always)]
pub(crate) fn reassembly() -> u32 {
    TIMEOUT_FRAGMENT.load()
}

/// Events that one CPU may write in one tick.
#[inline(always)]
pub(crate) fn events_per_tick() -> u32 {
    EVENTS_PER_TICK.load()
}
