//! Two choices for every entry, buckets of a few: a lookup reads at most two lines, however full
//! the table and whoever chose the keys.

/// How often an entry may push another out before the seed is given up.
const KICKS: u32 = 512;

/// No entry.
pub(super) const EMPTY: u32 = u32::MAX;

/// The entries of every bucket, by index; none if they do not fit with this seed.
pub(super) fn place<const WAYS: usize>(
    choices: Vec<[u32; 2]>,
    buckets: u32,
    seed: u64,
) -> Option<Vec<[u32; WAYS]>> {
    let mut table = vec![[EMPTY; WAYS]; buckets as usize];
    let mut random = seed | 1;
    for index in 0..u32::try_from(choices.len()).ok()? {
        let mut entry = index;
        let mut avoided = EMPTY;
        let mut kicks = 0;
        loop {
            let [one, other] = choices[entry as usize];
            if settle(&mut table[one as usize], entry) || settle(&mut table[other as usize], entry)
            {
                break;
            }
            if kicks == KICKS {
                return None;
            }
            kicks += 1;
            // Never straight back to where it was pushed out from.
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let flip = random >> 63 == 0;
            let bucket = match (one == avoided, other == avoided) {
                (true, _) => other,
                (false, true) => one,
                (false, false) => {
                    if flip {
                        one
                    } else {
                        other
                    }
                }
            };
            let way = (random >> 32) as usize % WAYS;
            entry = std::mem::replace(&mut table[bucket as usize][way], entry);
            avoided = bucket;
        }
    }
    Some(table)
}

fn settle<const WAYS: usize>(bucket: &mut [u32; WAYS], entry: u32) -> bool {
    let free = bucket.iter_mut().find(|place| **place == EMPTY);
    free.map(|place| *place = entry).is_some()
}
