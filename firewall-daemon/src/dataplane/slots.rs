//! Which name owns which slot. The slots index counters and standings that live in the kernel, so
//! their owners live there too, beside them: both are gone after a reboot, neither before.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::SeqCst;

use firewall_common::image::SUBNETWORKS;
use firewall_common::{NodeSlot, RuleSlot, SubnetworkSlot};
use firewall_policy::{Names, SlotSource};
use foldhash::{HashMap, HashSet};
use sha2::{Digest, Sha256};

use super::maps::Maps;
use crate::fault::{self, Step};

/// The slots of the pinned maps.
pub struct Slots {
    maps: Arc<Maps>,
    subnetworks: Region,
    nodes: Region,
    rules: Region,
}

/// The slots of one kind.
struct Region {
    /// Where their owners are in the map; the first of them is slot 0, which nobody owns.
    places: Range<usize>,
    /// By the hash of the owner's name.
    taken: HashMap<u64, u32>,
    /// No slot below is free.
    next: u32,
}

impl Slots {
    /// As the maps say.
    pub fn new(maps: Arc<Maps>) -> Self {
        let [subnetworks, nodes, rules] = places(&maps);
        let region = |places| Region::read(&maps, places);
        let (subnetworks, nodes, rules) = (region(subnetworks), region(nodes), region(rules));
        Self { maps, subnetworks, nodes, rules }
    }

    /// Frees the slots whose owners are not in any of these policies, and forgets what was counted
    /// and granted under them.
    /// `stopped` are subnetworks whose stop must not be forgotten.
    pub fn reclaim(&mut self, live: &[&Names], stopped: &[String]) {
        let hashes = |names: Vec<&str>| names.into_iter().map(hash).collect::<Vec<_>>();
        let nodes = live.iter().flat_map(|names| names.nodes().iter().map(|node| &*node.name));
        let nodes = hashes(nodes.collect());
        let rules = live.iter().flat_map(|names| names.rules().iter().map(|rule| &*rule.name));
        let rules = hashes(rules.collect());
        let subnetworks =
            live.iter().flat_map(|names| names.subnetworks().iter().map(|named| &*named.name));
        let subnetworks = subnetworks.chain(stopped.iter().map(String::as_str));
        let subnetworks = hashes(subnetworks.collect());
        for slot in self.subnetworks.reclaim(&self.maps, &subnetworks) {
            if let Some(state) = self.maps.subnetworks.get(slot as usize) {
                state.stop.store(0);
            }
        }
        for slot in self.nodes.reclaim(&self.maps, &nodes) {
            if let Some(state) = self.maps.nodes.get(slot as usize) {
                state.set_isolated(false);
                state.set_lease_end(firewall_common::Ticks(0));
            }
        }
        for slot in self.rules.reclaim(&self.maps, &rules) {
            super::read::forget_rule(&self.maps, RuleSlot(slot));
        }
    }
}

/// The slot of a subnetwork that has one, in the policy in force or not.
pub fn subnetwork(maps: &Maps, name: &str) -> Option<SubnetworkSlot> {
    find_in(&maps.names, name)
}

impl SlotSource for Slots {
    fn node(&mut self, name: &str) -> Option<NodeSlot> {
        self.nodes.take(&self.maps, name).map(NodeSlot)
    }

    fn rule(&mut self, name: &str) -> Option<RuleSlot> {
        self.rules.take(&self.maps, name).map(RuleSlot)
    }

    fn subnetwork(&mut self, name: &str) -> Option<SubnetworkSlot> {
        let slot = self.subnetworks.take(&self.maps, name)?;
        u16::try_from(slot).ok().map(SubnetworkSlot)
    }
}

impl Region {
    fn read(maps: &Maps, places: Range<usize>) -> Self {
        let owners = maps.names.get(places.clone()).unwrap_or_default();
        let owners = (0..).zip(owners).map(|(slot, owner)| (owner.load(SeqCst), slot));
        let taken = owners.filter(|(owner, _)| *owner != 0).collect();
        Self { places, taken, next: 1 }
    }

    fn take(&mut self, maps: &Maps, name: &str) -> Option<u32> {
        let owner = hash(name);
        if let Some(slot) = self.taken.get(&owner) {
            return Some(*slot);
        }
        fault::before(Step::TakeSlot);
        let places = maps.names.get(self.places.clone())?;
        // Sliced, not skipped: skipping walks there, once for every new name.
        let mut free = (self.next..).zip(places.get(self.next as usize..)?);
        let (slot, place) = free.find(|(_, place)| place.load(SeqCst) == 0)?;
        place.store(owner, SeqCst);
        self.next = slot + 1;
        self.taken.insert(owner, slot);
        Some(slot)
    }

    fn reclaim(&mut self, maps: &Maps, live: &[u64]) -> Vec<u32> {
        let live: HashSet<_> = live.iter().collect();
        let dead: Vec<_> = self.taken.extract_if(|owner, _| !live.contains(owner)).collect();
        self.next = 1;
        for (_, slot) in &dead {
            if let Some(place) = maps.names.get(self.places.start + *slot as usize) {
                place.store(0, SeqCst);
            }
        }
        dead.into_iter().map(|(_, slot)| slot).collect()
    }
}

/// The slot of a subnetwork that has one, without taking any. `names` is the map of owners.
pub fn find_in(names: &[AtomicU64], name: &str) -> Option<SubnetworkSlot> {
    let owner = hash(name);
    let places = names.get(..SUBNETWORKS as usize)?;
    let slot = places.iter().position(|place| place.load(SeqCst) == owner)?;
    u16::try_from(slot).ok().map(SubnetworkSlot)
}

/// Subnetworks come first, so that they are found whatever the capacities.
fn places(maps: &Maps) -> [Range<usize>; 3] {
    let subnetworks = SUBNETWORKS as usize;
    let nodes = subnetworks + maps.sizes.nodes as usize + 1;
    let rules = nodes + maps.sizes.rules as usize + 1;
    [0..subnetworks, subnetworks..nodes, nodes..rules]
}

/// Never 0. Two of a million names collide with a chance of 3 in 10^8.
fn hash(name: &str) -> u64 {
    let digest = Sha256::digest(name);
    digest.first_chunk().map_or(1, |bytes| u64::from_le_bytes(*bytes)).max(1)
}
