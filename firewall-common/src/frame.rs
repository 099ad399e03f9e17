//! How the decision reads a frame: in words, never byte by byte. On the packet path that is the
//! difference between one load and eight.

pub mod wire;

use crate::decide::{self, Named, Quoted};
use crate::flow::{Scale, Sender};
use crate::image::Tolerance;
use crate::parse::{self, Options, Part};
use crate::word::Word64;
use crate::{DropReason, Note, Port, Tables, eapol};
use wire::Wire;

/// A frame from its first Ethernet byte on.
pub trait Frame {
    /// Bytes on the wire, without the frame check sequence.
    fn length(&self) -> u32;

    /// What lies at `offset`, or `None` where the frame ends before it does.
    fn load<T: Wire>(&self, offset: u32) -> Option<T>;

    /// [`parse::window_scale`]. The kernel calls it as a function that the verifier walks once.
    #[inline(always)]
    fn window_scale(&self, start: u32, end: u32) -> Result<Scale, DropReason> {
        parse::window_scale(self, start, end)
    }

    /// [`decide::quoted`]: a function of the kernel's, too.
    #[inline(always)]
    fn quoted(&self, note: &mut Note, quoted: Quoted) -> Result<Sender, DropReason> {
        decide::quoted(self, note, quoted)
    }

    /// [`parse::extension`], as a function of its own, too.
    #[inline(always)]
    fn extension(&self, start: u32, end: u32) -> Result<Options, DropReason> {
        parse::extension(self, &Word64::default(), start, end)
    }

    /// [`eapol::judge`], as a function of its own, too.
    #[inline(always)]
    fn eapol<T: Tables + ?Sized>(
        &self,
        tables: &T,
        note: &mut Note,
        port: Port,
    ) -> Result<(), DropReason> {
        eapol::judge(self, tables, note, port)
    }

    /// [`decide::tolerance`], as a function of its own, too.
    #[inline(always)]
    fn tolerance<T: Tables + ?Sized>(
        &self,
        tables: &T,
        note: &mut Note,
        start: u32,
    ) -> Result<Tolerance, DropReason> {
        decide::tolerance(self, tables, note, start)
    }

    /// [`decide::chain`], as a function of its own, too.
    #[inline(always)]
    fn chain(&self, note: &mut Note, tolerance: Tolerance) -> Result<Part, DropReason> {
        decide::chain(self, note, tolerance)
    }

    /// [`decide::named`], as a function of its own, too.
    #[inline(always)]
    fn named<T: Tables + ?Sized>(
        &self,
        tables: &T,
        note: &mut Note,
        part: Part,
    ) -> Result<Named, DropReason> {
        decide::named(self, tables, note, part)
    }
}

impl Frame for [u8] {
    fn length(&self) -> u32 {
        u32::try_from(self.len()).unwrap_or(u32::MAX)
    }

    fn load<T: Wire>(&self, offset: u32) -> Option<T> {
        let bytes = self.get(offset as usize..)?.get(..size_of::<T>())?;
        // SAFETY: as many bytes as T has.
        Some(unsafe { T::read(bytes.as_ptr()) })
    }
}
