//! What the program tells about a frame: headers only, never payload.

use crate::Addr;

/// One event as it lies in the ring buffer: 88 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Event {
    /// Ticks since boot.
    pub ticks: u64,
    /// Sender and receiver; zero where the frame had none.
    pub source: Addr,
    /// The receiver.
    pub destination: Addr,
    /// Destination MAC, source MAC (6 bytes each) as on the wire, then VLAN and port: the frame's
    /// [`crate::flow::Signature`].
    pub signature: [u64; 2],
    /// Bytes on the wire.
    pub length: u32,
    /// The rule that allowed it, 0 if none.
    pub rule: u32,
    /// The sending node's slot, 0 if unknown or not asked.
    pub source_node: u32,
    /// The receiving node's slot, 0 if unknown or not asked.
    pub destination_node: u32,
    /// Ethernet type, host order; 0 if not read.
    pub ethertype: u16,
    /// The sender's port, host order; the identifier of an echo request.
    pub source_port: u16,
    /// The receiver's port, host order; the identifier of an echo reply.
    pub destination_port: u16,
    /// Sender's subnetwork slot, 0 if unknown.
    pub source_subnetwork: u16,
    /// Receiver's subnetwork slot, 0 if unknown.
    pub destination_subnetwork: u16,
    /// IP protocol; 0 if not read.
    pub protocol: u8,
    /// [`crate::Verdict::index`].
    pub verdict: u8,
    /// Not used yet.
    pub reserved: u32,
}

#[cfg(test)]
mod tests {
    #[test]
    fn an_event_has_no_padding_that_could_leak() {
        assert_eq!(size_of::<super::Event>(), 88);
    }
}
