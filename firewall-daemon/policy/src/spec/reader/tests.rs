//! A document reads as the `toml` crate reads it, places included.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::sample::Index;
use toml::de::{DeTable, DeValue};
use toml::value::Datetime;

use super::*;

/// Values and tables as both readers understand them, each with its place.
#[derive(Debug, PartialEq)]
enum Seen {
    Text(String),
    Integer(Option<i64>),
    Float,
    Date,
    Flag(bool),
    List(Vec<Placed>),
    Table(BTreeMap<String, (Places, Placed)>),
}

type Places = (usize, usize);
type Placed = (Places, Seen);

fn document(text: &str) -> Document<'_> {
    let letters = Letters::new(3, text);
    read(letters, &letters.tokens())
}

fn ours(text: &str) -> Option<Seen> {
    let Document { fields, found, is_broken } = document(text);
    (found.is_empty() && !is_broken).then(|| our_table(fields))
}

fn our_table(fields: Fields<'_>) -> Seen {
    let list = fields.into_list().into_iter();
    Seen::Table(
        list.map(|(key, value)| {
            let place = places(key.span);
            (key.value.into_owned(), (place, our_value(value)))
        })
        .collect(),
    )
}

fn our_value(At { value, span }: At<Value<'_>>) -> Placed {
    assert_eq!(span.file(), 3);
    let seen = match value {
        Value::Text(text) => Seen::Text(text.into_owned()),
        Value::Integer(integer) => Seen::Integer(integer.value),
        Value::Float => Seen::Float,
        Value::Date(_) => Seen::Date,
        Value::Flag(flag) => Seen::Flag(flag),
        Value::List(list) => Seen::List(list.into_items().into_iter().map(our_value).collect()),
        Value::Tables(tables) => Seen::List(tables.into_iter().map(our_value).collect()),
        Value::Table(fields) => our_table(fields),
    };
    (places(span), seen)
}

fn places(span: Span) -> Places {
    (span.range().start, span.range().end)
}

/// Dates that do not exist are no concern of ours: no key takes any.
fn theirs(text: &str) -> Option<Seen> {
    let (table, errors) = DeTable::parse_recoverable(text);
    let is_read = errors.iter().all(|error| {
        let date = text[error.span().unwrap_or_default()].parse::<Datetime>();
        date.is_err_and(|no_date| no_date.to_string() == error.message())
    });
    is_read.then(|| their_table(table.into_inner()))
}

fn their_table(table: DeTable<'_>) -> Seen {
    Seen::Table(
        table
            .into_iter()
            .map(|(key, value)| {
                let place = (key.span().start, key.span().end);
                (key.into_inner().into_owned(), (place, their_value(value)))
            })
            .collect(),
    )
}

fn their_value(value: toml::Spanned<DeValue<'_>>) -> Placed {
    let place = (value.span().start, value.span().end);
    let seen = match value.into_inner() {
        DeValue::String(text) => Seen::Text(text.into_owned()),
        DeValue::Integer(integer) => {
            Seen::Integer(i64::from_str_radix(integer.as_str(), integer.radix()).ok())
        }
        DeValue::Float(_) => Seen::Float,
        DeValue::Datetime(_) => Seen::Date,
        DeValue::Boolean(flag) => Seen::Flag(flag),
        DeValue::Array(array) => Seen::List(array.into_iter().map(their_value).collect()),
        DeValue::Table(table) => their_table(table),
    };
    (place, seen)
}

const POLICY: &str = r#"# a comment, wörtlich
version = 1	# another
[subnetwork.radiology] # and one
description = "CT	rooms, Störung # no comment"
port="inside"
vlan = 120
  networks = [ "10.20.0.0/24",
     "fd00:20::/64" , # both
  ]
[node.ct-1]

subnetwork = "radiology"
addresses = ["10.20.0.11", "fd00:20::11",]
mac = '02:00:00:20:00:11'
roles = ["modality", "\u00e4", ""]
inline = { a.b = 1, a.c = [{ d = 0x10 }, {}], "e f" = """
g""" }
[node.ct-1.more]
a.b = 1979-05-27
a.c = -1_000
[node]
ct-2.subnetwork = "x"
[application.nothing]
[[allow]]
name = "images"
essential = true
[[allow.deep]]
name = 1e3
[[allow.deep]]
[[allow]]
name = "more"
from = []
essential = false"#;

#[test]
fn a_policy_reads_as_the_other_reader_reads_it() {
    assert!(ours(POLICY).is_some());
    assert_eq!(ours(POLICY), theirs(POLICY));
    assert_eq!(ours(""), theirs(""));
    let carriage_returns = POLICY.replace('\n', "\r\n");
    assert_eq!(ours(&carriage_returns), theirs(&carriage_returns));
    let marked = format!("\u{feff}{POLICY}");
    assert_eq!(ours(&marked), theirs(&marked));
}

#[test]
fn what_may_be_defined_twice_is_what_toml_says() {
    let cases = [
        (true, "[a.b]\n[a]"),
        (true, "[a.b]\n[a]\nc = 1\n[a.d]"),
        (true, "a.b = 1\na.c = 2"),
        (true, "[a]\nb.c = 1\n[a.b.d]"),
        (true, "[[a]]\nb = 1\n[a.c]\n[[a]]\nb = 1\n[a.c]"),
        (true, "[a.b]\n[a]\nc.d = 1\nc.e = 1"),
        (true, "a = {b.c = 1, b.d = 2}"),
        (true, "a = [{b = 1}, {b = 1}]"),
        (false, "[a]\n[a]"),
        (false, "a = 1\na = 1"),
        (false, "a = 1\n\"a\" = 1"),
        (false, "a.b = 1\n[a]"),
        (false, "[a]\nb.c = 1\n[a.b]"),
        (false, "[a.b]\n[a]\nb.c = 1"),
        (false, "[a.b.c]\n[a]\nb.d = 1\n[a.b]"),
        (false, "a = 1\n[a]"),
        (false, "a = 1\n[a.b]"),
        (false, "a = 1\na.b = 1"),
        (false, "a = {}\n[a.b]"),
        (false, "a = {}\na.b = 1"),
        (false, "a = {b = {}, b.c = 1}"),
        (false, "a = {b.c = 1, b = 1}"),
        (false, "a = {b = 1, b = 1}"),
        (false, "a = []\n[[a]]"),
        (false, "a = [{}]\n[a.b]"),
        (false, "[a]\n[[a]]"),
        (false, "[[a]]\n[a]"),
        (false, "[a.b]\n[[a]]"),
        (false, "[[a.b]]\n[a]\nb.c = 1"),
    ];
    for (is_fine, text) in cases {
        assert_eq!(ours(text).is_some(), is_fine, "{text}");
        assert_eq!(ours(text), theirs(text), "{text}");
    }
    // The other reader adds to the last table here, which TOML forbids.
    assert!(ours("[[a.b]]\n[a]\nb.c.d = 1").is_none());
}

#[test]
fn a_table_of_many_keys_knows_which_stand_twice() {
    let mut text = String::new();
    for key in 0..100 {
        text += &format!("\"\\u006b{key}\" = {key}\n");
    }
    assert!(ours(&text).is_some());
    assert_eq!(ours(&text), theirs(&text));
    for key in [0, 15, 16, 17, 99] {
        let text = format!("{text}k{key} = 1\n");
        let found = document(&text).found;
        let [one] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!(one.message, format!("`k{key}` is defined twice"));
    }
}

#[test]
fn what_is_nested_too_deep_is_refused() {
    let lists = |depth: usize| format!("a = {}{}", "[".repeat(depth), "]".repeat(depth));
    let keys = |depth: usize| format!("{}a = 1", "a.".repeat(depth - 1));
    let header = |depth: usize| format!("[{}a]", "a.".repeat(depth - 1));
    for text in [lists(80), keys(80), header(80)] {
        assert!(ours(&text).is_some(), "{text}");
        assert_eq!(ours(&text), theirs(&text), "{text}");
    }
    for text in [lists(81), keys(81), header(81), lists(100_000), keys(100_000)] {
        let Document { found, is_broken, .. } = document(&text);
        assert!(is_broken);
        assert_eq!(found.len(), 1);
        assert!(theirs(&text).is_none());
    }
}

/// Pieces of TOML, and what comes close to them.
const SCRAPS: &[&str] = &[
    "",
    "\"",
    "[",
    "]",
    "=",
    ".",
    "#",
    "'",
    "\\",
    "\n",
    "\r",
    "\r\n",
    "\t",
    " ",
    ",",
    "0",
    "01",
    "1_0",
    "-",
    "+",
    "\u{0}",
    "\u{7f}",
    "ä",
    "\"\"",
    "\"\"\"",
    "true",
    "inf",
    "{}",
    "{a = 1}",
    "vlan = 1\n",
    "[node.ct-1]\n",
    "[[node]]\n",
    "[allow]\n",
    "[node.ct-1.more.a]\n",
    "[a.b.c]\n",
    "node.x.y = 1\n",
    "allow.x = 1\n",
    "mac = \"x\"\n",
    "[node.\"q\"]\n",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_done_to_a_policy_it_reads_as_the_other_reader_reads_it(
        edits in prop::collection::vec((any::<Index>(), 0_usize..20, prop::sample::select(SCRAPS)), 1..4),
    ) {
        let mut text: Vec<char> = POLICY.chars().collect();
        for (place, length, scrap) in edits {
            let start = place.index(text.len() + 1);
            let end = (start + if length > 10 { 0 } else { length }).min(text.len());
            text.splice(start..end, scrap.chars());
        }
        let text: String = text.into_iter().collect();
        prop_assert_eq!(ours(&text), theirs(&text), "{}", text);
    }
}
