//! What the rows of the decision's tests stand on here: the same hospital, but the program decides,
//! and what leaves is compared byte for byte.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use firewall_common::abi::Stop;
use firewall_common::quota::Limits;
use firewall_common::{NodeSlot, Port, SubnetworkSlot, Ticks, Verdict};
use firewall_policy::explain::Sizes;
use firewall_policy::{Image, Policy, SequentialSlots};

use crate::gateway::{self, FLOWS, Gateway};
pub(crate) use crate::hospital::{
    ANALYSER4, ANALYSER6, Arrival, CT, CT4, CT6, MONITOR4, MR, MR4, MR6, OTHER_ROUTER, PACS4,
    PACS6, PIPETTE, PIPETTE4, PIPETTE6, POLICY, PORTAL, PORTAL4, ROUTER, STRANGER, VISITOR4,
    WORKSTATION, WORKSTATION4, compiled, ct, hospital, inside, left, outside, right,
};
pub(crate) use firewall_tests::packet::*;

/// A gateway under [`POLICY`], its clock and its ledger.
pub(crate) struct World {
    pub(crate) memory: Kernel,
    policy: Policy,
    image: Image,
    slots: SequentialSlots,
    ledger: RefCell<BTreeMap<&'static str, u32>>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::under(POLICY, &Sizes::default())
    }

    pub(crate) fn under(text: &str, sizes: &Sizes) -> Self {
        let mut slots = SequentialSlots::new();
        let (policy, image) = compiled(text, &mut slots);
        let memory = Kernel::new(sizes, &image);
        Self { memory, policy, image, slots, ledger: RefCell::default() }
    }

    /// Another policy comes into force.
    pub(crate) fn reload(&mut self, text: &str) {
        let (policy, image) = compiled(text, &mut self.slots);
        self.memory.gateway.trial.install(&image);
        (self.policy, self.image) = (policy, image);
    }

    pub(crate) fn now(&self) -> Ticks {
        self.memory.now()
    }

    pub(crate) fn wait(&self, seconds: u32) {
        self.memory.wait(seconds);
    }

    pub(crate) fn node(&self, name: &str) -> NodeSlot {
        self.image.names.node_slot(self.policy.node_named(name).unwrap())
    }

    pub(crate) fn subnetwork(&self, name: &str) -> SubnetworkSlot {
        self.image.names.subnetwork_slot(self.policy.subnetwork_named(name).unwrap())
    }

    pub(crate) fn stop_subnetwork(&self, name: &str, stop: Stop) {
        self.memory.gateway.trial.stop_subnetwork(self.subnetwork(name), stop);
    }

    /// Like `opened out 120`, or the reason of the drop.
    pub(crate) fn told(&self, (side, packet): &Arrival) -> String {
        let frame = packet.bytes();
        if frame.len() < ETHERNET {
            // No driver hands it over, and BPF_PROG_TEST_RUN refuses it.
            return "truncated".to_owned();
        }
        let (verdict, output) = self.memory.gateway.run(Port(*side as u16), &frame);
        *self.ledger.borrow_mut().entry(verdict.name()).or_default() += 1;
        match verdict {
            Verdict::Pass(reason) => {
                let egress = tag(&output);
                assert_eq!(hex(&output), hex(&retagged(&frame, egress)), "{packet:?}");
                format!("{reason} out {egress}")
            }
            Verdict::Drop(reason) => reason.to_string(),
        }
    }

    /// One after the other; what one leaves behind, the next finds.
    #[track_caller]
    pub(crate) fn sequence<const N: usize>(&self, rows: [(&str, Arrival); N]) {
        for (index, (expected, arrival)) in rows.iter().enumerate() {
            assert_eq!(self.told(arrival), *expected, "step {}: {arrival:?}", index + 1);
        }
    }

    /// Each alone.
    #[track_caller]
    pub(crate) fn table<const N: usize>(&self, rows: [(&str, Arrival); N]) {
        for (index, row) in rows.into_iter().enumerate() {
            self.memory.gateway.trial.forget_flows().unwrap();
            assert_eq!(self.told(&row.1), row.0, "row {}: {:?}", index + 1, row.1);
        }
    }

    /// Everything that has happened since it was last asked.
    pub(crate) fn ledger(&self) -> String {
        let ledger = self.ledger.take();
        let lines = ledger.iter().map(|(reason, count)| format!("{reason} {count}"));
        lines.collect::<Vec<_>>().join(", ")
    }
}

const ETHERNET: usize = 14;

/// The VLAN of a frame's 802.1Q tag; 0 if it has none.
pub(crate) fn tag(frame: &[u8]) -> u16 {
    match frame[12..] {
        [0x81, 0, high, low, ..] => u16::from_be_bytes([high & 0x0f, low]),
        _ => 0,
    }
}

/// The frame with its tag pushed, popped or replaced; a replaced one keeps its priority.
pub(crate) fn retagged(frame: &[u8], egress: u16) -> Vec<u8> {
    let (macs, rest) = frame.split_at(12);
    let (priority, rest) = match rest {
        [0x81, 0, high, _, rest @ ..] => (high & 0xf0, rest),
        rest => (0, rest),
    };
    let [high, low] = egress.to_be_bytes();
    let tag = [0x81, 0, priority | high, low];
    let tag: &[u8] = if egress == 0 { &[] } else { &tag };
    [macs, tag, rest].concat()
}

/// What a router makes of a frame: both MACs are new, one hop is gone (RFC 1624, 3), and the tag is
/// that of the way out.
pub(crate) fn forwarded(frame: &[u8], [source, destination]: [[u8; 6]; 2], egress: u16) -> Vec<u8> {
    let mut frame = [&destination, &source, &frame[12..]].concat();
    let network = if tag(&frame) == 0 { ETHERNET } else { ETHERNET + 4 };
    if frame[network] >> 4 == 6 {
        frame[network + 7] -= 1;
    } else {
        let word = |frame: &[u8], at| {
            u32::from(u16::from_be_bytes([frame[network + at], frame[network + at + 1]]))
        };
        let (before, checksum) = (word(&frame, 8), word(&frame, 10));
        frame[network + 8] -= 1;
        let sum = (checksum ^ 0xffff) + (before ^ 0xffff) + word(&frame, 8);
        let sum = (sum & 0xffff) + (sum >> 16);
        let sum = (sum & 0xffff) + (sum >> 16);
        let checksum = u16::try_from(sum ^ 0xffff).unwrap();
        frame[network + 10..network + 12].copy_from_slice(&checksum.to_be_bytes());
    }
    retagged(&frame, egress)
}

/// What the rows change beside frames. Time is counted in a thousand ticks a second, as they do,
/// and passes only when they wait.
pub(crate) struct Kernel {
    pub(crate) gateway: Gateway,
    now: Cell<u64>,
}

impl Kernel {
    fn new(&Sizes { flows, limits, .. }: &Sizes, image: &Image) -> Self {
        assert!(flows <= FLOWS, "a trial has no room for more");
        let gateway = if limits == Limits::NONE {
            Gateway::with_flows(flows)
        } else {
            assert_eq!(limits, gateway::limits(1000), "a trial has no others");
            Gateway::limited(flows)
        };
        gateway.await_turn();
        gateway.reset(image);
        Self { gateway, now: Cell::new(1_000_000) }
    }

    pub(crate) fn now(&self) -> Ticks {
        Ticks(self.now.get())
    }

    fn wait(&self, seconds: u32) {
        self.gateway.trial.age(seconds * self.gateway.hz()).unwrap();
        self.now.set(self.now.get() + 1000 * u64::from(seconds));
    }

    pub(crate) fn bump(&self) {
        // No policy has as many subnetworks.
        self.gateway.trial.stop_subnetwork(SubnetworkSlot(255), Stop::None);
    }

    pub(crate) fn stop(&self, stop: Stop) {
        self.gateway.trial.stop(stop);
    }

    pub(crate) fn isolate(&self, node: NodeSlot, isolated: bool) {
        self.gateway.trial.isolate(node, isolated);
    }

    pub(crate) fn grant(&self, node: NodeSlot, end: Ticks) {
        let milliseconds = u128::from(end.0.saturating_sub(self.now.get()));
        let ticks = milliseconds * u128::from(self.gateway.hz()) / 1000;
        let end = u128::from(self.gateway.now().0) + ticks;
        let end = u64::try_from(end.min(u128::from(u64::MAX >> 1))).unwrap();
        self.gateway.trial.grant(node, Ticks(end));
    }

    pub(crate) fn revoke(&self, node: NodeSlot) {
        self.gateway.trial.grant(node, Ticks(0));
    }

    pub(crate) fn flow_counts(&self) -> (usize, usize) {
        self.gateway.flow_counts()
    }
}
