//! A loaded program, run on bytes: `BPF_PROG_TEST_RUN` of bpf(2), and the little else of bpf(2)
//! that the lab needs to test itself.

use std::{
    io,
    mem::size_of,
    os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd},
    time::Duration,
};

use nix::libc;

/// What `XDP_ABORTED` and its siblings are called in `include/uapi/linux/bpf.h`.
pub mod action {
    /// The program failed.
    pub const ABORTED: u32 = 0;
    /// The frame ends here.
    pub const DROP: u32 = 1;
    /// The frame goes up to the kernel's stack.
    pub const PASS: u32 = 2;
    /// The frame goes back out of the interface that it came from.
    pub const TX: u32 = 3;
    /// The frame goes out of another interface.
    pub const REDIRECT: u32 = 4;
}

/// A run of an XDP program, before it happens.
///
/// The interface's index belongs to the network namespace of the calling thread: wrap the run in
/// [`Namespace::run`](crate::lab::Handle::run).
#[derive(Clone, Debug)]
pub struct TestRun<'a> {
    input: &'a [u8],
    repeat: u32,
    ingress: Option<u32>,
    queue: u32,
}

/// What a run came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// What the program returned, see [`action`].
    pub returned: u32,
    /// The frame as the program left it.
    pub output: Vec<u8>,
    /// The mean time of one run.
    pub duration: Duration,
}

impl<'a> TestRun<'a> {
    /// One run on a frame of at least 14 bytes, as if it had come in on the loopback interface.
    pub fn new(input: &'a [u8]) -> Self {
        Self { input, repeat: 1, ingress: None, queue: 0 }
    }

    /// Runs `times` times in one call. The frame is not restored in between: later runs see what
    /// the earlier ones wrote.
    #[must_use]
    pub fn repeat(self, times: u32) -> Self {
        Self { repeat: times, ..self }
    }

    /// Says that the frame came in on the interface of this index.
    #[must_use]
    pub fn ingress(self, index: u32) -> Self {
        Self { ingress: Some(index), ..self }
    }

    /// Says which receive queue of the ingress interface the frame came in on.
    #[must_use]
    pub fn queue(self, queue: u32) -> Self {
        Self { queue, ..self }
    }

    /// Runs `program` and panics where the kernel refuses.
    pub fn run(&self, program: impl AsFd) -> Outcome {
        self.try_run(program).unwrap_or_else(|error| {
            panic!("BPF_PROG_TEST_RUN with {} bytes: {error}", self.input.len())
        })
    }

    /// Runs `program`. `EINVAL` is the answer to a frame under 14 bytes and to one that does not
    /// fit the linear part of a buffer (about 3.4 KB) of a program without frags; `ENODEV` to an
    /// ingress interface that is not in this namespace.
    pub fn try_run(&self, program: impl AsFd) -> io::Result<Outcome> {
        // Room for what bpf_xdp_adjust_head can add: the headroom of a frame, 256 bytes.
        let mut output = vec![0; self.input.len() + 256];
        let context = XdpContext {
            data_end: length(self.input.len()),
            ingress_ifindex: self.ingress.unwrap_or(0),
            rx_queue_index: self.queue,
            ..XdpContext::default()
        };
        let mut attributes = TestRunAttributes {
            program: program.as_fd().as_raw_fd(),
            data_size_in: length(self.input.len()),
            data_size_out: length(output.len()),
            data_in: self.input.as_ptr() as u64,
            data_out: output.as_mut_ptr() as u64,
            repeat: self.repeat,
            ..TestRunAttributes::default()
        };
        if self.ingress.is_some() {
            attributes.context_size_in = length(size_of::<XdpContext>());
            attributes.context_in = (&raw const context) as u64;
        }
        bpf(Command::ProgramTestRun, &mut attributes)?;
        output.truncate(attributes.data_size_out as usize);
        Ok(Outcome {
            returned: attributes.returned,
            output,
            duration: Duration::from_nanos(attributes.duration.into()),
        })
    }
}

/// Runs `program` once on `input`.
pub fn run(program: impl AsFd, input: &[u8]) -> Outcome {
    TestRun::new(input).run(program)
}

/// Loads an XDP program from its instructions, for tests that need no more than three of them.
pub fn load_xdp(instructions: &[u64]) -> io::Result<OwnedFd> {
    const XDP: u32 = 6;
    let license = c"Dual MIT/GPL";
    let mut attributes = LoadAttributes {
        kind: XDP,
        instruction_count: length(instructions.len()),
        instructions: instructions.as_ptr() as u64,
        license: license.as_ptr() as u64,
        // As every loader does: a link swaps its program only for one of the same attach type.
        attach_type: ATTACH_XDP,
        ..LoadAttributes::default()
    };
    bpf(Command::ProgramLoad, &mut attributes)
}

/// An XDP program that does nothing but return that [`action`].
pub fn returning(action: u32) -> io::Result<OwnedFd> {
    // r0 = ACTION; exit
    load_xdp(&[(u64::from(action) << 32) | 0xb7, 0x95])
}

/// Attaches an XDP program natively to the interface of this index in the calling thread's network
/// namespace, until the returned link is closed.
pub fn attach_xdp(program: impl AsFd, index: u32) -> io::Result<OwnedFd> {
    const NATIVE: u32 = 1 << 2;
    let program = program.as_fd().as_raw_fd();
    let mut attributes = LinkAttributes { program, index, kind: ATTACH_XDP, flags: NATIVE };
    bpf(Command::LinkCreate, &mut attributes)
}

const ATTACH_XDP: u32 = 37;

/// The commands of bpf(2) in use here.
#[derive(Clone, Copy)]
enum Command {
    ProgramLoad = 5,
    ProgramTestRun = 10,
    LinkCreate = 28,
}

/// Calls bpf(2); the descriptor is only one where the command returns one.
fn bpf<A: Attributes>(command: Command, attributes: &mut A) -> io::Result<A::Answer> {
    // SAFETY: `attributes` is a prefix of `union bpf_attr` of the size given, and the pointers in
    // it belong to buffers that its maker keeps alive, of the lengths given beside them.
    let answer = unsafe {
        libc::syscall(libc::SYS_bpf, command as libc::c_int, &raw mut *attributes, size_of::<A>())
    };
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(A::answer(answer)) }
}

/// A part of `union bpf_attr`.
trait Attributes {
    type Answer;
    fn answer(returned: libc::c_long) -> Self::Answer;
}

/// `struct { .. } test` of `union bpf_attr`, up to `batch_size`.
#[derive(Default)]
#[repr(C)]
struct TestRunAttributes {
    program: i32,
    returned: u32,
    data_size_in: u32,
    data_size_out: u32,
    data_in: u64,
    data_out: u64,
    repeat: u32,
    duration: u32,
    context_size_in: u32,
    context_size_out: u32,
    context_in: u64,
    context_out: u64,
    flags: u32,
    cpu: u32,
    batch_size: u32,
    padding: u32,
}

/// `BPF_PROG_LOAD`, up to `expected_attach_type`.
#[derive(Default)]
#[repr(C)]
struct LoadAttributes {
    kind: u32,
    instruction_count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
    name: [u8; 16],
    interface: u32,
    attach_type: u32,
}

/// `struct { .. } link_create` of `union bpf_attr`, up to `flags`.
#[repr(C)]
struct LinkAttributes {
    program: i32,
    index: u32,
    kind: u32,
    flags: u32,
}

/// `struct xdp_md`.
#[derive(Default)]
#[repr(C)]
struct XdpContext {
    data: u32,
    data_end: u32,
    data_meta: u32,
    ingress_ifindex: u32,
    rx_queue_index: u32,
    egress_ifindex: u32,
}

impl Attributes for TestRunAttributes {
    type Answer = ();
    fn answer(_returned: libc::c_long) {}
}

impl Attributes for LoadAttributes {
    type Answer = OwnedFd;
    fn answer(returned: libc::c_long) -> OwnedFd {
        descriptor(returned)
    }
}

impl Attributes for LinkAttributes {
    type Answer = OwnedFd;
    fn answer(returned: libc::c_long) -> OwnedFd {
        descriptor(returned)
    }
}

fn descriptor(returned: libc::c_long) -> OwnedFd {
    let raw = i32::try_from(returned).unwrap();
    // SAFETY: the command that was answered returns a new descriptor, which nobody else knows.
    unsafe { OwnedFd::from_raw_fd(raw) }
}

fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::{Mac, eth, ipv4, udp};

    fn frame() -> Vec<u8> {
        (eth(Mac::local(1), Mac::local(2)) / ipv4("10.0.0.1", "10.0.0.2") / udp(1, 2)).bytes()
    }

    #[test]
    fn a_run_returns_what_the_program_returned_and_the_frame() {
        for verdict in [action::DROP, action::PASS] {
            let program = returning(verdict).unwrap();
            let outcome = TestRun::new(&frame()).repeat(100).run(&program);
            assert_eq!((outcome.returned, outcome.output), (verdict, frame()));
        }
    }

    #[test]
    fn a_run_comes_in_on_the_interface_that_was_named() {
        // r0 = *(u32 *)(r1 + offsetof(struct xdp_md, ingress_ifindex)); exit
        let program = load_xdp(&[0x000c_1061, 0x95]).unwrap();
        let frame = frame();
        let lab = crate::lab::Lab::new();
        let inside = lab.inside().index();
        let run = TestRun::new(&frame).ingress(inside);
        assert_eq!(lab.gateway().run(|| run.run(&program)).returned, inside);
        assert_eq!(TestRun::new(&frame).run(&program).returned, 1, "the loopback interface");
    }

    #[test]
    fn a_frame_shorter_than_an_ethernet_header_is_refused() {
        let program = returning(action::PASS).unwrap();
        let refused = TestRun::new(&[0; 13]).try_run(&program).unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(libc::EINVAL));
    }
}
