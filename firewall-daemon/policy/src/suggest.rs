//! "Did you mean ...?"

/// Beyond so many complaints nobody reads suggestions, and each costs a look at every name.
const ENOUGH: usize = 100;

/// A help line, if one of the names is close to what was written.
pub(crate) fn did_you_mean<'n>(
    written: &str,
    names: impl Iterator<Item = &'n str>,
    complaints: usize,
) -> Option<String> {
    if complaints >= ENOUGH || written.len() > 64 {
        return None;
    }
    let length = written.chars().count();
    let limit = (length / 3 + 1).min(length.saturating_sub(1));
    let near = names.filter_map(|name| Some((distance(written, name, limit)?, name)));
    let (_, name) = near.min()?;
    Some(format!("did you mean `{name}`?"))
}

/// Letters to insert, remove, replace or swap with their neighbour, if no more than `limit`.
fn distance(one: &str, other: &str, limit: usize) -> Option<usize> {
    let one: Vec<char> = one.chars().flat_map(char::to_lowercase).collect();
    let other: Vec<char> = other.chars().flat_map(char::to_lowercase).collect();
    if one.len().abs_diff(other.len()) > limit {
        return None;
    }
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=other.len()).collect();
    for (row, &letter) in one.iter().enumerate() {
        let mut current = vec![row + 1];
        for (column, &wanted) in other.iter().enumerate() {
            let replaced = last[column] + usize::from(letter != wanted);
            let mut best = replaced.min(last[column + 1] + 1).min(current[column] + 1);
            let is_swap =
                row > 0 && column > 0 && letter == other[column - 1] && wanted == one[row - 1];
            if is_swap {
                best = best.min(before[column - 1] + 1);
            }
            current.push(best);
        }
        before = std::mem::replace(&mut last, current);
    }
    last.last().copied().filter(|&distance| distance <= limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_pen_is_recognised() {
        let names = || ["radiology", "hospital", "pacs"].into_iter();
        let suggest = |written| did_you_mean(written, names(), 0);
        assert_eq!(suggest("raidology").unwrap(), "did you mean `radiology`?");
        assert_eq!(suggest("PACS").unwrap(), "did you mean `pacs`?");
        assert_eq!(suggest("laboratory"), None);
        assert_eq!(did_you_mean("pac", names(), ENOUGH), None);
    }
}
