//! Whatever stands in a policy directory: an answer, never a panic.

use firewall_policy::{Capacity, Ports, SequentialSlots, Sources, Style, compile, resolve};
use proptest::prelude::*;
use proptest::sample::Index;

const TEMPLATE: &str = include_str!("../../../policies/template/policy.toml");

/// Words of the language, and others that come close to them.
const SCRAPS: &[&str] = &[
    "",
    "\n",
    "\"",
    "[",
    "]",
    "[[",
    "]]",
    "=",
    ".",
    "/",
    "#",
    "'''",
    "[[allow]]\n",
    "[node.ct-1]\n",
    "[subnetwork.x]\n",
    "version = 1\n",
    "\"radiology/any\"",
    "\"hospital/*\"",
    "10.20.0.255",
    "0.0.0.0/0",
    "::/0",
    "::ffff:0:0/96",
    "fe80::1",
    "ff:ff:ff:ff:ff:ff",
    "65535-65535",
    "-1",
    "9223372036854775808",
    "0x78",
    "1979-05-27",
    "nan",
    "true",
    "{}",
    "[]",
    "\u{0}",
    "\u{202e}",
    "ä",
    "\\u0000",
    "any",
    "*",
    "essential",
    "networks",
    "routers",
    "inside",
    "outside",
];

fn try_out(sources: &Sources) {
    match resolve(sources, &Ports::unknown()) {
        Ok(resolved) => {
            resolved.warnings.render(sources, Style::Coloured);
            let mut slots = SequentialSlots::new();
            let _ = compile(&resolved.policy, &mut slots, 1, &Capacity::new(64, 64, 64));
        }
        Err(found) => {
            assert!(found.has_errors());
            found.render(sources, Style::Plain);
            found.records(sources);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_text_is_answered(one in any::<String>(), other in "[\\PC\n\\[\\]=\".]{0,200}") {
        try_out(&Sources::from_texts([("a.toml", one), ("b.toml", other)]));
    }

    #[test]
    fn a_mutated_template_is_answered(
        edits in prop::collection::vec((any::<Index>(), 0_usize..40, prop::sample::select(SCRAPS)), 1..6),
    ) {
        let mut text: Vec<char> = TEMPLATE.chars().collect();
        for (place, length, scrap) in edits {
            let start = place.index(text.len() + 1);
            let end = (start + length).min(text.len());
            text.splice(start..end, scrap.chars());
        }
        try_out(&Sources::from_texts([("a.toml", text.into_iter().collect::<String>())]));
    }

    #[test]
    fn a_template_with_swapped_lines_is_answered(
        swaps in prop::collection::vec((any::<Index>(), any::<Index>()), 1..8),
    ) {
        let mut lines: Vec<&str> = TEMPLATE.lines().filter(|line| !line.starts_with('#')).collect();
        for (one, other) in swaps {
            let (one, other) = (one.index(lines.len()), other.index(lines.len()));
            lines.swap(one, other);
        }
        try_out(&Sources::from_texts([("a.toml", lines.join("\n"))]));
    }
}
