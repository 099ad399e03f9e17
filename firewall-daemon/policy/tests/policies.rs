//! The policies that we hand out are valid, and do not even raise a warning.
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests may panic as tests do")]

use std::path::Path;

use firewall_common::Port;
use firewall_policy::{Capacity, Image, Ports, SequentialSlots, Sources, Style, compile, resolve};

fn gateway() -> Ports {
    Ports::paired([("inside".to_owned(), Some(Port(1))), ("outside".to_owned(), Some(Port(0)))])
}

fn compiled(name: &str) -> Image {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies").join(name);
    let sources = Sources::read(&directory).unwrap();
    let resolved = match resolve(&sources, &gateway()) {
        Ok(resolved) => resolved,
        Err(found) => panic!("{}", found.render(&sources, Style::Plain)),
    };
    let warnings = resolved.warnings.render(&sources, Style::Plain);
    assert_eq!(warnings, "");
    compile(&resolved.policy, &mut SequentialSlots::new(), 1, &Capacity::default()).unwrap()
}

#[test]
fn the_template_is_a_valid_policy() {
    let image = compiled("template");
    assert_eq!(image.names.nodes().len(), 4);
}

#[test]
fn the_radiology_example_is_a_valid_policy() {
    let image = compiled("radiology");
    assert_eq!(image.names.rules().len(), 8);
}

#[test]
fn the_intensive_care_example_is_a_valid_policy() {
    let image = compiled("intensive-care");
    assert_eq!(image.names.subnetworks().len(), 2);
}
