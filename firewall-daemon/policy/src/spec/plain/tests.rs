//! A plain file reads as all of TOML does.

use super::super::{As, Part, part};
use super::*;

/// As all of TOML, if nothing is wrong with it.
fn toml(text: &str) -> Option<(Spec<'_>, bool)> {
    let Part { spec, found, is_broken, is_versioned, .. } = part(3, text, As::Toml);
    (found.is_empty() && !is_broken).then_some((spec, is_versioned))
}

const PLAIN: &str = r#"# a comment, wörtlich
version = 1	# another
[subnetwork.radiology] # and one
description = "CT	rooms, Störung # no comment"
port="inside"
vlan = 120
  networks = [ "10.20.0.0/24",
     "fd00:20::/64" , # both
  ]
fragments = "track"
[node.ct-1]

subnetwork = "radiology"
addresses = ["10.20.0.11", "fd00:20::11",]
mac = "02:00:00:20:00:11"
roles = ["modality"]
[application.dicom]
tcp = ["104"]
[application.nothing]
[[allow]]
name = "images"
from = ["radiology/modality"]
to = ["pacs"]
applications = ["dicom"]
essential = true
[node.pacs]
subnetwork = "hospital"
addresses = ["10.0.5.20"]
[[expect]]
from = "ct-1"
to = "pacs"
application = "dicom"
verdict = "pass"
[[allow]]
name = "more"
from = ["a"]
to = ["b"]
applications = ["c"]
essential = false"#;

#[test]
fn a_plain_file_reads_as_all_of_toml_does_places_included() {
    let read = read(3, PLAIN);
    assert!(read.is_some());
    assert_eq!(read, toml(PLAIN));
    assert_eq!(super::read(3, ""), toml(""));
}

#[test]
fn whatever_is_done_to_a_plain_file_it_reads_as_all_of_toml_or_not_at_all() {
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
        "{}",
        "vlan = 1\n",
        "version = 1\n",
        "[node.ct-1]\n",
        "[[node]]\n",
        "[allow]\n",
        "[a.b.c]\n",
        "node.x.y = 1\n",
        "mac = \"x\"\n",
        "[node.\"q\"]\n",
        "unknown = \"x\"\n",
    ];
    let mut plain = 0;
    for (place, _) in PLAIN.char_indices() {
        for scrap in SCRAPS {
            for rest in
                [&PLAIN[place..], PLAIN[place..].split_once(' ').map_or("", |(_, rest)| rest)]
            {
                let text = format!("{}{scrap}{rest}", &PLAIN[..place]);
                let Some(read) = read(3, &text) else { continue };
                plain += 1;
                if let Some(toml) = toml(&text) {
                    assert_eq!(read, toml, "{text}");
                } else {
                    let found = part(3, &text, As::Toml).found;
                    let codes: Vec<_> = found.iter().map(|found| found.code).collect();
                    let twice = crate::diagnostic::Code::DuplicateName;
                    assert!(codes.iter().all(|code| *code == twice), "{codes:?} in {text}");
                }
            }
        }
    }
    assert!(plain > 1000, "{plain} of them were plain");
}
