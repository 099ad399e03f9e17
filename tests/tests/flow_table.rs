//! The table of flows against a map, and under several threads at once.
#![expect(clippy::unwrap_used, reason = "helpers of tests panic like tests")]

use std::{
    collections::{BTreeSet, HashMap},
    net::Ipv4Addr,
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    thread,
};

use firewall_common::{
    Port, RuleSlot,
    flow::{
        End, Flow, FlowKey, Grant,
        table::{self, Bucket, FlowTable, Found, Look, Seed, Slot},
    },
    tables::Full,
    word::Word64,
};
use proptest::prelude::*;

struct Table {
    seed: Seed,
    buckets: Vec<Bucket>,
    slots: Vec<Slot>,
}

impl Table {
    fn new(buckets: u32, seed: [u64; 5]) -> Self {
        Self {
            seed: seed.map(Word64::new),
            buckets: (0..buckets).map(|_| Bucket::default()).collect(),
            slots: (0..buckets * table::WAYS).map(|_| Slot::default()).collect(),
        }
    }

    /// The rule of the flow of that key, however it is looked for.
    #[track_caller]
    fn find(&self, key: &FlowKey) -> Option<u32> {
        let found = table::find(self, key);
        let flow = found.map(|found| self.slot(found.slot).unwrap().flow());
        let established = found.is_some_and(|found| found.established);
        match table::look(self, key) {
            Look::Found(seen) => {
                assert!(established && flow.is_some_and(|flow| std::ptr::eq(flow, seen)));
            }
            Look::Absent => assert!(found.is_none()),
            Look::Unsure => {}
        }
        flow.map(|flow| flow.rule().0)
    }

    /// Opens a flow that is answered at once.
    fn insert(&self, key: &FlowKey, flow: &Flow) -> Result<(), Full> {
        table::open(self, key, flow)?;
        let Found { slot, .. } = table::find(self, key).ok_or(Full)?;
        table::establish(self, key, slot)
    }

    fn remove(&self, key: &FlowKey) {
        if let Some(Found { slot, .. }) = table::find(self, key) {
            table::remove(self, key, slot);
        }
    }

    /// How many slots are somebody's, written or not.
    fn taken(&self) -> usize {
        let bytes =
            self.buckets.iter().flat_map(|bucket| bucket.load().to_le_bytes()[..6].to_vec());
        bytes.filter(|byte| *byte != 0).count()
    }
}

impl FlowTable for Table {
    fn count(&self) -> u32 {
        u32::try_from(self.buckets.len()).unwrap()
    }

    fn bucket(&self, index: u32) -> Option<&Bucket> {
        self.buckets.get(index as usize)
    }

    fn slot(&self, index: u32) -> Option<&Slot> {
        self.slots.get(index as usize)
    }

    fn seed(&self) -> Option<&Seed> {
        Some(&self.seed)
    }
}

fn key(number: u32) -> FlowKey {
    let end = |address: u32, port| End { address: Ipv4Addr::from_bits(address).into(), port };
    let port = u16::try_from(number & 0xff).unwrap();
    FlowKey::of(end(0x0a00_0001 + (number >> 8), port), end(0x0a01_0001, 104), 6, Port(0)).0
}

fn flow(rule: u32) -> Flow {
    let flow = Flow::default();
    flow.authorise(&Grant { rule: RuleSlot(rule), ..Grant::default() });
    flow
}

proptest! {
    #[test]
    fn it_holds_what_a_map_holds(
        seed in any::<[u64; 5]>(),
        buckets in 1_u32..12,
        steps in prop::collection::vec((0_u32..80, 0_u32..3), 1..400),
    ) {
        let (table, mut model) = (Table::new(buckets, seed), HashMap::new());
        for (number, act) in steps {
            let key = key(number);
            match act {
                0 => {
                    table.remove(&key);
                    model.remove(&number);
                }
                _ => match table.insert(&key, &flow(number)) {
                    Ok(()) => drop(model.insert(number, number)),
                    Err(_) => {
                        prop_assert!(!model.contains_key(&number));
                        prop_assert!(model.len() >= table::WAYS as usize);
                    }
                },
            }
            prop_assert_eq!(table.find(&key), model.get(&number).copied());
        }
        let mut held: Vec<u32> = table::flows(&table).map(|(_, flow, _)| flow.rule().0).collect();
        held.sort_unstable();
        let mut expected: Vec<u32> = model.into_keys().collect();
        expected.sort_unstable();
        prop_assert_eq!(table.taken(), expected.len());
        prop_assert_eq!(held, expected);
    }
}

proptest! {
    /// Whatever is opened, and however often: what is established stays, and what has just been opened is
    /// there unless all the slots it could have are established flows'.
    #[test]
    fn a_half_open_flow_gives_way_and_an_established_one_never(
        seed in any::<[u64; 5]>(),
        buckets in 1_u32..6,
        steps in prop::collection::vec((0_u32..200, 0_u32..4), 1..400),
    ) {
        let (table, mut established) = (Table::new(buckets, seed), BTreeSet::new());
        for (number, act) in steps {
            let key = key(number);
            match table::open(&table, &key, &flow(number)) {
                Ok(()) => prop_assert_eq!(table.find(&key), Some(number)),
                Err(Full) => prop_assert!(established.len() >= table::WAYS as usize),
            }
            if let (0, Some(found)) = (act, table::find(&table, &key)) {
                prop_assert_eq!(found.established, established.contains(&number));
                prop_assert!(table::establish(&table, &key, found.slot).is_ok());
                established.insert(number);
            }
        }
        let held: BTreeSet<_> = table::flows(&table)
            .filter_map(|(_, flow, established)| established.then_some(flow.rule().0))
            .collect();
        prop_assert_eq!(held, established);
    }
}

/// Where a flow has given way, whoever still holds its slot changes nothing of the next one's.
#[test]
fn a_flow_that_has_given_way_is_neither_established_nor_forgotten_in_the_name_of_the_next() {
    let table = Table::new(1, [1, 2, 3, 5, 7]);
    table::open(&table, &key(0), &flow(0)).unwrap();
    let Found { slot, .. } = table::find(&table, &key(0)).unwrap();
    let next = (1..).find(|number| {
        table::open(&table, &key(*number), &flow(*number)).unwrap();
        table::find(&table, &key(*number)).unwrap().slot == slot
    });
    let next = next.unwrap();
    assert_eq!(table::establish(&table, &key(0), slot), Err(Full));
    table::remove(&table, &key(0), slot);
    let expected = Some(Found { slot, established: false });
    assert_eq!(table::find(&table, &key(next)), expected);
}

#[test]
fn half_open_flows_give_way_in_the_order_they_came_in() {
    let table = Table::new(1, [1, 2, 3, 5, 7]);
    for number in 0..100 {
        table::open(&table, &key(number), &flow(number)).unwrap();
        let there = |number: &u32| table.find(&key(*number)).is_some();
        let first = (number + 1).saturating_sub(table::WAYS);
        assert!((first..=number).all(|number| there(&number)), "{number}");
        assert!(!(0..first).any(|number| there(&number)), "{number}");
    }
}

#[test]
fn it_takes_as_many_flows_as_it_is_made_for() {
    for flows in [1, 64, 1000, 1 << 16] {
        let table = Table::new(
            table::buckets_for(flows),
            [1, 2, 3, 5, 7].map(|word: u64| word.wrapping_mul(0x9e37_79b9_7f4a_7c15)),
        );
        for number in 0..flows {
            assert!(table.insert(&key(number), &flow(number)).is_ok(), "{number} of {flows}");
        }
        assert!((0..flows).all(|number| table.find(&key(number)) == Some(number)));
    }
}

/// Each thread has flows of its own, which nobody else may lose, and all share some, which each enters
/// and forgets as it likes; another sweeps the shared ones away. The buckets are so few that all meet.
#[test]
fn several_cpus_neither_lose_a_flow_nor_keep_one_twice() {
    const THREADS: u32 = 4;
    const OWN: u32 = 6;
    const SHARED: u32 = 10_000;
    let table = Table::new(
        8,
        [11, 13, 17, 19, 23].map(|word: u64| word.wrapping_mul(0x9e37_79b9_7f4a_7c15)),
    );
    let (over, entered) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                let (table, entered) = (&table, &entered);
                scope.spawn(move || {
                    for turn in 0..60_000 {
                        let own = 1 + thread * OWN + turn % OWN;
                        let shared = SHARED + turn % 3;
                        if table.insert(&key(own), &flow(own)).is_ok() {
                            entered.fetch_add(1, Relaxed);
                            assert_eq!(table.find_once(&key(own)), Some(own));
                            // No room for it is no error here.
                            let _ = table.insert(&key(shared), &flow(shared));
                            assert_eq!(table.find_once(&key(own)), Some(own));
                            table.remove(&key(own));
                        }
                        assert_eq!(table.find_once(&key(own)), None);
                        if turn % 2 == 0 {
                            table.remove(&key(shared));
                        }
                    }
                })
            })
            .collect();
        let sweeper = scope.spawn(|| {
            while !over.load(Relaxed) {
                for bucket in 0..table.count() {
                    table::sweep(&table, bucket, |flow| flow.rule().0 == SHARED);
                }
            }
        });
        let results: Vec<_> = threads.into_iter().map(|thread| thread.join()).collect();
        over.store(true, Relaxed);
        sweeper.join().unwrap();
        results.into_iter().for_each(Result::unwrap);
    });
    assert!(entered.load(Relaxed) > 100_000, "{entered:?}");
    let mut held: Vec<u32> = table::flows(&table).map(|(_, flow, _)| flow.rule().0).collect();
    let count = held.len();
    held.sort_unstable();
    held.dedup();
    assert_eq!(held.len(), count, "a flow is there twice");
    assert_eq!(table.taken(), count, "a slot is claimed for ever");
}

impl Table {
    fn find_once(&self, key: &FlowKey) -> Option<u32> {
        let Found { slot, .. } = table::find(self, key)?;
        Some(self.slot(slot)?.flow().rule().0)
    }
}
