//! Two choices for every entry, buckets of a few: a lookup reads at most two lines, however full
//! the table and whoever chose the keys.
//!
//! Placed by local search allocation (Khosla, "Balls into Bins Made Faster", ESA 2013): every bucket
//! knows how many entries must move at least before it has room, and an entry goes where that is fewer.
//! At 89 % that is one move for two entries; where chance decides who moves, it is four for each.

/// How often an entry may push another out before the seed is given up; 2000 are rare.
const KICKS: u32 = 4096;

/// So many moves at least, and the seed is given up.
const FARTHEST: u8 = 64;

/// No entry.
pub(super) const EMPTY: u32 = u32::MAX;

/// The entries of every bucket, by index; none if they do not fit with this seed.
pub(super) fn place<const WAYS: usize>(
    choices: Vec<[u32; 2]>,
    buckets: u32,
) -> Option<Vec<[u32; WAYS]>> {
    let count = u32::try_from(choices.len()).ok()?;
    let places = vec![[EMPTY; WAYS]; buckets as usize];
    let mut table = Table { choices, places, moves: vec![0; buckets as usize] };
    (0..count).try_for_each(|entry| table.insert(entry))?;
    Some(table.places)
}

struct Table<const WAYS: usize> {
    choices: Vec<[u32; 2]>,
    places: Vec<[u32; WAYS]>,
    /// By bucket: how many entries must move at least before it has room.
    moves: Vec<u8>,
}

impl<const WAYS: usize> Table<WAYS> {
    fn insert(&mut self, mut entry: u32) -> Option<()> {
        for _ in 0..=KICKS {
            let [one, other] = self.choices[entry as usize];
            let bucket =
                if self.moves[one as usize] <= self.moves[other as usize] { one } else { other };
            let places = &mut self.places[bucket as usize];
            if let Some(free) = places.iter_mut().find(|place| **place == EMPTY) {
                *free = entry;
                if !places.contains(&EMPTY) {
                    self.moves[bucket as usize] = 1;
                }
                return Some(());
            }
            if self.moves[bucket as usize] >= FARTHEST {
                return None;
            }
            let (way, _) = self.nearest(bucket);
            entry = std::mem::replace(&mut self.places[bucket as usize][way], entry);
            self.moves[bucket as usize] = self.nearest(bucket).1.saturating_add(1);
        }
        None
    }

    /// Which entry of a full bucket is the one to move, and how many more must.
    fn nearest(&self, bucket: u32) -> (usize, u8) {
        let places = &self.places[bucket as usize];
        let moves = places.iter().map(|&entry| {
            let [one, other] = self.choices[entry as usize];
            self.moves[if one == bucket { other } else { one } as usize]
        });
        moves.enumerate().min_by_key(|(_, moves)| *moves).unwrap_or_default()
    }
}
