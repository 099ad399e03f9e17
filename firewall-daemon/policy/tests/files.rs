//! However a policy is spread over files, and whoever reads them at once, it says the same.
#![expect(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

use std::fmt::Write as _;

use firewall_policy::{
    Capacity, Change, Policy, Ports, SequentialSlots, Sources, compile, resolve,
};

/// Enough for several threads.
const NODES: usize = 6000;
const HEAD: &str = "version = 1\n\
    [subnetwork.a]\nport = \"inside\"\nnetworks = [\"10.0.0.0/16\"]\n\
    [subnetwork.b]\nport = \"outside\"\nnetworks = [\"10.1.0.0/16\"]\n\
    [application.x]\ntcp = [\"1\"]\n";

/// Nodes and rules, a table each. Every so many of them are wrong, in all the ways that have to do with
/// others.
fn tables(every: Option<usize>) -> Vec<String> {
    let mut tables = Vec::new();
    for number in 0..NODES {
        let (side, network) = if number % 2 == 0 { ("a", 0) } else { ("b", 1) };
        let [high, low] = [number / 200, 1 + number % 200];
        let mut name = format!("n-{number}");
        let mut rule = format!("r-{number}");
        let (mut subnetwork, mut receiver) = (side.to_owned(), format!("n-{}", number | 1));
        let mut address = format!("10.{network}.{high}.{low}");
        match every.filter(|every| number % every == every - 1).map(|every| number / every % 6) {
            Some(0) => name = format!("n-{}", number - 2),
            Some(1) => subnetwork = "c".to_owned(),
            Some(2) => address = format!("10.{network}.{high}.{}", low - 2),
            Some(3) => receiver = "nobody".to_owned(),
            Some(4) => receiver = "b/nothing".to_owned(),
            Some(_) => rule = format!("r-{}", number - 1),
            None => {}
        }
        let mut table = String::new();
        writeln!(table, "[node.{name}]\nsubnetwork = \"{subnetwork}\"").unwrap();
        writeln!(table, "addresses = [\"{address}\"]\nroles = [\"r{}\"]", number % 3).unwrap();
        tables.push(table);
        tables.push(format!(
            "[[allow]]\nname = \"{rule}\"\nfrom = [\"n-{}\"]\nto = [\"{receiver}\"]\n\
             applications = [\"x\"]\n",
            number & !1
        ));
    }
    tables
}

fn spread(tables: &[String], files: usize) -> Sources {
    let parts = tables.chunks(tables.len().div_ceil(files)).map(<[String]>::concat);
    let parts = parts.enumerate().map(|(number, text)| (format!("{:02}.toml", number + 1), text));
    Sources::from_texts([("00.toml".to_owned(), HEAD.to_owned())].into_iter().chain(parts))
}

fn ports() -> Ports {
    let ports = [("inside", 1), ("outside", 0)];
    Ports::paired(ports.map(|(name, peer)| (name.to_owned(), Some(firewall_common::Port(peer)))))
}

#[test]
fn a_policy_in_many_files_says_what_it_says_in_one() {
    let tables = tables(None);
    let policy = |files| resolve(&spread(&tables, files), &ports()).unwrap().policy;
    let image = |policy: &Policy| {
        let capacity = Capacity::new(10_000, 10_000, 1);
        let image = compile(policy, &mut SequentialSlots::new(), 7, &capacity).unwrap();
        let mut lines = image.lines;
        // The header names the files' digest.
        lines.remove(0);
        lines
    };
    let one = policy(1);
    for files in [2, 7, 50] {
        let other = policy(files);
        assert!(Change::between(Some(&one), &other).is_empty());
        assert_eq!(image(&one), image(&other));
    }
}

#[test]
fn what_is_wrong_in_many_files_is_what_is_wrong_in_one() {
    let tables = tables(Some(500));
    let found = |files| {
        let sources = spread(&tables, files);
        let found = resolve(&sources, &ports()).unwrap_err().records(&sources);
        found.into_iter().map(|record| (record.code, record.message, record.help)).collect()
    };
    let one: Vec<_> = found(1);
    assert!(one.len() > 12, "{one:?}");
    for files in [2, 7, 50] {
        assert_eq!(one, found(files));
        assert_eq!(found(files), found(files));
    }
}
