//! What the kernel has counted, and which flows it knows.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use firewall_common::abi::{self, Count, EventState, NodeState, Stop};
use firewall_common::flow::table;
use firewall_common::flow::{Flow, FlowKey};
use firewall_common::fragment::{Datagram, FragmentKey};
use firewall_common::{NodeSlot, Port, RuleSlot, SubnetworkSlot, Verdict};

use super::maps::Maps;
use super::sys::{self, Cursor};

/// How many elements one call reads.
const BATCH: usize = 4096;

/// What one port received, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortCounts {
    /// Everything.
    pub received: Count,
    /// By verdict, in the order of [`Verdict::all`].
    pub verdicts: Vec<(Verdict, Count)>,
}

/// Reads a port's counters. Frames that pass while it reads may be counted as received and not yet
/// as decided; a quiet port adds up exactly.
pub fn port(maps: &Maps, port: Port) -> io::Result<PortCounts> {
    let cpus = maps.cpus.get() as usize;
    let first = abi::counter(port.0, None);
    let mut keys = [0_u32; abi::COUNTERS_PER_PORT as usize];
    let mut values = vec![Count::default(); keys.len() * cpus];
    let (map, cursor) = (maps.counters.as_fd(), Cursor::at(first));
    // SAFETY: keys are four bytes, and there are as many `Count`s for each as possible CPUs.
    let (read, _) = unsafe { sys::map_lookup_batch(map, cursor, &mut keys, &mut values) }?;
    let counts = |index: u32| {
        let place = keys[..read].iter().position(|key| *key == index)?;
        Some(sum(&values[place * cpus..][..cpus]))
    };
    let of = |verdict| {
        let count = counts(abi::counter(port.0, verdict));
        count.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    };
    let verdicts = Verdict::all().map(|verdict| Ok((verdict, of(Some(verdict))?)));
    let verdicts = verdicts.collect::<io::Result<_>>()?;
    Ok(PortCounts { received: of(None)?, verdicts })
}

/// Reads a rule's counter.
pub fn rule(maps: &Maps, rule: RuleSlot) -> io::Result<Count> {
    count(maps, maps.rule_counters.as_fd(), rule.0)
}

/// Reads the counter of a pair of subnetworks, sender first.
pub fn pair(maps: &Maps, from: SubnetworkSlot, to: SubnetworkSlot) -> io::Result<Count> {
    count(maps, maps.pair_counters.as_fd(), abi::pair_counter(from.0, to.0))
}

/// Reads what the program did with its events: emitted, suppressed, overflowed.
pub fn events(maps: &Maps) -> io::Result<EventState> {
    let mut values = vec![EventState::default(); maps.cpus.get() as usize];
    // SAFETY: the key is four bytes, the value an `EventState` for every possible CPU.
    unsafe { sys::map_lookup(maps.event_state.as_fd(), &0_u32, &mut values) }?;
    Ok(values.into_iter().fold(EventState::default(), |sum, one| EventState {
        emitted: sum.emitted + one.emitted,
        suppressed: sum.suppressed + one.suppressed,
        overflowed: sum.overflowed + one.overflowed,
        ..sum
    }))
}

fn count(maps: &Maps, map: BorrowedFd<'_>, index: u32) -> io::Result<Count> {
    let mut values = vec![Count::default(); maps.cpus.get() as usize];
    // SAFETY: the key is four bytes, the value a `Count` for every possible CPU.
    unsafe { sys::map_lookup(map, &index, &mut values) }?;
    Ok(sum(&values))
}

fn sum(values: &[Count]) -> Count {
    values.iter().fold(Count::default(), |sum, one| Count {
        packets: sum.packets + one.packets,
        bytes: sum.bytes + one.bytes,
    })
}

/// Sets a rule's counter to zero: its slot gets another owner.
pub fn forget_rule(maps: &Maps, rule: RuleSlot) {
    let zero = vec![Count::default(); maps.cpus.get() as usize];
    // SAFETY: the key is four bytes; the kernel reads a `Count` for every possible CPU, and the
    // vector holds that many.
    let result = unsafe { sys::map_update(maps.rule_counters.as_fd(), &rule.0, zero.as_slice()) };
    if let Err(error) = result {
        tracing::warn!(%error, "cannot reset the counter of a removed rule");
    }
}

/// A node's standing.
pub fn node(maps: &Maps, slot: NodeSlot) -> Option<&NodeState> {
    maps.nodes.get(slot.0 as usize)
}

/// The kernel's stop of everything.
pub fn stop(maps: &Maps) -> Stop {
    Stop::decode(maps.control().stop.load())
}

/// The kernel's stop of a subnetwork.
pub fn subnetwork_stop(maps: &Maps, slot: SubnetworkSlot) -> Stop {
    let state = maps.subnetworks.get(usize::from(slot.0));
    state.map_or(Stop::Hard, |state| Stop::decode(state.stop.load()))
}

/// Which flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// Those whose responder has not answered, and what was asked of neighbours.
    HalfOpen,
    /// The others.
    Established,
}

/// Walks over flows. A table that changes meanwhile may show one twice or not.
pub fn flows(maps: &Maps, which: Table, mut visit: impl FnMut(&FlowKey, &Flow)) -> io::Result<()> {
    let wanted = which == Table::Established;
    let flows = table::flows(maps).filter(|(_, _, established)| *established == wanted);
    flows.for_each(|(key, flow, _)| visit(&key, flow));
    match which {
        Table::HalfOpen => questions(maps, visit),
        Table::Established => Ok(()),
    }
}

/// The same for what was asked of neighbours.
pub fn questions(maps: &Maps, visit: impl FnMut(&FlowKey, &Flow)) -> io::Result<()> {
    // SAFETY: keys and values are those of that table.
    unsafe { entries(maps.asked.as_fd(), abi::QUESTIONS, visit) }
}

/// The same for the datagrams that come in fragments.
pub fn datagrams(maps: &Maps, visit: impl FnMut(&FragmentKey, &Datagram)) -> io::Result<()> {
    // SAFETY: keys and values are those of that table.
    unsafe { entries(maps.fragments.as_fd(), abi::DATAGRAMS, visit) }
}

/// # Safety
/// Keys and values are those of the map, and every bit pattern is one.
unsafe fn entries<K: Clone + Default, V: Default>(
    map: BorrowedFd<'_>,
    room: u32,
    mut visit: impl FnMut(&K, &V),
) -> io::Result<()> {
    let mut size = BATCH.min(room as usize);
    let mut cursor = Cursor::default();
    loop {
        let mut keys = vec![K::default(); size];
        let mut values: Vec<V> = std::iter::repeat_with(V::default).take(size).collect();
        // SAFETY: the caller's promise; as many of each as said.
        let read = unsafe { sys::map_lookup_batch(map, cursor, &mut keys, &mut values) };
        let (count, next) = match read {
            Ok(read) => read,
            // One bucket held more than a batch.
            Err(error) if error.raw_os_error() == Some(nix::libc::ENOSPC) => {
                size *= 2;
                continue;
            }
            Err(error) => return Err(error),
        };
        for (key, value) in keys.iter().zip(&values).take(count) {
            visit(key, value);
        }
        match next {
            Some(next) => cursor = next,
            None => return Ok(()),
        }
    }
}
