//! What the kernel's verifier had to do for a loaded program, and what room it needs.

use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd},
};

use nix::libc;

/// What the verifier gives up at (`BPF_COMPLEXITY_LIMIT_INSNS`, include/linux/bpf.h).
pub const LIMIT: u32 = 1_000_000;

/// What was found out about a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// Instructions that the verifier walked through (`bpf_prog_info.verified_insns`, Linux 5.16).
    pub instructions: u32,
    /// Bytes of stack that the deepest chain of calls takes, as the JIT reserves them; `None` on
    /// machines other than `x86_64`, or without the JIT. The kernel's limit is 512.
    pub stack: Option<u32>,
}

impl Record {
    /// Asks the kernel.
    pub fn of(program: BorrowedFd<'_>) -> io::Result<Self> {
        let mut head = Info::new();
        head.ask(program)?;
        let sizes =
            [Info::JITED_LENGTH, Info::XLATED_LENGTH, Info::FUNCTIONS, Info::FUNCTION_COUNT];
        let [jited, xlated, functions, starts] = sizes.map(|field| head.word(field));
        let mut jited = vec![0_u8; jited as usize];
        let mut xlated = vec![0_u8; xlated as usize];
        let mut lengths = vec![0_u32; functions as usize];
        let mut starts = vec![Function::default(); starts as usize];
        let mut info = Info::new();
        let room = [jited.len(), xlated.len(), lengths.len(), starts.len()];
        for (field, count) in sizes.into_iter().zip(room) {
            info.set(field, &u32::try_from(count).map_err(io::Error::other)?.to_ne_bytes());
        }
        info.set(Info::JITED, &(jited.as_mut_ptr() as u64).to_ne_bytes());
        info.set(Info::XLATED, &(xlated.as_mut_ptr() as u64).to_ne_bytes());
        info.set(Info::LENGTHS, &(lengths.as_mut_ptr() as u64).to_ne_bytes());
        info.set(Info::FUNCTION_SIZE, &8_u32.to_ne_bytes());
        info.set(Info::FUNCTION_STARTS, &(starts.as_mut_ptr() as u64).to_ne_bytes());
        info.ask(program)?;
        let instructions = info.word(Info::VERIFIED);
        let stack = (cfg!(target_arch = "x86_64") && !jited.is_empty())
            .then(|| deepest(&reserved(&jited, &lengths), &calls(&xlated, &starts), 0));
        Ok(Self { instructions, stack })
    }
}

/// `struct bpf_prog_info`, of which a few fields matter.
struct Info([u8; 232]);

impl Info {
    const JITED_LENGTH: usize = 16;
    const XLATED_LENGTH: usize = 20;
    const JITED: usize = 24;
    const XLATED: usize = 32;
    const FUNCTIONS: usize = 108;
    const LENGTHS: usize = 120;
    const FUNCTION_SIZE: usize = 132;
    const FUNCTION_STARTS: usize = 136;
    const FUNCTION_COUNT: usize = 144;
    const VERIFIED: usize = 216;

    fn new() -> Self {
        Self([0; 232])
    }

    fn word(&self, field: usize) -> u32 {
        u32::from_ne_bytes(*self.0[field..].first_chunk().expect("a field of bpf_prog_info"))
    }

    fn set(&mut self, field: usize, bytes: &[u8]) {
        self.0[field..][..bytes.len()].copy_from_slice(bytes);
    }

    /// Has the kernel fill it, and the buffers that it points to.
    fn ask(&mut self, program: BorrowedFd<'_>) -> io::Result<()> {
        const OBJ_GET_INFO_BY_FD: libc::c_long = 15;
        #[repr(C)]
        struct Attributes {
            fd: u32,
            length: u32,
            info: u64,
        }
        let fd = program.as_raw_fd().cast_unsigned();
        let mut attributes = Attributes { fd, length: 232, info: self.0.as_mut_ptr() as u64 };
        // SAFETY: a prefix of `union bpf_attr`; the kernel writes at most `length` bytes to `info`,
        // and to its buffers as many as it says they have.
        let result = unsafe {
            let attributes = &raw mut attributes;
            libc::syscall(libc::SYS_bpf, OBJ_GET_INFO_BY_FD, attributes, size_of::<Attributes>())
        };
        if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }
}

/// The stack of every function: the operand of the first `sub rsp, imm32`, which is in the prologue
/// (`emit_prologue`, arch/x86/net/bpf_jit_comp.c).
fn reserved(jited: &[u8], lengths: &[u32]) -> Vec<u32> {
    const PROLOGUE: usize = 40;
    let mut rest = jited;
    let functions = lengths.iter().map(|length| {
        let (function, others) = rest.split_at((*length as usize).min(rest.len()));
        rest = others;
        let prologue = &function[..function.len().min(PROLOGUE)];
        let bytes = prologue.windows(7).find(|window| window.starts_with(&[0x48, 0x81, 0xec]));
        bytes.map_or(0, |bytes| u32::from_le_bytes([bytes[3], bytes[4], bytes[5], bytes[6]]))
    });
    functions.collect()
}

/// `struct bpf_func_info`.
#[derive(Clone, Copy, Default)]
#[repr(C)]
struct Function {
    start: u32,
    _kind: u32,
}

/// Who calls whom, by number. A dumped call has the callee in `imm` (`jit_subprogs`,
/// kernel/bpf/verifier.c). Functions that nobody calls are there, too, before Linux 6.8.
fn calls(xlated: &[u8], functions: &[Function]) -> Vec<(u32, u32)> {
    const CALL: u8 = 0x85;
    const PSEUDO_CALL: u8 = 1;
    let instructions = xlated.chunks_exact(8).enumerate();
    let calls = instructions
        .filter(|(_, bytes)| bytes[0] == CALL && bytes[1] >> 4 == PSEUDO_CALL)
        .map(|(place, bytes)| {
            let callee = u32::from_ne_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]);
            let begun = functions.partition_point(|function| function.start as usize <= place);
            (u32::try_from(begun.saturating_sub(1)).unwrap_or(0), callee)
        });
    calls.collect()
}

/// The kernel refuses recursion, so this ends.
fn deepest(stacks: &[u32], calls: &[(u32, u32)], function: u32) -> u32 {
    let callees = calls.iter().filter(|(caller, _)| *caller == function);
    let below = callees.map(|&(_, callee)| deepest(stacks, calls, callee)).max().unwrap_or(0);
    stacks.get(function as usize).copied().unwrap_or(0) + below
}
