//! bpf(2), as far as the test runner and the daemon do not speak it for us.

use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;

use firewall_daemon::dataplane::sys;
use nix::libc;
use nix::time::{ClockId, clock_gettime};

const MAP_CREATE: u32 = 0;
const PROGRAM_LOAD: u32 = 5;
const TEST_RUN: u32 = 10;
const PROGRAM_BY_ID: u32 = 13;
const LINK_CREATE: u32 = 28;

/// `BPF_XDP`.
const ATTACH_XDP: u32 = 37;

/// Bytes that the kernel charges for a map, its fixed part included (`memlock` in fdinfo).
pub(crate) fn memory(map: &OwnedFd) -> u64 {
    let path = format!("/proc/self/fdinfo/{}", map.as_raw_fd());
    let text = fs::read_to_string(path).unwrap();
    let mut lines = text.lines();
    let bytes = lines.find_map(|line| line.strip_prefix("memlock:")?.trim().parse().ok());
    bytes.expect("the kernel says how much memory a map takes")
}

/// The maps in use here (`enum bpf_map_type`).
#[derive(Clone, Copy, Debug)]
pub(crate) enum MapKind {
    Programs = 3,
    PerCpuArray = 6,
    LruHash = 9,
    Devices = 14,
}

/// # Safety
/// `attributes` is a prefix of `union bpf_attr` for that command, and what it points to is valid.
unsafe fn bpf<T>(command: u32, attributes: &mut T) -> io::Result<libc::c_long> {
    // SAFETY: the caller's promise.
    let answer =
        unsafe { libc::syscall(libc::SYS_bpf, command, &raw mut *attributes, size_of::<T>()) };
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(answer) }
}

/// # Safety
/// As [`bpf`], and the command returns a descriptor.
unsafe fn bpf_fd<T>(command: u32, attributes: &mut T) -> io::Result<OwnedFd> {
    // SAFETY: the caller's promises.
    unsafe {
        let descriptor = bpf(command, attributes)?;
        Ok(OwnedFd::from_raw_fd(i32::try_from(descriptor).unwrap()))
    }
}

fn number(object: impl AsFd) -> u32 {
    object.as_fd().as_raw_fd().cast_unsigned()
}

fn size(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap()
}

/// Makes a map with keys of four bytes.
pub(crate) fn map(kind: MapKind, value_size: u32, entries: u32) -> OwnedFd {
    let mut attributes = [kind as u32, 4, value_size, entries, 0];
    // SAFETY: the first five words of BPF_MAP_CREATE.
    let map = unsafe { bpf_fd(MAP_CREATE, &mut attributes) };
    map.unwrap_or_else(|error| panic!("map of {kind:?}: {error}"))
}

/// Sets an element of an array of programs or of devices.
pub(crate) fn set_element<const WORDS: usize>(map: &OwnedFd, key: u32, value: [u32; WORDS]) {
    // SAFETY: keys have four bytes; the callers know how many the values have.
    let set = unsafe { sys::map_update(map.as_fd(), &key, &value) };
    set.unwrap_or_else(|error| panic!("element {key}: {error}"));
}

/// Puts a program into an array of programs.
pub(crate) fn set_program(map: &OwnedFd, key: u32, program: impl AsFd) {
    set_element(map, key, [number(program)]);
}

/// The values of element 0 of a per-CPU array, by possible CPU.
pub(crate) fn read_per_cpu<const WORDS: usize>(map: &OwnedFd) -> Vec<[u64; WORDS]> {
    let mut values = vec![[0; WORDS]; possible_cpus()];
    // SAFETY: four bytes of key, and a value for every possible CPU.
    let read = unsafe { sys::map_lookup(map.as_fd(), &0_u32, &mut values) };
    read.unwrap_or_else(|error| panic!("per-CPU element: {error}"));
    values
}

/// Sets them.
pub(crate) fn write_per_cpu<const WORDS: usize>(map: &OwnedFd, values: &[[u64; WORDS]]) {
    // SAFETY: four bytes of key, and as many values as were read.
    let set = unsafe { sys::map_update(map.as_fd(), &0_u32, values) };
    set.unwrap_or_else(|error| panic!("per-CPU element: {error}"));
}

fn possible_cpus() -> usize {
    let range = fs::read_to_string("/sys/devices/system/cpu/possible").unwrap();
    let last = range.trim().rsplit(['-', ',']).next().unwrap();
    1 + last.parse::<usize>().unwrap()
}

#[derive(Default)]
#[repr(C)]
struct LoadAttributes {
    kind: u32,
    count: u32,
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

/// Loads an XDP program; panics with the verifier's words if it is refused.
pub(crate) fn load(instructions: &[u64]) -> OwnedFd {
    const XDP: u32 = 6;
    let license = c"GPL";
    let mut log = vec![0_u8; 1 << 16];
    let mut attributes = LoadAttributes {
        kind: XDP,
        count: size(instructions.len()),
        instructions: instructions.as_ptr() as u64,
        license: license.as_ptr() as u64,
        log_level: 1,
        log_size: size(log.len()),
        log: log.as_mut_ptr() as u64,
        // The same as the daemon's: a tail call from one to the other needs it.
        attach_type: ATTACH_XDP,
        ..LoadAttributes::default()
    };
    // SAFETY: BPF_PROG_LOAD; all pointers belong to buffers of the lengths beside them.
    let program = unsafe { bpf_fd(PROGRAM_LOAD, &mut attributes) };
    program.unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&log)))
}

/// The loaded program of that number.
pub(crate) fn program(id: u32) -> OwnedFd {
    let mut attributes = [id, 0, 0];
    // SAFETY: BPF_PROG_GET_FD_BY_ID.
    let program = unsafe { bpf_fd(PROGRAM_BY_ID, &mut attributes) };
    program.unwrap_or_else(|error| panic!("program {id}: {error}"))
}

/// Attaches a program natively to an interface of this network namespace, until it is closed.
pub(crate) fn attach(program: &OwnedFd, interface: u32) -> OwnedFd {
    const NATIVE: u32 = 1 << 2;
    attach_as(program, interface, NATIVE)
}

/// The same in the stack, where the driver has no part in it.
pub(crate) fn attach_generic(program: &OwnedFd, interface: u32) -> OwnedFd {
    const GENERIC: u32 = 1 << 1;
    attach_as(program, interface, GENERIC)
}

fn attach_as(program: &OwnedFd, interface: u32, mode: u32) -> OwnedFd {
    let mut attributes = [number(program), interface, ATTACH_XDP, mode];
    // SAFETY: BPF_LINK_CREATE.
    let link = unsafe { bpf_fd(LINK_CREATE, &mut attributes) };
    link.unwrap_or_else(|error| panic!("interface {interface}: {error}"))
}

#[derive(Default)]
#[repr(C)]
struct RunAttributes {
    program: u32,
    returned: u32,
    size_in: u32,
    size_out: u32,
    data_in: u64,
    data_out: u64,
    repeat: u32,
    duration: u32,
    context_in_size: u32,
    context_out_size: u32,
    context_in: u64,
    context_out: u64,
    flags: u32,
    cpu: u32,
    batch: u32,
    padding: u32,
}

/// Runs a program over one buffer; the mean time in ns and the last return value. It is this thread's
/// time on the CPU: what the kernel measures itself it tells in whole nanoseconds.
pub(crate) fn run(program: &OwnedFd, frame: &[u8], repeat: u32) -> (f64, u32) {
    let mut output = vec![0_u8; frame.len() + 64];
    let mut attributes = RunAttributes {
        program: number(program),
        size_in: size(frame.len()),
        size_out: size(output.len()),
        data_in: frame.as_ptr() as u64,
        data_out: output.as_mut_ptr() as u64,
        repeat,
        ..RunAttributes::default()
    };
    let begun = time_on_cpu();
    // SAFETY: BPF_PROG_TEST_RUN; both buffers are as long as said.
    let ran = unsafe { bpf(TEST_RUN, &mut attributes) };
    let took = time_on_cpu() - begun;
    ran.unwrap_or_else(|error| panic!("test run: {error}"));
    (1e9 * took.as_secs_f64() / f64::from(repeat), attributes.returned)
}

fn time_on_cpu() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap().into()
}

/// Runs a program over `repeat` frames that live: what it returns happens to them. They come from
/// the interface of this number in the calling thread's network namespace.
pub(crate) fn run_live(program: &OwnedFd, frame: &[u8], interface: u32, repeat: u32) {
    const LIVE_FRAMES: u32 = 1 << 1;
    // `struct xdp_md`: data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex.
    let context = [0, size(frame.len()), 0, interface, 0, 0];
    let mut attributes = RunAttributes {
        program: number(program),
        size_in: size(frame.len()),
        data_in: frame.as_ptr() as u64,
        repeat,
        context_in_size: size(size_of_val(&context)),
        context_in: context.as_ptr() as u64,
        flags: LIVE_FRAMES,
        ..RunAttributes::default()
    };
    // SAFETY: BPF_PROG_TEST_RUN; the buffers are as long as said, and nothing is written back.
    let ran = unsafe { bpf(TEST_RUN, &mut attributes) };
    ran.unwrap_or_else(|error| panic!("live frames: {error}"));
}
