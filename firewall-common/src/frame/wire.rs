//! Headers as they lie on the wire; every field is in network order.

use crate::addr::Mac;

/// What can be read from a frame.
///
/// # Safety
/// Every bit pattern is valid, and `read` looks at no more than `size_of::<Self>()` bytes.
pub unsafe trait Wire: Copy {
    /// Reads it from there.
    ///
    /// # Safety
    /// As many bytes as the type has can be read at `start`, which need not be aligned.
    unsafe fn read(start: *const u8) -> Self;
}

/// The pieces that headers are made of.
trait Piece: Copy {
    /// # Safety
    /// As for [`Wire::read`], `OFFSET` bytes further on.
    unsafe fn read<const OFFSET: usize>(start: *const u8) -> Self;
}

// BPF has loads for unaligned words, but LLVM makes byte loads of them; and with its feature
// allows-misaligned-mem-access it also misaligns the stack, which the verifier refuses.
macro_rules! word {
    ($($type:ty: $load:literal,)+) => {$(
        impl Piece for $type {
            #[inline(always)]
            unsafe fn read<const OFFSET: usize>(start: *const u8) -> Self {
                #[cfg(target_arch = "bpf")]
                {
                    let word: $type;
                    // SAFETY: a load within the bytes that the caller vouches for.
                    unsafe {
                        core::arch::asm!(
                            $load,
                            out(reg) word,
                            in(reg) start,
                            const OFFSET,
                            options(pure, readonly, nostack, preserves_flags)
                        );
                    }
                    word
                }
                #[cfg(not(target_arch = "bpf"))]
                // SAFETY: the caller's promise.
                unsafe {
                    start.add(OFFSET).cast::<Self>().read_unaligned()
                }
            }
        }
    )+};
}

word! {
    u8: "{0} = *(u8 *)({1} + {2})",
    u16: "{0} = *(u16 *)({1} + {2})",
    u32: "{0} = *(u32 *)({1} + {2})",
    u64: "{0} = *(u64 *)({1} + {2})",
}

impl Piece for Words {
    #[inline(always)]
    unsafe fn read<const OFFSET: usize>(start: *const u8) -> Self {
        // SAFETY: the caller's promise.
        unsafe {
            Self([
                <u64 as Piece>::read::<OFFSET>(start),
                <u64 as Piece>::read::<OFFSET>(start.add(8)),
            ])
        }
    }
}

impl Piece for Mac {
    #[inline(always)]
    unsafe fn read<const OFFSET: usize>(start: *const u8) -> Self {
        // SAFETY: the caller's promise.
        unsafe {
            let first = u64::from(<u32 as Piece>::read::<OFFSET>(start));
            let second = u64::from(<u16 as Piece>::read::<OFFSET>(start.add(4)));
            Self::from_word(first | second << 32)
        }
    }
}

macro_rules! header {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $field:ident: $type:ty,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug)]
        #[repr(C, packed)]
        pub struct $name { $($(#[$doc])* pub $field: $type,)+ }
        // SAFETY: packed, made of integers, each read from where it lies.
        unsafe impl Wire for $name {
            #[inline(always)]
            unsafe fn read(start: *const u8) -> Self {
                // SAFETY: the caller's promise.
                unsafe {
                    Self {
                        $($field: <$type as Piece>::read::<
                            { core::mem::offset_of!(Self, $field) },
                        >(start),)+
                    }
                }
            }
        }
    };
}

/// An IPv6 address as two words, read natively.
#[derive(Clone, Copy, Debug)]
#[repr(transparent)]
pub struct Words(pub [u64; 2]);

// SAFETY: two integers.
unsafe impl Wire for Words {
    #[inline(always)]
    unsafe fn read(start: *const u8) -> Self {
        // SAFETY: the caller's promise.
        unsafe { <Self as Piece>::read::<0>(start) }
    }
}

header! {
    /// Ethernet II (IEEE 802.3-2018, 3.1.1).
    Ethernet {
        /// The destination MAC and the first two bytes of the source MAC.
        first: u64,
        /// The rest of the source MAC.
        second: u32,
        /// EtherType or length.
        ethertype: u16,
    }
}
header! {
    /// What follows an 802.1Q EtherType (IEEE 802.1Q-2018, 9.6).
    Tag {
        /// Priority, drop eligibility, VLAN identifier.
        control: u16,
        /// The EtherType behind the tag.
        ethertype: u16,
    }
}
header! {
    /// RFC 791, 3.1.
    Ipv4 {
        /// Version and header length.
        version: u8,
        /// Type of service.
        service: u8,
        /// Total length.
        length: u16,
        /// Identification.
        identification: u16,
        /// Flags and fragment offset.
        fragment: u16,
        /// Time to live.
        hops: u8,
        /// Protocol.
        protocol: u8,
        /// Header checksum.
        checksum: u16,
        /// Source address.
        source: u32,
        /// Destination address.
        destination: u32,
    }
}
header! {
    /// An IPv4 header without options, and what of the transport header matters first. In one load,
    /// because every load is checked against the frame's end.
    PlainIpv4 {
        /// Version and header length.
        version: u8,
        /// Type of service.
        service: u8,
        /// Total length.
        length: u16,
        /// Identification.
        identification: u16,
        /// Flags and fragment offset.
        fragment: u16,
        /// Time to live.
        hops: u8,
        /// Protocol.
        protocol: u8,
        /// Header checksum.
        checksum: u16,
        /// Source address.
        source: u32,
        /// Destination address.
        destination: u32,
        /// Both transport ports.
        ports: u32,
        /// The length of a UDP datagram.
        datagram: u16,
    }
}
header! {
    /// The same of IPv6, without extension headers.
    PlainIpv6 {
        /// Version and the upper half of the traffic class.
        version: u8,
        /// The rest of it, and the upper bits of the flow label.
        class: u8,
        /// The rest of the flow label.
        label: u16,
        /// Payload length.
        length: u16,
        /// Next header.
        next: u8,
        /// Hop limit.
        hops: u8,
        /// Source address.
        source: Words,
        /// Destination address.
        destination: Words,
        /// Both transport ports.
        ports: u32,
        /// The length of a UDP datagram.
        datagram: u16,
    }
}
header! {
    /// RFC 8200, 3.
    Ipv6 {
        /// Version, traffic class, flow label.
        version: u32,
        /// Payload length.
        length: u16,
        /// Next header.
        next: u8,
        /// Hop limit.
        hops: u8,
        /// Source address.
        source: Words,
        /// Destination address.
        destination: Words,
    }
}
header! {
    /// A fragment header (RFC 8200, 4.5).
    Fragment {
        /// What the fragmented part begins with.
        next: u8,
        /// Reserved.
        reserved: u8,
        /// Fragment offset and flags.
        fragment: u16,
        /// Identification.
        identification: u32,
    }
}
header! {
    /// The first 16 bytes of a TCP header (RFC 9293, 3.1).
    Tcp {
        /// Source port.
        source: u16,
        /// Destination port.
        destination: u16,
        /// Sequence number.
        sequence: u32,
        /// Acknowledgement number.
        acknowledgement: u32,
        /// Data offset.
        offset: u8,
        /// Flags.
        flags: u8,
        /// Window.
        window: u16,
    }
}
header! {
    /// A byte and the one before it. From a comparison with the packet's end that holds for the
    /// first byte alone the verifier learns nothing.
    Byte {
        /// The one before.
        before: u8,
        /// It.
        value: u8,
    }
}
header! {
    /// The first six bytes of a UDP header (RFC 768).
    Udp {
        /// Source port.
        source: u16,
        /// Destination port.
        destination: u16,
        /// Length.
        length: u16,
    }
}
header! {
    /// The first six bytes of an ICMP echo (RFC 792, RFC 4443).
    Icmp {
        /// Type.
        kind: u8,
        /// Code.
        code: u8,
        /// Checksum.
        checksum: u16,
        /// Identifier, of an echo.
        identifier: u16,
    }
}
header! {
    /// ARP for IPv4 over Ethernet (RFC 826).
    Arp {
        /// Hardware type, protocol type, both lengths, operation.
        fixed: u64,
        /// Sender hardware address.
        sender_mac: Mac,
        /// Sender protocol address.
        sender: u32,
        /// Target hardware address.
        target_mac: Mac,
        /// Target protocol address.
        target: u32,
    }
}
header! {
    /// The header of an EAPOL packet (IEEE 802.1X-2020, 11.3).
    Eapol {
        /// Protocol version.
        version: u8,
        /// Packet type.
        kind: u8,
        /// Bytes of the body.
        length: u16,
    }
}
header! {
    /// A link-layer address option (RFC 4861, 4.6.1).
    LinkOption {
        /// Type.
        kind: u8,
        /// Length in units of eight bytes.
        units: u8,
        /// The address.
        mac: Mac,
    }
}
