//! Links: what keeps a program attached, whoever made it.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use super::{bpf, bpf_fd, number};

const LINK_CREATE: u32 = 28;
const LINK_UPDATE: u32 = 29;
const LINK_DETACH: u32 = 34;

const ATTACH_XDP: u32 = 37;
const ATTACH_TCX_EGRESS: u32 = 47;
/// `BPF_F_BEFORE`: without another program named, before all of them.
const FIRST: u32 = 1 << 3;

#[derive(Default)]
#[repr(C)]
struct LinkAttributes {
    program: u32,
    target: u32,
    attach_type: u32,
    flags: u32,
}

/// Where an XDP program runs: `XDP_FLAGS_DRV_MODE`, or `XDP_FLAGS_SKB_MODE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum XdpFlags {
    /// In the driver.
    Native,
    /// In the network stack.
    Generic,
}

/// Attaches an XDP program to an interface by a link: nobody else can attach one while it lives.
pub fn link_create(
    program: BorrowedFd<'_>,
    interface: u32,
    flags: XdpFlags,
) -> io::Result<OwnedFd> {
    let flags = match flags {
        XdpFlags::Native => 1 << 2,
        XdpFlags::Generic => 1 << 1,
    };
    let mut attributes = LinkAttributes {
        program: number(program),
        target: interface,
        attach_type: ATTACH_XDP,
        flags,
    };
    // SAFETY: BPF_LINK_CREATE.
    unsafe { bpf_fd(LINK_CREATE, &mut attributes) }
}

/// Attaches a program to what leaves an interface, by a link, before all others (Linux 6.6).
pub fn link_create_egress(program: BorrowedFd<'_>, interface: u32) -> io::Result<OwnedFd> {
    let mut attributes = EgressLinkAttributes {
        link: LinkAttributes {
            program: number(program),
            target: interface,
            attach_type: ATTACH_TCX_EGRESS,
            flags: FIRST,
        },
        ..EgressLinkAttributes::default()
    };
    // SAFETY: BPF_LINK_CREATE; the tail is `struct { relative_fd, expected_revision } tcx`.
    unsafe { bpf_fd(LINK_CREATE, &mut attributes) }
}

#[derive(Default)]
#[repr(C)]
struct EgressLinkAttributes {
    link: LinkAttributes,
    relative: u32,
    padding: u32,
    revision: u64,
}

#[derive(Default)]
#[repr(C)]
struct LinkUpdateAttributes {
    link: u32,
    program: u32,
    flags: u32,
    old_program: u32,
}

/// Swaps the program of a link: no frame passes between the two unseen.
pub fn link_update(link: BorrowedFd<'_>, program: BorrowedFd<'_>) -> io::Result<()> {
    let mut attributes = LinkUpdateAttributes {
        link: number(link),
        program: number(program),
        ..LinkUpdateAttributes::default()
    };
    // SAFETY: BPF_LINK_UPDATE.
    unsafe { bpf(LINK_UPDATE, &mut attributes) }.map(drop)
}

/// Detaches a link from its interface.
pub fn link_detach(link: BorrowedFd<'_>) -> io::Result<()> {
    let mut attributes = number(link);
    // SAFETY: BPF_LINK_DETACH.
    unsafe { bpf(LINK_DETACH, &mut attributes) }.map(drop)
}
