//! The one module that talks `bpf(2)`, and maps BPF arrays into memory.
//!
//! aya loads the object; links, batches and mappings go through here, because aya falls back to
//! links that cannot be pinned and has neither batches nor mappings.

mod element;
mod link;
mod mapping;

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::libc;

pub use self::element::{Cursor, map_delete, map_lookup, map_lookup_batch, map_update};
pub use self::link::{XdpFlags, link_create, link_create_egress, link_detach, link_update};
pub use self::mapping::{AtomicLine, Mapping, Shared};

const OBJ_PIN: u32 = 6;
const OBJ_GET: u32 = 7;
const PROG_TEST_RUN: u32 = 10;
const OBJ_GET_INFO: u32 = 15;

/// # Safety
/// `attributes` is the kernel's layout for that command, and what it points to is valid.
unsafe fn bpf<T>(command: u32, attributes: &mut T) -> io::Result<i32> {
    // SAFETY: the caller's promise.
    let result = unsafe {
        libc::syscall(libc::SYS_bpf, command, std::ptr::from_mut(attributes), size_of::<T>())
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    i32::try_from(result).map_err(io::Error::other)
}

/// # Safety
/// The command returns a new file descriptor.
unsafe fn bpf_fd<T>(command: u32, attributes: &mut T) -> io::Result<OwnedFd> {
    // SAFETY: the caller's promises.
    unsafe {
        let fd = bpf(command, attributes)?;
        Ok(OwnedFd::from_raw_fd(fd))
    }
}

fn number(fd: BorrowedFd<'_>) -> u32 {
    fd.as_raw_fd().cast_unsigned()
}

#[derive(Default)]
#[repr(C)]
struct ObjectAttributes {
    pathname: u64,
    fd: u32,
    flags: u32,
}

/// Pins a map, program or link in a BPF file system.
pub fn pin(object: BorrowedFd<'_>, path: &Path) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut attributes =
        ObjectAttributes { pathname: path.as_ptr() as u64, fd: number(object), flags: 0 };
    // SAFETY: BPF_OBJ_PIN; the path is a valid C string.
    unsafe { bpf(OBJ_PIN, &mut attributes) }.map(drop)
}

/// Opens what is pinned there.
pub fn open_pin(path: &Path) -> io::Result<OwnedFd> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut attributes = ObjectAttributes { pathname: path.as_ptr() as u64, fd: 0, flags: 0 };
    // SAFETY: BPF_OBJ_GET; the path is a valid C string.
    unsafe { bpf_fd(OBJ_GET, &mut attributes) }
}

#[derive(Default)]
#[repr(C)]
struct InfoAttributes {
    fd: u32,
    length: u32,
    info: u64,
}

fn info<T: Default>(object: BorrowedFd<'_>) -> io::Result<T> {
    // SAFETY: no pointers.
    unsafe { fill(object, T::default()) }
}

/// # Safety
/// `T` is plain integers, and where it points to has the room that it says.
unsafe fn fill<T>(object: BorrowedFd<'_>, mut info: T) -> io::Result<T> {
    let length = u32::try_from(size_of::<T>()).map_err(io::Error::other)?;
    let place = std::ptr::from_mut(&mut info) as u64;
    let mut attributes = InfoAttributes { fd: number(object), length, info: place };
    // SAFETY: BPF_OBJ_GET_INFO_BY_FD writes at most `length` bytes there; the rest is the caller's
    // promise.
    unsafe { bpf(OBJ_GET_INFO, &mut attributes) }?;
    Ok(info)
}

/// The head of `struct bpf_map_info`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct MapInfo {
    /// `enum bpf_map_type`.
    pub kind: u32,
    /// The kernel's number for it.
    pub id: u32,
    /// Bytes.
    pub key_size: u32,
    /// Bytes.
    pub value_size: u32,
    /// Entries.
    pub max_entries: u32,
    /// `BPF_F_*`.
    pub flags: u32,
}

/// What the kernel says of a map.
pub fn map_info(map: BorrowedFd<'_>) -> io::Result<MapInfo> {
    info(map)
}

/// `struct bpf_link_info` of an XDP link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct LinkInfo {
    kind: u32,
    /// The kernel's number for it.
    pub id: u32,
    /// The program's number.
    pub program: u32,
    padding: u32,
    /// The interface; 0 once it is gone.
    pub interface: u32,
    rest: [u32; 7],
}

impl LinkInfo {
    /// Whether it is the same link, however it has changed.
    pub fn is_same(&self, other: &Self) -> bool {
        (self.kind, self.id) == (other.kind, other.id)
    }
}

/// What the kernel says of an XDP link.
pub fn link_info(link: BorrowedFd<'_>) -> io::Result<LinkInfo> {
    info(link)
}

/// The head of `struct bpf_prog_info`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct ProgramInfo {
    kind: u32,
    /// The kernel's number for it.
    pub id: u32,
    /// A hash of its instructions.
    pub tag: [u8; 8],
}

/// What the kernel says of a program.
pub fn program_info(program: BorrowedFd<'_>) -> io::Result<ProgramInfo> {
    info(program)
}

/// `struct bpf_prog_info`, up to `map_ids`.
#[derive(Default)]
#[repr(C)]
struct ProgramMapsInfo {
    head: ProgramInfo,
    lengths: [u32; 2],
    instructions: [u64; 2],
    loaded: u64,
    user: u32,
    count: u32,
    maps: u64,
}

/// The numbers of the maps that a program uses, sorted; 64 at most.
pub fn program_maps(program: BorrowedFd<'_>) -> io::Result<Vec<u32>> {
    let mut maps = vec![0_u32; 64];
    let place = maps.as_mut_ptr() as u64;
    let room = ProgramMapsInfo { count: 64, maps: place, ..ProgramMapsInfo::default() };
    // SAFETY: the kernel writes at most `count` numbers to `maps`, which has room for them.
    let info = unsafe { fill(program, room) }?;
    maps.truncate(info.count as usize);
    maps.sort_unstable();
    Ok(maps)
}

#[derive(Default)]
#[repr(C)]
struct TestRunAttributes {
    program: u32,
    returned: u32,
    size_in: u32,
    size_out: u32,
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

/// Runs a program once over a frame; returns its action and the frame it left.
pub fn test_run(program: BorrowedFd<'_>, frame: &[u8]) -> io::Result<(u32, Vec<u8>)> {
    let mut output = vec![0_u8; frame.len() + 64];
    let size = |bytes: &[u8]| u32::try_from(bytes.len()).map_err(io::Error::other);
    let mut attributes = TestRunAttributes {
        program: number(program),
        size_in: size(frame)?,
        size_out: size(&output)?,
        data_in: frame.as_ptr() as u64,
        data_out: output.as_mut_ptr() as u64,
        repeat: 1,
        ..TestRunAttributes::default()
    };
    // SAFETY: BPF_PROG_TEST_RUN; both buffers are as long as said.
    unsafe { bpf(PROG_TEST_RUN, &mut attributes) }?;
    output.truncate(attributes.size_out as usize);
    Ok((attributes.returned, output))
}

/// Runs a program for frames on their way out once; returns its action. The kernel lets the interface
/// that it has a frame from be told, and refuses a tag beside it (net/bpf/test_run.c, 6.18).
pub fn test_run_out(program: BorrowedFd<'_>, interface: u32, frame: &[u8]) -> io::Result<u32> {
    /// The place of `ingress_ifindex` in `__sk_buff`, in words.
    const INGRESS: usize = 9;
    let mut context = [0_u32; INGRESS + 1];
    context[INGRESS] = interface;
    let size = |length: usize| u32::try_from(length).map_err(io::Error::other);
    let mut attributes = TestRunAttributes {
        program: number(program),
        size_in: size(frame.len())?,
        data_in: frame.as_ptr() as u64,
        repeat: 1,
        context_size_in: size(size_of_val(&context))?,
        context_in: context.as_ptr() as u64,
        ..TestRunAttributes::default()
    };
    // SAFETY: BPF_PROG_TEST_RUN; frame and context are as long as said.
    unsafe { bpf(PROG_TEST_RUN, &mut attributes) }?;
    Ok(attributes.returned)
}

/// Returns once every program that was running when it was called has ended.
///
/// `MEMBARRIER_CMD_GLOBAL` is `synchronize_rcu` (kernel/sched/membarrier.c, 6.18); XDP programs run
/// inside RCU read sections.
pub fn synchronize() -> io::Result<()> {
    const GLOBAL: libc::c_int = 1;
    // SAFETY: no pointers.
    let result = unsafe { libc::syscall(libc::SYS_membarrier, GLOBAL, 0, 0) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
