//! What is read without a tree says the same as with one.

use proptest::prelude::*;
use proptest::sample::Index;

use super::*;
use crate::spec::whole;

const TEMPLATE: &str = include_str!("../../../../../policies/template/policy.toml");

/// What both readers say, if the file is plain.
fn both(text: &str) -> Option<[Part<'_>; 2]> {
    let letters = Letters::new(3, text);
    let tokens = letters.tokens();
    Some([read(letters, &tokens)?, whole(letters, &tokens)])
}

fn is_plain(text: &str) -> bool {
    let Some([plain, whole]) = both(text) else { return false };
    assert_eq!(plain, whole, "{text}");
    true
}

#[test]
fn the_template_is_plain_and_reads_the_same_as_a_tree() {
    assert!(is_plain(TEMPLATE));
    assert!(is_plain(&TEMPLATE.replace('\n', "\r\n")));
    assert!(is_plain(&format!("\u{feff}{TEMPLATE}")));
    assert!(is_plain(""));
}

#[test]
fn what_is_not_plain_or_not_right_is_read_as_a_whole() {
    let cases = [
        (true, "version = 1"),
        (true, "[ node . \"a b\" ] # x\nsubnetwork = 's'\naddresses = [ # y\n\"a\",\n]"),
        (
            true,
            "[node.a]\nsubnetwork = \"\\u0061\"\naddresses = [\"a\"]\n[application.a]\ntcp = [\"1\"]",
        ),
        (false, "version = 2"),
        (false, "version = 1\nversion = 1"),
        (false, "node.a.subnetwork = \"s\"\nnode.a.addresses = [\"a\"]"),
        (false, "node = {}"),
        (false, "[node]\na = {subnetwork = \"s\", addresses = [\"a\"]}"),
        (false, "[node.\"\\u0061\"]\nsubnetwork = \"s\"\naddresses = [\"a\"]"),
        (false, "[node.a]\nsubnetwork = \"s\"\naddresses = [[\"a\"]]"),
        (false, "[node.a]\nsubnetwork = \"s\"\naddresses = [\"\"]"),
        (false, "[node.a]\nsubnetwork = \"s\"\naddresses = [\"a\"]\nx = 1"),
        (false, "[node.a]\nsubnetwork = \"s\"\nsubnetwork = \"s\"\naddresses = [\"a\"]"),
        (false, "[node.a]\nsubnetwork = \"s\"\naddresses = [\"a\"]\n[node.a.b]"),
        (false, "[node.a]\nsubnetwork = \"s\"\naddresses = [\"a\"]\n[node.a]"),
        (false, "[node.a]\nsubnetwork = \"s\""),
        (false, "[node.a.b]"),
        (false, "[[node.a]]"),
        (false, "[[node]]"),
        (false, "[allow]"),
        (false, "[allow.a]"),
        (false, "[elsewhere.a]"),
        (false, "[node.a"),
        (false, "[application.a]\ntcp = [\"1\"] \r"),
    ];
    for (is, text) in cases {
        assert_eq!(is_plain(text), is, "{text}");
    }
}

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
    "\r\n",
    " ",
    ",",
    "0",
    "ä",
    "\u{0}",
    "\"\"",
    "\"\"\"",
    "'''",
    "true",
    "{}",
    "vlan = 1\n",
    "version = 1\n",
    "essential = true\n",
    "[node.b]\n",
    "[[allow]]\n",
    "[allow]\n",
    "[node.a.b]\n",
    "[application.\"a\"]\n",
    "tcp = [\"1\", '2', 3]\n",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_done_to_a_policy_both_ways_to_read_it_agree(
        edits in prop::collection::vec((any::<Index>(), 0_usize..20, prop::sample::select(SCRAPS)), 1..4),
    ) {
        let mut lines: Vec<String> = TEMPLATE.lines().map(|line| format!("{line}\n")).collect();
        for (place, length, scrap) in edits {
            if length > 10 {
                // A whole line more: more often than not what comes of it is plain.
                lines.insert(place.index(lines.len() + 1), scrap.to_owned());
                continue;
            }
            let index = place.index(lines.len());
            let mut line: Vec<char> = lines[index].chars().collect();
            let start = place.index(line.len() + 1);
            let end = (start + length).min(line.len());
            line.splice(start..end, scrap.chars());
            lines[index] = line.into_iter().collect();
        }
        if let Some([plain, whole]) = both(&lines.concat()) {
            prop_assert_eq!(plain, whole, "{}", lines.concat());
        }
    }
}
