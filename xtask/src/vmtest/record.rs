//! What the verifier had to do on every kernel, in a file of the repository's: a change that makes
//! a program harder to verify is seen where changes are reviewed.

use std::fs;

use anyhow::{Context as _, Result};

use super::kernel::{self, Series};
use super::report::Record;
use crate::workspace;

/// Instructions after which the kernel gives up (`BPF_COMPLEXITY_LIMIT_INSNS`).
const INSTRUCTIONS: u32 = 1_000_000;
/// What we want to stay below: a quarter of that, and of 512 bytes of stack these.
const TARGET: (u32, u32) = (INSTRUCTIONS / 4, 400);

const HEAD: &str = "\
# What the verifier says

Written by `cargo xtask vmtest`. Linux gives up at 1,000,000 instructions or 512 bytes of stack; the
target is a quarter of the first and 400 bytes. Stack is that of the deepest chain of calls, as the
JIT compiler for x86-64 reserves it.

| kernel | program | verified instructions | of the limit | stack, bytes | target |
|---|---|---:|---:|---:|---|
";

/// Prints the table, and keeps it; what was recorded of kernels that were not tried stays.
pub(super) fn keep(found: &[(Series, &str, &[Record])]) -> Result<()> {
    if found.is_empty() {
        return Ok(());
    }
    let path = workspace::root().join("tests/verifier.md");
    let before = fs::read_to_string(&path).unwrap_or_default();
    let mut table = HEAD.to_owned();
    for series in kernel::ALL {
        let rows = match found.iter().find(|(tried, ..)| *tried == series) {
            Some((_, release, records)) => {
                records.iter().map(|record| row(release, record)).collect()
            }
            None => rows_of(&before, series),
        };
        table.extend(rows.into_iter().map(|row| row + "\n"));
    }
    println!("\n{table}");
    if table != before {
        fs::write(&path, table).with_context(|| format!("cannot write {}", path.display()))?;
        eprintln!("vmtest: {} has changed; commit it", path.display());
    }
    Ok(())
}

fn row(release: &str, record: &Record) -> String {
    let Record { program, instructions, stack } = record;
    let share = f64::from(*instructions) * 100.0 / f64::from(INSTRUCTIONS);
    let met = match (*instructions <= TARGET.0, *stack <= TARGET.1) {
        (true, true) => "met",
        (false, true) => "instructions missed",
        (true, false) => "stack missed",
        (false, false) => "both missed",
    };
    format!("| {release} | {program} | {instructions} | {share:.1} % | {stack} | {met} |")
}

fn rows_of(table: &str, series: Series) -> Vec<String> {
    let start = format!("| {}.", series.name());
    table.lines().filter(|line| line.starts_with(&start)).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_says_whether_the_target_is_met_and_is_found_again_by_its_series() {
        let record = |instructions, stack| Record { program: "cordon".into(), instructions, stack };
        let rows = [
            row("6.1.0-56-cloud-amd64", &record(298_831, 416)),
            row("6.12.117+deb12-cloud-amd64", &record(144_313, 392)),
        ];
        let expected = [
            "| 6.1.0-56-cloud-amd64 | cordon | 298831 | 29.9 % | 416 | both missed |",
            "| 6.12.117+deb12-cloud-amd64 | cordon | 144313 | 14.4 % | 392 | met |",
        ];
        assert_eq!(rows, expected);
        let table = rows.join("\n");
        assert_eq!(rows_of(&table, Series::V6_1), [expected[0]]);
        assert_eq!(rows_of(&table, Series::V6_12), [expected[1]]);
    }
}
