//! How the decision reads a frame.

/// A frame from its first Ethernet byte on.
pub trait Frame {
    /// Bytes on the wire, without the frame check sequence.
    fn length(&self) -> u32;

    /// `N` bytes from `offset` on, or `None` where the frame ends before them.
    fn load<const N: usize>(&self, offset: u32) -> Option<[u8; N]>;
}

impl Frame for [u8] {
    fn length(&self) -> u32 {
        u32::try_from(self.len()).unwrap_or(u32::MAX)
    }

    fn load<const N: usize>(&self, offset: u32) -> Option<[u8; N]> {
        let start = offset as usize;
        self.get(start..)?.first_chunk().copied()
    }
}
