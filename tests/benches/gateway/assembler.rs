//! eBPF instructions (RFC 9669), as few as the generators and sinks need.

use std::os::fd::{AsFd, AsRawFd};

/// A register.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Register(pub(crate) u8);

pub(crate) const R0: Register = Register(0);
pub(crate) const R1: Register = Register(1);
pub(crate) const R2: Register = Register(2);
pub(crate) const R3: Register = Register(3);
pub(crate) const R4: Register = Register(4);
pub(crate) const R6: Register = Register(6);
pub(crate) const R7: Register = Register(7);
pub(crate) const R8: Register = Register(8);
pub(crate) const R9: Register = Register(9);
pub(crate) const R10: Register = Register(10);

/// How wide a load or a store is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Width {
    Half = 0x08,
    Word = 0x00,
    Double = 0x18,
}

/// What a conditional jump asks of two operands.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Condition {
    Equal = 0x10,
    Greater = 0x20,
    Unequal = 0x50,
}

/// The helpers that are called (`enum bpf_func_id`).
#[derive(Clone, Copy, Debug)]
pub(crate) enum Helper {
    MapLookup = 1,
    KtimeGetNs = 5,
    TailCall = 12,
    RedirectMap = 51,
}

/// A place that a jump leads to once it is known.
#[derive(Debug)]
#[must_use]
pub(crate) struct Jump(usize);

/// Instructions in the making.
#[derive(Debug, Default)]
pub(crate) struct Assembler {
    code: Vec<u64>,
}

impl Assembler {
    pub(crate) fn finish(self) -> Vec<u64> {
        self.code
    }

    pub(crate) fn copy(&mut self, to: Register, from: Register) -> &mut Self {
        self.push(0xbf, to, from, 0, 0)
    }

    pub(crate) fn set(&mut self, to: Register, value: i32) -> &mut Self {
        self.push(0xb7, to, R0, 0, value)
    }

    pub(crate) fn set_wide(&mut self, to: Register, value: u64) -> &mut Self {
        self.wide(to, R0, value)
    }

    pub(crate) fn map(&mut self, to: Register, map: impl AsFd) -> &mut Self {
        let descriptor = map.as_fd().as_raw_fd();
        // BPF_PSEUDO_MAP_FD, in the place of the source register.
        self.wide(to, R1, u64::try_from(descriptor).unwrap())
    }

    pub(crate) fn add(&mut self, to: Register, value: i32) -> &mut Self {
        self.push(0x07, to, R0, 0, value)
    }

    pub(crate) fn subtract(&mut self, to: Register, from: Register) -> &mut Self {
        self.push(0x1f, to, from, 0, 0)
    }

    pub(crate) fn multiply(&mut self, to: Register, value: i32) -> &mut Self {
        self.push(0x27, to, R0, 0, value)
    }

    pub(crate) fn and(&mut self, to: Register, value: i32) -> &mut Self {
        self.push(0x57, to, R0, 0, value)
    }

    pub(crate) fn shift_right(&mut self, to: Register, bits: i32) -> &mut Self {
        self.push(0x77, to, R0, 0, bits)
    }

    /// Into network order, the lower two bytes.
    pub(crate) fn big_endian(&mut self, to: Register) -> &mut Self {
        self.push(0xdc, to, R0, 0, 16)
    }

    pub(crate) fn load(
        &mut self,
        width: Width,
        to: Register,
        base: Register,
        at: i16,
    ) -> &mut Self {
        self.push(0x61 | width as u8, to, base, at, 0)
    }

    pub(crate) fn store(
        &mut self,
        width: Width,
        base: Register,
        at: i16,
        from: Register,
    ) -> &mut Self {
        self.push(0x63 | width as u8, base, from, at, 0)
    }

    pub(crate) fn store_zero(&mut self, base: Register, at: i16) -> &mut Self {
        self.push(0x62, base, R0, at, 0)
    }

    pub(crate) fn call(&mut self, helper: Helper) -> &mut Self {
        self.push(0x85, R0, R0, 0, helper as i32)
    }

    pub(crate) fn exit(&mut self) -> &mut Self {
        self.push(0x95, R0, R0, 0, 0)
    }

    pub(crate) fn jump_if(&mut self, left: Register, is: Condition, value: i32) -> Jump {
        self.push(0x05 | is as u8, left, R0, 0, value);
        Jump(self.code.len() - 1)
    }

    pub(crate) fn jump_if_than(&mut self, left: Register, is: Condition, right: Register) -> Jump {
        self.push(0x0d | is as u8, left, right, 0, 0);
        Jump(self.code.len() - 1)
    }

    pub(crate) fn jump(&mut self) -> Jump {
        self.push(0x05, R0, R0, 0, 0);
        Jump(self.code.len() - 1)
    }

    /// The jump leads to what is appended next.
    pub(crate) fn land(&mut self, Jump(from): Jump) {
        let distance = u16::try_from(self.code.len() - from - 1).unwrap();
        self.code[from] |= u64::from(distance) << 16;
    }

    fn wide(&mut self, to: Register, kind: Register, value: u64) -> &mut Self {
        self.push(0x18, to, kind, 0, 0);
        let last = self.code.len() - 1;
        self.code[last] |= value << 32;
        self.code.push(value >> 32 << 32);
        self
    }

    fn push(&mut self, code: u8, to: Register, from: Register, at: i16, value: i32) -> &mut Self {
        let [value, at] = [u64::from(value.cast_unsigned()), u64::from(at.cast_unsigned())];
        let registers = u64::from(from.0 << 4 | to.0);
        self.code.push(value << 32 | at << 16 | registers << 8 | u64::from(code));
        self
    }
}
