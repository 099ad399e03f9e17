//! The kernel's maps, as the daemon sees them.

use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::num::NonZeroU32;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::AtomicU64;

use firewall_common::abi::{self, Attachment, Control, NodeState, PortState, SubnetworkState, map};
use firewall_common::flow::table::{self, Bucket, FlowTable, Seed, Slot};
use firewall_common::{Addr, flow, fragment, image};

use super::sys::{self, AtomicLine, Mapping};
use crate::fault::{self, Step};

/// How large the maps are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Node slots, the unused slot 0 left out.
    pub nodes: u32,
    /// Rule slots, the unused slot 0 left out.
    pub rules: u32,
    /// Established flows.
    pub flows: u32,
    /// Lines of one half of the image.
    pub lines: u32,
    /// Bytes of the ring buffer of events; a power of two and of pages.
    pub events: u32,
}

/// One map of the object: its name, and how large keys, values and the map are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// The name in the object and in the directory of pins.
    pub name: &'static str,
    /// Bytes.
    pub key_size: u32,
    /// Bytes.
    pub value_size: u32,
    /// Entries; bytes of the ring buffer.
    pub max_entries: u32,
}

impl Sizes {
    /// From the configuration's capacities and what the policy compiler says it needs.
    pub fn new(nodes: u32, rules: u32, flows: u32, lines: u32) -> Self {
        Self { nodes, rules, flows, lines, events: 1 << 20 }
    }

    /// Room for half-open flows that is left when there are as many established ones as there may be.
    pub const fn half_open(&self) -> u32 {
        table::WAYS * table::buckets_for(self.flows) - self.flows
    }

    /// Every map of the object.
    pub fn shapes(&self) -> [Shape; 21] {
        let shape = |name, key_size, value_size, max_entries| Shape {
            name,
            key_size,
            value_size,
            max_entries,
        };
        let key = size::<flow::FlowKey>();
        let flow = size::<flow::Flow>();
        let count = size::<abi::Count>();
        let buckets = table::buckets_for(self.flows);
        [
            shape(map::CONTROL, 4, size::<Control>(), 1),
            shape(map::IMAGE, 4, size::<image::Line>(), 2 * self.lines),
            shape(map::NODES, 4, size::<NodeState>(), self.nodes + 1),
            shape(map::SUBNETWORKS, 4, size::<SubnetworkState>(), image::SUBNETWORKS),
            shape(map::NAMES, 4, 8, image::SUBNETWORKS + self.nodes + 1 + self.rules + 1),
            shape(map::FLOWS, 4, size::<Slot>(), table::WAYS * buckets),
            shape(map::FLOW_BUCKETS, 4, size::<Bucket>(), buckets),
            shape(map::ASKED, key, flow, abi::QUESTIONS),
            shape(
                map::FRAGMENTS,
                size::<fragment::FragmentKey>(),
                size::<fragment::Datagram>(),
                abi::DATAGRAMS,
            ),
            shape(map::COUNTERS, 4, count, abi::PORTS * abi::COUNTERS_PER_PORT),
            shape(map::RULE_COUNTERS, 4, count, self.rules + 1),
            shape(map::PAIR_COUNTERS, 4, count, image::SUBNETWORKS * image::SUBNETWORKS),
            shape(map::EVENTS, 0, 0, self.events),
            shape(map::EVENT_STATE, 4, size::<abi::EventState>(), 1),
            shape(map::SCRATCH, 4, size::<firewall_common::Note>(), 1),
            shape(map::PORTS, 4, 8, abi::PORTS),
            shape(map::PORTS_JUMBO, 4, 8, abi::PORTS),
            shape(map::PORT_STATES, 4, size::<PortState>(), abi::PORTS),
            shape(map::LOCAL, size::<Addr>(), 4, abi::LOCAL_ADDRESSES),
            shape(map::INTERFACES, 4, size::<Attachment>(), abi::ATTACHMENTS),
            shape(map::ATTACHMENTS, size::<Attachment>(), 4, abi::ATTACHMENTS),
        ]
    }
}

fn size<T>() -> u32 {
    u32::try_from(size_of::<T>()).unwrap_or(u32::MAX)
}

/// Why pinned maps cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MapsError {
    /// A map is missing or cannot be opened.
    #[error("cannot open the map {name}: {source}")]
    Open {
        /// Which map.
        name: &'static str,
        /// Why not.
        source: io::Error,
    },
    /// A pinned map is not what its name says.
    #[error("the pinned map {name} has another shape than this version's")]
    Shape {
        /// Which map.
        name: &'static str,
    },
    /// The number of CPUs is not known.
    #[error("cannot read how many CPUs are possible: {source}")]
    Cpus {
        /// Why not.
        source: io::Error,
    },
}

/// The maps, opened.
pub struct Maps {
    /// The word that everything hangs on.
    pub(super) control: Mapping<Control>,
    /// Both halves of the image.
    pub(super) image: Mapping<AtomicLine>,
    /// Lines of one half.
    pub(super) lines: usize,
    /// Node states.
    pub(super) nodes: Mapping<NodeState>,
    /// Subnetwork states.
    pub(super) subnetworks: Mapping<SubnetworkState>,
    /// Owners of the slots.
    pub(super) names: Mapping<AtomicU64>,
    /// Flows.
    pub(super) flows: Mapping<Slot>,
    /// Whose those slots are.
    pub(super) flow_buckets: Mapping<Bucket>,
    /// What was asked of neighbours.
    pub(super) asked: OwnedFd,
    /// Datagrams that come in fragments.
    pub(super) fragments: OwnedFd,
    /// By port and verdict.
    pub(super) counters: OwnedFd,
    /// By rule.
    pub(super) rule_counters: OwnedFd,
    /// By pair of subnetworks.
    pub(super) pair_counters: OwnedFd,
    /// About events.
    pub(super) event_state: OwnedFd,
    /// Port index to interface index.
    pub(super) ports: [OwnedFd; 2],
    /// The ports' MACs and MTUs.
    pub(super) port_states: Mapping<PortState>,
    /// The gateway's own addresses.
    pub(super) local: OwnedFd,
    /// Interface index to port and tag.
    pub(super) interfaces: OwnedFd,
    /// Port and tag to interface index.
    pub(super) attachments: OwnedFd,
    /// How large they are.
    pub(super) sizes: Sizes,
    /// Possible CPUs: values that the kernel writes for a key of a per-CPU map.
    pub(super) cpus: NonZeroU32,
}

impl Maps {
    /// Opens the maps pinned in that directory.
    pub fn open(directory: &Path, sizes: Sizes) -> Result<Self, MapsError> {
        check(directory, &sizes)?;
        fault::at(Step::OpenMaps)
            .map_err(|source| MapsError::Open { name: map::CONTROL, source })?;
        let cpus = possible_cpus().map_err(|source| MapsError::Cpus { source })?;
        let control: Mapping<Control> = mapping(directory, map::CONTROL)?;
        keep_secret(&control[0].seed);
        Ok(Self {
            control,
            image: mapping(directory, map::IMAGE)?,
            lines: sizes.lines as usize,
            nodes: mapping(directory, map::NODES)?,
            subnetworks: mapping(directory, map::SUBNETWORKS)?,
            names: mapping(directory, map::NAMES)?,
            flows: mapping(directory, map::FLOWS)?,
            flow_buckets: mapping(directory, map::FLOW_BUCKETS)?,
            asked: open(directory, map::ASKED)?,
            fragments: open(directory, map::FRAGMENTS)?,
            counters: open(directory, map::COUNTERS)?,
            rule_counters: open(directory, map::RULE_COUNTERS)?,
            pair_counters: open(directory, map::PAIR_COUNTERS)?,
            event_state: open(directory, map::EVENT_STATE)?,
            ports: [open(directory, map::PORTS)?, open(directory, map::PORTS_JUMBO)?],
            port_states: mapping(directory, map::PORT_STATES)?,
            local: open(directory, map::LOCAL)?,
            interfaces: open(directory, map::INTERFACES)?,
            attachments: open(directory, map::ATTACHMENTS)?,
            sizes,
            cpus,
        })
    }

    /// The word that everything hangs on.
    pub(super) fn control(&self) -> &Control {
        &self.control[0]
    }
}

impl FlowTable for Maps {
    fn count(&self) -> u32 {
        table::buckets_for(self.sizes.flows)
    }

    fn bucket(&self, index: u32) -> Option<&Bucket> {
        self.flow_buckets.get(index as usize)
    }

    fn slot(&self, index: u32) -> Option<&Slot> {
        self.flows.get(index as usize)
    }

    fn seed(&self) -> Option<&Seed> {
        Some(&self.control().seed)
    }
}

/// Fills the seed of fresh maps; that of others stays, as flows have been entered with it.
fn keep_secret(seed: &Seed) {
    for word in seed.iter().filter(|word| word.load() == 0) {
        word.store(secret());
    }
}

/// 64 bits that nobody outside can know: the keys of the hash tables' own hasher come from the
/// kernel's random numbers.
pub fn secret() -> u64 {
    RandomState::new().hash_one(std::process::id())
}

/// The few maps that a stop needs, opened without knowing the sizes of the others.
pub struct Stops {
    control: Mapping<Control>,
    /// Subnetwork states.
    pub(super) subnetworks: Mapping<SubnetworkState>,
    /// Owners of the slots.
    pub(super) names: Mapping<AtomicU64>,
}

impl Stops {
    /// Opens the maps pinned in that directory.
    pub fn open(directory: &Path) -> Result<Self, MapsError> {
        Ok(Self {
            control: mapping(directory, map::CONTROL)?,
            subnetworks: mapping(directory, map::SUBNETWORKS)?,
            names: mapping(directory, map::NAMES)?,
        })
    }

    /// The word that everything hangs on.
    pub(super) fn control(&self) -> &Control {
        &self.control[0]
    }
}

fn open(directory: &Path, name: &'static str) -> Result<OwnedFd, MapsError> {
    sys::open_pin(&directory.join(name)).map_err(|source| MapsError::Open { name, source })
}

fn mapping<T: sys::Shared>(directory: &Path, name: &'static str) -> Result<Mapping<T>, MapsError> {
    let fd = open(directory, name)?;
    Mapping::new(fd.as_fd()).map_err(|source| MapsError::Open { name, source })
}

/// Whether the maps that are pinned there have the right shape; those that are missing are not
/// looked at. aya would adopt a pinned map of any shape.
pub fn check(directory: &Path, sizes: &Sizes) -> Result<(), MapsError> {
    for Shape { name, key_size, value_size, max_entries } in sizes.shapes() {
        let fd = match sys::open_pin(&directory.join(name)) {
            Ok(fd) => fd,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(source) => return Err(MapsError::Open { name, source }),
        };
        let info = sys::map_info(fd.as_fd()).map_err(|source| MapsError::Open { name, source })?;
        // The LRU rounds its capacity up to its per-CPU batches.
        let fits = if name == map::ASKED || name == map::FRAGMENTS {
            info.max_entries >= max_entries
        } else {
            info.max_entries == max_entries
        };
        if info.key_size != key_size || info.value_size != value_size || !fits {
            return Err(MapsError::Shape { name });
        }
    }
    Ok(())
}

/// From `/sys/devices/system/cpu/possible`, such as `0-3`.
fn possible_cpus() -> io::Result<NonZeroU32> {
    let text = std::fs::read_to_string("/sys/devices/system/cpu/possible")?;
    let last = text.trim().rsplit(['-', ',']).next().unwrap_or_default();
    let last: u32 = last.parse().map_err(io::Error::other)?;
    NonZeroU32::new(last + 1).ok_or_else(|| io::Error::other("no CPU"))
}
