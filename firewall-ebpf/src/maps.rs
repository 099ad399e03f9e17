//! The maps, and the questions asked of them. Their sizes are set by the daemon when it loads the
//! object; those given here are only for the verifier's eyes.

use core::ptr;

use aya_ebpf::bindings::{BPF_F_MMAPABLE, BPF_NOEXIST, xdp_md};
use aya_ebpf::helpers::bpf_jiffies64;
use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, DevMap, HashMap, LruHashMap, PerCpuArray, RingBuf};
use firewall_common::abi::{
    Attachment, Control, Count, EventState, NodeState, PortState, Publication, Stop,
    SubnetworkState,
};
use firewall_common::decide::{Course, Origin, Question};
use firewall_common::flow::table::{Look, Seed};
use firewall_common::flow::{Flow, FlowKey, Phase, Sender};
use firewall_common::fragment::{Datagram, FragmentKey};
use firewall_common::identity::{Direction, Role};
use firewall_common::image::Line;
use firewall_common::quota::Limits;
use firewall_common::tables::{Full, Route, Tables, Way};
use firewall_common::{Addr, DropReason, NodeSlot, Note, Port, SubnetworkSlot, Ticks, Vlan};

use crate::{constants, consult, extended, flows, route};

#[map]
static CONTROL: Array<Control> = Array::with_max_entries(1, BPF_F_MMAPABLE);
#[map]
static IMAGE: Array<Line> = Array::with_max_entries(1, BPF_F_MMAPABLE);
#[map]
static NODES: Array<NodeState> = Array::with_max_entries(1, BPF_F_MMAPABLE);
#[map]
static SUBNETWORKS: Array<SubnetworkState> = Array::with_max_entries(256, BPF_F_MMAPABLE);
#[map]
static NAMES: Array<u64> = Array::with_max_entries(1, BPF_F_MMAPABLE);
#[map]
static ASKED: LruHashMap<FlowKey, Flow> = LruHashMap::with_max_entries(1, 0);
#[map]
static FRAGMENTS: LruHashMap<FragmentKey, Datagram> = LruHashMap::with_max_entries(1, 0);
#[map]
static PORTS: DevMap = DevMap::with_max_entries(64, 0);
#[map]
static PORTS_JUMBO: DevMap = DevMap::with_max_entries(64, 0);
#[map]
static PORT_STATES: Array<PortState> = Array::with_max_entries(64, BPF_F_MMAPABLE);
#[map]
static LOCAL: HashMap<Addr, u32> = HashMap::with_max_entries(1, 0);
#[map]
static INTERFACES: HashMap<u32, Attachment> = HashMap::with_max_entries(1, 0);
#[map]
static ATTACHMENTS: HashMap<Attachment, u32> = HashMap::with_max_entries(1, 0);
#[map]
static SCRATCH: PerCpuArray<Note> = PerCpuArray::with_max_entries(1, 0);
#[map]
static COUNTERS: PerCpuArray<Count> = PerCpuArray::with_max_entries(1, 0);
#[map]
static RULE_COUNTERS: PerCpuArray<Count> = PerCpuArray::with_max_entries(1, 0);
#[map]
static PAIR_COUNTERS: PerCpuArray<Count> = PerCpuArray::with_max_entries(65536, 0);
#[map]
static EVENT_STATE: PerCpuArray<EventState> = PerCpuArray::with_max_entries(1, 0);
#[map]
static EVENTS: RingBuf = RingBuf::with_byte_size(4096, 0);

/// The time.
#[inline(always)]
pub(crate) fn now() -> Ticks {
    // SAFETY: takes no argument and has no precondition.
    Ticks(unsafe { bpf_jiffies64() })
}

/// What the hashes of flows are made with.
#[inline(always)]
pub(crate) fn seed() -> Option<&'static Seed> {
    CONTROL.get(0).map(|control| &control.seed)
}

/// The interface that stands for a port and a tag.
#[inline(always)]
pub(crate) fn interface(attachment: Attachment) -> Option<u32> {
    // SAFETY: the value is one aligned word.
    unsafe { ATTACHMENTS.get(attachment) }.copied()
}

/// What an interface stands for.
#[inline(always)]
pub(crate) fn attachment(interface: u32) -> Option<Attachment> {
    // SAFETY: the value is one aligned word.
    unsafe { INTERFACES.get(interface) }.copied()
}

/// This CPU's working memory.
#[inline(always)]
pub(crate) fn scratch() -> Option<&'static mut Note> {
    let note = SCRATCH.get_ptr_mut(0)?;
    // SAFETY: per-CPU, and XDP programs run to completion with bottom halves disabled: nobody else
    // has this entry. Its bytes are zero or what the last run left, both valid.
    Some(unsafe { &mut *note })
}

#[inline(always)]
fn bump(map: &PerCpuArray<Count>, index: u32, length: u32) {
    if let Some(count) = map.get_ptr_mut(index) {
        // SAFETY: per-CPU, as in `scratch`.
        unsafe {
            (*count).packets += 1;
            (*count).bytes += length as u64;
        }
    }
}

/// Counts a frame of a port.
#[inline(always)]
pub(crate) fn count(index: u32, length: u32) {
    bump(&COUNTERS, index, length);
}

/// Counts a frame of a rule.
#[inline(always)]
pub(crate) fn count_rule(index: u32, length: u32) {
    bump(&RULE_COUNTERS, index, length);
}

/// Counts a frame of a pair of subnetworks.
#[inline(always)]
pub(crate) fn count_pair(index: u32, length: u32) {
    bump(&PAIR_COUNTERS, index, length);
}

/// This CPU's event bucket.
#[inline(always)]
pub(crate) fn event_state() -> Option<&'static mut EventState> {
    let state = EVENT_STATE.get_ptr_mut(0)?;
    // SAFETY: per-CPU, as in `scratch`.
    Some(unsafe { &mut *state })
}

/// The ring of events.
#[inline(always)]
pub(crate) fn events() -> &'static RingBuf {
    &EVENTS
}

/// The ports' interfaces, for a program that takes whole frames.
#[inline(always)]
pub(crate) fn ports() -> &'static DevMap {
    &PORTS
}

/// The same, for one that takes frames in pieces.
#[inline(always)]
pub(crate) fn ports_jumbo() -> &'static DevMap {
    &PORTS_JUMBO
}

/// The kernel's tables, as one port's program sees them.
pub(crate) struct Kernel {
    port: Port,
    way: Way,
    /// For route lookups; null where none is made.
    context: *mut xdp_md,
}

impl Kernel {
    /// What frames that come in on the program's port see.
    #[inline(always)]
    pub(crate) fn new(context: *mut xdp_md) -> Self {
        Self { port: constants::port(), way: constants::way(), context }
    }

    /// What frames of the gateway's own kernel see.
    #[inline(always)]
    pub(crate) fn of_gateway() -> Self {
        Self { port: Port::GATEWAY, way: constants::way(), context: ptr::null_mut() }
    }
}

/// Where the kernel has a frame from that it has taken in on that interface; 0 is its own.
#[inline(always)]
pub(crate) fn origin(interface: u32) -> Origin {
    if interface == 0 {
        return Origin::Gateway;
    }
    match attachment(interface) {
        Some(attachment) => Origin::Port(attachment.port()),
        None => Origin::Unguarded,
    }
}

impl Tables for Kernel {
    #[inline(always)]
    fn port(&self) -> Port {
        self.port
    }

    #[inline(always)]
    fn way(&self) -> Way {
        self.way
    }

    #[inline(always)]
    fn authenticates(&self, _port: Port) -> bool {
        constants::authenticates()
    }

    #[inline(always)]
    fn enrolment(&self) -> u16 {
        constants::enrolment()
    }

    #[inline(always)]
    fn port_state(&self, port: Port) -> Option<&PortState> {
        PORT_STATES.get(port.0 as u32)
    }

    #[inline(always)]
    fn is_local(&self, address: &Addr) -> bool {
        // Asked by a global function, whose argument Linux 6.1 takes for no key.
        let key = *address;
        // SAFETY: the value is not looked at.
        unsafe { LOCAL.get(key) }.is_some()
    }

    #[inline(always)]
    fn route(&self, note: &Note, sender: Sender, from: Vlan, to: Attachment) -> Route {
        if !constants::looks_up_routes() {
            return Route::Unresolved;
        }
        route::look_up(self.context, note, sender, Attachment::new(self.port, from), to)
    }

    #[inline(always)]
    fn timeout(&self, phase: Phase) -> u32 {
        constants::timeout(phase)
    }

    #[inline(always)]
    fn limits(&self) -> Limits {
        constants::limits()
    }

    #[inline(always)]
    fn reassembly(&self) -> u32 {
        constants::reassembly()
    }

    #[inline(always)]
    fn control(&self) -> Option<(Stop, Publication)> {
        let control = CONTROL.get(0)?;
        let stop = Stop::decode(control.stop.load());
        let publication = Publication::decode(control.publication.load());
        Some((stop, publication))
    }

    #[inline(always)]
    fn line(&self, half: u32, line: u32) -> Option<&Line> {
        let lines = constants::lines();
        if line >= lines {
            return None;
        }
        IMAGE.get(if half == 0 { line } else { lines + line })
    }

    #[inline(always)]
    fn node(&self, node: NodeSlot) -> Option<&NodeState> {
        NODES.get(node.0)
    }

    #[inline(always)]
    fn subnetwork(&self, subnetwork: SubnetworkSlot) -> Option<&SubnetworkState> {
        SUBNETWORKS.get(subnetwork.0 as u32)
    }

    #[inline(always)]
    fn look(&self, key: &FlowKey) -> Look<'_> {
        flows::look(key)
    }

    #[inline(always)]
    fn find(&self, note: &mut Note) -> Option<(&Flow, bool)> {
        flows::found(consult::cordon_find(note), note)
    }

    #[inline(always)]
    fn open(&self, note: &mut Note) -> Result<(), Full> {
        if consult::cordon_open(note) == consult::YES { Ok(()) } else { Err(Full) }
    }

    #[inline(always)]
    fn establish(&self, note: &mut Note) -> Result<(), Full> {
        flows::establish(note)
    }

    #[inline(always)]
    fn remove(&self, note: &mut Note) {
        flows::remove(note);
    }

    #[inline(always)]
    fn asked(&self, key: &FlowKey) -> Option<&Flow> {
        // SAFETY: a flow is made of atomics only; one that gives way while we hold it stays in
        // memory until the program ends, and at worst becomes another question, which a MAC that is
        // not its own tells apart.
        unsafe { ASKED.get(key) }
    }

    #[inline(always)]
    fn ask(&self, key: &FlowKey, question: &Flow) -> Result<(), Full> {
        ASKED.insert(key, question, 0).map_err(|_| Full)
    }

    #[inline(always)]
    fn datagram(&self, key: &FragmentKey) -> Option<&Datagram> {
        // SAFETY: as in `asked`; its key's cookie tells it from another's.
        unsafe { FRAGMENTS.get(key) }
    }

    #[inline(always)]
    fn begin_datagram(&self, key: &FragmentKey, datagram: &Datagram) -> Result<(), Full> {
        FRAGMENTS.insert(key, datagram, BPF_NOEXIST as u64).map_err(|_| Full)
    }

    #[inline(always)]
    fn forget_datagram(&self, key: &FragmentKey) {
        // Absent already: another CPU was faster.
        let _ = FRAGMENTS.remove(key);
    }

    #[inline(always)]
    fn consult(&self, note: &mut Note, question: Question) -> Result<(), DropReason> {
        let answer = match question {
            Question::FlowOpenedByLow | Question::FlowOpenedByHigh => {
                consult::cordon_authorise(note, question as u64)
            }
            Question::Claim => consult::cordon_judge(note),
            Question::Report => consult::cordon_report(note),
        };
        consult::answered(answer, note)
    }

    #[inline(always)]
    fn charge(&self, note: &mut Note) -> Result<(), DropReason> {
        consult::answered(consult::cordon_charge(note), note)
    }

    #[inline(always)]
    fn refund(&self, note: &mut Note, flow: &Flow) {
        consult::cordon_refund(note, flow);
    }

    #[inline(always)]
    fn follow(&self, note: &mut Note, course: Course, flow: &Flow) -> Result<(), DropReason> {
        let (context, course) = (self.context, course.encode());
        let answer = if self.port == Port::GATEWAY {
            extended::cordon_follow_out(note, flow, course)
        } else {
            extended::cordon_follow(context, note, flow, course)
        };
        consult::answered(answer, note)
    }

    #[inline(always)]
    fn begin(&self, note: &mut Note, course: Course) -> Result<(), DropReason> {
        let (context, course) = (self.context, course.encode());
        let answer = if self.port == Port::GATEWAY {
            extended::cordon_begin_out(note, course)
        } else {
            extended::cordon_begin(context, note, course)
        };
        consult::answered(answer, note)
    }

    #[inline(always)]
    fn admit(&self, note: &mut Note) -> Result<(), DropReason> {
        consult::answered(extended::cordon_admit(note), note)
    }

    #[inline(always)]
    fn track(&self, note: &mut Note) -> Result<(), DropReason> {
        consult::answered(extended::cordon_track(note), note)
    }

    #[inline(always)]
    fn reassemble(&self, note: &mut Note) -> Result<(), DropReason> {
        consult::answered(extended::cordon_reassemble(note), note)
    }

    #[inline(always)]
    fn identify(&self, note: &mut Note, role: Role) -> Result<(), DropReason> {
        consult::answered(consult::cordon_identify(note, role as u64), note)
    }

    #[inline(always)]
    fn search(&self, note: &mut Note, role: Role) -> Result<(), DropReason> {
        consult::answered(consult::cordon_search(note, role as u64), note)
    }

    #[inline(always)]
    fn permit(&self, note: &mut Note, direction: Direction) -> Result<(), DropReason> {
        consult::answered(consult::cordon_permit(note, direction as u64), note)
    }
}
